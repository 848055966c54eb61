"""with both throttle workers stopped a limit of three admits at most three, and nothing waits"""
import statistics
import time

from stack import clear_of_midnight, wait_until

OWN_STACK = True
SERVED = True
TOLERATES = (r"throttle", r"limits", r"shard", r"worker", r"unavailable", r"exchange")
CALLS = 12
PAUSE_MAX = 3.0  # times as slow as before, in the median; a waiting call would be far beyond


def timed(world, path, node):
    started = time.monotonic()
    reply = world.call("GET", path, node)
    return reply, time.monotonic() - started


def story(world):
    world.group("g")
    for name in ("free", "before", "after", "ready"):
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
    usual = statistics.median(t for _, t in [timed(world, "/free", 1 + n % 2) for n in range(40)])
    try:
        for unit in ("throttle-1", "throttle-2"):
            world.stack.sv("down", unit)
        replies = [timed(world, "/after", 1 + n % 2) for n in range(CALLS)]
        admitted = [r.status for r, _ in replies].count(200)
        assert admitted <= 3, f"{admitted} admitted"
        replies = [timed(world, "/after", 1 + n % 2) for n in range(CALLS)]
        admitted += [r.status for r, _ in replies].count(200)
        assert admitted <= 3, f"{admitted} admitted in all"
        assert all(r.status in (200, 429) for r, _ in replies), replies
        slow = statistics.median(t for _, t in replies)
        assert slow < max(PAUSE_MAX * usual, 0.015), f"{slow * 1000:.1f} ms, before {usual * 1000:.1f}"
    finally:
        world.stack.sv("up", "throttle-1", "throttle-2")
    wait_until(lambda: world.stack.pid("throttle-1") and world.stack.pid("throttle-2"), 30,
               "the throttle workers")
