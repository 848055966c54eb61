"""throttle_strategy: local gives every node the whole of a limit, cluster and off make it the gateway's"""
import json

OWN_STACK = True  # what the served gateway's features are concerns every story beside it
SERVED = True
LIMIT = 3


def story(world):
    world.group("g")
    world.app("p")

    def admitted(name, wanted, **limits):
        """How many of many calls each node admits under a fresh policy."""
        world.api(name, auth_type="APP")
        world.publish(name)
        world.auth("p", name)
        world.throttle(f"t_{name}", **{"api_call_limits": 100, "time_unit": "DAY", **limits})
        world.binding(name, f"t_{name}")
        world.settle(name)
        replies = [world.admitted(count, lambda _, node=node: world.call("GET", f"/{name}", node, app="p"), more=6)
                   for node, count in zip((1, 2), wanted)]
        for reply in (reply for of_node in replies for reply in of_node if reply.status != 200):
            assert (reply.status, reply.json["error_code"]) == (429, "APIG.0308"), reply
            assert f"limit:{LIMIT},time:1 day" in reply.json["error_msg"], reply
        return [sum(reply.status == 200 for reply in of_node) for of_node in replies]

    local, cluster = [LIMIT, LIMIT], [LIMIT, 0]
    assert admitted("before", cluster, api_call_limits=LIMIT) == cluster
    world.feature("throttle_strategy", {"enable": "on", "strategy": "local"})
    assert admitted("local_api", local, api_call_limits=LIMIT) == local
    assert admitted("local_app", local, app_call_limits=LIMIT) == local
    assert admitted("local_ip", local, ip_call_limits=LIMIT) == local
    shown = world.call("GET", "/local_app", 1, app="p", headers={"X-Apig-Mode": "debug"})
    assert shown.headers["x-apig-ratelimit-app"] == f"remain:0,limit:{LIMIT},time:1 day", shown.headers
    assert shown.headers["x-apig-ratelimit-api"] == "remain:97,limit:100,time:1 day", shown.headers
    world.feature("throttle_strategy", {"enable": "on", "strategy": "cluster"})
    assert admitted("cluster", cluster, api_call_limits=LIMIT) == cluster
    world.feature("throttle_strategy", {"enable": "off"})
    assert admitted("off", cluster, api_call_limits=LIMIT) == cluster
    world.feature("throttle_strategy")
    for config, code in (({"enable": "on", "strategy": "node"}, "APIG.2011"),
                         ({"enable": "on"}, "APIG.2001"), ({"strategy": "local"}, "APIG.2001")):
        body = {"name": "throttle_strategy", "enable": True, "config": json.dumps(config)}
        reply = world.want(400, "POST", "/features", body)
        assert reply["error_code"] == code, reply
