"""app_route: a call by address reaches every API that its app may call; an app has one API a method and path"""
import concurrent.futures

from stack import wait_until

OWN_STACK = True  # what the served gateway's features are concerns every story beside it
SERVED = True
NODES = (1, 2, "tls", "h2")
WRITTEN = 20  # apps that two writers authorise at once
FOREIGN = "192.0.2.77"  # no address of the gateway: the group DEFAULT is not there


def statuses(world, target, headers, host=FOREIGN):
    return [world.call("GET", target, node, headers={"Host": host, **headers}).status for node in NODES]


def routed(world, good):
    """From off to on and into both groups; by one app and not the other."""
    stranger = {"X-HW-ID": world.names["q"]["app_key"], "X-HW-AppKey": world.names["q"]["app_secret"]}
    world.feature("app_secret", "on")
    world.settle("one")
    assert statuses(world, "/one", good) == [404] * 4
    world.feature("app_route", "on")
    world.settle("one")
    for name in ("one", "two"):
        for node in NODES:
            reply = world.call("GET", f"/{name}", node, headers={"Host": FOREIGN, **good})
            assert (reply.status, reply.json["path"]) == (200, f"/back/{name}"), reply
            assert "x-hw-appkey" not in {header.lower() for header in reply.json["headers"]}, reply
    assert statuses(world, "/one", stranger) == [404] * 4
    assert statuses(world, "/one", {}) == [404] * 4
    for node in NODES:
        reply = world.call("GET", "/one", node, headers={"Host": FOREIGN, **good, "X-HW-AppKey": "wrong"})
        assert (reply.status, reply.json["error_code"]) == (401, "APIG.0303"), reply


def authorise(world, *apis):
    """The results of 3.10.1 for the app p: (status, error_code) each."""
    made = world.want(201, "POST", "/app-auths", {
        "env_id": world.env_id("RELEASE"), "app_ids": [world.names["p"]["id"]], "api_ids": [world.names[a]["id"] for a in apis]})
    results = [auth["auth_result"] for auth in made["auths"]]
    return [(result["status"], result.get("error_code")) for result in results]


def one_api_a_path(world, good):
    """Refused while on; what slipped in while off is served by the group that was authorised first."""
    world.api("same", group="h", auth_type="APP", req_uri="/one", backend={"req_uri": "/back/same"})
    world.publish("same")
    assert authorise(world, "same", "two") == [("FAILED", "APIG.3316"), ("SKIPPED", None)]
    world.feature("app_route")
    assert authorise(world, "same") == [("SUCCESS", None)]
    world.feature("app_route", "on")
    world.settle("one")
    for node in NODES:
        reply = world.call("GET", "/one", node, headers={"Host": FOREIGN, **good})
        assert (reply.status, reply.json["path"]) == (200, "/back/one"), reply
    world.offline("one")

    def reached():
        replies = [world.call("GET", "/one", node, headers={"Host": FOREIGN, **good}) for node in NODES]
        return [reply.json.get("path") for reply in replies]
    wait_until(lambda: reached() == ["/back/same"] * 4, 10, "the other one has the path for itself")


def one_of_two_writers(world):
    """Two at once authorise the same apps for two APIs of one path: each app has one of them."""
    for name, group in (("left", "g"), ("right", "h")):
        world.api(name, group=group, auth_type="APP", req_uri="/contended")
        world.publish(name)
    for number in range(WRITTEN):
        world.app(f"w{number}")
    apps = [world.names[f"w{number}"]["id"] for number in range(WRITTEN)]
    body = {"env_id": world.env_id("RELEASE"), "app_ids": apps}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(lambda api: world.want(201, "POST", "/app-auths", {**body, "api_ids": [world.names[api]["id"]]}),
                                ("left", "right")))
    for left, right in zip(*(reply["auths"] for reply in replies)):
        assert left["app_id"] == right["app_id"], replies
        assert sorted(auth["auth_result"]["status"] for auth in (left, right)) == ["FAILED", "SUCCESS"], (left, right)


def default_first(world, good):
    """The gateway's own address: DEFAULT's APIs go before those of the app."""
    world.names["d"] = next(group for group in world.want(200, "GET", "/api-groups?limit=500")["groups"]
                            if group["name"] == "DEFAULT")
    own = world.env["SLUICE_DATA_URL"].split("//")[1].split(":")[0]
    assert statuses(world, "/two", good, own) == [200] * 4
    world.api("mine", group="d", req_uri="/two", backend={"req_uri": "/back/default"})
    world.publish("mine")
    for node in NODES:
        reply = world.call("GET", "/two", node, headers={"Host": own, **good})
        assert (reply.status, reply.json["path"]) == (200, "/back/default"), reply
    assert statuses(world, "/two", good) == [200] * 4


def moved(world, good):
    """An API that is published in another group is found there."""
    body = {**world.names["two"]["body"], "group_id": world.names["g"]["id"], "req_uri": "/moved"}
    world.want(200, "PUT", f"/apis/{world.names['two']['id']}", body)
    world.publish("two")
    world.offline("same")
    assert statuses(world, "/moved", good) == [200] * 4
    assert statuses(world, "/two", good) == [404] * 4


def story(world):
    world.group("g")
    world.group("h")
    world.api("one", auth_type="APP")
    world.api("two", group="h", auth_type="APP")
    world.app("p")
    world.app("q")
    for name in ("one", "two"):
        world.publish(name)
        world.auth("p", name)
    world.settle("one")
    good = {"X-HW-ID": world.names["p"]["app_key"], "X-HW-AppKey": world.names["p"]["app_secret"]}
    try:
        routed(world, good)
        one_api_a_path(world, good)
        one_of_two_writers(world)
        default_first(world, good)
        moved(world, good)
    finally:
        world.feature("app_route")
        world.feature("app_secret")
