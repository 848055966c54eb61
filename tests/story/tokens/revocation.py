"""a disabled user, a detached policy and a deleted key stop at once, tokens that are out included"""
from stack import wait_until

SECONDS = 10


def story(world):
    admin = world.stack.admin
    domain = world.env["SLUICE_DOMAIN_NAME"]
    user = f"u_{world.uid}"
    of_user = ("--user", user, "--domain", domain)
    password = admin("user", "create", user, "--domain", domain, "--generate", "--policy",
                     "APIG FullAccess")["password"]
    made = world.token(user, password)
    assert made.status == 201, made
    token = {"token": made.headers["x-subject-token"]}
    held = admin("access-key", "create", *of_user)
    key = {"ak": held["access"], "sk": held["secret"]}

    def answers(caller, method, status):
        def ask():
            body = {"name": f"g_{world.uid}"} if method == "POST" else None
            reply = world.manage(method, "/api-groups", body, caller=caller)
            return reply.status == status
        return ask

    def become(caller, method, status, what):
        wait_until(answers(caller, method, status), SECONDS, what)

    become(token, "GET", 200, "the new user's token works")
    become(key, "GET", 200, "the new user's key works")
    admin("policy", "attach", "APIG ReadOnlyAccess", *of_user)
    admin("policy", "detach", "APIG FullAccess", *of_user)
    become(token, "POST", 403, "the policy is gone")
    assert answers(token, "GET", 200)()
    admin("user", "update", user, "--domain", domain, "--revoke")
    become(token, "GET", 401, "the token has ended")
    assert answers(key, "GET", 200)()
    made = world.token(user, password)
    token = {"token": made.headers["x-subject-token"]}
    become(token, "GET", 200, "a token of after the end works")
    admin("user", "update", user, "--domain", domain, "--disable")
    become(token, "GET", 401, "the user is disabled")
    become(key, "GET", 401, "the user's key too")
    assert world.token(user, password).status == 401
    admin("user", "update", user, "--domain", domain, "--enable")
    become(key, "GET", 200, "the user is back")
    admin("access-key", "delete", held["access"])
    become(key, "GET", 401, "the key is gone")
    admin("user", "delete", user, "--domain", domain)
