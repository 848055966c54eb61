"""kill -9 of each kind of process on the control hosts: architecture §9, its first three rows."""
from row import Row


def killed(kind):
    """Each of two in turn, and the first once more."""
    return lambda scene: scene.kill(f"{kind}-1", f"{kind}-2", f"{kind}-1")


# What was in flight is told to come again, at most, and what the balancer sends before its check fails.
ROWS = [Row(f"kill -9 of a {kind}", killed(kind), refused=10)
        for kind in ("front", "registry", "identity", "publisher", "bus")]
# A first call may wait 20 ms for units; what is allowed beyond is this machine's own.
ROWS.append(Row("kill -9 of a throttle", killed("throttle"), slowest_ms=500))
