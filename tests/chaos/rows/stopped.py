"""SIGSTOP for 30 s of each kind of process: it keeps its connections and its locks, and says nothing."""
import os
import signal

from row import Row

STOPPED_S = 30


def family(pid):
    """A process and all that descend from it."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = [int(word) for word in file.read().split()]
    return [pid] + [one for child in children for one in family(child)]


def stopped(*names):
    """The strike that stops these units for a while."""
    def strike(scene):
        pids = [pid for name in names for pid in family(scene.unit(name).process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            scene.lasts(STOPPED_S)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            scene.healed()
    return strike


ROWS = [Row(f"SIGSTOP of a {kind} for 30 s", stopped(f"{kind}-1"))
        for kind in ("front", "bus", "registry", "identity", "publisher")]
ROWS += [
    Row("SIGSTOP of a throttle for 30 s", stopped("throttle-1")),
    Row("SIGSTOP of PostgreSQL for 30 s", stopped("postgres-1"), refused_calls=40,
        least_units=70),
    Row("SIGSTOP of a sluice-node for 30 s", stopped("node-1"), refused_calls=12),
    # Until two checks in a row failed, a quarter of the calls goes there: 3 s of them.
    Row("SIGSTOP of an nginx for 30 s", stopped("nginx-1"), failed_calls=50),
    Row("SIGSTOP of every bus for 30 s", stopped("bus-1", "bus-2", "bus-3"), refused_calls=60,
        least_units=70),
]
