"""three an hour are exactly three of twelve calls, however the two nodes share them"""
import time

from stack import wait_until

SERVED = True
CALLS = 12
LIMIT = 3
PATTERNS = {"alternating": [1, 2] * 6, "one": [1] * CALLS, "two-and-rest": [1] * 2 + [2] * 10}


def clear_of_the_hour(seconds=15):
    """Windows are the clock's hours: do not start just before one ends."""
    wait_until(lambda: time.time() % 3600 < 3600 - seconds, seconds + 5, "the next hour")


def admitted(world, name, pattern):
    """Binds a fresh policy to a fresh API and answers the statuses of the calls."""
    world.api(name)
    world.publish(name)
    world.throttle(f"t_{name}", api_call_limits=LIMIT)
    world.binding(name, f"t_{name}")
    world.settle(name)
    clear_of_the_hour()
    return [world.call("GET", f"/{name}", node) for node in pattern]


def story(world):
    world.group("g")
    for name, pattern in PATTERNS.items():
        replies = admitted(world, name.replace("-", "_"), pattern)
        statuses = [reply.status for reply in replies]
        assert statuses.count(200) == LIMIT and statuses.count(429) == CALLS - LIMIT, (name, statuses)
        refused = next(reply for reply in replies if reply.status == 429)
        assert refused.json["error_code"] == "APIG.0308", refused
        assert refused.json["error_msg"].endswith("policy api over ratelimit,limit:3,time:1 hour"), refused
