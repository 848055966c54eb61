"""pages that are turned while somebody adds to the list: what was there all the time comes once, and totals are right"""
import concurrent.futures
import itertools

BEFORE = 7
PAGE = 3  # elements; more than are added in the time of one page, so that the walk comes to an end
MOCK = {"type": 1, "req_protocol": "HTTP", "req_method": "GET", "auth_type": "NONE", "backend_type": "MOCK", "mock_info": {}}


def bodies(world):
    """For each list its key, and what its n-th element is made of."""
    group = world.names["g"]["id"]
    app = world.names["p"]["id"]
    limit = {"time_interval": 1, "time_unit": "DAY"}
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
        f"/apps/{app}/app-codes": ("app_codes", lambda n: {"app_code": f"{n:064}"}),
    }


def walk(world, pool, path, key, make):
    """Asks for page after page, each while one more element is made; answers the ids in the order of the pages."""
    seen, totals = [], []
    for offset in itertools.count(0, PAGE):
        made = pool.submit(make)
        page = world.want(200, "GET", f"{path}{'&' if '?' in path else '?'}limit={PAGE}&offset={offset}")
        assert page["size"] == len(page[key]) <= PAGE and page["total"] >= offset + page["size"], page
        made.result()
        seen += [one.get("id") or one["app_quota_id"] for one in page[key]]
        totals.append(page["total"])
        if page["size"] < PAGE:
            assert totals == sorted(totals), totals
            return seen


def check(world, pool, path, key, body):
    numbers = itertools.count()
    target = path.split("?", maxsplit=1)[0]

    def make():
        made = world.want(201, "POST", target, body(next(numbers)))
        return made.get("id") or made["app_quota_id"]
    few = 1 if key == "app_codes" else BEFORE  # an app has five of them
    there = [make() for _ in range(few)]
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
