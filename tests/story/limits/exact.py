"""three a day are exactly three of twelve calls and more, however the two nodes share them"""
from stack import clear_of_midnight

SERVED = True
CALLS = 12
LIMIT = 3
PATTERNS = {"alternating": [1, 2] * 6, "one": [1] * CALLS, "two-and-rest": [1] * 2 + [2] * 10}


def admitted(world, name, pattern):
    """Binds a fresh policy to a fresh API and answers what calls get."""
    world.api(name)
    world.publish(name)
    world.throttle(f"t_{name}", api_call_limits=LIMIT)
    world.binding(name, f"t_{name}")
    world.settle(name)
    clear_of_midnight()
    return world.admitted(LIMIT, lambda number: world.call("GET", f"/{name}", pattern[number % CALLS]), more=CALLS)


def story(world):
    world.group("g")
    for name, pattern in PATTERNS.items():
        replies = admitted(world, name.replace("-", "_"), pattern)
        statuses = [reply.status for reply in replies]
        assert statuses.count(200) == LIMIT and statuses.count(429) == len(statuses) - LIMIT, (name, statuses)
        refused = next(reply for reply in replies if reply.status == 429)
        assert refused.json["error_code"] == "APIG.0308", refused
        assert refused.json["error_msg"].endswith("policy api over ratelimit,limit:3,time:1 day"), refused
