"""every operation: nothing without a credential, nothing across projects, no write for a reader"""
import re

WRITES = re.compile(r":(get|list)[^:]*$")


def targets(world):
    """(method, target, action) of every operation that asks for a credential, ids made up."""
    for method, _, template, operation in world.contract.operations:
        action = operation["x-action"]
        if action == "public":
            continue
        known = {"project_id": world.project, "instance_id": world.instance}
        target = re.sub(r"\{(\w+)\}", lambda m: known.get(m.group(1), "0" * 32), template)
        yield method, target, action


def actions(action):
    """The names that an action may have: one, or by a value of the request."""
    return [action] if isinstance(action, str) else list(action["values"].values())


def story(world):
    env = world.env
    made = world.token(env["SLUICE_READER_USERNAME"], env["SLUICE_READER_PASSWORD"])
    reader = {"token": made.headers["x-subject-token"]}
    made = world.token(scope={"project": {"id": env["SLUICE_PROJECT_ID"]}})
    stranger = {"token": made.headers["x-subject-token"]}
    seen = 0
    for method, target, action in targets(world):
        name = f"{method} {target}"
        seen += 1
        body = None if method in ("GET", "DELETE") else {}
        refused = world.manage(method, target, body, caller="none")
        assert refused.status == 401, (name, refused)
        if "/v3/" in target:
            continue
        refused = world.manage(method, target, body, caller=stranger)
        assert refused.status == 404, (name, refused)
        if not any(WRITES.search(one) for one in actions(action)):
            refused = world.manage(method, target, body, caller=reader)
            assert refused.status == 403, (name, refused)
            assert refused.json["error_code"] == "APIG.1005", (name, refused)
    assert seen >= 39, seen
