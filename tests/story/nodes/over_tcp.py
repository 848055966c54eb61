"""the second node reaches both buses over tcp, and works with either alone"""
import os
import re

from stack import wait_until

SERVED = True
OWN_STACK = True
TOLERATES = (r"bus", r"connect", r"worker", r"heartbeat", r"peer", r"publish", r"stream", r"report")
BUSES = ("bus-1", "bus-2")


def addresses(stack, unit):
    """The addresses of the buses in a unit's peer file: a line a socket."""
    text = (stack.var / f"secrets/{unit}.peer").read_text()
    return re.findall(r'(?:commands|workers|events): "([^"]*)"', text)


def tcp_ports(pid):
    """The remote ports of a process's established connections."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            continue
    with open(f"/proc/{pid}/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in list(table)[1:]]
    return {int(row[2].split(":")[1], 16) for row in rows
            if row[3] == "01" and f"socket:[{row[9]}]" in inodes}


def spoken(stack, bus):
    """The ports of a bus that a node speaks to: commands and events."""
    ports = {}
    for line in (stack.var / f"secrets/{bus}.peer").read_text().splitlines():
        kind, _, rest = line.strip(" -").partition(":")
        if kind in ("commands", "events"):
            ports[kind] = int(re.search(r"tcp://[0-9.]+:(\d+)", rest).group(1))
    return set(ports.values())


def story(world):
    stack = world.stack
    far = addresses(stack, "node-2")
    assert len(far) == 6 and all(a.startswith("tcp://") for a in far), far
    assert sum(a.startswith("ipc://") for a in addresses(stack, "node-1")) == 3
    wanted = spoken(stack, "bus-1") | spoken(stack, "bus-2")
    assert len(wanted) == 4 and wanted <= tcp_ports(stack.pid("node-2")), wanted
    assert not spoken(stack, "bus-1") & tcp_ports(stack.pid("node-1"))

    world.group("g")
    world.api("a")
    world.publish("a")
    try:
        for bus in BUSES:
            stack.sv("down", bus)
            # Published with one bus gone, it serves on the node that has nothing but tcp.
            world.offline("a")
            wait_until(lambda: world.call("GET", "/a", node=2).status == 404, 10, f"gone without {bus}")
            world.publish("a")
            wait_until(lambda: world.call("GET", "/a", node=2).status == 200, 10, f"live without {bus}")
            stack.sv("up", bus)
            ports = spoken(stack, bus)
            wait_until(lambda: ports <= tcp_ports(stack.pid("node-2")), 20, f"node-2 back at {bus}")
    finally:
        for bus in BUSES:
            stack.sv("up", bus)
