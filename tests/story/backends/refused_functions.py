"""a function that cannot be called is refused: no service, a URN that names none, a time limit beyond the network's"""
PROJECT = "73d69ae0cfcf460190522d06b60f05ad"
URN = f"urn:fss:r1:{PROJECT}:function:default:hello"
SOURCE = {"condition_origin": "source", "condition_value": "10.0.0.1"}
BAD_URNS = ["urn:x", URN.replace("fss", "iam"), URN.replace(":hello", ""), URN.replace("default", ""), f"{URN}:v1:v2",
            URN.replace("function:", "trigger:"), f"{URN}/x", f"{URN} x"]


def function(**fields):
    return {"function_urn": URN, "invocation_type": "sync", "network_type": "V1", "timeout": 5000, **fields}


def by_grpc(world, body, policy, refused):
    """What gRPC cannot have is refused by its member, in the API, its function and the functions of its policies."""
    good = {"req_protocol": "GRPCS", "network_type": "V2"}
    over = {"req_protocol": "GRPCS", "req_method": "POST", "func_info": function(**good)}
    refused(400, "APIG.2011", "func_info.req_protocol", func_info=function(**good))
    refused(400, "APIG.2011", "policy_functions.req_protocol", policy_functions=[{**policy, **good}])
    for member, value in (("req_protocol", "HTTPS"), ("network_type", "V1"), ("invocation_type", "async")):
        bad = {**good, member: value}
        refused(400, "APIG.2011", f"func_info.{member}", **{**over, "func_info": function(**bad)})
        refused(400, "APIG.2011", f"policy_functions.{member}", **over, policy_functions=[{**policy, **bad}])
    mapped = [{"name": "a", "value": "1", "location": "QUERY", "origin": "CONSTANT"}]
    refused(400, "APIG.2011", "policy_functions.backend_params", **over, policy_functions=[{**policy, **good, "backend_params": mapped}])
    refused(400, "APIG.2011", "func_info.req_protocol", **{**over, "func_info": function(network_type="V2")})
    refused(400, "APIG.2011", "req_method", **{**over, "req_method": "GET"})
    refused(400, "APIG.2011", "req_params", **over, req_params=[{"name": "a", "type": "STRING", "location": "QUERY"}])
    refused(400, "APIG.2011", "backend_params", **over, backend_params=mapped)
    refused(400, "APIG.2011", "result_normal_sample", **over, result_normal_sample="{}")
    refused(404, "APIG.3019", "URN", **{**over, "func_info": function(**good, function_urn="urn:x")})
    grown = {**body, **over, "name": f"g_{world.uid}", "req_uri": "/pkg.F", "policy_functions": [{**policy, **good}]}
    made = world.want(201, "POST", "/apis", grown)
    assert made["func_info"]["req_protocol"] == made["policy_functions"][0]["req_protocol"] == "GRPCS", made
    # The API's protocol and its functions' change together, or not at all.
    path = f"/apis/{made['id']}"
    reply = world.want(400, "PUT", path, {**grown, "req_protocol": "HTTPS"})
    assert reply["error_code"] == "APIG.2011" and "func_info.req_protocol" in reply["error_msg"], reply
    back = world.want(200, "PUT", path, {**grown, "req_protocol": "HTTPS", "func_info": function(), "policy_functions": [policy]})
    assert back["func_info"]["req_protocol"] == "HTTPS" and back["func_info"]["id"] == made["func_info"]["id"], back


def story(world):
    world.group("g")
    body = {"name": f"f_{world.uid}", "group_id": world.names["g"]["id"], "type": 1, "req_protocol": "HTTP",
            "req_method": "GET", "req_uri": "/f", "auth_type": "NONE", "backend_type": "FUNCTION", "func_info": function()}

    def refused(status, code, named, **fields):
        reply = world.want(status, "POST", "/apis", {**body, **fields})
        assert reply["error_code"] == code and named in reply["error_msg"], reply

    def endpoint(url):
        world.stack.admin("gateway", "set", world.instance, f"function_endpoint={url}")
    refused(404, "APIG.3019", "URN")
    for url in ("ftp://127.0.0.1", "http://", "http:///x", "http://:80", "http://u@h", "http://h?x", "http://h/" + "x" * 250):
        try:
            endpoint(url)
        except Exception as fault:  # the tool ends with the refusal
            assert "function_endpoint" in f"{fault}{getattr(fault, 'stderr', '')}", fault
        else:
            raise AssertionError(f"{url} was taken")
    endpoint("http://127.0.0.1:9")
    for urn in BAD_URNS:
        refused(404, "APIG.3019", "URN", func_info=function(function_urn=urn))
        refused(404, "APIG.3019", "URN", func_info=function(alias_urn=urn))
    refused(400, "APIG.2011", "version", func_info=function(version="a b"))
    refused(400, "APIG.2004", "func_info.timeout", func_info=function(timeout=60001))
    refused(400, "APIG.2004", "func_info.timeout", func_info=function(timeout=60001, network_type="V2"))
    refused(400, "APIG.2001", "func_info", func_info=None)
    policy = {"name": "pol", "effect_mode": "ALL", "conditions": [SOURCE]}
    refused(404, "APIG.3019", "URN", policy_functions=[{**policy, **function(function_urn="urn:x")}])
    refused(400, "APIG.2004", "policy_functions.timeout", policy_functions=[{**policy, **function(timeout=70000)}])
    refused(400, "APIG.2011", "policy_mocks", policy_mocks=[{**policy, "result_content": "x"}])
    reply = world.want(501, "POST", "/apis", {**body, "func_info": function(authorizer_id="0" * 32)})
    assert "func_info.authorizer_id" in reply["error_msg"], reply
    by_grpc(world, body, {**policy, **function()}, refused)
    # A longer limit of the gateway is one of V2 functions.
    world.stack.admin("gateway", "set", world.instance, "backend_timeout=90000")
    refused(400, "APIG.2004", "func_info.timeout", func_info=function(timeout=60001))
    made = world.want(201, "POST", "/apis", {**body, "func_info": function(timeout=90000, network_type="V2"),
                                             "policy_functions": [{**policy, **function()}]})
    kept = made["func_info"]
    assert kept["timeout"] == 90000 and len(kept["id"]) == 32 and "backend_api" not in made, made
    path = f"/apis/{made['id']}"
    changed = world.want(200, "PUT", path, {**body, "func_info": function(remark="again")})
    assert changed["func_info"]["id"] == kept["id"] and changed["func_info"]["remark"] == "again", changed
    assert changed["policy_functions"][0]["id"] == made["policy_functions"][0]["id"], changed
    listed = world.want(200, "GET", f"/apis?id={made['id']}&return_data_mode=include_group_backend")["apis"][0]
    assert listed["func_info"]["function_urn"] == URN, listed
    mock = world.want(200, "PUT", path, {**body, "backend_type": "MOCK", "mock_info": {"result_content": "x"}, "func_info": None})
    assert "func_info" not in mock and not mock.get("policy_functions"), mock
