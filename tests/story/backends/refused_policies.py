"""a policy that no call could meet is refused by its member, and two of one name by their own code"""
MOCK = {"name": "pol", "effect_mode": "ALL", "result_content": "x"}
SOURCE = {"condition_origin": "source", "condition_value": "10.0.0.1"}
WEB = {"name": "pol", "effect_mode": "ALL", "req_protocol": "HTTP", "req_method": "GET", "req_uri": "/",
       "conditions": [SOURCE]}


def on_param(**fields):
    return {"condition_origin": "param", "req_param_name": "kind", "condition_type": "exact", "condition_value": "x",
            **fields}


# what is wrong with a condition, the code, what the message names.
CONDITIONS = [
    (on_param(req_param_name="other"), "APIG.2011", "req_param_name"),
    ({"condition_origin": "param", "condition_type": "exact", "condition_value": "x"}, "APIG.2001", "req_param_name"),
    ({"condition_origin": "param", "req_param_name": "kind", "condition_value": "x"}, "APIG.2001", "condition_type"),
    (on_param(condition_type="pattern", condition_value="("), "APIG.2011", "condition_value"),
    ({"condition_origin": "source", "condition_value": "10.0.0.0/33"}, "APIG.2011", "condition_value"),
    ({"condition_origin": "source", "condition_value": "10.0.0.1,"}, "APIG.2011", "condition_value"),
    ({"condition_origin": "system", "condition_type": "exact", "condition_value": "x"}, "APIG.2001", "sys_param_name"),
    ({"condition_origin": "system", "sys_param_name": "req_method", "condition_type": "pattern",
      "condition_value": "G"}, "APIG.2011", "condition_type"),
    ({"condition_origin": "cookie", "condition_type": "exact", "condition_value": "x"}, "APIG.2001", "cookie_param_name"),
]


def story(world):
    world.group("g")
    body = {"name": f"a_{world.uid}", "group_id": world.names["g"]["id"], "type": 1, "req_protocol": "HTTP",
            "req_method": "GET", "req_uri": "/a", "auth_type": "NONE", "backend_type": "MOCK",
            "mock_info": {"result_content": "own"},
            "req_params": [{"name": "kind", "type": "STRING", "location": "QUERY"}]}

    def refused(code, named, **fields):
        reply = world.want(400, "POST", "/apis", {**body, **fields})
        assert reply["error_code"] == code and named in reply["error_msg"], reply
    for condition, code, named in CONDITIONS:
        refused(code, named, policy_mocks=[{**MOCK, "conditions": [condition]}])
    both = {**MOCK, "conditions": [SOURCE]}
    refused("APIG.3210", "name", policy_mocks=[both, both])
    refused("APIG.2011", "policy_https", policy_https=[{**WEB, "url_domain": "127.0.0.1"}])
    web = {"backend_type": "HTTP", "mock_info": None, "backend_api": {
        "url_domain": "127.0.0.1", "req_protocol": "HTTP", "req_method": "GET", "req_uri": "/", "timeout": 5000}}
    refused("APIG.2001", "url_domain", policy_https=[WEB], **web)
    refused("APIG.2004", "timeout", policy_https=[{**WEB, "url_domain": "127.0.0.1", "timeout": 60001}], **web)
    mapped = [{"name": "x", "value": "none", "location": "QUERY", "origin": "REQUEST"}]
    refused("APIG.2028", "", policy_https=[{**WEB, "url_domain": "127.0.0.1", "backend_params": mapped}], **web)
    context = {"condition_origin": "frontend_authorizer", "condition_type": "exact", "condition_value": "x"}
    reply = world.want(501, "POST", "/apis", {**body, "policy_mocks": [{**MOCK, "conditions": [context]}]})
    assert "condition_origin" in reply["error_msg"], reply
