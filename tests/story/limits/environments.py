"""a policy counts an API in each of its environments apart, a shared one all of them together"""
SERVED = True
LIMIT = 2


def story(world):
    world.group("g")
    world.environment("e")
    stage = {"X-Stage": world.names["e"]["name"]}

    def admitted(name, wanted, **policy):
        """How many of many calls pass in RELEASE and then in the other environment; on both nodes."""
        world.api(name)
        world.throttle(f"t_{name}", api_call_limits=LIMIT, time_unit="DAY", **policy)
        for env in ("RELEASE", "e"):
            world.publish(name, env)
            world.binding(name, f"t_{name}")
        world.settle(name)
        replies = [world.admitted(count, lambda number, headers=headers: world.call(
            "GET", f"/{name}", 1 + number % 2, headers=headers)) for count, headers in zip(wanted, ({}, stage))]
        for reply in (reply for of_env in replies for reply in of_env if reply.status != 200):
            assert (reply.status, reply.json["error_code"]) == (429, "APIG.0308"), reply
        return [sum(reply.status == 200 for reply in of_env) for of_env in replies]

    for name, wanted, kind in (("apart", [LIMIT, LIMIT], 1), ("together", [LIMIT, 0], 2)):
        counted = admitted(name, wanted, type=kind)
        assert counted == wanted, (name, counted)
