"""a policy's conditions choose the backend, row by row"""
from backend import Backend, mirror

SERVED = True
KIND = {"name": "kind", "type": "STRING", "location": "QUERY", "required": 2}


def condition(origin, value, kind="exact", **names):
    made = {"condition_origin": origin, "condition_value": value, **names}
    return made if origin == "source" else {**made, "condition_type": kind}


GOLD = condition("param", "gold", req_param_name="kind")
ELSEWHERE = condition("source", "192.0.2.0/24")
# effect_mode, conditions, query, whether the policy takes the call.
ROWS = [
    ("ALL", [GOLD], "?kind=gold", True), ("ALL", [GOLD], "?kind=Gold", False), ("ALL", [GOLD], "", False),
    ("ALL", [condition("param", "gold,red", "enum", req_param_name="KIND")], "?kind=red", True),
    ("ALL", [condition("param", "^r.d", "pattern", req_param_name="kind")], "?kind=reddish", True),
    ("ALL", [condition("source", "192.0.2.1, 127.0.0.0/8")], "", True), ("ALL", [ELSEWHERE], "", False),
    ("ALL", [condition("system", "/c", "pattern", sys_param_name="req_path")], "", True),
    ("ALL", [condition("system", "PUT,GET", "enum", sys_param_name="reqMethod")], "", True),
    ("ALL", [condition("system", "/c", "exact", sys_param_name="reqPath")], "", False),
    ("ALL", [condition("system", "POST", sys_param_name="req_method")], "", False),
    ("ALL", [GOLD, ELSEWHERE], "?kind=gold", False), ("ANY", [GOLD, ELSEWHERE], "?kind=gold", True),
]


def policy(backend, name, mode, conditions, **fields):
    return {"name": name, "effect_mode": mode, "url_domain": backend.address, "req_protocol": "HTTP",
            "req_method": "ANY", "req_uri": f"/{name}", "timeout": 5000, "conditions": conditions, **fields}


def story(world):
    world.group("g")
    with Backend() as backend, Backend(tls=True, take=mirror) as secure:
        for number, (mode, conditions, query, taken) in enumerate(ROWS):
            name = f"c{number}"
            world.api(name, req_params=[KIND], policy_https=[policy(backend, "mine", mode, conditions)],
                      backend={"url_domain": backend.address, "req_uri": "/own"})
            world.publish(name)
            reply = world.call("GET", f"/{name}{query}")
            wanted = ("/mine" if taken else "/own") + query
            assert reply.status == 200 and reply.json["target"] == wanted, f"{conditions}: {reply}"
        sent = [{"name": "X-Kind", "value": "kind", "location": "HEADER", "origin": "REQUEST"}]
        world.api("many", req_params=[KIND], backend={"url_domain": backend.address}, policy_https=[
            policy(backend, "silver", "ALL", [condition("param", "silver", req_param_name="kind")]),
            policy(secure, "first", "ALL", [GOLD], req_protocol="HTTPS", req_method="PUT", backend_params=sent),
            policy(backend, "second", "ALL", [GOLD])])
        world.publish("many")
        # A default is there before the conditions are asked.
        world.api("given", req_params=[{**KIND, "default_value": "gold"}], backend={"url_domain": backend.address, "req_uri": "/own"},
                  policy_https=[policy(backend, "mine", "ALL", [GOLD])])
        world.publish("given")
        assert world.call("GET", "/given").json["target"] == "/mine?kind=gold"
        assert world.call("GET", "/given?kind=red").json["target"] == "/own?kind=red"
        for node in (1, 2, "tls"):
            seen = world.call("GET", "/many?kind=gold", node).json
            assert (seen["method"], seen["target"], seen["headers"]["x-kind"]) == ("PUT", "/first?kind=gold", "gold"), seen
        assert len(secure.seen) == 3
