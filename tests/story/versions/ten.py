"""an environment keeps the ten newest versions of an API: what is older is gone, the one that was served again too"""


def versions(world, env):
    reply = world.want(200, "GET", f"/apis/publish/{world.names['a']['id']}?limit=500&env_id={world.env_id(env)}")
    assert reply["total"] == reply["size"] == len(reply["api_versions"]), reply
    return [(one["version_id"], one["status"]) for one in reply["api_versions"]]


def is_gone(world, version_id):
    """Neither its details nor its service can be asked for any more."""
    path = f"/apis/publish/{world.names['a']['id']}"
    for method, where, body in (("GET", f"/apis/versions/{version_id}", None), ("DELETE", f"/apis/versions/{version_id}", None),
                                ("PUT", path, {"version_id": version_id})):
        reply = world.want(404, method, where, body)
        assert reply["error_code"] == "APIG.3022" and version_id in reply["error_msg"], reply


def story(world):
    world.group("g")
    world.environment("e")
    world.api("a")
    elsewhere = world.publish("a", "e")["version_id"]
    made = [world.publish("a")["version_id"] for _ in range(12)]
    assert versions(world, "RELEASE") == [(made[11], 1)] + [(one, 2) for one in made[10:1:-1]]
    for version_id in made[:2]:
        is_gone(world, version_id)
    world.want(200, "PUT", f"/apis/publish/{world.names['a']['id']}", {"version_id": made[2]})
    assert versions(world, "RELEASE")[-1] == (made[2], 1)
    made.append(world.publish("a")["version_id"])
    assert versions(world, "RELEASE") == [(made[12], 1)] + [(one, 2) for one in made[11:2:-1]]
    is_gone(world, made[2])
    # Offline and online again count as the others do; another environment counts by itself.
    world.offline("a")
    assert [status for _, status in versions(world, "RELEASE")] == [2] * 10
    made.append(world.publish("a")["version_id"])
    assert versions(world, "RELEASE")[0] == (made[13], 1) and len(versions(world, "RELEASE")) == 10
    assert versions(world, "e") == [(elsewhere, 1)]
