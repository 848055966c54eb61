"""each quota of a gateway refuses one more with its documented code, and a place that is left is free"""

MOCK = {"type": 1, "req_protocol": "HTTP", "req_method": "GET", "auth_type": "NONE", "backend_type": "MOCK",
        "mock_info": {"result_content": "x"}}


def story(world):
    """Each row: the quota's setting, what fills it, how one more is made, its code and words."""
    group, app = made(world, "/api-groups", name="g"), made(world, "/apps", name="p")
    throttle = made(world, "/throttles", name="t", time_interval=1, time_unit="HOUR", api_call_limits=3, app_call_limits=2)
    release = {"group_id": group, "env_id": "DEFAULT_ENVIRONMENT_RELEASE_ID"}
    apps = [made(world, "/apps", name=f"s{number}") for number in range(2)]
    world.names["g"] = {"id": group}
    for name in ("one", "two"):
        world.api(name)
        world.publish(name)
    rows = [
        ("groups", "/api-groups", lambda n: {"name": named(world, "h", n)}, "APIG.3101", "API groups"),
        ("group_apis", "/apis", lambda n: api(world, group, n), "APIG.3125", "APIs in the API group"),
        ("apis", "/apis", lambda n: api(world, group, n), "APIG.3102", "APIs"),
        ("apps", "/apps", lambda n: {"name": named(world, "q", n)}, "APIG.3103", "apps"),
        ("environments", "/envs", lambda n: {"name": named(world, "e", n)}, "APIG.3104", "environments"),
        ("env_variables", "/env-variables", lambda n: {**release, "variable_name": f"var{n}", "variable_value": "v"},
         "APIG.3106", "variables"),
        ("domains", f"/api-groups/{group}/domains", lambda n: {"url_domain": f"{n}.{group}.example.com"}, "APIG.3108", "domain names"),
        ("app_codes", f"/apps/{app}/app-codes", lambda n: {"app_code": f"{n}" * 64}, "APIG.3131", "AppCodes"),
        ("app_apis", "/app-auths", lambda n: {"env_id": release["env_id"], "app_ids": [app],
                                              "api_ids": [world.names[("one", "two")[n]]["id"]]}, "APIG.3100", "resources"),
        ("throttle_specials", f"/throttles/{throttle}/throttle-specials",
         lambda n: {"object_type": "APP", "object_id": apps[n], "call_limits": 1}, "APIG.3100", "resources"),
        ("channels", "/vpc-channels", lambda n: {"name": named(world, "c", n), "port": 80, "balance_strategy": 1, "member_type": "ip"},
         "APIG.3109", "VPC channels"),
        ("app_quotas", "/app-quotas",
         lambda n: {"name": named(world, "aq", n), "call_limits": 1, "time_interval": 1, "time_unit": "DAY"}, "APIG.3100",
         "resources"),
    ]
    for quota, path, body, code, words in rows:
        filled(world, quota, path, body, code, words)


def named(world, kind, number):
    return f"{kind}{number}_{world.uid}"


def made(world, path, name, **fields):
    return world.want(201, "POST", path, {"name": named(world, name, 9), **fields})["id"]


def api(world, group, number):
    return {**MOCK, "name": named(world, "a", number), "group_id": group, "req_uri": f"/a{number}"}


def limit(world, quota, number):
    world.stack.admin("gateway", "set", world.instance, f"quota_{quota}={number}")


def filled(world, quota, path, body, code, words):
    """Raises the quota until it takes one; the next is refused, and takes its place when that is gone."""
    def more(number):
        reply = world.manage("POST", path, body(number))
        if reply.status == 201:
            one = reply.json.get("auths", [reply.json])[0]
            return f"{path}/{one.get('id') or one['app_quota_id']}"
        assert (reply.status, reply.json["error_code"]) == (403, code), f"{quota}: {reply}"
        assert reply.json["error_msg"] == f"The number of {words} exceeds the maximum allowed limit", reply
        return None

    first, most = None, 0
    while first is None:
        most += 1
        limit(world, quota, most)
        first = more(0)
    assert more(1) is None, f"{quota}: {most} are not all"
    world.want(204, "DELETE", first)
    second = more(1)
    assert second and more(0) is None, quota
    limit(world, quota, "")
    third = more(0)
    for one in (second, third):
        world.want(204, "DELETE", one)
