"""each of the fifteen operations asks for the action that the document names, and for no other"""
import json
import os
import tempfile

from stack import wait_until

ZERO = "0" * 32
# What chapter 4 of the document has; it names none for the last, which takes that of one binding.
OPERATIONS = (
    ("POST", "/throttles", "throttles:create"),
    ("PUT", f"/throttles/{ZERO}", "throttles:update"),
    ("DELETE", f"/throttles/{ZERO}", "throttles:delete"),
    ("GET", "/throttles", "throttles:list"),
    ("GET", f"/throttles/{ZERO}", "specialThrottles:get"),
    ("POST", "/throttle-bindings", "apis:bindThrottles"),
    ("DELETE", f"/throttle-bindings/{ZERO}", "apis:unbindThrottles"),
    ("GET", "/throttle-bindings/binded-apis", "throttles:listBindedApis"),
    ("GET", "/throttle-bindings/unbinded-apis", "throttles:listUnbindedApis"),
    ("GET", "/throttle-bindings/binded-throttles", "apis:listBindedThrottles"),
    ("POST", f"/throttles/{ZERO}/throttle-specials", "specialThrottles:create"),
    ("PUT", f"/throttles/{ZERO}/throttle-specials/{ZERO}", "specialThrottles:update"),
    ("DELETE", f"/throttles/{ZERO}/throttle-specials/{ZERO}", "specialThrottles:delete"),
    ("GET", f"/throttles/{ZERO}/throttle-specials", "specialThrottles:get"),
    ("PUT", "/throttle-bindings", "apis:unbindThrottles"),
)
ACTIONS = sorted({action for _, _, action in OPERATIONS})


def story(world):
    admin, policy, user = world.stack.admin, f"acts_{world.uid}", f"acts_{world.uid}"
    domain = world.env["SLUICE_DOMAIN_NAME"]

    def allow(actions):
        document = {"Version": "1.1", "Statement": [{"Effect": "Allow", "Action": [f"apig:{one}" for one in actions]}]}
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            json.dump(document, file)
        try:
            admin("policy", "create", policy, "--document", file.name)
        finally:
            os.unlink(file.name)

    allow(["groups:create"])
    password = admin("user", "create", user, "--domain", domain, "--generate", "--policy", policy)["password"]
    caller = {"token": world.token(user, password).headers["x-subject-token"]}

    def permitted():
        """What passes the door: whatever comes behind it finds no body, no parameter or no such id."""
        replies = [world.manage(method, path, None if method in ("GET", "DELETE") else {}, caller=caller)
                   for method, path, _ in OPERATIONS]
        return [reply.json is None or reply.json.get("error_code") != "APIG.1005" for reply in replies]

    try:
        for allowed in ([], *([action] for action in ACTIONS)):
            allow(allowed or ["groups:create"])
            expected = [action in allowed for _, _, action in OPERATIONS]
            wait_until(lambda: permitted() == expected, 10, f"what {allowed} permits")
    finally:
        admin("user", "delete", user, "--domain", domain)
        admin("policy", "delete", policy)
