"""a node that is stopped gives back the units that it did not spend, and others spend them"""
import concurrent.futures

from stack import clear_of_midnight, wait_until

OWN_STACK = True
SERVED = True
TOLERATES = (r"limits", r"worker", r"unavailable", r"exchange", r"connect", r"upstream")
LIMIT = 60
TOGETHER = 8  # calls at once: a node that wants so many units is given as many more
ATTEMPTS = 240  # a unit that takes over 20 ms to arrive is a refusal, and is asked for again


def admitted(world, path, node, wanted):
    """How many of `wanted` calls a node admits; it is asked again and again."""
    passed = 0
    for _ in range(ATTEMPTS):
        passed += world.call("GET", path, node).status == 200
        if passed == wanted:
            break
    return passed


def together(world, path, node):
    """How many of some calls at the same time a node admits; at least one."""
    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as callers:
        for _ in range(ATTEMPTS):
            replies = callers.map(lambda _: world.call("GET", path, node).status, range(TOGETHER))
            passed = list(replies).count(200)
            if passed > 0:
                return passed
    raise AssertionError(f"node {node} admits nothing")


def story(world):
    world.group("g")
    world.api("a")
    world.publish("a")
    world.throttle("t", api_call_limits=LIMIT)
    world.binding("a", "t")
    world.settle("a")
    clear_of_midnight()
    first = together(world, "/a", 2)
    try:
        for unit in ("nginx-2", "node-2"):  # nginx first: while it runs, what the node holds is its own
            world.stack.sv("down", unit)
        passed = admitted(world, "/a", 1, LIMIT)
        assert passed == LIMIT - first, f"{first} of {LIMIT} on one node, then {passed} on the other"
    finally:
        world.stack.sv("up", "node-2", "nginx-2")
    wait_until(lambda: world.stack.pid("node-2") and world.stack.pid("nginx-2"), 10, "the node")
