"""a login is refused for its scope, its method, an unknown user as for a wrong password, and after too many failures"""
from stack import wait_until

TRIES = 40  # far more than are free


def login(world, user, password, scope=None, methods=("password",)):
    """POST /v3/auth/tokens as this user of the deployment's account."""
    body = {"auth": {"identity": {"methods": list(methods), "password": {"user": {
        "name": user, "password": password,
        "domain": {"name": world.env["SLUICE_DOMAIN_NAME"]}}}}}}
    if scope:
        body["auth"]["scope"] = scope
    return world.manage("POST", "/v3/auth/tokens", body, caller="none")


def refused(reply, status, code):
    assert reply.status == status and reply.json["error_code"] == code, reply
    return {key: reply.json[key] for key in ("error_code", "error_msg")}


def story(world):
    user = f"u_{world.uid}"
    made = world.stack.admin("user", "create", user, "--domain", world.env["SLUICE_DOMAIN_NAME"],
                             "--generate", "--policy", "APIG ReadOnlyAccess")
    password = made["password"]
    unscoped = login(world, user, password)
    assert unscoped.status == 201 and "domain" in unscoped.json["token"], unscoped
    token = {"token": unscoped.headers["x-subject-token"]}
    wait_until(lambda: world.manage("GET", "/v3/auth/projects", caller=token).status == 200, 10,
               "the new user's token")
    refused(world.manage("GET", "/api-groups", caller=token), 401, "APIG.1003")
    for scope in ({"project": {"id": "0" * 32}}, {"project": {"name": "no such"}},
                  {"domain": {"name": "no such"}}):
        refused(login(world, user, password, scope), 401, "SLUICE.0422")
    refused(login(world, user, password, methods=("token",)), 400, "APIG.2011")
    wrong = refused(login(world, user, "wrong password"), 401, "SLUICE.0401")
    assert refused(login(world, f"no_{world.uid}", "wrong password"), 401, "SLUICE.0401") == wrong
    for _ in range(TRIES):
        reply = login(world, user, "wrong password")
        if reply.status == 429:
            break
        refused(reply, 401, "SLUICE.0401")
    refused(reply, 429, "SLUICE.0429")
    # Others are not stopped, and the user is let in again when the pause is over.
    assert world.token().status == 201
    wait_until(lambda: login(world, user, password).status == 201, 30, "the end of the pause")
    world.stack.admin("user", "delete", user, "--domain", world.env["SLUICE_DOMAIN_NAME"])
