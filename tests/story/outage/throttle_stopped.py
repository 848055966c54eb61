"""with both throttle workers stopped a limit of three admits at most three, and nothing waits"""
import statistics
import time

from stack import clear_of_midnight, wait_until

OWN_STACK = True
SERVED = True
TOLERATES = (r"throttle", r"limits", r"shard", r"worker", r"unavailable", r"exchange")
CALLS = 12
PAUSE_MAX = 3.0  # times as slow as a call without limits, in the median; a waiting call would be far beyond


def timed(world, path, node):
    started = time.monotonic()
    reply = world.call("GET", path, node)
    return reply, time.monotonic() - started


def story(world):
    world.group("g")
    for name in ("before", "after", "ready"):
        world.api(name)
        world.publish(name)
    for name in ("before", "after"):
        world.throttle(f"t_{name}")
        world.binding(name, f"t_{name}")
        world.settle(name)
    world.throttle("t_ready", api_call_limits=1000)
    world.binding("ready", "t_ready")
    world.settle("ready")
    # The story before may have killed the database: units come when accounting has it back.
    for node in (1, 2):
        wait_until(lambda: world.call("GET", "/ready", node).status == 200, 30, "units")
    clear_of_midnight()
    replies = world.admitted(3, lambda n: world.call("GET", "/before", 1 + n % 2), more=CALLS)
    assert [r.status for r in replies].count(200) == 3, replies
    try:
        for unit in ("throttle-1", "throttle-2"):
            world.stack.sv("down", unit)
        replies = [timed(world, "/after", 1 + n % 2) for n in range(CALLS)]
        admitted = [r.status for r, _ in replies].count(200)
        assert admitted <= 3, f"{admitted} admitted"
        # In turn with calls that no limit concerns, whatever else the machine does meanwhile.
        pairs = [(timed(world, "/after", 1 + n % 2), timed(world, "/nowhere", 1 + n % 2)) for n in range(2 * CALLS)]
        admitted += [r.status for (r, _), _ in pairs].count(200)
        assert admitted <= 3, f"{admitted} admitted in all"
        assert all(r.status in (200, 429) for (r, _), _ in pairs), pairs
        slow, usual = (statistics.median(pair[of][1] for pair in pairs) for of in (0, 1))
        assert slow < max(PAUSE_MAX * usual, 0.015), f"{slow * 1000:.1f} ms, without a limit {usual * 1000:.1f}"
    finally:
        world.stack.sv("up", "throttle-1", "throttle-2")
    wait_until(lambda: world.stack.pid("throttle-1") and world.stack.pid("throttle-2"), 30,
               "the throttle workers")
