"""an app's quota holds over all its APIs and both nodes, exactly, and begins anew at its own time"""
import time

from stack import wait_until

SERVED = True


def quota(world, name, limit, begins_s, unit="HOUR"):
    """Makes a quota whose windows begin at a time, gives it to `p`, waits until nodes have it."""
    reset = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(begins_s))
    made = world.manage("POST", "/app-quotas", {"name": f"{name}_{world.uid}", "call_limits": limit, "time_unit": unit,
                                                "time_interval": 1, "reset_time": reset})
    assert made.status == 201, made
    world.made.append(f"/app-quotas/{made.json['app_quota_id']}")
    bound = world.manage("POST", f"/app-quotas/{made.json['app_quota_id']}/binding-apps",
                         {"app_ids": [world.names["p"]["id"]]})
    assert bound.status == 201, bound
    world.settle("a")
    return made.json


def statuses(world, paths, app="p"):
    return [world.call("GET", path, node, app=app).status for path, node in paths]


def story(world):
    world.group("g")
    for name, auth_type in (("a", "APP"), ("b", "APP"), ("c", "NONE"), ("d", "IAM")):
        coded = {"auth_opt": {"app_code_auth_type": "HEADER"}} if name == "a" else {}
        world.api(name, auth_type=auth_type, **coded)
        world.publish(name)
    for app in ("p", "other"):
        world.app(app)
        for name in ("a", "b"):
            world.auth(app, name)

    def admitted(wanted, turns):
        """As statuses(), but until so many calls passed, and then once more."""
        replies = world.admitted(wanted, lambda number: world.call(
            "GET", turns[number % len(turns)][0], turns[number % len(turns)][1], app="p"), more=len(turns))
        return [reply.status for reply in replies]

    # Three of twelve calls and more, on both APIs and both nodes in turn; then 405 on either, and only for this app.
    quota(world, "three", 3, time.time() - 60)
    turns = [("/a", 1), ("/b", 2)] * 6
    got = admitted(3, turns)
    assert got.count(200) == 3 and set(got) == {200, 405}, got
    refused = world.call("GET", "/b", 1, app="p")
    assert refused.status == 405 and refused.json["error_code"] == "APIG.0501", refused
    assert refused.json["error_msg"] == "The app quota has been used up.", refused
    assert statuses(world, turns, "other") == [200] * 12
    # Whatever the app proves itself with; but only where the API asks for an app.
    world.app_code("code", "p")
    world.settle("a")
    assert [world.call("GET", "/a", node, code="code").status for node in ("tls", "h2")] == [405, 405]
    assert [world.call("GET", "/c", node, app="p").status for node in (1, 2)] == [200, 200]
    token = {"X-Auth-Token": world.token().headers["x-subject-token"]}
    wait_until(lambda: [world.call("GET", "/d", node, headers=token).status for node in (1, 2)] == [200, 200], 10,
               "a user calls without a quota")

    # What a throttling policy refuses takes nothing of the quota.
    world.throttle("t", api_call_limits=1, time_unit="DAY")
    world.binding("b", "t")
    quota(world, "two", 2, time.time() - 30)
    got = admitted(1, [("/b", 1), ("/b", 2)] * 3)
    assert got.count(200) == 1 and 429 in got, got  # 405 where the quota's unit took over 20 ms
    got = admitted(1, [("/a", 1), ("/a", 2)] * 3)
    assert got.count(200) == 1 and set(got) == {200, 405}, got

    # A window of an hour that ends in a few seconds: all is new at that time, not at the clock's hour.
    begins = int(time.time()) + 12
    soon = quota(world, "soon", 1, begins)
    got = admitted(1, [("/a", 1), ("/a", 2)] * 2)
    assert got.count(200) == 1 and set(got) == {200, 405}, got
    wait_until(lambda: world.call("GET", "/a", 2, app="p").status == 200, 60, "the quota's next window")
    assert time.time() >= begins - 1, "the window began before its time"
    got = statuses(world, [("/a", 1), ("/a", 2)])
    assert got == [405, 405], got

    # A higher quota counts at once, and so does taking it away.
    changed = world.manage("PUT", f"/app-quotas/{soon['app_quota_id']}", {**{key: soon[key] for key in (
        "name", "time_unit", "time_interval", "reset_time")}, "call_limits": 2})
    assert changed.status == 200, changed
    world.settle("a")
    got = admitted(1, [("/a", 1), ("/a", 2)] * 2)
    assert got.count(200) == 1 and set(got) == {200, 405}, got
    gone = world.manage("DELETE", f"/app-quotas/{soon['app_quota_id']}/bound-apps/{world.names['p']['id']}")
    assert gone.status == 204, gone
    world.settle("a")
    assert statuses(world, [("/a", 1), ("/a", 2)] * 3) == [200] * 6
