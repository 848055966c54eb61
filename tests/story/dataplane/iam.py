"""an API of IAM takes tokens and access keys of this gateway's users, on both nodes, until they are revoked"""
import signer

from stack import wait_until

SERVED = True
SECONDS = 10
NODES = (1, 2)
WRONG = "Incorrect IAM authentication information: "


def signed(world, key, method="GET", target="/mine", body=None, **more):
    made = signer.sign(method, target, {"Host": world.names["g"]["sl_domain"]}, body or b"", key["access"], key["secret"])
    return {**made, **more}


def ask(world, headers, node=1, method="GET", target="/mine", body=None):
    return world.call(method, target, node, headers=headers, body=body)


def refused(world, headers, code, message=None, status=401):
    for node in NODES:
        reply = ask(world, headers, node)
        assert (reply.status, reply.json["error_code"]) == (status, code), reply
        if message is not None:
            assert reply.json["error_msg"] == message, reply


def until(world, headers, status, what):
    """On every node, within the time that is promised."""
    wait_until(lambda: [ask(world, headers(), node).status for node in NODES] == [status] * 2, SECONDS, what)


def keys(world, of_user):
    admin = world.stack.admin
    key = admin("access-key", "create", *of_user)
    until(world, lambda: signed(world, key), 200, "the new key")
    reply = ask(world, signed(world, key, "POST", "/mine/x?b=2&a=1", b'{"n":1}'), 2, "POST", "/mine/x?b=2&a=1", b'{"n":1}')
    assert reply.status == 200, reply
    refused(world, signed(world, {**key, "secret": "wrong"}), "APIG.0301", WRONG + "verify aksk signature fail")
    refused(world, signed(world, {**key, "access": "nobody"}), "APIG.0301",
            WRONG + "Get secretKey failed,ak:nobody,err:ak not exist")
    temporary = admin("access-key", "create", *of_user, "--temporary", "3600")
    token = {"X-Security-Token": temporary["security_token"]}
    until(world, lambda: signed(world, temporary, **token), 200, "the temporary key")
    refused(world, signed(world, temporary), "APIG.0301", WRONG + "X-Security-Token is not the access key's")
    refused(world, signed(world, key, **token), "APIG.0301")
    admin("access-key", "delete", temporary["access"])
    until(world, lambda: signed(world, temporary, **token), 401, "the deleted key's end")
    return key


def tokens(world, user, password, of_user):
    made = world.token(user, password)
    assert made.status == 201, made
    token = {"X-Auth-Token": made.headers["x-subject-token"]}
    until(world, lambda: token, 200, "the token")
    for node in NODES:
        reply = ask(world, {**token, "X-Other": "stays"}, node)
        names = {name.lower() for name in reply.json["headers"]}
        assert "x-other" in names and "x-auth-token" not in names, reply.json
    changed = token["X-Auth-Token"][:-2] + ("AA" if not token["X-Auth-Token"].endswith("AA") else "BB")
    for text in (changed, "sl1.x.y", "", "x" * 5000):
        refused(world, {"X-Auth-Token": text}, "APIG.0301", WRONG + "decrypt token fail")
    world.stack.admin("user", "update", user, *of_user[2:], "--revoke")
    until(world, lambda: token, 401, "the revoked token's end")
    refused(world, token, "APIG.0307", "The token must be updated.")


def story(world):
    admin = world.stack.admin
    domain = world.env["SLUICE_DOMAIN_NAME"]
    user = f"u_{world.uid}"
    of_user = ("--user", user, "--domain", domain)
    password = admin("user", "create", user, "--domain", domain, "--generate")["password"]
    world.group("g")
    world.api("mine", auth_type="IAM", req_method="ANY", match_mode="SWA", backend={"req_method": "ANY"})
    world.app("p")
    world.publish("mine")
    refused(world, {}, "APIG.0301", WRONG + "X-Auth-Token or Authorization header is missing")
    refused(world, {"Authorization": "Basic eDp5"}, "APIG.0301", WRONG + "signing algorithm is not supported")
    app = {"access": world.names["p"]["app_key"], "secret": world.names["p"]["app_secret"]}
    refused(world, signed(world, app), "APIG.0301")
    key = keys(world, of_user)
    tokens(world, user, password, of_user)
    admin("user", "update", user, "--domain", domain, "--disable")
    until(world, lambda: signed(world, key), 401, "the disabled user's key")
    admin("user", "update", user, "--domain", domain, "--enable")
    until(world, lambda: signed(world, key), 200, "the user is back")
    admin("user", "delete", user, "--domain", domain)
    until(world, lambda: signed(world, key), 401, "the deleted user's key")
