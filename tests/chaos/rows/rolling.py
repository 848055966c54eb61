"""Every process is restarted once, one at a time, as an upgrade does it: nobody notices."""
from row import Row

ORDER = ("front", "registry", "identity", "publisher", "throttle", "bus", "node", "nginx")


def restart(kind):
    """The strike that restarts the processes of a kind in turn."""
    def strike(scene):
        for unit in scene.cluster.kind(kind):
            scene.drain(unit)
            scene.healed()
    return strike


def upgrade(scene):
    """Every process goes over to the other build, one at a time, and back."""
    cluster = scene.cluster
    for build in (cluster.other, cluster.build):
        for kind in ORDER:
            for unit in cluster.kind(kind):
                cluster.use(unit, build)
                scene.drain(unit)
        scene.lasts(3)
        scene.note(f"every process ran {build.name}")
    scene.healed()


def has_other(cluster):
    return None if cluster.other else "no other build was named (--other)"


ROWS = [Row("rolling change to another build and back", upgrade, refused=0, refused_calls=100,
            needs=has_other)]
ROWS += [Row(f"rolling restart of every {kind}", restart(kind), refused=0) for kind in ORDER]
