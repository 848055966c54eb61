"""a policy's condition on a cookie: found by name and case in any Cookie header, not met without the feature or the cookie"""
SERVED = True  # no other story on this gateway has conditions on cookies, so the feature concerns nobody else
NODES = (1, 2, "tls", "h2")
FEATURE = "policy_cookie_param"


def mock(name, **names):
    return {"name": name, "effect_mode": "ALL", "result_content": name, "conditions": [
        {"condition_origin": "cookie", "cookie_param_name": "plan", **names}]}


POLICIES = [mock("exact", condition_type="exact", condition_value="gold"),
            mock("listed", condition_type="enum", condition_value="red,blue"),
            mock("found", condition_type="pattern", condition_value="^x[0-9]+$")]
# The Cookie header, whose answer comes.
ROWS = [("plan=gold", "exact"), ("a=1; plan=gold; plan=red", "exact"), ("plan=Gold", "own"), ("Plan=gold", "own"),
        ("a=1;plan=blue", "listed"), ("plan=red,blue", "own"), ("plan=x17", "found"), ("plan=ax17", "own"),
        ("planet=gold", "own"), ("plan", "own"), ("plan=", "own"), ("a=plan=gold", "own"), ("", "own"), (None, "own")]


def answers(world, cookie):
    """What every node says to a call with this Cookie header."""
    replies = [world.call("GET", "/m", node, headers={"Cookie": cookie} if cookie is not None else None) for node in NODES]
    assert all(reply.status == 200 for reply in replies), replies
    return [reply.body.decode() for reply in replies]


def switched(world, config):
    """The feature acts on what is published already, with the next revision of any kind."""
    world.feature(FEATURE, config)
    world.settle("other")


def story(world):
    assert FEATURE in world.want(200, "GET", "/instance-features?limit=500")["features"]
    world.group("g")
    world.api("other")
    world.publish("other")
    world.api("m", backend_type="MOCK", mock_info={"result_content": "own"}, policy_mocks=POLICIES)
    world.publish("m")
    shown = world.want(200, "GET", f"/apis/{world.names['m']['id']}")["policy_mocks"][0]["conditions"][0]
    assert (shown["condition_origin"], shown["cookie_param_name"]) == ("cookie", "plan"), shown
    try:
        assert answers(world, "plan=gold") == ["own"] * len(NODES)
        switched(world, "on")
        for cookie, wanted in ROWS:
            assert answers(world, cookie) == [wanted] * len(NODES), cookie
        switched(world, "off")
        assert answers(world, "plan=gold") == ["own"] * len(NODES)
        switched(world, "on")
        assert answers(world, "plan=gold") == ["exact"] * len(NODES)
    finally:
        switched(world, None)
    assert answers(world, "plan=gold") == ["own"] * len(NODES)
