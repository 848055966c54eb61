"""a new node gets its first image from a peer or from a file while the control plane is gone"""
import json
import pathlib
import re
import shutil
import subprocess

from stack import wait_until

OWN_STACK = True
SERVED = True
SPOILS = True
TOLERATES = (r".",)  # every process loses its peers here; what counts is what callers see
CONTROL = ("front", "registry-1", "registry-2", "identity", "publisher", "throttle-1", "throttle-2",
           "bus-1", "bus-2", "postgres")


def configure(stack, **settings):
    """Node 2's settings; None takes one away."""
    file = stack.var / "config/node-2.yaml"
    text = file.read_text()
    for name, value in settings.items():
        text = re.sub(rf"^{name}: .*\n", "", text, flags=re.M)
        text += "" if value is None else f"{name}: {value}\n"
    file.write_text(text)


def start_new(stack, **settings):
    """Node 2 as one that was assigned and never ran."""
    stack.sv("down", "node-2")
    shutil.rmtree(stack.var / "node-2/store")
    for name in ("status.json", "limits.state"):
        (stack.var / "node-2" / name).unlink(missing_ok=True)
    for path in pathlib.Path("/dev/shm").glob(f"sluice-node-2-{stack.id}*"):
        path.unlink()
    configure(stack, **settings)
    stack.sv("up", "node-2")


def status(stack):
    try:
        return json.loads((stack.var / "node-2/status.json").read_text())
    except (OSError, ValueError):
        return {"epoch": "", "reason": ""}


def refused(stack, why):
    wait_until(lambda: why in status(stack)["reason"], 20, f"node 2 to say {why}: {status(stack)}")
    assert status(stack)["epoch"] == "", status(stack)


def serves(world, stack, revision):
    wait_until(lambda: status(stack)["epoch"], 20, f"node 2's first image: {status(stack)}")
    assert status(stack)["revision"] == revision, (status(stack), revision)
    stack.sv("up", "nginx-2")
    world.tell_step({"CALL": "GET /a", "node": 2, "app": "p", "soon": True,
                     "expect": {"status": 200}})
    world.tell_step({"CALL": "GET /a", "node": 2, "expect": {"status": 401}})
    # A node that accounting never spoke to has no share of a policy's limit.
    world.tell_step({"CALL": "GET /limited", "node": 2, "expect": {"status": 429}})
    world.tell_step({"CALL": "GET /limited", "node": 1, "soon": True, "expect": {"status": 200}})
    stack.sv("down", "nginx-2")


def story(world):
    world.group("g")
    world.api("a", auth_type="APP")
    world.api("limited")
    world.throttle("t", api_call_limits=1000, time_unit="SECOND")
    world.publish("limited")
    world.binding("limited", "t")
    world.publish("a")
    world.app("p")
    world.auth("p", "a")
    world.settle("a")
    stack = world.stack
    world.tell_step({"CALL": "GET /limited", "nodes": [1, 2], "soon": True, "expect": {"status": 200}})
    revision = status(stack)["revision"]
    file = stack.var / "node.seed"
    subprocess.run([stack.build / "bin/sluice-node", "--config", stack.var / "config/node-1.yaml",
                    "--export", file], env=stack.environ(), check=True, timeout=30)
    assert file.stat().st_mode & 0o777 == 0o600
    peers = re.search(r"^peers: (.*)$", (stack.var / "config/node-2.yaml").read_text(), re.M)[1]
    stack.sv("down", "nginx-2", *CONTROL)

    start_new(stack)
    serves(world, stack, revision)
    start_new(stack, peers=None, seed_file=file)
    serves(world, stack, revision)

    start_new(stack, seed_file=None, peers=peers, gateway_id="0" * 32)
    refused(stack, "another gateway")
    gateway = stack.env["SLUICE_INSTANCE_ID"]
    start_new(stack, gateway_id="0" * 32, peers=None, seed_file=file)
    refused(stack, "of gateway " + gateway)
    # Another key pair than the one that was let in.
    peer_file = stack.var / "secrets/node-2.peer"
    own, other = peer_file.read_text(), (stack.var / "secrets/front.peer").read_text()
    keys = re.compile(r"^(public|secret)_key: .*\n", re.M)
    stranger = "".join(m[0] for m in keys.finditer(other)) + keys.sub("", own)
    peer_file.write_text(stranger)
    start_new(stack, gateway_id=gateway, seed_file=None, peers=peers)
    refused(stack, "not a node of this gateway")
    start_new(stack, peers=None, seed_file=file)
    refused(stack, "no content key for this node")
    peer_file.write_text(own)
