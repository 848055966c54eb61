"""a policy counts an API in each of its environments apart, a shared one all of them together"""
SERVED = True
LIMIT = 2


def story(world):
    world.group("g")
    world.environment("e")
    stage = {"X-Stage": world.names["e"]["name"]}

    def admitted(name, **policy):
        """How many of ten calls pass in RELEASE and then in the other environment; on both nodes."""
        world.api(name)
        world.throttle(f"t_{name}", api_call_limits=LIMIT, time_unit="DAY", **policy)
        for env in ("RELEASE", "e"):
            world.publish(name, env)
            world.binding(name, f"t_{name}")
        world.settle(name)
        replies = [[world.call("GET", f"/{name}", node, headers=headers) for node in (1, 2) * 5]
                   for headers in ({}, stage)]
        for reply in (reply for of_env in replies for reply in of_env if reply.status != 200):
            assert (reply.status, reply.json["error_code"]) == (429, "APIG.0308"), reply
        return [sum(reply.status == 200 for reply in of_env) for of_env in replies]

    counted = admitted("apart", type=1)
    assert counted == [LIMIT, LIMIT], counted
    counted = admitted("together", type=2)
    assert counted == [LIMIT, 0], counted
