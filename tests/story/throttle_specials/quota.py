"""a policy has at most thirty excluded apps and thirty excluded users, and a place that is left is free"""
LIMIT = 30


def story(world):
    world.throttle("t", api_call_limits=100)
    path = f"/throttles/{world.names['t']['id']}/throttle-specials"

    def give(number, status=201, object_type="USER"):
        return world.want(status, "POST", path, {"object_type": object_type, "call_limits": 5,
                                                 "object_id": f"{number:032x}"})

    made = [give(number) for number in range(LIMIT)]
    assert give(LIMIT, 403)["error_code"] == "APIG.3100"
    world.app("p")  # users and apps are counted apart
    special = {"object_type": "APP", "object_id": world.names["p"]["id"], "call_limits": 5}
    world.want(201, "POST", path, special)
    world.want(204, "DELETE", f"{path}/{made[0]['id']}")
    give(LIMIT)
    assert give(LIMIT + 1, 403)["error_code"] == "APIG.3100"
    assert world.want(200, "GET", path)["total"] == LIMIT + 1
    # A policy goes with its excluded throttles; the name is free, and so are the places.
    world.want(204, "DELETE", f"/throttles/{world.names['t']['id']}")
    world.want(404, "GET", path)
