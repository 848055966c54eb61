"""a policy of one's own, attached with sluice-admin: Allow and Deny, stars, changed and detached"""
import json
import os
import tempfile

from stack import wait_until

SECONDS = 10


def define(admin, name, *statements):
    """Makes or replaces a policy of (effect, actions)."""
    document = {"Version": "1.1",
                "Statement": [{"Effect": effect, "Action": actions}
                              for effect, actions in statements]}
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(document, file)
    try:
        admin("policy", "create", name, "--document", file.name)
    finally:
        os.unlink(file.name)


def story(world):
    admin = world.stack.admin
    domain = world.env["SLUICE_DOMAIN_NAME"]
    user = f"u_{world.uid}"
    own, strict = f"own_{world.uid}", f"strict_{world.uid}"
    of_user = ("--user", user, "--domain", domain)
    define(admin, own, ("Allow", ["apig:groups:*", "apig:*:list"]))
    password = admin("user", "create", user, "--domain", domain, "--generate", "--policy",
                     own)["password"]
    made = world.token(user, password)
    assert made.status == 201, made
    token = {"token": made.headers["x-subject-token"]}
    calls = {
        "groups": ("GET", "/api-groups", None),
        "group": ("POST", "/api-groups", {}),  # 400 when it may
        "envs": ("GET", "/envs", None),
        "env": ("POST", "/envs", {}),
    }

    def statuses():
        return {name: world.manage(method, path, body, caller=token).status
                for name, (method, path, body) in calls.items()}

    def become(what, **expected):
        wait_until(lambda: statuses() == expected, SECONDS, what)

    become("what the stars allow, and nothing else", groups=200, group=400, envs=200, env=403)
    define(admin, own, ("Allow", ["*"]), ("Deny", ["apig:groups:create"]))
    become("a Deny beats the Allow beside it", groups=200, group=403, envs=200, env=400)
    define(admin, own, ("Allow", ["APIG:*:*"]))
    become("letters match without case", groups=200, group=400, envs=200, env=400)
    define(admin, strict, ("Deny", ["apig:env*:*"]))
    admin("policy", "attach", strict, *of_user)
    become("a Deny beats another policy's Allow", groups=200, group=400, envs=403, env=403)
    admin("policy", "detach", strict, *of_user)
    become("the Deny is gone", groups=200, group=400, envs=200, env=400)
    admin("policy", "detach", own, *of_user)
    become("without a policy nothing is allowed", groups=403, group=403, envs=403, env=403)
    admin("user", "delete", user, "--domain", domain)
    for name in (own, strict):
        admin("policy", "delete", name)
        assert name not in [row["name"] for row in admin("policy", "list")["policies"]]
