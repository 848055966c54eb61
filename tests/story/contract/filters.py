"""every list that can be asked for pages: each filter finds what it names and no more, and pages make up the whole list"""
import json
import urllib.parse

# Sections whose lists stand below; throttling policies have stories of their own.
SECTIONS = ("3.1.", "3.2.", "3.3.", "3.5.", "3.10.", "3.11.", "3.17.", "3.20.", "3.21.", "3.28.", "3.29.")
PAGES = {"offset", "limit"}

# Operation: (path, what an element is known by, what every question holds, rows of (question, who is found)).
# `{x.y}` as in stories; names are those of make().
LISTS = {
    "listApiGroups": ("/api-groups", "id", "", [
        ("id={g.id}", "g"), ("id=nobody", ""), ("name=G_", "g"), ("name=_{uid}", "g h"),
        ("name=g_&precise_search=name", ""), ("name={g.name}&precise_search=name", "g")]),
    "listEnvironments": ("/envs", "id", "", [("name=E_{uid}", "e"), ("name=%25", "")]),
    "listEnvironmentVariables": ("/env-variables", "id", "group_id={g.id}", [
        ("", "host port"), ("env_id={e.id}", "port"), ("variable_name=OS", "host"),
        ("variable_name=hos&precise_search=variable_name", ""), ("variable_name=host&precise_search=variable_name", "host"),
        ("variable_name=hos&precise_search=name", ""), ("variable_name=host&precise_search=name", "host")]),
    "listApis": ("/apis", "id", "", [
        ("id={a.id}", "a"), ("name=A_{uid}", "a"), ("name=_{uid}", "a b c"), ("name=a_&precise_search=name", ""),
        ("name={b.name}&precise_search=name,req_uri", "b"), ("group_id={h.id}", "b c"), ("group_id={h.id}&name=b_", "b"),
        ("req_protocol=HTTPS", "b"), ("req_protocol=BOTH", "a c"), ("req_method=POST", "b"), ("req_method=ANY", "c"),
        ("req_uri=/DEEP", "c"), ("req_uri=/deep&precise_search=req_uri", ""), ("req_uri=/deep/c&precise_search=req_uri", "c"),
        ("auth_type=APP", "b c"), ("auth_type=IAM", ""), ("env_id={e.id}", "b"), ("env_id={RELEASE}", "a b c"), ("type=2", "b"),
        ("type=1", "a c"), ("vpc_channel_name=FIRST", "c"), ("vpc_channel_name=first&precise_search=vpc_channel_name", ""),
        ("return_data_mode=include_group", "a b c")]),
    "listApiVersions": ("/apis/publish/{b.id}", "version_id", "", [
        ("", "b_in_e b_in_release"), ("env_id={e.id}", "b_in_e"), ("env_name=RELEASE", "b_in_release"),
        ("env_name={e.name}&env_id={RELEASE}", "")]),
    "listApisBoundToApp": ("/app-auths/binded-apis", "api_id", "app_id={p.id}", [
        ("", "b c"), ("api_id={b.id}", "b"), ("api_name=C_", "c"), ("group_id={h.id}", "b c"), ("group_id={g.id}", ""),
        ("group_name=H_", "b c"), ("group_name=g_", ""), ("env_id={RELEASE}", "b c"), ("env_id={e.id}", "")]),
    "listApisUnbindedToApp": ("/app-auths/unbinded-apis", "id", "app_id={q.id}&env_id={RELEASE}", [
        ("", "b c"), ("group_id={g.id}", ""), ("group_id={h.id}", "b c"), ("api_id={c.id}", "c"), ("api_name=B_", "b")]),
    "listAppsBoundToApi": ("/app-auths/binded-apps", "app_id", "api_id={b.id}", [
        ("", "p"), ("app_name=P_", "p"), ("app_name=q_", ""), ("app_id={p.id}", "p"), ("app_id={q.id}", ""),
        ("env_id={RELEASE}", "p"), ("env_id={e.id}", "")]),
    "listVpcChannels": ("/vpc-channels", "id", "", [
        ("id={v1.id}", "v1"), ("name=FIRST", "v1"), ("name=first&precise_search=name", ""), ("name=_{uid}", "v1 v2"),
        ("member_host=10.0.0.1", "v1 v2"), ("member_host=10.0.0", ""), ("member_port=80", "v1"), ("member_port=81", "v2"),
        ("member_group_name=N", "v1"), ("member_group_name=n&precise_search=member_group_name", ""),
        ("member_group_name=one&precise_search=member_group_name", "v1"), ("member_group_id={group_one.id}", "v1")]),
    "listBackendInstances": ("/vpc-channels/{v1.id}/members", "host", "", [
        ("", "h1 h2"), ("name=0.2", "h2"), ("name=0.2&precise_search=name", ""), ("member_group_name=ON", "h2"),
        ("member_group_name=on&precise_search=member_group_name", ""), ("member_group_id={group_one.id}", "h2")]),
    "listMemberGroups": ("/vpc-channels/{v1.id}/member-groups", "member_group_id", "", [
        ("", "group_one"), ("member_group_name=ON", "group_one"), ("member_group_name=on&precise_search=member_group_name", "")]),
    "listTags": ("/tags", None, "", [("", "one two")]),
    "listFeatures": ("/features", "name", "", [("", "ratelimit sse_strategy")]),
    "listInstanceFeatures": ("/instance-features", None, "", []),
    "listApps": ("/apps", "id", "", [
        ("id={p.id}", "p"), ("name=P_", "p"), ("name=_{uid}", "p q"), ("name=p_&precise_search=name", ""),
        ("name={q.name}&precise_search=name", "q"), ("status=1", "p q"), ("status=2", ""), ("app_key={q.app_key}", "q"),
        ("creator=USER", "p q"), ("creator=MARKET", "")]),
    "listAppCodes": ("/apps/{p.id}/app-codes", "id", "", [("", "c1 c2")]),
    "listAppQuotas": ("/app-quotas", "app_quota_id", "", [("name=DAILY", "day"), ("name=_{uid}", "day hour")]),
    "listAppQuotaBoundApps": ("/app-quotas/{day.id}/bound-apps", "app_id", "", [
        ("", "p q"), ("app_name=Q_", "q"), ("app_name=none", "")]),
    "listAppQuotaBindableApps": ("/app-quotas/{hour.id}/bindable-apps", "app_id", "", [
        ("", "p q"), ("app_name=Q_", "q"), ("app_name=none", "")]),
}
# What the contract takes and this gateway refuses, with the field's name.
UNSUPPORTED = {("listVpcChannels", "dict_code"), ("listMemberGroups", "dict_code")}


def remember(world, name, path, body, key="id"):
    made = world.want(201, "POST", path, body)
    world.names[name] = {**made, "id": made[key]}


def make(world):
    uid = world.uid
    world.group("g")
    world.group("h")
    world.environment("e")
    for name, env in (("host", "RELEASE"), ("port", "e")):
        remember(world, name, "/env-variables", {"group_id": world.names["g"]["id"], "env_id": world.env_id(env),
                                                 "variable_name": name, "variable_value": "8080"})
    for name, word, port in (("v1", "first", 80), ("v2", "second", 81)):
        remember(world, name, "/vpc-channels", {
            "name": f"{word}_{uid}", "port": port, "balance_strategy": 1, "member_type": "ip", "members": [{"host": "10.0.0.1"}]})
    path = f"/vpc-channels/{world.names['v1']['id']}"
    made = world.want(201, "POST", path + "/member-groups", {"member_groups": [{"member_group_name": "one"}]})
    world.names["group_one"] = {"id": made["member_groups"][0]["member_group_id"]}
    world.want(201, "POST", path + "/members", {"members": [{"host": "10.0.0.2", "member_group_name": "one"}]})
    world.names.update({"h1": {"id": "10.0.0.1"}, "h2": {"id": "10.0.0.2"}})
    world.api("a", tags=["one"])
    world.api("b", group="h", type=2, auth_type="APP", req_protocol="HTTPS", req_method="POST", tags=["two", "one"])
    world.api("c", group="h", auth_type="APP", req_method="ANY", req_uri="/deep/c", backend={
        "vpc_channel_status": 1, "vpc_channel_info": {"vpc_channel_id": world.names["v1"]["id"]}})
    for name in "abc":
        world.publish(name)
    world.names["b_in_release"] = {"id": world.names["b"]["version_id"]}
    world.publish("b", "e")
    world.names["b_in_e"] = {"id": world.names["b"]["version_id"]}
    for name in "pq":
        world.app(name)
    for name in "bc":
        world.auth("p", name)
    for name in ("c1", "c2"):
        world.app_code(name, "p")
    for name, unit in (("day", "DAY"), ("hour", "HOUR")):
        remember(world, name, "/app-quotas", {"name": f"{unit}ly_{uid}".replace("DAY", "Dai"), "call_limits": 1, "time_unit": unit,
                                              "time_interval": 1}, "app_quota_id")
    world.want(201, "POST", f"/app-quotas/{world.names['day']['id']}/binding-apps",
               {"app_ids": [world.names[name]["id"] for name in "pq"]})
    world.feature("sse_strategy", "on")
    world.feature("ratelimit", {"api_limits": 5})
    world.names.update({name: {"id": name} for name in ("one", "two", "sse_strategy", "ratelimit")})


class Asked:
    """One list: the elements of an answer by what they are known by."""

    def __init__(self, world, path, known_by):
        self.world, self.known_by = world, known_by
        self.path = path.format_map(Named(world.names))

    def ask(self, *query):
        text = "&".join(part for part in query if part).format_map(Named(self.world.names))
        reply = self.world.want(200, "GET", f"{self.path}?{text}")
        elements = next(value for value in reply.values() if isinstance(value, list))
        assert reply["size"] == len(elements), reply
        return reply["total"], [one if self.known_by is None else one[self.known_by] for one in elements]


class Named(dict):
    """`{x.y}` of names that hold dictionaries, made fit for a query."""

    def __getitem__(self, name):
        value = super().__getitem__(name)
        return Fields(value) if isinstance(value, dict) else value


class Fields:
    def __init__(self, fields):
        self.fields = fields

    def __getattr__(self, name):
        return urllib.parse.quote(self.fields[name], safe="")


def check(world, operation):
    """The rows of one list, then its pages of one element each against the whole list."""
    path, known_by, base, rows = LISTS[operation]
    asked = Asked(world, path, known_by)
    for query, wanted in rows:
        total, found = asked.ask(base, query, "limit=500")
        ids = [world.names[name]["id"] for name in wanted.split()]
        assert sorted(found) == sorted(ids) and total == len(ids), f"{operation} {query}: {total} {found}, not {wanted}"
    total, whole = asked.ask(base, "limit=500")
    assert total == len(whole) == len(set(whole)) > 0, (operation, total, whole)
    pages = [asked.ask(base, "limit=1", f"offset={offset}") for offset in range(total + 1)]
    assert pages == [(total, [one]) for one in whole] + [(total, [])], (operation, pages, whole)


def declared(document, operation):
    """The query parameters of an operation."""
    for parameter in operation.get("parameters", []):
        while "$ref" in parameter:
            parameter = document["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[1]]
        if parameter["in"] == "query":
            yield parameter["name"]


def uncovered(document):
    """(operation, parameter) for every filter of a list that no row uses; lists without rows as well."""
    for methods in document["paths"].values():
        operation = methods.get("get", {})
        names = set(declared(document, operation))
        if operation.get("x-unavailable") or not operation.get("x-section", "").startswith(SECTIONS) or not PAGES <= names:
            continue
        listed = LISTS.get(operation["operationId"])
        if listed is None:
            yield operation["operationId"], "all"
            continue
        said = "&".join([listed[2], *(query for query, _ in listed[3])])
        used = {part.split("=")[0] for part in said.split("&")}
        yield from ((operation["operationId"], name) for name in names - used - PAGES)


def story(world):
    document = json.loads(world.manage("GET", "/openapi.json", caller="none").body)
    assert set(uncovered(document)) == UNSUPPORTED, set(uncovered(document)) ^ UNSUPPORTED
    make(world)
    for operation in LISTS:
        check(world, operation)
    refused = world.manage("GET", "/vpc-channels?dict_code=xyz")
    assert (refused.status, refused.json["error_code"]) == (501, "SLUICE.0501"), refused
