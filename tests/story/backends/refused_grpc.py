"""what a gRPC API fixes is refused otherwise, by its member: protocol, method, path, parameters, samples, the backend's protocol"""
WEB = {"url_domain": "127.0.0.1:9", "req_protocol": "GRPCS", "req_method": "POST", "req_uri": "/", "timeout": 5000}
PARAM = [{"name": "a", "type": "STRING", "location": "QUERY"}]
MAPPED = [{"name": "a", "value": "1", "location": "QUERY", "origin": "CONSTANT"}]
POLICY = {"name": "pol", "effect_mode": "ALL", "conditions": [{"condition_origin": "source", "condition_value": "10.0.0.1"}]}


def story(world):
    world.group("g")
    body = {"name": f"r_{world.uid}", "group_id": world.names["g"]["id"], "type": 1, "req_protocol": "GRPCS",
            "req_method": "POST", "req_uri": "/pkg.Service", "match_mode": "SWA", "auth_type": "NONE",
            "backend_type": "GRPC", "backend_api": WEB}

    def refused(code, named, **fields):
        reply = world.want(400, "POST", "/apis", {**body, **fields})
        assert reply["error_code"] == code and named in reply["error_msg"], reply
    refused("APIG.2011", "req_protocol", req_protocol="HTTPS")
    refused("APIG.2011", "req_method", req_method="GET")
    refused("APIG.2011", "req_params", req_params=PARAM)
    refused("APIG.2011", "backend_params", backend_params=MAPPED)
    refused("APIG.2011", "policy_https.backend_params", policy_https=[{**POLICY, **WEB, "backend_params": MAPPED}])
    for sample in ("result_normal_sample", "result_failure_sample"):
        refused("APIG.2011", sample, **{sample: "{}"})
    refused("APIG.2001", "backend_api", backend_api=None)
    for member, value in (("req_protocol", "HTTPS"), ("req_method", "GET"), ("req_uri", "/x")):
        refused("APIG.2011", f"backend_api.{member}", backend_api={**WEB, member: value})
        refused("APIG.2011", f"policy_https.{member}", policy_https=[{**POLICY, **WEB, member: value}])
    refused("APIG.2011", "policy_mocks", policy_mocks=[{**POLICY, "result_content": "x"}])
    refused("APIG.2011", "backend_type", backend_type="HTTP", backend_api={**WEB, "req_protocol": "HTTP"})
    refused("APIG.2011", "backend_type", backend_type="MOCK", mock_info={"result_content": "x"})
    refused("APIG.2011", "policy_functions", policy_functions=[{
        **POLICY, "function_urn": "urn:fss:r1:p1:function:default:hello", "invocation_type": "sync", "network_type": "V2",
        "req_protocol": "GRPCS"}])
    refused("APIG.2011", "backend_api.req_protocol", backend_type="HTTP", req_protocol="HTTPS")
    plain = {**body, "backend_type": "HTTP", "req_protocol": "HTTPS", "backend_api": {**WEB, "req_protocol": "HTTP"}}
    reply = world.want(400, "POST", "/apis", {**plain, "policy_https": [{**POLICY, **WEB}]})
    assert "policy_https.req_protocol" in reply["error_msg"], reply
    made = world.want(201, "POST", "/apis", {**body, "policy_https": [{**POLICY, **WEB}]})
    assert made["backend_api"]["req_protocol"] == "GRPCS" and made["policy_https"][0]["name"] == "pol", made
    path = f"/apis/{made['id']}"
    kept = world.want(200, "PUT", path, {**body, "remark": "x"})
    assert kept["policy_https"][0]["id"] == made["policy_https"][0]["id"], kept
    mock = world.want(200, "PUT", path, {**plain, "backend_type": "MOCK", "mock_info": {"result_content": "x"},
                                         "backend_api": None, "req_method": "GET"})
    assert "backend_api" not in mock and not mock.get("policy_https"), mock
