"""Every process is restarted once, one at a time, as an upgrade does it: nobody notices."""
from row import AFTER_S, Row
from stack import wait_until

ORDER = ("front", "registry", "identity", "publisher", "throttle", "bus", "node", "nginx")


def restart(kind):
    """The strike that restarts the processes of a kind in turn."""
    def strike(scene):
        for unit in scene.cluster.kind(kind):
            scene.drain(unit)
            scene.healed()
    return strike


def upgrade(scene):
    """Every process goes over to the other build, one at a time, and back.

    A node is changed while its nginx is stopped: a reload would mix two modules in one process.
    """
    cluster = scene.cluster
    for build in (cluster.other, cluster.build):
        for kind in ORDER[:-2]:
            for unit in cluster.kind(kind):
                cluster.use(unit, build)
                scene.drain(unit)
                # A new owner grants what begins in 2 s. To workers of the build before, what nodes
                # lost by changing builds stays unknown for a minute.
                scene.lasts(AFTER_S if kind == "throttle" else 0)
        for agent, nginx in zip(cluster.kind("node"), cluster.kind("nginx")):
            nginx.stop()
            cluster.use(agent, build)
            agent.restart()
            wait_until(scene.api.live, 30, f"{agent.name} to follow again")
            nginx.start()
            nginx.wait(30)
            wait_until(cluster.balanced, 20, "the balancers to use every server")
        wait_until(scene.api.live, 30, "a publication live on every node")
        odd = [unit.name for unit in cluster.units.values() if any(s > 0 for s in unit.ends)]
        scene.check(not odd, f"did not stay up on {build}: {odd}")
        scene.note(f"every process ran {build.name}")
    scene.healed()


def has_other(cluster):
    return None if cluster.other else "no other build was named (--other)"


ROWS = [Row(f"rolling restart of every {kind}", restart(kind), refused=0) for kind in ORDER]
ROWS.append(Row("rolling change to another build and back", upgrade, refused=0, needs=has_other))
