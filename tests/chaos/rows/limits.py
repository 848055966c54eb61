"""Limits under fire on real processes: what the rows of other files do not strike already.

Every row of the table fails when a limit lets too much through and tells how much of one was
admitted (`units %`); an owner that is killed or stopped, a node that is cut off, a wrong clock are
in their own files.
"""
import threading
import time

import client
import load
from databases import isolated
from row import Row
from stack import wait_until

AWAY_S = 15
JOINED_S = 8
STRAYING = 20  # per cent of a node's messages that are lost; as many are doubled, and late
CALLS_PER_S = 10  # to the tight API, directly at the node that joins


def accounting_away(scene):
    """Every accounting process ends; nodes divide the limits after three seconds."""
    units = scene.cluster.kind("throttle")
    for unit in units:
        unit.stop(9)
    scene.lasts(AWAY_S)
    for unit in units:
        unit.start()
    scene.healed()


def worker_leaves_and_comes(scene):
    """One of the accounting processes is removed as an operator does it, and added again."""
    unit = scene.cluster.kind("throttle")[0]
    unit.stop()
    scene.lasts(5)
    unit.start()
    scene.lasts(5)
    scene.healed()


def node_joins(scene):
    """A node that is new to the cluster serves callers of the same limit."""
    cluster = scene.cluster
    number = cluster.node_count + 2  # the next one is new in another row
    cluster.add_node(number)
    agent, nginx = (cluster.units[f"{kind}-{number}"] for kind in ("node", "nginx"))
    try:
        for unit in (agent, nginx):
            unit.start()
            unit.wait(30)
        wait_until(scene.api.live, 20, "a publication live on the new node too")
        target = scene.api.targets()["tight"]
        end = time.monotonic() + JOINED_S
        while time.monotonic() < end:
            due = time.monotonic()
            reply = client.request(f"http://{nginx.host.address}:8080", "GET", target.path,
                                   {"Host": target.host})
            scene.load.calls.append(load.Call(due, due, time.monotonic(), "tight", reply.status))
            threading.Event().wait(max(0.0, due + 1 / CALLS_PER_S - time.monotonic()))
    finally:
        for unit in (nginx, agent):
            unit.stop()
            del cluster.units[unit.name]
        cluster.admin("node", "remove", agent.name, "--allow", cluster.allow)
        scene.healed()


def messages_stray(scene):
    """Messages between a node and its buses are lost, doubled and overtake each other."""
    end = scene.astray("node-1", STRAYING)
    scene.lasts(AWAY_S)
    end()


ROWS = [
    # What was granted ahead lasts two seconds, shares begin after three.
    Row("every accounting process is away for 15 s", accounting_away, refused_calls=40,
        least_units=80),
    Row("an accounting process is removed and added", worker_leaves_and_comes, least_units=95),
    # A call that finds no unit waits for one exchange of its node, and a third of those goes astray.
    Row("a node's messages are lost, doubled and overtaken", messages_stray, refused_calls=20,
        least_units=80, needs=isolated),
    Row("a node joins", node_joins, least_units=95, needs=isolated),
]
