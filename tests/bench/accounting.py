"""accounting: CPU of throttle workers and agents per 10,000 admitted requests, real on 1 and 2 nodes, simulated on 1, 2 and 4."""
import re
import subprocess

import gateway  # first: it puts tests/lib on the path
import measure

UNITS = ("throttle-1", "throttle-2")
AGENTS = ("node-1", "node-2")
LIMIT = 1000000  # out of reach: everything is admitted, and counted
CONNECTIONS = 16


def admitted_by(world, nodes, name, seconds):
    """Loads the API through the nodes at once; answers how many calls were admitted."""
    host = world.names["g"]["sl_domain"]
    loads = [subprocess.Popen(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"Host: {host}",
                               f"{world.data_url(node)}/{name}"], stdout=subprocess.PIPE, text=True) for node in nodes]
    total = 0
    for load in loads:
        out = load.communicate()[0]
        assert load.returncode == 0, out
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        total += int(re.search(r"(\d+) requests in", out)[1]) - (int(refused[1]) if refused else 0)
    return total


def idle_us(pids, seconds):
    """CPU of the processes in a second without calls."""
    before = {name: measure.cpu_us([pid]) for name, pid in pids.items()}
    subprocess.run(["sleep", str(seconds)], check=True)
    return {name: (measure.cpu_us([pid]) - before[name]) / seconds for name, pid in pids.items()}


def real(build, var, seconds):
    stack, world = gateway.start(build, var)
    try:
        world.group("g")
        for unit in ("SECOND", "MINUTE"):
            name = unit.lower()
            world.api(name)
            world.publish(name)
            world.throttle(f"t_{name}", api_call_limits=LIMIT, time_unit=unit)
            world.binding(name, f"t_{name}")
        world.settle("minute")
        pids = {unit: stack.pid(unit) for unit in UNITS + AGENTS if (stack.var / "run" / unit / "record").exists()}
        pids = {unit: pid for unit, pid in pids.items() if pid}
        idle = idle_us(pids, seconds)
        rows = []
        for name in ("second", "minute"):
            for nodes in ((1,), (1, 2)):
                before = {unit: measure.cpu_us([pid]) for unit, pid in pids.items()}
                admitted = admitted_by(world, nodes, name, seconds)
                spent = {unit: measure.cpu_us([pid]) - before[unit] - idle[unit] * seconds for unit, pid in pids.items()}
                workers = sum(us for unit, us in spent.items() if unit in UNITS)
                agents = sum(us for unit, us in spent.items() if unit in AGENTS)
                rows.append([name, len(nodes), admitted, f"{admitted / seconds:.0f}", f"{workers / seconds / 1000:.1f}",
                             f"{workers / admitted * 10:.1f}", f"{agents / seconds / 1000:.1f}"])
        print(gateway.table(rows, ["window", "nodes", "admitted", "a second", "workers ms/s", "workers ms per 10^4",
                                   "agents ms/s"]))
        shown = ", ".join(f"{unit} {us / 1000:.1f}" for unit, us in sorted(idle.items()))
        print(f"without calls, already taken off, ms/s: {shown}")
    finally:
        stack.quickstart("clean")


def simulated(build):
    """What one key costs its owner: the protocol's own code under 5,000 calls a second, spread over the nodes."""
    out = subprocess.run([build / "tests" / "throttle_table", "--cost"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in out.splitlines()]
    print(gateway.table(rows, ["limit", "nodes", "spread", "admitted", "exchanges/s", "keys/exchange", "events/s",
                               "owner us/exchange", "owner ms per 10^4"]))


def run(options):
    print(gateway.heading(options.build))
    print("\nreal processes, one key, one API, wrk; user and system time above what an idle deployment takes:\n")
    real(options.build, options.var, max(options.seconds, 5))
    print("\nsimulated, the owners' protocol code alone (no bus, no PostgreSQL), CPU time of the process:\n")
    simulated(options.build)
    return []
