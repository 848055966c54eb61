"""Every process is restarted once, one at a time, as an upgrade does it: nobody notices."""
import concurrent.futures

import client
from cluster import PORTS, listens
from row import AFTER_S, BEFORE_S, Row
from stack import wait_until

ORDER = ("front", "registry", "identity", "publisher", "throttle", "bus", "node", "nginx")
NODES = "nodes"  # of a change of builds: agents and their nginx
FORWARD = (*ORDER[:-2], NODES)
LOST_S = 63  # a row of lost memory, and the windows granted ahead
LONG_S = 4  # what a call takes that must not be lost: longer than anybody drains


def restart(kind):
    """The strike that restarts the processes of a kind in turn."""
    def strike(scene):
        for unit in scene.cluster.kind(kind):
            scene.drain(unit)
            scene.healed()
    return strike


def slow_calls(scene, host):
    """Calls a node, and every node through the balancer, for longer than it drains; answers the worst status."""
    cluster, target = scene.cluster, scene.api.targets()["open"]
    headers = {"Host": target.host, "X-Echo-Delay-Ms": str(LONG_S * 1000)}
    # The balancer takes nodes in turn, the load's calls come in between: two a node reach each.
    bases = [f"http://{host.address}:8080", *[cluster.data_url] * 2 * cluster.node_count]
    with concurrent.futures.ThreadPoolExecutor(len(bases)) as pool:
        return max(pool.map(lambda base: status_of(base, target.path, headers), bases), key=lambda s: s != 200)


def status_of(base, path, headers):
    """The status of a call; 0 where no answer came."""
    try:
        return client.request(base, "GET", path, headers).status
    except (OSError, client.http.client.HTTPException):
        return 0


def slow_write(scene, host):
    """Changes through a front what somebody else has locked; answers the status."""
    made, database = scene.api.world, scene.cluster.database
    if "slow" not in made.names:
        made.throttle("slow")
    policy = made.names["slow"]["id"]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        locked = pool.submit(database.sql, f"BEGIN; SELECT 1 FROM throttle WHERE id = '{policy}' FOR "
                             f"UPDATE; SELECT pg_sleep({LONG_S}); COMMIT", "sluice")
        wait_until(lambda: database.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
                   10, "the lock")
        body = {"name": "slow", "type": 1, "time_interval": 1, "time_unit": "HOUR",
                "api_call_limits": 7}
        status = scene.api.at(host).manage("PUT", f"/throttles/{policy}", body).status
        locked.result()
    return status


def ready(host, port):
    """What /readyz of a process says; None where nobody listens."""
    try:
        return client.request(f"http://{host.address}:{port}", "GET", "/readyz", timeout=2).status
    except (OSError, client.http.client.HTTPException):
        return None


def drain(kind, health, port, ask):
    """The strike that restarts the processes of a kind in turn, each while it answers what takes
    longer than its draining: /readyz says 503, the listener closes, the answer still comes."""
    def strike(scene):
        for unit in scene.cluster.kind(kind):
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                asked = pool.submit(ask, scene, unit.host)
                scene.lasts(BEFORE_S)
                going = pool.submit(scene.drain, unit)
                wait_until(lambda u=unit: ready(u.host, health) == 503, 5, f"{unit.name} to say 503")
                wait_until(lambda u=unit: not listens(u.host.address, port), 10,
                           f"{unit.name} to close")
                scene.check(not asked.done(), f"{unit.name} still listened after its last answer")
                scene.check(asked.result() == 200, f"{unit.name} answered {asked.result()}")
                going.result()
            scene.healed()
    return strike


def change(scene, kind, build):
    """The processes of a kind go over to a build, one at a time."""
    for unit in scene.cluster.kind(kind):
        scene.cluster.use(unit, build)
        scene.drain(unit)
        # A new owner grants what begins in 2 s.
        scene.lasts(AFTER_S if kind == "throttle" else 0)


def change_nodes(scene, build):
    """Nodes go over to a build, one at a time.

    A node is changed while its nginx is stopped: a reload would mix two modules in one process.
    """
    cluster = scene.cluster
    for agent, nginx in zip(cluster.kind("node"), cluster.kind("nginx")):
        nginx.stop()
        cluster.use(agent, build)
        agent.restart()
        wait_until(scene.api.live, 30, f"{agent.name} to follow again")
        nginx.start()
        nginx.wait(30)
        wait_until(cluster.balanced, 20, "the balancers to use every server")


def fallen(units, before):
    """The names of the units that ended by themselves with a status since `before` (how often each had
    ended): a process that cannot start says so, what an earlier row did to it is over."""
    return [name for name, unit in units.items() if any(s > 0 for s in unit.ends[before.get(name, 0):])]


def upgrade(*order):
    """The strike that changes every process to the other build, one at a time, and back."""
    def strike(scene):
        cluster = scene.cluster
        before = {name: len(unit.ends) for name, unit in cluster.units.items()}
        for build in (cluster.other, cluster.build):
            for kind in order:
                if kind == NODES:
                    change_nodes(scene, build)
                    # Owners that are changed next would not know what nodes lost by their change.
                    scene.lasts(0 if kind == order[-1] else LOST_S)
                else:
                    change(scene, kind, build)
            wait_until(scene.api.live, 30, "a publication live on every node")
            odd = fallen(cluster.units, before)
            scene.check(not odd, f"did not stay up on {build}: {odd}")
            this = "this build" if build == cluster.build else "the other build"
            scene.note(f"every process ran {this}")
            # Workers of the build before write down that for a minute they do not know what nodes
            # lost by their change: who replaces one of them meanwhile grants nothing for a second.
            scene.lasts(LOST_S if build != cluster.build else 0)
        scene.healed()
    return strike


def has_other(cluster):
    return None if cluster.other else "the history here has no build before (--other names one)"


STRIKES = {"front": drain("front", PORTS["front_health"], PORTS["front"], slow_write),
           "nginx": drain("nginx", PORTS["node_health"], PORTS["http"], slow_calls)}
ROWS = [Row(f"rolling restart of every {kind}", STRIKES.get(kind) or restart(kind), refused=0)
        for kind in ORDER]
ROWS += [
    Row("rolling change to another build and back", upgrade(*FORWARD), refused=0, needs=has_other),
    Row("rolling change to another build and back, nodes first", upgrade(*reversed(FORWARD)),
        refused=0, needs=has_other)]
