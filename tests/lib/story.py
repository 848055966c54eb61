"""Stories: YAML files with given, steps and expect, or Python where one needs logic.

A Python story is a module with `def story(world)` and a docstring whose first line is its name;
`SERVED = True` asks for the gateway that the nodes serve, `OWN_STACK = True` for a deployment that
it may damage, `SPOILS = True` says that nobody can use it afterwards, `TOLERATES` which log lines
are its doing. YAML has the same words in lower case.
"""
import importlib.util
import pathlib

import yaml

import match
from stack import wait_until

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
PLURAL = {"env": "environment"}


class Story:
    """A file that tells one story."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        if self.path.suffix == ".py":
            spec = importlib.util.spec_from_file_location("story_" + self.path.stem, self.path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            self.name = module.__doc__.strip().splitlines()[0]
            self.served = getattr(module, "SERVED", False)
            self.own_stack = getattr(module, "OWN_STACK", False)
            self.tolerates = getattr(module, "TOLERATES", ())
            self.spoils = getattr(module, "SPOILS", False)
            self.run = lambda world: _run_python(module, world)
        else:
            told = yaml.safe_load(self.path.read_text())
            self.name = told["story"]
            self.served = told.get("served", False)
            self.own_stack = told.get("own_stack", False)
            self.tolerates = tuple(told.get("tolerates", ()))
            self.spoils = told.get("spoils", False)
            self.run = lambda world: _tell(world, told)


def _run_python(module, world):
    # Python stories may use the steps of YAML ones.
    world.tell_step = lambda step: _step(world, step)
    module.story(world)


def _tell(world, told):
    for word, value in (told.get("given") or {}).items():
        kind = word.split()[0]  # `api b:` tells of a second api
        for item in value if isinstance(value, list) else [value]:
            _given(world, PLURAL.get(kind, kind), match.fill(item, world.names))
    for number, step in enumerate(told["steps"], 1):
        try:
            _step(world, step)
        except AssertionError as fault:
            raise AssertionError(f"step {number}: {fault}") from fault


def _given(world, kind, item):
    make = getattr(world, kind)
    if isinstance(item, dict):
        make(**item)
    else:
        make(item)


def _step(world, step):
    step = dict(step)
    if "CALL" in step:
        _call(world, step)
        return
    if not any(method in step for method in METHODS):
        (kind, item), = step.items()
        _given(world, PLURAL.get(kind, kind), match.fill(item, world.names))
        return
    method = next(m for m in METHODS if m in step)
    path = match.fill(step[method], world.names)
    body = match.fill(step.get("body"), world.names)
    reply = world.manage(method, path, body, match.fill(step.get("headers"), world.names),
                         match.fill(step.get("as", "admin"), world.names))
    _expect(world, step.get("expect", {}), reply)
    if "save" in step:
        world.names[step["save"]] = reply.json


def _call(world, step):
    method, _, target = step["CALL"].partition(" ")
    arguments = {key: match.fill(step[key], world.names)
                 for key in ("group", "headers", "body", "app", "code", "source") if key in step}
    nodes = step.get("nodes", [step.get("node", 1)])
    for node in nodes:
        def attempt(node=node):
            reply = world.call(method, match.fill(target, world.names), node, **arguments)
            expect = step.get("expect", {})
            assert expect.get("status") != 429 or reply.status >= 400, f"node {node}: one call too many: {reply}"
            return reply, _faults(world, expect, reply)
        if step.get("soon") or step.get("expect", {}).get("status") == 429:
            # A change without wait_ms is live within 300 ms; the wait is bounded, not the claim. A call
            # that waits in vain for a unit of one limit names that one; none that must be refused passes.
            seen = []

            def is_met():
                try:
                    seen[:] = attempt()
                except ConnectionError as fault:  # a listener that was just started may not listen yet
                    seen[:] = None, [str(fault)]
                return not seen[1]
            try:
                wait_until(is_met, 30, f"{step['CALL']} as expected")
            except AssertionError as fault:
                raise AssertionError(f"{fault}: {seen}") from fault
        else:
            reply, faults = attempt()
            assert not faults, f"node {node}: {'; '.join(faults)}: {reply}"


def _expect(world, expect, reply):
    faults = _faults(world, expect, reply)
    assert not faults, f"{'; '.join(faults)}: {reply}"


def _faults(world, expect, reply):
    expect = match.fill(expect, world.names)
    faults = []
    if "status" in expect and reply.status != expect["status"]:
        faults.append(f"status {reply.status} instead of {expect['status']}")
    for field in ("error_code", "error_msg"):
        if field in expect:
            faults += match.differences(expect[field], (reply.json or {}).get(field), field)
    if "body" in expect:
        faults += match.differences(expect["body"], reply.json)
    if "text" in expect:
        faults += match.differences(expect["text"], reply.body.decode("utf-8", "replace"), "text")
    if "headers" in expect:
        wanted = {name.lower(): value for name, value in expect["headers"].items()}
        faults += match.differences(wanted, reply.headers, "headers")
    return faults
