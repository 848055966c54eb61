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


ROWS = [Row(f"rolling restart of every {kind}", restart(kind), refused=0) for kind in ORDER]
