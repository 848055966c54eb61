"""more parameters, tags, policies or conditions than an API may have are refused, each with its own code; as many are not"""
SOURCE = {"condition_origin": "source", "condition_value": "10.0.0.1"}


def param(number):
    return {"name": f"p{number}", "type": "STRING", "location": "QUERY"}


def policy(number, conditions=1):
    return {"name": f"pol{number}", "effect_mode": "ALL", "result_content": "x", "conditions": [SOURCE] * conditions}


def many(make, count):
    return [make(number) for number in range(count)]


# the members of an API with as many as it may have, and with one more; the code and the words of the refusal.
ROWS = [
    ({"req_params": many(param, 50)}, {"req_params": many(param, 51)}, "APIG.3111", "parameters in req_params"),
    ({"policy_mocks": many(policy, 5)}, {"policy_mocks": many(policy, 6)}, "APIG.3113", "API backend policies"),
    ({"policy_mocks": [policy(0, 5)]}, {"policy_mocks": [policy(0, 6)]}, "APIG.3114", "policy conditions"),
    ({"tags": many("t{}".format, 10)}, {"tags": many("t{}".format, 11)}, "APIG.3133", "API tags"),
]


def story(world):
    world.group("g")
    body = {"group_id": world.names["g"]["id"], "type": 1, "req_protocol": "HTTP", "req_method": "GET", "auth_type": "NONE",
            "backend_type": "MOCK", "mock_info": {"result_content": "own"}}
    for number, (most, more, code, words) in enumerate(ROWS):
        own = {**body, "name": f"api{number}_{world.uid}", "req_uri": f"/{number}"}
        made = world.want(201, "POST", "/apis", {**own, **most})
        for method, path in (("POST", "/apis"), ("PUT", f"/apis/{made['id']}")):
            reply = world.want(403, method, path, {**own, **more})
            assert reply["error_code"] == code, reply
            assert reply["error_msg"] == f"The number of {words} exceeds the maximum allowed limit", reply
        kept = world.want(200, "GET", f"/apis/{made['id']}")
        for name, value in most.items():
            assert len(kept[name]) == len(value), kept
