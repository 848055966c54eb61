"""what is in use is refused with the documented code, or goes with what it belongs to: every deletion of these areas"""
import json

RELEASE = "DEFAULT_ENVIRONMENT_RELEASE_ID"
SECTIONS = ("3.1.", "3.2.", "3.3.", "3.5.", "3.10.", "3.11.", "3.20.", "3.28.", "3.29.")


def refused(world, path, status, code):
    """Not deleted, and nothing of it gone: every list says what it said."""
    before = listed(world)
    reply = world.manage("DELETE", path)
    assert (reply.status, reply.json["error_code"]) == (status, code), reply
    assert listed(world) == before, (path, before, listed(world))


def gone(world, path, status, code):
    """Deleted, once: asked for again it is not there."""
    world.want(204, "DELETE", path)
    reply = world.manage("DELETE", path)
    assert (reply.status, reply.json["error_code"]) == (status, code), reply


def listed(world):
    """How many there are of everything, by list."""
    app, group, quota = (world.names[name]["id"] for name in ("p", "g", "quota"))
    lists = ("/api-groups", "/apis", "/envs", "/apps", f"/env-variables?group_id={group}", f"/apps/{app}/app-codes",
             f"/app-auths/binded-apis?app_id={app}", "/app-quotas", f"/app-quotas/{quota}/bound-apps", "/tags")
    found = {}
    for path in lists:
        reply = world.manage("GET", path)
        found[path.replace(app, "p").replace(group, "g").replace(quota, "quota")] = reply.json.get("total", reply.status)
    return found


def changed(before, after):
    return {path: (before[path], after[path]) for path in before if before[path] != after[path]}


def make(world):
    world.group("g")
    world.environment("e")
    world.api("a", auth_type="APP", tags=["web"])
    for env in ("RELEASE", "e"):
        world.publish("a", env)
    for name in ("p", "q"):
        world.app(name)
        for env in ("RELEASE", "e"):
            world.auth(name, "a", env)
    for number in "12":
        world.app_code(f"c{number}", "p")
    for env in ("RELEASE", "e"):
        made = world.want(201, "POST", "/env-variables", {"group_id": world.names["g"]["id"], "env_id": world.env_id(env),
                                                          "variable_name": "host", "variable_value": "back"})
        world.names[f"host_{env}"] = made
    quota = world.want(201, "POST", "/app-quotas", {"name": "daily", "call_limits": 1, "time_unit": "DAY", "time_interval": 1})
    world.names["quota"] = {"id": quota["app_quota_id"]}
    world.want(201, "POST", f"/app-quotas/{quota['app_quota_id']}/binding-apps",
               {"app_ids": [world.names[name]["id"] for name in "pq"]})
    world.want(201, "PUT", f"/apps/{world.names['p']['id']}/app-acl", {"app_acl_type": "DENY", "app_acl_values": ["192.0.2.1"]})
    world.throttle("t")
    world.binding("a", "t")


def of_apps(world, path):
    """3.28.16, 3.28.10, 3.10.2, 3.29.8, 3.29.5, 3.28.3, from the smallest to what takes all with it."""
    before = listed(world)
    world.want(204, "DELETE", path["p"] + "/app-acl")
    assert world.want(200, "GET", path["p"] + "/app-acl")["app_acl_values"] == []
    gone(world, f"{path['p']}/app-codes/{world.names['c1']['id']}", 404, "APIG.3082")
    auth = world.want(200, "GET", f"/app-auths/binded-apis?app_id={world.names['p']['id']}&env_id={RELEASE}")["auths"][0]
    gone(world, f"/app-auths/{auth['id']}", 404, "APIG.3009")
    after = listed(world)
    assert changed(before, after) == {"/apps/p/app-codes": (2, 1), "/app-auths/binded-apis?app_id=p": (2, 1)}, (before, after)
    gone(world, f"{path['quota']}/bound-apps/{world.names['q']['id']}", 404, "APIG.3093")
    assert changed(after, listed(world)) == {"/app-quotas/quota/bound-apps": (2, 1)}
    # An app in use goes, with its codes, authorisations and its place in the quota; the API stays published.
    before = listed(world)
    gone(world, path["p"], 404, "APIG.3002")
    assert changed(before, listed(world)) == {
        "/apps": (2, 1), "/apps/p/app-codes": (1, 404), "/app-auths/binded-apis?app_id=p": (1, 404),
        "/app-quotas/quota/bound-apps": (1, 0)}, listed(world)
    # A quota in use goes, and its bindings.
    world.want(201, "POST", f"{path['quota']}/binding-apps", {"app_ids": [world.names["q"]["id"]]})
    gone(world, path["quota"], 404, "APIG.3093")
    assert world.want(200, "GET", f"{path['q']}/bound-quota") == {}


def of_apis(world, path):
    """3.2.3, 3.3.2, 3.5.14, 3.5.3, 3.1.3: refused while published or not empty; then all that belongs to it goes."""
    refused(world, path["e"], 403, "APIG.3418")
    refused(world, path["a"], 409, "APIG.3416")
    refused(world, path["g"], 412, "APIG.3415")
    refused(world, f"/envs/{RELEASE}", 403, "SLUICE.0303")
    refused(world, path["t"], 403, "APIG.3451")
    gone(world, f"/env-variables/{world.names['host_RELEASE']['id']}", 404, "APIG.3011")
    version = world.want(200, "GET", f"/apis/publish/{world.names['a']['id']}?env_name=RELEASE")["api_versions"][0]
    gone(world, f"/apis/versions/{version['version_id']}", 404, "APIG.3015")
    refused(world, path["a"], 409, "APIG.3416")  # it is online in e
    world.offline("a", "e")
    # Nothing is published: the environment goes with its variables and what was authorised there.
    auths = f"/app-auths/binded-apps?api_id={world.names['a']['id']}"
    assert world.want(200, "GET", auths)["total"] == 2
    gone(world, path["e"], 404, "APIG.3003")
    assert world.want(200, "GET", f"/env-variables?group_id={world.names['g']['id']}")["total"] == 0
    assert world.want(200, "GET", auths)["total"] == 1
    # The API goes with its bindings, authorisations, versions and tags; the policy is free then.
    refused(world, path["g"], 412, "APIG.3415")
    gone(world, path["a"], 404, "APIG.3002")
    assert world.want(200, "GET", "/tags")["total"] == 0
    assert world.manage("GET", f"/apis/versions/{version['version_id']}").status == 404
    assert world.want(200, "GET", f"/app-auths/binded-apis?app_id={world.names['q']['id']}")["total"] == 0
    gone(world, path["t"], 404, "APIG.3005")
    gone(world, path["g"], 404, "APIG.3001")


def story(world):
    document = json.loads(world.manage("GET", "/openapi.json", caller="none").body)
    known = {operation["x-section"] for methods in document["paths"].values() for operation in [methods.get("delete", {})]
             if operation.get("x-section", "").startswith(SECTIONS) and not operation.get("x-unavailable")}
    assert known == {"3.1.3", "3.2.3", "3.3.2", "3.5.3", "3.5.14", "3.10.2", "3.28.3", "3.28.10", "3.28.16", "3.29.5", "3.29.8"}, known
    make(world)
    path = {name: f"{top}/{world.names[name]['id']}" for name, top in (
        ("g", "/api-groups"), ("e", "/envs"), ("a", "/apis"), ("p", "/apps"), ("q", "/apps"), ("quota", "/app-quotas"),
        ("t", "/throttles"))}
    of_apps(world, path)
    of_apis(world, path)
