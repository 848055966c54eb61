"""every live operation with ids in its path: a malformed one is refused by name, one of nobody with the documented code and the id"""
import json
import re

# Sections whose operations stand below; throttling policies have stories of their own.
SECTIONS = ("3.1.", "3.2.", "3.3.", "3.5.", "3.10.", "3.11.", "3.20.", "3.21.", "3.28.", "3.29.")
MALFORMED = ("a.b", "%20", "%C3%A9", "x" * 65)
NOBODY = "0" * 32
GROUP, API, APP, ENV = {"name": "group_one"}, None, {"name": "app_one"}, {"name": "env_one"}
QUOTA = {"name": "quota_one", "call_limits": 1, "time_unit": "DAY", "time_interval": 1}
CALL = {"mode": "DEVELOPER", "scheme": "HTTP", "method": "GET", "path": "/a"}
ACL = {"app_acl_type": "PERMIT", "app_acl_values": ["10.0.0.1"]}
CODE = {"app_code": "c" * 64}

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
]
# Whose message has no place for an id.
WITHOUT_ID = {"APIG.3082"}


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
    return {"app_id": world.names["p"]["id"], "app_quota_id": quota["app_quota_id"], "app_code_id": code["id"]}, api


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
            if told != (404, code) or (code not in WITHOUT_ID and NOBODY not in words):
                faults.append(f"{method} {path} of nobody: wants {code}, got {reply}")
    assert not faults, f"{len(faults)}:\n" + "\n".join(faults)
