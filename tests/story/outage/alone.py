"""a node started while everything else is stopped serves what it served before"""
import pathlib

import client
from stack import wait_until

OWN_STACK = True
SERVED = True
SPOILS = True  # what the node held of open windows counts as spent: policies refuse until they end
TOLERATES = (r".",)  # every process loses its peers here; what counts is what callers see
OTHERS = ("nginx-2", "node-2", "throttle-1", "throttle-2", "publisher", "identity", "registry-1",
          "registry-2", "front", "bus-1", "bus-2", "postgres")


def ready(world):
    try:
        return client.request(world.env["SLUICE_METRICS_NODE1"], "GET", "/readyz").status == 200
    except OSError:
        return False


def story(world):
    world.group("g")
    world.api("a", auth_type="APP", auth_opt={"app_code_auth_type": "HEADER"})
    world.publish("a")
    world.app("p")
    world.app_code("c", "p")
    world.auth("p", "a")
    step = {"CALL": "GET /a", "node": 1, "app": "p", "soon": True, "expect": {"status": 200}}
    world.tell_step(step)
    stack = world.stack
    try:
        stack.sv("down", "nginx-1", "node-1")
        stack.sv("down", *OTHERS)
        for unit in OTHERS + ("nginx-1", "node-1"):
            assert stack.pid(unit) is None, f"{unit} still runs"
        for path in pathlib.Path("/dev/shm").glob(f"sluice-node-1-{stack.id}*"):
            path.unlink()  # as after a reboot
        stack.sv("up", "node-1", "nginx-1")
        wait_until(lambda: ready(world), 30, "the node alone to be ready")
        del step["soon"]
        world.tell_step(step)
        world.tell_step({"CALL": "GET /a", "node": "tls", "code": "c", "expect": {"status": 200}})
        world.tell_step({"CALL": "GET /a", "node": 1, "expect": {"status": 401}})
        world.tell_step({"CALL": "GET /b", "node": 1, "expect": {"status": 404}})
    finally:
        stack.sv("up", *reversed(OTHERS))
