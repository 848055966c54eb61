"""a quota without a time of its own begins with the app's first call, at the same moment on both nodes"""
import concurrent.futures
import time

from stack import wait_until

SERVED = True
WINDOW_S = 20
LIMIT = 6


def give(world, name, app):
    """Makes a quota without a time, gives it to the app, waits until nodes have it."""
    made = world.manage("POST", "/app-quotas", {"name": f"{name}_{world.uid}", "call_limits": LIMIT, "time_unit": "SECOND",
                                                "time_interval": WINDOW_S})
    assert made.status == 201 and "reset_time" not in made.json, made
    path = f"/app-quotas/{made.json['app_quota_id']}"
    world.made.append(path)
    bound = world.manage("POST", path + "/binding-apps", {"app_ids": [world.names[app]["id"]]})
    assert bound.status == 201, bound
    world.settle("a")
    return path


def first_calls(world, app):
    """One call to each node at the same moment, until one passed: when the first was made, how many passed."""
    def both():
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return [reply.status for reply in pool.map(lambda node: world.call("GET", "/a", node, app=app), (1, 2))]
    earliest, passed = time.time(), []
    wait_until(lambda: (passed.append(both()), 200 in passed[-1])[1], 20, "the first call")
    assert {status for pair in passed for status in pair} <= {200, 405}, passed  # 405: its units came too late
    return earliest, passed[-1].count(200)


def spend(world, app, until):
    """Calls on both nodes in turn while the window lasts; how many passed."""
    passed = 0
    number = 0
    while time.time() < until:
        reply = world.call("GET", "/a", number % 2 + 1, app=app)
        assert reply.status in (200, 405), reply
        passed += reply.status == 200 and time.time() < until
        number += 1
    return passed


def story(world):
    world.group("g")
    world.api("a", auth_type="APP")
    world.publish("a")
    for app in ("p", "r"):
        world.app(app)
        world.auth(app, "a")
    path = give(world, "first", "p")

    # Time alone begins nothing: the quota is older than a third of a window when the first call comes.
    had = time.time()
    wait_until(lambda: time.time() - had > WINDOW_S / 3, WINDOW_S, "a third of a window")
    earliest, passed = first_calls(world, "p")
    # The window began in the second of the first call, or a tenth of a second before it.
    end = int(earliest - 0.1) + WINDOW_S
    passed += spend(world, "p", end - 0.5)
    assert passed == LIMIT, f"{passed} calls of {LIMIT} in the first window"
    wait_until(lambda: world.call("GET", "/a", 2, app="p").status == 200, 3 * WINDOW_S, "the second window")
    began = time.time()
    assert began >= end - 0.5, f"the second window began {end - began} s early"

    # Windows of another length begin there too, and are another counter.
    limits = world.manage("PUT", path, {"name": f"first_{world.uid}", "call_limits": LIMIT, "time_unit": "DAY",
                                        "time_interval": 1})
    assert limits.status == 200, limits
    world.settle("a")
    got = [reply.status for reply in world.admitted(LIMIT, lambda number: world.call("GET", "/a", number % 2 + 1, app="p"),
                                                    more=4)]
    assert got.count(200) == LIMIT and set(got) == {200, 405}, got

    # The app that never called has its own beginning; giving it the quota again later makes another.
    bound = world.manage("POST", path + "/binding-apps", {"app_ids": [world.names["r"]["id"]]})
    assert bound.status == 201, bound
    world.settle("a")
    for _ in range(2):
        got = [reply.status for reply in world.admitted(LIMIT, lambda number: world.call("GET", "/a", number % 2 + 1, app="r"),
                                                        more=2)]
        assert got.count(200) == LIMIT and set(got) == {200, 405}, got
        gone = world.manage("DELETE", f"{path}/bound-apps/{world.names['r']['id']}")
        assert gone.status == 204, gone
        world.settle("a")
        assert [world.call("GET", "/a", node, app="r").status for node in (1, 2)] == [200, 200]
        spent = time.time()
        wait_until(lambda: time.time() > spent + 2, 10, "another second: in the same one it is the same window")
        bound = world.manage("POST", path + "/binding-apps", {"app_ids": [world.names["r"]["id"]]})
        assert bound.status == 201, bound
        world.settle("a")
