"""every live operation with ids in its path: a malformed one is refused by name, one of nobody with the documented code and the id"""
import json
import re

# Sections whose operations stand below; throttling policies have stories of their own.
SECTIONS = ("3.1.", "3.2.", "3.3.", "3.5.", "3.6.", "3.7.", "3.10.", "3.11.", "3.12.", "3.17.", "3.20.", "3.21.", "3.26.", "3.28.",
            "3.29.")
MALFORMED = ("a.b", "%20", "%C3%A9", "x" * 65)
NOBODY = "0" * 32
GROUP, API, APP, ENV = {"name": "group_one"}, None, {"name": "app_one"}, {"name": "env_one"}
QUOTA = {"name": "quota_one", "call_limits": 1, "time_unit": "DAY", "time_interval": 1}
CALL = {"mode": "DEVELOPER", "scheme": "HTTP", "method": "GET", "path": "/a"}
ACL = {"app_acl_type": "PERMIT", "app_acl_values": ["10.0.0.1"]}
CODE = {"app_code": "c" * 64}
SIGN, TLS, CERTIFICATES = {"name": "sign_one", "sign_type": "hmac"}, {"min_ssl_version": "TLSv1.2"}, {"certificate_ids": [NOBODY]}
CERTIFICATE = {"name": "cert_one", "cert_content": "c", "private_key": "k"}
CHANNEL = {"name": "channel_one", "port": 80, "balance_strategy": 1, "member_type": "ip"}
HEALTH = {"protocol": "TCP", "threshold_normal": 2, "threshold_abnormal": 5, "time_interval": 10, "timeout": 5}
MEMBERS, PART, MEMBER_IDS = {"members": [{"host": "10.0.0.1"}]}, {"member_group_name": "part"}, {"member_ids": [NOBODY]}

# Method, path, body, and for each id in the path what answers that nobody has it.
ROWS = [
    ("PUT", "/api-groups/{group_id}", GROUP, ["APIG.3001"]), ("DELETE", "/api-groups/{group_id}", None, ["APIG.3001"]),
    ("GET", "/api-groups/{group_id}", None, ["APIG.3001"]),
    ("PUT", "/envs/{env_id}", ENV, ["APIG.3003"]), ("DELETE", "/envs/{env_id}", None, ["APIG.3003"]),
    ("DELETE", "/env-variables/{env_variable_id}", None, ["APIG.3011"]),
    ("GET", "/env-variables/{env_variable_id}", None, ["APIG.3011"]),
    ("PUT", "/env-variables/{env_variable_id}", {"variable_value": "x"}, ["APIG.3011"]),
    ("PUT", "/apis/{api_id}", "api", ["APIG.3002"]), ("DELETE", "/apis/{api_id}", None, ["APIG.3002"]),
    ("GET", "/apis/{api_id}", None, ["APIG.3002"]), ("POST", "/apis/debug/{api_id}", CALL, ["APIG.3002"]),
    ("GET", "/apis/publish/{api_id}", None, ["APIG.3002"]), ("PUT", "/apis/publish/{api_id}", {"version_id": NOBODY}, ["APIG.3002"]),
    ("GET", "/apis/runtime/{api_id}", None, ["APIG.3002"]), ("GET", "/apis/versions/{version_id}", None, ["APIG.3022"]),
    ("DELETE", "/apis/versions/{version_id}", None, ["APIG.3022"]),
    ("DELETE", "/app-auths/{app_auth_id}", None, ["APIG.3009"]),
    ("PUT", "/apps/{app_id}", APP, ["APIG.3002"]), ("DELETE", "/apps/{app_id}", None, ["APIG.3002"]),
    ("PUT", "/apps/secret/{app_id}", {}, ["APIG.3002"]), ("GET", "/apps/validation/{app_id}", None, ["APIG.3002"]),
    ("GET", "/apps/{app_id}", None, ["APIG.3002"]),
    ("POST", "/apps/{app_id}/app-codes", CODE, ["APIG.3004"]), ("PUT", "/apps/{app_id}/app-codes", None, ["APIG.3004"]),
    ("GET", "/apps/{app_id}/app-codes", None, ["APIG.3004"]),
    ("DELETE", "/apps/{app_id}/app-codes/{app_code_id}", None, ["APIG.3004", "APIG.3082"]),
    ("GET", "/apps/{app_id}/app-codes/{app_code_id}", None, ["APIG.3004", "APIG.3082"]),
    ("GET", "/apps/{app_id}/bound-quota", None, ["APIG.3002"]),
    ("PUT", "/apps/{app_id}/app-acl", ACL, ["APIG.3004"]), ("GET", "/apps/{app_id}/app-acl", None, ["APIG.3004"]),
    ("DELETE", "/apps/{app_id}/app-acl", None, ["APIG.3004"]),
    ("GET", "/app-quotas/{app_quota_id}", None, ["APIG.3093"]), ("PUT", "/app-quotas/{app_quota_id}", QUOTA, ["APIG.3093"]),
    ("DELETE", "/app-quotas/{app_quota_id}", None, ["APIG.3093"]),
    ("GET", "/app-quotas/{app_quota_id}/bound-apps", None, ["APIG.3093"]),
    ("POST", "/app-quotas/{app_quota_id}/binding-apps", {"app_ids": ["{app_id}"]}, ["APIG.3093"]),
    ("DELETE", "/app-quotas/{app_quota_id}/bound-apps/{app_id}", None, ["APIG.3093", "APIG.3093"]),
    ("GET", "/app-quotas/{app_quota_id}/bindable-apps", None, ["APIG.3093"]),
    ("PUT", "/signs/{sign_id}", SIGN, ["APIG.3017"]), ("DELETE", "/signs/{sign_id}", None, ["APIG.3017"]),
    ("DELETE", "/sign-bindings/{sign_bindings_id}", None, ["APIG.3018"]),
    ("POST", "/api-groups/{group_id}/domains", {"url_domain": "b.example.com"}, ["APIG.3001"]),
    ("PUT", "/api-groups/{group_id}/domains/{domain_id}", TLS, ["APIG.3474", "APIG.3020"]),
    ("DELETE", "/api-groups/{group_id}/domains/{domain_id}", None, ["APIG.3474", "APIG.3020"]),
    ("PUT", "/api-groups/{group_id}/sl-domain-access-settings", {"sl_domain_access_enabled": True}, ["APIG.3001"]),
    ("POST", "/api-groups/{group_id}/domains/{domain_id}/certificate", CERTIFICATE, ["APIG.3474", "APIG.3020"]),
    *((method, "/api-groups/{group_id}/domains/{domain_id}/certificate/{certificate_id}", None,
       ["APIG.3474", "APIG.3020", "APIG.3097"]) for method in ("GET", "DELETE")),
    *(("POST", "/api-groups/{group_id}/domains/{domain_id}/certificates/" + verb, CERTIFICATES, ["APIG.3474", "APIG.3020"])
      for verb in ("attach", "detach")),
    ("PUT", "/vpc-channels/{vpc_channel_id}", CHANNEL, ["APIG.3023"]),
    ("GET", "/vpc-channels/{vpc_channel_id}", None, ["APIG.3023"]), ("DELETE", "/vpc-channels/{vpc_channel_id}", None, ["APIG.3023"]),
    ("PUT", "/vpc-channels/{vpc_channel_id}/health-config", HEALTH, ["APIG.3023"]),
    ("POST", "/vpc-channels/{vpc_channel_id}/member-groups", {"member_groups": [PART]}, ["APIG.3023"]),
    ("GET", "/vpc-channels/{vpc_channel_id}/member-groups", None, ["APIG.3023"]),
    *((method, "/vpc-channels/{vpc_channel_id}/member-groups/{member_group_id}", body, ["APIG.3023", "SLUICE.0330"])
      for method, body in (("GET", None), ("DELETE", None), ("PUT", PART))),
    *((method, "/vpc-channels/{vpc_channel_id}/members", body, ["APIG.3023"])
      for method, body in (("GET", None), ("POST", MEMBERS), ("PUT", MEMBERS))),
    *(("POST", "/vpc-channels/{vpc_channel_id}/members/" + verb, MEMBER_IDS, ["APIG.3023"]) for verb in ("batch-enable", "batch-disable")),
    ("DELETE", "/vpc-channels/{vpc_channel_id}/members/{member_id}", None, ["APIG.3023", "APIG.3024"]),
]
# Whose message has no place for an id.
WITHOUT_ID = {"APIG.3018", "APIG.3020", "APIG.3082", "APIG.3097", "APIG.3474"}
FORBIDDEN = {"APIG.3474"}  # the domain is another group's; the others are 404


def uncovered(document):
    """The live operations of the sections with an id in their path that no row calls, and rows of none."""
    rows = {(method, path) for method, path, *_ in ROWS}
    live = {(method.upper(), path.partition("{instance_id}")[2]) for path, methods in document["paths"].items()
            for method, operation in methods.items() if "{" in path.partition("{instance_id}")[2]
            and operation.get("x-section", "").startswith(SECTIONS) and not operation.get("x-unavailable")}
    return rows ^ live


def make(world):
    """Ids that are somebody's, by the name of their parameter; and what an API's update needs."""
    world.group("g")
    world.app("p")
    quota = world.want(201, "POST", "/app-quotas", QUOTA)
    code = world.want(201, "POST", f"/apps/{world.names['p']['id']}/app-codes", CODE)
    api = {"name": "api_one", "group_id": world.names["g"]["id"], "type": 1, "req_protocol": "HTTP", "req_method": "GET",
           "req_uri": "/a", "auth_type": "NONE", "backend_type": "MOCK", "mock_info": {}}
    group = world.names["g"]["id"]
    domain = world.want(201, "POST", f"/api-groups/{group}/domains", {"url_domain": "a.example.com"})
    channel = world.want(201, "POST", "/vpc-channels", CHANNEL)
    part = world.want(201, "POST", f"/vpc-channels/{channel['id']}/member-groups", {"member_groups": [{"member_group_name": "own"}]})
    return {"app_id": world.names["p"]["id"], "app_quota_id": quota["app_quota_id"], "app_code_id": code["id"], "group_id": group,
            "domain_id": domain["id"], "vpc_channel_id": channel["id"],
            "member_group_id": part["member_groups"][0]["member_group_id"], "certificate_id": NOBODY, "member_id": NOBODY}, api


def story(world):
    left = uncovered(json.loads(world.manage("GET", "/openapi.json", caller="none").body))
    assert not left, left
    known, api = make(world)
    faults = []
    for method, path, body, codes in ROWS:
        names = re.findall(r"\{(\w+)\}", path)
        body = api if body == "api" else {"app_ids": [known["app_id"]]} if body and "app_ids" in body else body
        for name, code in zip(names, codes):
            def ask(value, name=name, method=method, path=path, body=body):
                ids = {**known, name: value}
                reply = world.manage(method, re.sub(r"\{(\w+)\}", lambda hole: ids[hole.group(1)], path), body)
                return reply, (reply.status, reply.json.get("error_code")), reply.json.get("error_msg", "")
            for value in MALFORMED:
                reply, told, words = ask(value)
                if told != (400, "APIG.2012") or f"parameterName:{name}." not in words:
                    faults.append(f"{method} {path} {value!r:.20}: {reply}")
            reply, told, words = ask(NOBODY)
            if told != (403 if code in FORBIDDEN else 404, code) or (code not in WITHOUT_ID and NOBODY not in words):
                faults.append(f"{method} {path} of nobody: wants {code}, got {reply}")
    assert not faults, f"{len(faults)}:\n" + "\n".join(faults)
