"""nginx gets another module under constant load without a failed call, and keeps the old one if it must"""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import threading

from stack import wait_until

OWN_STACK = True
SERVED = True
TOLERATES = (r"taken back", r"not binary compatible|file too short|invalid ELF",
             r"worker process \d+ exited|signal \d+ \(SIGCHLD\)|changing binary",
             r"bind\(\) to \S+ failed \(98: ")  # the killed master's workers have not heard of it yet


def module_of(pid):
    """The module that a process has loaded."""
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
    return {line.split(maxsplit=5)[5] for line in maps.splitlines() if "sluice_module" in line}


def use_module(stack, path):
    """What an update of the package does: another path in the settings, the agent started again."""
    file = stack.var / "config/node-1.yaml"
    file.write_text(re.sub(r"(?m)^nginx_module: .*$", f"nginx_module: {path}", file.read_text()))
    dead = stack.kill("node-1", 15)
    wait_until(lambda: stack.pid("node-1") not in (None, dead), 15, "the agent started again")


def reason(stack):
    return json.loads((stack.var / "node-1/status.json").read_text())["reason"]


def masters(stack):
    """The nginx masters of node 1 that live."""
    found = []
    for name in ("nginx.pid", "nginx.pid.oldbin"):
        try:
            pid = int((stack.var / "node-1" / name).read_text())
            os.kill(pid, 0)
            found.append(pid)
        except (OSError, ValueError):
            continue
    return found


def upgrade(world, path):
    stack = world.stack
    old = stack.pid("nginx-1")
    workers = stack.children("nginx-1")
    use_module(stack, path)
    wait_until(lambda: stack.pid("nginx-1") not in (None, old), 40, "the supervisor at the new master")
    wait_until(lambda: len(masters(stack)) == 1, 70, "the old master to end")
    assert masters(stack) == [stack.pid("nginx-1")], (masters(stack), stack.pid("nginx-1"))
    assert not set(workers) & set(stack.children("nginx-1")), "an old worker still serves"
    for pid in stack.children("nginx-1"):
        assert module_of(pid) == {str(path)}, (module_of(pid), path)


def refuse(world, path):
    """A module that nginx does not take: it goes on with the one it has."""
    stack = world.stack
    old, workers = stack.pid("nginx-1"), stack.children("nginx-1")
    conf = (stack.var / "node-1/nginx.conf").read_text()
    use_module(stack, path)
    wait_until(lambda: "taken back" in reason(stack), 30, "the agent to take it back")
    assert stack.pid("nginx-1") == old and stack.children("nginx-1") == workers
    assert (stack.var / "node-1/nginx.conf").read_text() == conf, "nginx.conf names the bad module"


def story(world):
    stack = world.stack
    stack.admin("gateway", "set", world.instance, "domain_call_limit=0", "api_default_limit=0")
    world.group("g")
    world.api("a")
    world.publish("a")
    stop, calls, wrong = threading.Event(), [0], []

    def keep_calling(node):
        while not stop.is_set():
            try:
                reply = world.call("GET", "/a", node)
                bad = None if reply.status == 200 else str(reply)
            except OSError as fault:
                bad = repr(fault)
            calls[0] += 1
            if bad:
                wrong.append(bad)
            stop.wait(0.01)

    built = re.search(r"(?m)^nginx_module: (.*)$", (stack.var / "config/node-1.yaml").read_text())[1]
    second, bad = (stack.var / f"modules/ngx_http_sluice_module-{n}.so" for n in ("second", "bad"))
    shutil.copy(built, second)
    bad.write_bytes(b"no module")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        callers = [pool.submit(keep_calling, node) for node in (1, 1, "tls")]
        try:
            upgrade(world, second)
            refuse(world, bad)
            upgrade(world, pathlib.Path(built))
            assert reason(stack) == "", reason(stack)
        finally:
            stop.set()
        for caller in callers:
            caller.result()
    assert calls[0] > 100 and not wrong, (calls, len(wrong), wrong[:3])
    stack.admin("gateway", "set", world.instance, "domain_call_limit=", "api_default_limit=")
    # The supervisor goes on watching: it ends, and brings back, what runs now.
    dead = stack.kill("nginx-1")
    wait_until(lambda: stack.pid("nginx-1") not in (None, dead), 15, "nginx restarted")
    world.tell_step({"CALL": "GET /a", "node": 1, "soon": True, "expect": {"status": 200}})
