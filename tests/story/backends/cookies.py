"""a policy's condition on a cookie: found by name and case in any Cookie header, and without the cookie not met"""
SERVED = True


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


def story(world):
    world.group("g")
    world.api("m", backend_type="MOCK", mock_info={"result_content": "own"}, policy_mocks=POLICIES)
    world.publish("m")
    shown = world.want(200, "GET", f"/apis/{world.names['m']['id']}")["policy_mocks"][0]["conditions"][0]
    assert (shown["condition_origin"], shown["cookie_param_name"]) == ("cookie", "plan"), shown
    for node in (1, 2, "tls", "h2"):
        for cookie, wanted in ROWS:
            reply = world.call("GET", "/m", node, headers={"Cookie": cookie} if cookie is not None else None)
            assert reply.status == 200 and reply.body == wanted.encode(), f"{cookie}: {reply}"
