"""what is in use is refused with the documented code, or goes with what it belongs to: every deletion of these areas"""
import json

from authority import Authority
from invariants import broken

RELEASE = "DEFAULT_ENVIRONMENT_RELEASE_ID"
SECTIONS = ("3.1.", "3.2.", "3.3.", "3.5.", "3.6.", "3.7.", "3.10.", "3.11.", "3.12.", "3.17.", "3.20.", "3.26.", "3.28.", "3.29.")
DELETES = {"3.1.3", "3.2.3", "3.3.2", "3.5.3", "3.5.14", "3.6.3", "3.7.2", "3.10.2", "3.12.4", "3.12.6", "3.17.3", "3.17.9", "3.17.16",
           "3.26.6", "3.28.3", "3.28.10", "3.28.16", "3.29.5", "3.29.8"}
LISTS = ("/api-groups", "/apis", "/envs", "/apps", "/env-variables?group_id={g}", "/apps/{p}/app-codes",
         "/app-auths/binded-apis?app_id={p}", "/app-quotas", "/app-quotas/{quota}/bound-apps", "/tags", "/signs",
         "/sign-bindings/binded-apis?sign_id={s}", "/sign-bindings/binded-apis?sign_id={s2}", "/vpc-channels",
         "/vpc-channels/{c}/members", "/vpc-channels/{c}/member-groups", "/api-groups/{h}",
         "{certificates}?instance_id={instance}", "{certificates}/{k}/attached-domains")


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
    """How many there are of everything, by list; of a group: how many domains it has."""
    ids = {name: world.names[name]["id"] for name in ("g", "h", "p", "quota", "s", "s2", "c", "k")}
    ids |= {"certificates": certificates(world), "instance": world.instance}
    found = {}
    for path in LISTS:
        told = world.manage("GET", path.format(**ids))
        domains = told.json.get("url_domains")
        found[path] = len(domains) if domains is not None else told.json.get("total", told.status)
    return found


def certificates(world):
    return f"/v2/{world.project}/apigw/certificates"


def changed(before, after):
    return {path: (before[path], after[path]) for path in before if before[path] != after[path]}


def make(world):
    world.group("g")
    world.environment("e")
    world.api("a", auth_type="APP", tags=["web"])
    world.sign("s")
    for env in ("RELEASE", "e"):
        world.publish("a", env)
        world.sign_binding("a", "s")
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
    world.group("h")
    make_channel(world)
    make_names(world)
    world.sign("s2")
    world.sign_binding("b", "s2")


def keeping(world, calls, *changes):
    """What the calls do to the lists: these changes, and no other."""
    before = listed(world)
    calls()
    assert changed(before, listed(world)) == dict(changes), (before, listed(world))


def make_channel(world):
    """A channel with three servers, two of them in a group, that API b of group h uses as it is and as it is published."""
    made = world.want(201, "POST", "/vpc-channels", {
        "name": "servers", "port": 80, "balance_strategy": 1, "member_type": "ip",
        "member_groups": [{"member_group_name": "one"}, {"member_group_name": "two"}],
        "members": [{"host": "10.0.0.1", "member_group_name": "one"}, {"host": "10.0.0.2", "member_group_name": "one"},
                    {"host": "10.0.0.3"}]})
    world.names["c"] = made
    world.api("b", "h", backend={"vpc_channel_status": 1, "vpc_channel_info": {"vpc_channel_id": made["id"]}})
    world.publish("b")


def make_names(world):
    """Three domains of group h; two show a certificate, and the third one that came with it."""
    with Authority("deletes") as authority:
        pair = authority.issue("one", names="DNS:*.example.com")
    body = {"name": "cert_one", "cert_content": pair[0], "private_key": pair[1]}
    world.names["k"] = world.want(200, "POST", certificates(world), body)
    at = f"/api-groups/{world.names['h']['id']}/domains"
    for name in ("d1", "d2", "d3"):
        world.names[name] = world.want(201, "POST", at, {"url_domain": f"{name}.example.com"})
    world.want(204, "POST", f"{certificates(world)}/{world.names['k']['id']}/domains/attach",
               {"domains": [{"domain": f"{name}.example.com"} for name in ("d1", "d2")]})
    world.names["own"] = {"body": {**body, "name": "cert_own"}}
    come_with(world, "d3")


def come_with(world, domain):
    """The older way: a certificate that is made with its binding."""
    at = f"/api-groups/{world.names['h']['id']}/domains/{world.names[domain]['id']}/certificate"
    world.names["own"]["id"] = world.want(201, "POST", at, world.names["own"]["body"])["ssl_id"]


def of_signs(world, path):
    """3.7.2, 3.6.3: a key in use goes, with its bindings; the APIs stay published, with no key."""
    binding = world.names["sign_binding"]["id"]
    bound = "/sign-bindings/binded-apis?sign_id={s2}"
    keeping(world, lambda: gone(world, f"/sign-bindings/{binding}", 404, "APIG.3018"), (bound, (1, 0)))
    world.sign_binding("b", "s2")
    keeping(world, lambda: gone(world, path["s2"], 404, "APIG.3017"), (bound, (1, 404)), ("/signs", (2, 1)))
    assert world.want(200, "GET", f"/sign-bindings/binded-signs?api_id={world.names['b']['id']}")["total"] == 0


def of_channels(world, path):
    """3.17.9, 3.17.16, 3.17.3: a group leaves its servers behind; a channel stays while a draft or a publication names it."""
    members, parts = (path["c"] + "/members", path["c"] + "/member-groups")
    first, second, _ = (one["id"] for one in world.want(200, "GET", members)["members"])
    group = world.want(200, "GET", parts)["member_groups"][0]["member_group_id"]
    keeping(world, lambda: gone(world, f"{members}/{first}", 404, "APIG.3024"), ("/vpc-channels/{c}/members", (3, 2)))
    keeping(world, lambda: gone(world, f"{parts}/{group}", 404, "SLUICE.0330"), ("/vpc-channels/{c}/member-groups", (2, 1)))
    left = world.want(200, "GET", members)["members"]
    assert [(one["id"] == second, one["member_group_name"]) for one in left] == [(True, ""), (False, "")], left
    refused(world, path["c"], 403, "APIG.3414")
    used = world.names["b"]["body"]
    direct = {**used, "backend_api": {key: value for key, value in used["backend_api"].items() if key != "vpc_channel_info"}}
    direct["backend_api"]["vpc_channel_status"] = 2
    world.want(200, "PUT", path["b"], direct)
    refused(world, path["c"], 403, "APIG.3414")  # it is published with it
    world.want(200, "PUT", path["b"], used)
    world.offline("b")
    refused(world, path["c"], 403, "APIG.3414")  # it would be published with it
    other = {"name": "other", "effect_mode": "ANY", "req_protocol": "HTTP", "req_method": "GET", "req_uri": "/", "timeout": 5000,
             "vpc_channel_status": 1, "vpc_channel_info": {"vpc_channel_id": world.names["c"]["id"]},
             "conditions": [{"condition_origin": "source", "condition_value": "127.0.0.1"}]}
    world.want(200, "PUT", path["b"], {**direct, "policy_https": [other]})
    refused(world, path["c"], 403, "APIG.3414")  # a policy is no less
    world.want(204, "DELETE", path["b"])
    keeping(world, lambda: gone(world, path["c"], 404, "APIG.3023"), ("/vpc-channels", (1, 0)),
            ("/vpc-channels/{c}/members", (2, 404)), ("/vpc-channels/{c}/member-groups", (1, 404)))


def of_domains(world, path):
    """3.12.6, 3.12.4, 3.26.6, 3.1.3: bindings go with either end but the certificate's; that stays while it is bound."""
    listing, bound = "{certificates}?instance_id={instance}", "{certificates}/{k}/attached-domains"
    own = f"{certificates(world)}/{world.names['own']['id']}"
    refused(world, path["k"], 409, "SLUICE.0315")
    refused(world, own, 409, "SLUICE.0315")
    keeping(world, lambda: gone(world, f"{path['d3']}/certificate/{world.names['own']['id']}", 404, "APIG.3097"), (listing, (2, 1)))
    keeping(world, lambda: gone(world, path["d1"], 404, "APIG.3020"), (bound, (2, 1)), ("/api-groups/{h}", (3, 2)))
    at = f"{path['d2']}/certificate/{world.names['k']['id']}"
    keeping(world, lambda: gone(world, at, 404, "APIG.3097"), (bound, (1, 0)))  # it did not come with the domain
    world.want(204, "POST", f"{path['d2']}/certificates/attach", {"certificate_ids": [world.names["k"]["id"]]})
    refused(world, path["k"], 409, "SLUICE.0315")
    # A domain leaves all certificates behind, each free to go.
    come_with(world, "d3")
    keeping(world, lambda: gone(world, path["d3"], 404, "APIG.3020"), ("/api-groups/{h}", (2, 1)))
    keeping(world, lambda: gone(world, f"{certificates(world)}/{world.names['own']['id']}", 404, "APIG.3021"), (listing, (2, 1)))
    # A group takes its domains along, and their names are free.
    groups = listed(world)["/api-groups"]
    keeping(world, lambda: gone(world, path["h"], 404, "APIG.3001"), ("/api-groups", (groups, groups - 1)),
            ("/api-groups/{h}", (1, 404)), (bound, (1, 0)))
    again = world.want(201, "POST", f"{path['g']}/domains", {"url_domain": "d2.example.com"})
    world.want(204, "DELETE", f"{path['g']}/domains/{again['id']}")
    keeping(world, lambda: gone(world, path["k"], 404, "APIG.3021"), (listing, (1, 0)))


def of_apps(world, path):
    """3.28.16, 3.28.10, 3.10.2, 3.29.8, 3.29.5, 3.28.3, from the smallest to what takes all with it."""
    before = listed(world)
    world.want(204, "DELETE", path["p"] + "/app-acl")
    assert world.want(200, "GET", path["p"] + "/app-acl")["app_acl_values"] == []
    gone(world, f"{path['p']}/app-codes/{world.names['c1']['id']}", 404, "APIG.3082")
    auth = world.want(200, "GET", f"/app-auths/binded-apis?app_id={world.names['p']['id']}&env_id={RELEASE}")["auths"][0]
    gone(world, f"/app-auths/{auth['id']}", 404, "APIG.3009")
    after = listed(world)
    assert changed(before, after) == {"/apps/{p}/app-codes": (2, 1), "/app-auths/binded-apis?app_id={p}": (2, 1)}, (before, after)
    gone(world, f"{path['quota']}/bound-apps/{world.names['q']['id']}", 404, "APIG.3093")
    assert changed(after, listed(world)) == {"/app-quotas/{quota}/bound-apps": (2, 1)}
    # An app in use goes, with its codes, authorisations and its place in the quota; the API stays published.
    before = listed(world)
    gone(world, path["p"], 404, "APIG.3002")
    assert changed(before, listed(world)) == {
        "/apps": (2, 1), "/apps/{p}/app-codes": (1, 404), "/app-auths/binded-apis?app_id={p}": (1, 404),
        "/app-quotas/{quota}/bound-apps": (1, 0)}, listed(world)
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
    signed = f"/sign-bindings/binded-apis?sign_id={world.names['s']['id']}"
    assert world.want(200, "GET", auths)["total"] == world.want(200, "GET", signed)["total"] == 2
    gone(world, path["e"], 404, "APIG.3003")
    assert world.want(200, "GET", f"/env-variables?group_id={world.names['g']['id']}")["total"] == 0
    assert world.want(200, "GET", auths)["total"] == world.want(200, "GET", signed)["total"] == 1
    # The API goes with its bindings, authorisations, versions and tags; the policy is free then.
    refused(world, path["g"], 412, "APIG.3415")
    gone(world, path["a"], 404, "APIG.3002")
    assert world.want(200, "GET", "/tags")["total"] == 0
    assert world.manage("GET", f"/apis/versions/{version['version_id']}").status == 404
    assert world.want(200, "GET", f"/app-auths/binded-apis?app_id={world.names['q']['id']}")["total"] == 0
    assert world.want(200, "GET", signed)["total"] == 0
    gone(world, path["t"], 404, "APIG.3005")
    gone(world, path["g"], 404, "APIG.3001")


def story(world):
    document = json.loads(world.manage("GET", "/openapi.json", caller="none").body)
    known = {operation["x-section"] for methods in document["paths"].values() for operation in [methods.get("delete", {})]
             if operation.get("x-section", "").startswith(SECTIONS) and not operation.get("x-unavailable")}
    assert known == DELETES, known
    make(world)
    path = {name: f"{top}/{world.names[name]['id']}" for name, top in (
        ("g", "/api-groups"), ("e", "/envs"), ("a", "/apis"), ("p", "/apps"), ("q", "/apps"), ("quota", "/app-quotas"),
        ("t", "/throttles"), ("h", "/api-groups"), ("b", "/apis"), ("s2", "/signs"), ("c", "/vpc-channels"), ("k", certificates(world)))}
    path |= {name: f"{path['h']}/domains/{world.names[name]['id']}" for name in ("d1", "d2", "d3")}
    for area in (of_apps, of_signs, of_channels, of_domains, of_apis):
        area(world, path)
    assert not broken(world), broken(world)
