"""app_secret, app_basic, app_api_key, app_jwt, custom_auth_header, backend_token_allow: refused when off, taken by both nodes when on"""
import base64
import hashlib
import hmac
import json
import time

import signer

from stack import wait_until

OWN_STACK = True  # what the served gateway's features are concerns every story beside it
SERVED = True
NODES = (1, 2)
MISSING = "Incorrect app authentication information: Authorization header is missing"


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(key, secret, **claims):
    head = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps({"appId": key, **claims}).encode())
    return head + "." + part(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())


def basic(key, secret):
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()}


def replies(world, headers, target="/guarded"):
    return [world.call("GET", target, node, headers=headers) for node in NODES]


def refused(world, headers, message=None, target="/guarded"):
    for reply in replies(world, headers, target):
        assert (reply.status, reply.json["error_code"]) == (401, "APIG.0303"), reply
        if message is not None:
            assert reply.json["error_msg"] == message, reply


def passes(world, headers, target="/guarded"):
    """The headers that the backend saw, in lower case."""
    seen = []
    for reply in replies(world, headers, target):
        assert reply.status == 200, reply
        seen.append({name.lower(): value for name, value in reply.json["headers"].items()})
    return seen


def switched(world, name, config, headers, target="/guarded"):
    """Off: no credential. On: it passes. Answers what the backend saw."""
    refused(world, headers, target=target)
    world.feature(name, config)
    world.settle("guarded")
    return passes(world, headers, target)


def off(world, name, headers, target="/guarded"):
    world.feature(name)
    world.settle("guarded")
    refused(world, headers, target=target)


def secret(world, key, held):
    good = {"X-HW-ID": key, "X-HW-AppKey": held}
    refused(world, good, MISSING)
    for headers in switched(world, "app_secret", "on", good):
        assert headers["x-hw-id"] == [key] and "x-hw-appkey" not in headers, headers
    refused(world, {**good, "X-HW-AppKey": held + "x"}, "Incorrect app authentication information: verify app secret fail")
    refused(world, {**good, "X-HW-ID": "nobody"}, "Incorrect app authentication information: app not found, appkey nobody")
    off(world, "app_secret", good)


def plain_basic(world, key, held):
    for headers in switched(world, "app_basic", "on", basic(key, held)):
        assert "authorization" not in headers, headers
    refused(world, basic(key, "wrong"))
    off(world, "app_basic", basic(key, held))


def api_key(world, key):
    switched(world, "app_api_key", "on", {"apikey": key})
    passes(world, {}, f"/guarded?apikey={key}")
    refused(world, {"apikey": key + "x"})
    off(world, "app_api_key", {"apikey": key})


def web_token(world, key, held):
    def headers(text, name="Authorization", offset_s=0):
        return {name: text, "Timestamp": str(int((time.time() + offset_s) * 1000))}
    switched(world, "app_jwt", {"enable": "on"}, headers(jwt(key, held)))
    refused(world, headers(jwt(key, "wrong")), "Incorrect app authentication information: verify JWT fail")
    refused(world, headers(jwt(key, held), offset_s=-920), "Incorrect app authentication information: JWT expired")
    refused(world, headers(jwt(key, held, exp=int(time.time()) - 5)))
    world.feature("app_jwt", {"enable": "on", "auth_header": "X-My-Token"})
    world.settle("guarded")
    passes(world, headers(jwt(key, held), "X-My-Token"))
    refused(world, headers(jwt(key, held)))
    off(world, "app_jwt", headers(jwt(key, held), "X-My-Token"))


def custom_header(world, key, held):
    def signed(name):
        made = signer.sign("GET", "/guarded", {"Host": world.names["g"]["sl_domain"]}, b"", key, held)
        return {name if header == "Authorization" else header: value for header, value in made.items()}
    switched(world, "custom_auth_header", {"app_auth_header": "X-My-Auth", "backend_sign_header": ""},
             signed("X-My-Auth"))
    refused(world, signed("Authorization"), MISSING)
    off(world, "custom_auth_header", signed("X-My-Auth"))
    passes(world, signed("Authorization"))


def token_to_backend(world):
    """backend_token_allow: whose account matches keeps X-Auth-Token towards the backend."""
    world.api("mine", auth_type="IAM")
    world.publish("mine")
    token = {"X-Auth-Token": world.token().headers["x-subject-token"]}

    def arrives():
        wait_until(lambda: [reply.status for reply in replies(world, token, "/mine")] == [200] * 2, 10, "the token passes")
        return ["x-auth-token" in seen for seen in passes(world, token, "/mine")]
    assert arrives() == [False] * 2
    for users, expected in (([{"user_name": "^nobody$"}], False),
                            ([{"user_name": "^nobody$"}, {"user_name": world.env["SLUICE_DOMAIN_NAME"]}], True)):
        world.feature("backend_token_allow", {"backend_token_allow_users": users})
        world.settle("mine")
        assert arrives() == [expected] * 2, users


def story(world):
    world.group("g")
    world.api("guarded", auth_type="APP")
    world.publish("guarded")
    world.app("p")
    world.auth("p", "guarded")
    world.settle("guarded")
    key, held = world.names["p"]["app_key"], world.names["p"]["app_secret"]
    try:
        secret(world, key, held)
        plain_basic(world, key, held)
        api_key(world, key)
        web_token(world, key, held)
        custom_header(world, key, held)
        token_to_backend(world)
    finally:
        for name in ("app_secret", "app_basic", "app_api_key", "app_jwt", "custom_auth_header", "backend_token_allow"):
            world.feature(name)
