"""each field of a policy has its documented bounds, when it is made and when it is changed"""
TOP = 2147483647
LIMITS = ("api_call_limits", "user_call_limits", "app_call_limits", "ip_call_limits")
# (what is said instead of a good value, code); ABSENT leaves the field out.
ABSENT = object()
REFUSED = {
    "name": (("ab", "APIG.2011"), ("a" * 65, "APIG.2011"), ("1ab", "APIG.2011"), ("a-b", "APIG.2011"), (7, "APIG.2011"),
             (ABSENT, "APIG.2001")),
    "time_unit": (("second", "APIG.2011"), ("WEEK", "APIG.2011"), (ABSENT, "APIG.2001")),
    "time_interval": ((0, "APIG.2004"), (TOP + 1, "APIG.2004"), (1.5, "APIG.2011"), ("1", "APIG.2011"), (ABSENT, "APIG.2001")),
    "remark": (("r" * 256, "APIG.2011"), (1, "APIG.2011")),
    "type": ((0, "APIG.2011"), (3, "APIG.2011"), ("1", "APIG.2011")),
    "enable_adaptive_control": (("TRUE", "SLUICE.0501"), (True, "APIG.2011")),
    **{limit: ((-1, "APIG.2004"), (TOP + 1, "APIG.2004"), ("5", "APIG.2011")) for limit in LIMITS},
}
# No limit is above the wider one: the narrow one is named.
BEYOND = ({"user_call_limits": 101}, {"app_call_limits": 101}, {"ip_call_limits": 101},
          {"app_call_limits": 51, "user_call_limits": 50})


def story(world):
    good = {"name": f"t_{world.uid}", "time_interval": 1, "time_unit": "HOUR", "api_call_limits": 100}
    made = world.want(201, "POST", "/throttles", good)
    world.made.append(f"/throttles/{made['id']}")
    assert made["type"] == 1 and made["enable_adaptive_control"] == "FALSE" and made["create_time"], made
    ways = (("POST", "/throttles", {**good, "name": f"u_{world.uid}"}), ("PUT", f"/throttles/{made['id']}", good))

    def refused(method, path, body, field, code):
        reply = world.manage(method, path, body)
        assert reply.status == (501 if code.startswith("SLUICE") else 400), (method, body, reply)
        assert reply.json["error_code"] == code and field in reply.json["error_msg"], (method, body, reply)

    for method, path, body in ways:
        for field, faults in REFUSED.items():
            for value, code in faults:
                said = {**body, field: value}
                refused(method, path, {name: one for name, one in said.items() if one is not ABSENT}, field, code)
        for limits in BEYOND:
            refused(method, path, {**body, **limits}, next(iter(limits)), "APIG.2004")
        refused(method, path, {**body, "time_interval": 11575, "time_unit": "DAY"}, "time_interval", "APIG.2004")
    refused("POST", "/throttles", {**good, "api_call_limits": 0}, "api_call_limits", "APIG.2004")
    assert world.want(200, "GET", f"/throttles/{made['id']}") == made

    # The farthest that is allowed.
    wide = {"name": "t" * (63 - len(world.uid)) + "_" + world.uid, "remark": "r" * 255, "type": 2, "time_interval": 1000000000,
            "time_unit": "SECOND", "enable_adaptive_control": "FALSE", **{limit: TOP for limit in LIMITS}}
    assert len(wide["name"]) == 64
    for method, path, _ in ways:
        kept = world.want(201 if method == "POST" else 200, method, path, wide)
        assert {field: kept[field] for field in wide} == wide, kept
        if method == "POST":
            world.want(204, "DELETE", f"/throttles/{kept['id']}")
