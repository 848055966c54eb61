"""What runs on a node, and a node as a whole: architecture §9, its last rows."""
import itertools
import os
import signal

import client
from hosts import run
from row import Row
from stack import wait_until


def nodes(scene):
    """{node: (health, reason)} as operators see them."""
    made = scene.api.world
    reply = made.manage("GET", f"raw:/v2/{made.project}/sluice/instances/{made.instance}/nodes")
    return {node["id"]: (node["health"], node.get("reason", "")) for node in reply.json["nodes"]}


def seen(scene, node, *healths):
    """Waits until operators see a node so; answers the reason."""
    wait_until(lambda: nodes(scene)[node][0] in healths, 60, f"{node} seen as {healths}")
    return nodes(scene)[node][1]


def agent(scene):
    unit = scene.unit("node-1")
    unit.stop(signal.SIGKILL)
    seen(scene, "node-1", "stale")
    scene.healed()
    unit.start()


def nginx_worker(scene):
    unit = scene.unit("nginx-1")
    old = unit.children()
    os.kill(old[0], signal.SIGKILL)
    wait_until(lambda: unit.children() and unit.children() != old, 10, "a new worker")


def node(scene):
    """Agent and nginx of a node go away, as when its host does, until operators see it."""
    units = [scene.unit("nginx-1"), scene.unit("node-1")]
    for unit in units:
        unit.stop(signal.SIGKILL)
    seen(scene, "node-1", "gone")
    scene.healed()
    for unit in units:
        unit.start()


class SmallDisk:
    """The store of node-1, whose agent does not run at first, on a disk of 6 MB of its own."""

    def __init__(self, scene):
        self.unit = scene.unit("node-1")
        self.store = self.unit.host.dir / "state" / "store"
        self.here = getattr(self.unit.host, "here", run)

    def __enter__(self):
        self.unit.stop()
        self.here("mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "sluice-chaos", self.store)
        return self

    def __exit__(self, *_):
        self.unit.stop()
        self.here("umount", "-l", self.store)
        self.unit.start()

    def fill(self):
        self.here("dd", "if=/dev/zero", f"of={self.store / 'ballast'}", "bs=64k", check=False)

    def free(self):
        self.here("rm", self.store / "ballast")

    def holds_a_store(self):
        """Whether the agent wrote one there."""
        return self.here("test", "-s", self.store / "data.mdb", check=False).returncode == 0


def stale(scene):
    """Changes what node-1 serves until operators see that its store does not take it."""
    numbers = itertools.count()

    def told():
        change(scene, next(numbers))
        return "store" in nodes(scene)["node-1"][1]

    wait_until(told, 30, "operators to see that the disk is full")
    scene.note(f"operators see: {nodes(scene)['node-1']}")


def recovers(scene, disk):
    disk.free()
    scene.healed()
    wait_until(lambda: nodes(scene)["node-1"] == ("ready", ""), 30, "the node to recover")
    scene.check(disk.holds_a_store(), "the node holds no store")


def full(scene):
    """The store's disk is full while the runtime changes; then there is room again."""
    with SmallDisk(scene) as disk:
        disk.unit.start()
        wait_until(disk.holds_a_store, 30, "the agent's store")
        disk.fill()
        stale(scene)
        recovers(scene, disk)


def full_at_start(scene):
    """The agent finds a disk without room for a store; then there is room."""
    with SmallDisk(scene) as disk:
        disk.fill()
        disk.unit.start()
        stale(scene)
        scene.check(not disk.holds_a_store(), "there was room for a store")
        recovers(scene, disk)


def change(scene, number):
    """Publishes another body of the probe and asks both nodes for it."""
    made = scene.api.world
    probe = made.names["probe"]
    body = dict(probe["body"], remark="x" * 200 + str(number))
    made.want(200, "PUT", f"/apis/{probe['id']}", body)
    made.publish("probe")
    for name in ("node-1", "node-2"):
        address = scene.unit(name).host.address
        reply = client.request(f"http://{address}:8080", "GET", "/probe",
                               {"Host": made.names["g"]["sl_domain"]})
        scene.check(reply.status == 200, f"{name} answers {reply}")


def root_only(_cluster):
    return None if os.geteuid() == 0 else "a small file system needs root"


ROWS = [
    # A window of a second, and of two nodes half of the signed calls in it.
    Row("kill -9 of a sluice-node until it is seen as stale", agent, refused_calls=20),
    # Connections of the killed break: what was in flight, at 50 calls a second.
    Row("kill -9 of an nginx worker", nginx_worker, failed_calls=2),
    Row("kill -9 of an nginx master", lambda scene: scene.kill("nginx-1"), failed_calls=2),
    # Its share of the limit goes with it: a half of the short form, a quarter of the long one.
    Row("kill -9 of a node until it is seen as gone", node, failed_calls=2, refused_calls=20,
        least_units=40),
    Row("disk full on a node", full, refused_calls=20, needs=root_only),
    Row("disk full on a node when it starts", full_at_start, refused_calls=20, needs=root_only),
]
