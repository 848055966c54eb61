"""the gateway's default is counted over all environments, and enforced only without a policy"""
from stack import wait_until

OWN_STACK = True
SERVED = True
LIMIT = 4
DEBUG = {"X-Apig-Mode": "debug"}
REFUSED = f"policy api over ratelimit,limit:{LIMIT},time:1 second"


def remain(reply):
    words = dict(word.split(":") for word in reply.headers["x-apig-ratelimit-api-allenv"].split(","))
    assert words["limit"] == str(LIMIT) and words["time"] == "1 second", words
    return int(words["remain"])


def story(world):
    world.group("g")
    world.environment("e")
    for name in ("bare", "bound"):
        world.api(name)
        world.publish(name)
        world.publish(name, env="e")
        world.publish(name)
    stage = {**DEBUG, "X-Stage": f"e_{world.uid}"}
    world.throttle("t", api_call_limits=1000)
    world.binding("bound", "t")
    world.stack.admin("gateway", "set", world.instance, f"api_default_limit={LIMIT}")
    try:
        world.settle("bare")
        wait_until(lambda: "x-apig-ratelimit-api" in world.call("GET", "/bound", headers=DEBUG).headers,
                   10, "units of the policy")

        # One call of each environment, until both fell into one second: the later sees the earlier.
        def shared():
            first = remain(world.call("GET", "/bare", 1, headers=DEBUG))
            second = remain(world.call("GET", "/bare", 1, headers=stage))
            return (first, second) == (LIMIT - 1, LIMIT - 2)
        wait_until(shared, 20, "two environments in one second")

        replies = [world.call("GET", "/bare", 1, headers=DEBUG) for _ in range(60)]
        refused = [r for r in replies if r.status == 429]
        assert refused and all(r.json["error_msg"].endswith(REFUSED) for r in refused), replies
        assert any(r.status == 200 for r in replies), "a second begins: there are units again"
        replies = [world.call("GET", "/bound", 1, headers=DEBUG) for _ in range(60)]
        assert not any(r.status == 429 and r.json["error_msg"].endswith(REFUSED) for r in replies), \
            "a policy is bound: the default only counts"
        assert min(remain(r) for r in replies if r.status == 200) == 0, replies
    finally:
        world.stack.admin("gateway", "set", world.instance, "api_default_limit=")
