"""eight writers on the same APIs: one wins, the others get documented errors, nothing is half-done"""
import threading

from invariants import broken

WRITERS = 8
ROUNDS = 6
RELEASE = "DEFAULT_ENVIRONMENT_RELEASE_ID"
# What a writer may be told: made, gone, there already, published, or nothing to take back.
ERRORS = {"APIG.3202", "APIG.3301", "APIG.3002", "APIG.3015", "APIG.3416", "APIG.3022"}


def one_writer(world, number, group, met, faults):
    """Makes, publishes, takes back and deletes the same three APIs as all the others."""
    def ask(method, path, body=None):
        reply = world.manage(method, path, body)
        if reply.status >= 400:
            met.add(reply.json["error_code"])
            if reply.status >= 500 or reply.json["error_code"] not in ERRORS:
                faults.append(f"{method} {path}: {reply}")
        return reply

    for turn in range(ROUNDS):
        which = (number + turn) % 3
        body = {"name": f"same_{which}", "group_id": group, "type": 1, "req_protocol": "HTTP", "req_method": "GET",
                "req_uri": f"/same/{which}", "auth_type": "NONE", "backend_type": "MOCK", "mock_info": {}}
        ask("POST", "/apis", body)
        found = world.want(200, "GET", f"/apis?name=same_{which}&precise_search=name")["apis"]
        if not found:
            continue
        api = found[0]["id"]
        ask("PUT", f"/apis/{api}", {**body, "remark": f"by {number}"})
        ask("POST", "/apis/action", {"action": "online", "api_id": api, "env_id": RELEASE})
        if (number + turn) % 2:
            ask("POST", "/apis/action", {"action": "offline", "api_id": api, "env_id": RELEASE})
            ask("DELETE", f"/apis/{api}")


def story(world):
    world.group("g")
    group, met, faults = world.names["g"]["id"], set(), []
    writers = [threading.Thread(target=one_writer, args=(world, number, group, met, faults))
               for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not faults, faults[:5]
    assert met, "nobody was in anybody's way"
    assert not broken(world), broken(world)

    listed = world.want(200, "GET", "/apis?limit=500")
    assert listed["total"] == listed["size"] == len(listed["apis"]) <= 3, listed
    counted = world.want(200, "GET", "/resources/outline/apis")
    online = [api for api in listed["apis"] if api.get("run_env_id")]
    assert counted["instance_num"] == listed["total"], (counted, listed)
    assert counted["nums_on_release"] == len(online), (counted, online)
    for api in listed["apis"]:
        served = world.manage("GET", f"/apis/runtime/{api['id']}")
        assert (served.status == 200) == bool(api.get("run_env_id")), (api, served)
        kept = world.want(200, "GET", f"/apis/publish/{api['id']}")
        assert sum(version["status"] == 1 for version in kept["api_versions"]) == bool(api.get("run_env_id")), kept
        assert kept["total"] <= 10, kept
    # Quotas were given back exactly: all that is left can go, and the total is nothing.
    for api in listed["apis"]:
        if api.get("run_env_id"):
            world.want(201, "POST", "/apis/action", {"action": "offline", "api_id": api["id"], "env_id": RELEASE})
        world.want(204, "DELETE", f"/apis/{api['id']}")
    assert world.want(200, "GET", "/apis")["total"] == 0
    assert not broken(world), broken(world)
