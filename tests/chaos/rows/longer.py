"""What takes longer: every bus at once, a control plane that stays away, clocks that are wrong."""
import time

import client
import gone
import load
import signer
from hosts import run
from row import Row
from stack import wait_until

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


def demo(scene):
    """Nothing is struck: the main job works through the balancers, from a token to a refusal."""
    done = scene.cluster.demo()
    scene.check(done.returncode == 0, f"the demo failed:\n{done.stdout[-2000:]}{done.stderr}")
    scene.healed()


def every_bus(scene):
    for unit in scene.cluster.kind("bus"):
        unit.kill()
    wait_until(lambda: not scene.cluster.not_serving(), 20, "the buses")
    scene.healed()


def two_minutes(scene):
    """Meanwhile a node restarts, and one that never ran gets its first image from its peers."""
    cluster = scene.cluster
    number = cluster.node_count + 1
    cluster.add_node(number, peers=cluster.peers())
    units = [cluster.units[f"{kind}-{number}"] for kind in ("node", "nginx")]
    # It is assigned, and known to the others, before anything breaks; then it is started.
    scene.lasts(3)
    scene.load.writes_per_s = 2  # what is asked again and again adds up

    def meanwhile():
        for unit in units:
            unit.start()
        units[1].wait(60)
        target = scene.api.targets()["open"]
        reply = client.request(f"http://{units[1].host.address}:8080", "GET", target.path,
                               {"Host": target.host})
        scene.check(reply.status == 200, f"the new node answers {reply}")
        scene.note(f"the new node served its first call with {reply.status}")
        scene.lasts(120)

    gone.control_plane(scene, meanwhile)
    scene.load.writes_per_s = load.WRITES_PER_S
    for unit in units:
        unit.wait(60)


def no_faketime(_cluster):
    found = run("test", "-e", FAKETIME, check=False).returncode == 0
    return None if found else "faketime is not installed"


def wrong_clock(names, off, strike):
    """The strike that gives units a clock that is off, does what `strike` does, and rights it."""
    def struck(scene):
        for name in names:
            unit = scene.unit(name)
            unit.command = ["env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME={off}",
                            "FAKETIME_DONT_FAKE_MONOTONIC=1"] + unit.command
            unit.restart()
        try:
            strike(scene)
        finally:
            for name in names:
                unit = scene.unit(name)
                unit.command = unit.command[4:]
                unit.restart()
            scene.healed()
    return struck


def refused_there(scene):
    """A node whose clock is an hour off refuses signatures; limits stay right (every row's check)."""
    target = scene.api.targets()["signed"]
    for name, wanted in (("node-1", 401), ("node-2", 200)):
        headers = signer.sign("GET", target.path, {"Host": target.host}, b"", *target.key)
        reply = client.request(f"http://{scene.cluster.hosts[name].address}:8080", "GET",
                               target.path, headers)
        scene.check(reply.status == wanted, f"{name} answers {reply}, expected {wanted}")
    began = time.monotonic()
    scene.lasts(20)
    scene.note(f"the clock of node-1 was an hour off for {time.monotonic() - began:.0f} s")


def refused_by_one_front(scene):
    """A front whose clock is an hour off refuses signatures, takes tokens, and does so by itself."""
    begun = len(scene.load.writes)
    hosts = scene.cluster.hosts
    token = scene.api.at(hosts["control-2"]).token().headers["x-subject-token"]
    for host, wanted in (("control-1", 401), ("control-2", 200)):
        for caller, status in (("admin", wanted), ({"token": token}, 200)):
            reply = scene.api.at(hosts[host]).manage("GET", "/throttles?limit=1", caller=caller)
            scene.check(reply.status == status, f"{host} answers {reply}, expected {status}")
    scene.lasts(10)
    scene.load.quiet.set()
    wait_until(lambda: all(write.done for write in scene.load.writes), 90, "every write to end")
    ends = [write.attempts[-1] for write in scene.load.writes[begun:]]
    scene.check(set(ends) <= {200, 201, 401}, f"writes ended with {sorted(set(ends))}")
    scene.check(401 in ends, "no write came to the front whose clock is off")
    scene.note(f"{ends.count(401)} of {len(ends)} writes came to the front whose clock is off: 401")
    scene.load.quiet.clear()


ROWS = [
    Row("nothing; the demo through the balancers", demo),
    Row("kill -9 of every bus at once", every_bus, refused_calls=20),
    Row("the whole control plane is away for two minutes, a new node starts", two_minutes,
        refused_calls=100, unfinished=10000, whole_s=60, least_units=60),
    # A quarter of the signed calls goes there, a quarter of all calls is signed: 3 a second, for 25 s.
    Row("a node's clock is an hour off", wrong_clock(("node-1", "nginx-1"), "+1h", refused_there),
        failed_calls=90, refused_calls=20, needs=no_faketime),
    # A third of the writes comes to the front there, and no stock client asks again after 401.
    Row("a control host's clock is an hour off",
        wrong_clock(("front-1", "registry-1", "publisher-1", "throttle-1", "identity-1", "bus-1"),
                    "+1h", refused_by_one_front), refused_calls=20, unfinished=100,
        needs=no_faketime),
]
