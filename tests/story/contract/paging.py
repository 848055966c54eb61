"""pages that are turned while somebody adds to the list: what was there all the time comes once, and totals are right"""
import concurrent.futures
import itertools

BEFORE = 7
FEW = {"app_codes": 1, "members": 4}  # an app has five codes, a channel ten servers
PAGE = 3  # elements; more than are added in the time of one page, so that the walk comes to an end
MOCK = {"type": 1, "req_protocol": "HTTP", "req_method": "GET", "auth_type": "NONE", "backend_type": "MOCK", "mock_info": {}}


def bodies(world):
    """For each list its key, and what its n-th element is made of."""
    group = world.names["g"]["id"]
    app = world.names["p"]["id"]
    limit = {"time_interval": 1, "time_unit": "DAY"}
    channel = {"port": 80, "balance_strategy": 1, "member_type": "ip"}
    at = world.want(201, "POST", "/vpc-channels", {**channel, "name": "for_all"})["id"]
    return {
        "/api-groups": ("groups", lambda n: {"name": f"many_{n}"}),
        "/apis": ("apis", lambda n: {**MOCK, "name": f"many_{n}", "group_id": group, "req_uri": f"/many/{n}"}),
        "/apps": ("apps", lambda n: {"name": f"many_{n}"}),
        "/throttles": ("throttles", lambda n: {**limit, "name": f"many_{n}", "type": 1, "api_call_limits": 1}),
        "/app-quotas": ("quotas", lambda n: {**limit, "name": f"many_{n}", "call_limits": 1}),
        f"/env-variables?group_id={group}": ("variables", lambda n: {
            "group_id": group, "env_id": world.env_id("RELEASE"), "variable_name": f"many_{n}", "variable_value": "1"}),
        f"/throttles/{world.names['t']['id']}/throttle-specials": ("throttle_specials", lambda n: {
            "object_id": f"many{n}", "object_type": "USER", "call_limits": 1}),
        "/signs": ("signs", lambda n: {"name": f"many_{n}", "sign_type": "hmac"}),
        "/vpc-channels": ("vpc_channels", lambda n: {**channel, "name": f"many_{n}"}),
        f"/vpc-channels/{at}/members": ("members", lambda n: {"members": [{"host": f"10.0.0.{n}"}]}),
        f"/vpc-channels/{at}/member-groups": ("member_groups", lambda n: {"member_groups": [{"member_group_name": f"many_{n}"}]}),
        f"/apps/{app}/app-codes": ("app_codes", lambda n: {"app_code": f"{n:064}"}),
    }


def id_of(element):
    return next(element[name] for name in ("id", "app_quota_id", "member_group_id") if name in element)


def walk(world, pool, path, key, make):
    """Asks for page after page, each while one more element is made; answers the ids in the order of the pages."""
    seen, totals = [], []
    for offset in itertools.count(0, PAGE):
        made = pool.submit(make)
        page = world.want(200, "GET", f"{path}{'&' if '?' in path else '?'}limit={PAGE}&offset={offset}")
        assert page["size"] == len(page[key]) <= PAGE and page["total"] >= offset + page["size"], page
        made.result()
        seen += [id_of(one) for one in page[key]]
        totals.append(page["total"])
        if page["size"] < PAGE:
            assert totals == sorted(totals), totals
            return seen


def check(world, pool, path, key, body):
    numbers = itertools.count()
    target = path.split("?", maxsplit=1)[0]

    def make():
        number = next(numbers)
        made = world.want(201, "POST", target, body(number))
        return id_of(made[key][-1] if key in made else made)  # what comes in lists is answered so
    there = [make() for _ in range(FEW.get(key, BEFORE))]
    seen = walk(world, pool, path, key, make)
    assert len(set(seen)) == len(seen), f"{path}: shown again: {sorted(one for one in seen if seen.count(one) > 1)}"
    assert set(there) <= set(seen), f"{path}: left out: {set(there) - set(seen)}"
    after = world.want(200, "GET", f"{path}{'&' if '?' in path else '?'}limit=500")
    assert after["total"] == len(after[key]) >= next(numbers), (path, after["total"])


def story(world):
    world.group("g")
    world.app("p")
    world.throttle("t", api_call_limits=10)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for path, (key, body) in bodies(world).items():
            check(world, pool, path, key, body)
