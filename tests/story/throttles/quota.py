"""a gateway has as many policies as its quota says, 300 unless told, and a place that is left is free"""


def story(world):
    setting = ("gateway", "set", world.instance)
    shown = world.want(200, "GET", "/throttles")
    assert shown["total"] == 0, shown
    body = {"time_interval": 1, "time_unit": "HOUR", "api_call_limits": 3}

    def give(number, status=201):
        return world.want(status, "POST", "/throttles", {"name": f"t{number}_{world.uid}", **body})

    world.stack.admin(*setting, "quota_throttles=2")
    made = [give(number) for number in range(2)]
    refused = give(2, 403)
    assert refused["error_code"] == "APIG.3107", refused
    assert refused["error_msg"] == "The number of request throttling policies exceeds the maximum allowed limit", refused
    world.want(204, "DELETE", f"/throttles/{made[0]['id']}")
    made[0] = give(2)
    give(3, 403)
    world.stack.admin(*setting, "quota_throttles=")  # the documented one
    made += [give(number) for number in range(4, 302)]
    assert len(made) == 300
    assert give(303, 403)["error_code"] == "APIG.3107"
    assert world.want(200, "GET", "/throttles?limit=500")["size"] == 300
    world.made += [f"/throttles/{one['id']}" for one in made]
