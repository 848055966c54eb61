"""a damaged store is found out at the agent's start, repaired from the publisher, and no call notices"""
import json
import pathlib

from stack import wait_until

OWN_STACK = True
SERVED = True
SPOILS = True
TOLERATES = (r".",)  # the second half stops the control plane
CONTROL = ("front", "registry-1", "registry-2", "identity", "publisher", "throttle-1", "throttle-2",
           "bus-1", "bus-2", "postgres", "node-2")
STEP = {"CALL": "GET /a", "node": 1, "expect": {"status": 200}}


def status(stack):
    return json.loads((stack.var / "node-1/status.json").read_text())


def restart_damaged(world, damage):
    """Stops the agent, damages its store, starts it again; nginx goes on serving."""
    stack = world.stack
    stack.sv("down", "node-1")
    file = stack.var / "node-1/store/data.mdb"
    bytes_ = bytearray(file.read_bytes())
    file.write_bytes(damage(bytes_))
    (stack.var / "node-1/status.json").unlink()
    world.tell_step(STEP)
    stack.sv("up", "node-1")
    wait_until(lambda: (stack.var / "node-1/status.json").exists(), 15, "the agent to report")
    world.tell_step(STEP)


def flipped(bytes_):
    """One bit in every page behind the meta pages."""
    for at in range(2 * 4096 + 4000, len(bytes_), 4096):
        bytes_[at] ^= 4
    return bytes_


def cut(bytes_):
    return bytes_[:len(bytes_) // 2]


def discarded(stack):
    return (stack.var / "log/node-1.log").read_text().count("thrown away")


def repaired(stack, revision):
    now = status(stack)
    return now["revision"] == revision and now["reason"] == ""


def story(world):
    world.group("g")
    world.api("a")
    world.publish("a")
    stack = world.stack
    revision = status(stack)["revision"]
    for number, damage in enumerate((flipped, cut, lambda bytes_: b"x" * 5000, lambda bytes_: b""), 1):
        restart_damaged(world, damage)
        assert discarded(stack) == number, (number, damage)
        wait_until(lambda: repaired(stack, revision), 15, f"the store to be repaired: {status(stack)}")
    # What was repaired holds: a start with everything else dead, the image gone, serves from it.
    stack.sv("down", *CONTROL)
    stack.sv("down", "nginx-1", "node-1")
    for path in pathlib.Path("/dev/shm").glob(f"sluice-node-1-{stack.id}*"):
        path.unlink()
    stack.sv("up", "node-1", "nginx-1")
    world.tell_step({**STEP, "soon": True})
    assert discarded(stack) == number
    # Nobody can repair: the image of before is served, and the report says so.
    restart_damaged(world, flipped)
    assert discarded(stack) == number + 1
    wait_until(lambda: status(stack)["reason"], 15, "a reason")
    told = status(stack)
    assert told["epoch"] == "", told
    assert "durable store" in told["reason"] or "first image" in told["reason"], told
    world.tell_step(STEP)
    stack.kill("nginx-1")
    world.tell_step({**STEP, "soon": True})
