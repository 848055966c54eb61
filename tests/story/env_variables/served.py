"""what variables say reaches the backend on every node, and a changed value does without publishing again"""
from backend import Backend

SERVED = True
NODES = (1, 2, "tls")


def variable(world, name, value, env="RELEASE"):
    made = world.want(201, "POST", "/env-variables", {
        "group_id": world.names["g"]["id"], "env_id": world.env_id(env), "variable_name": name, "variable_value": value})
    return f"/env-variables/{made['id']}"


def asks(world, wanted, path="/a", headers=()):
    """Every node's call goes to the backend and the target that are wanted."""
    for node in NODES:
        reply = world.call("GET", path, node, headers=dict(headers))
        assert reply.status == 200, f"{node}: {reply}"
        seen = (reply.json["headers"]["host"], reply.json["target"])
        assert seen == wanted, f"{node}: {seen}, not {wanted}"


def story(world):
    world.group("g")
    world.environment("e")
    with Backend() as one, Backend() as two:
        host = variable(world, "host", "127.0.0.1")
        port = variable(world, "port", f":{one.port}")
        variable(world, "Host", "192.0.2.1")
        path = variable(world, "path", "v1/x")
        variable(world, "host", "127.0.0.1", "e")
        variable(world, "port", f":{two.port}", "e")
        variable(world, "path", "of-e", "e")
        gold = {"name": "gold", "effect_mode": "ALL", "url_domain": "#host##port#", "req_protocol": "HTTP", "req_method": "GET",
                "req_uri": "/gold#path##path#", "timeout": 5000, "conditions": [
                    {"condition_origin": "system", "sys_param_name": "req_path", "condition_type": "exact", "condition_value": "/b"}]}
        world.api("a", backend={"url_domain": "#host##port#", "req_uri": "/#path#/a"})
        world.api("b", backend={"url_domain": "192.0.2.1"}, policy_https=[gold])
        for api, env in (("a", "RELEASE"), ("b", "RELEASE"), ("a", "e")):
            world.publish(api, env)
        asks(world, (one.address, "/v1/x/a"))
        asks(world, (one.address, "/goldv1/xv1/x"), "/b")
        asks(world, (two.address, "/of-e/a"), headers={"X-Stage": world.names["e"]["name"]}.items())

#A change, of the port and of the path; unrelated publishing tells when it is live.
        world.want(200, "PUT", port, {"variable_value": f":{two.port}"})
        world.want(200, "PUT", path, {"variable_value": "v2"})
        world.api("other")
        world.publish("other")
        asks(world, (two.address, "/v2/a"))
        asks(world, (two.address, "/goldv2v2"), "/b")

#What is deleted, or makes no address any more, fails calls until it is put right.
        world.want(204, "DELETE", host)
        world.settle("other")
        for node, target in ((1, "/a"), (2, "/b")):
            reply = world.call("GET", target, node)
            assert (reply.status, reply.json["error_code"]) == (500, "APIG.0105"), reply
        host = variable(world, "host", "no/host")
        world.settle("other")
        assert world.call("GET", "/a", 2).status == 500
        world.want(200, "PUT", host, {"variable_value": "127.0.0.1"})
        world.settle("other")
        asks(world, (two.address, "/v2/a"))
