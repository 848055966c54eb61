"""accounting: CPU of throttle workers and agents per 10,000 admitted requests, real on 1 to 4 nodes, simulated on 1, 2 and 4."""
import pathlib
import re
import subprocess

import gateway  # first: it puts tests/lib on the path
import nodes as several

OWNERS = ("throttle-1", "throttle-2")
COUNTS = (1, 2, 3, 4)
EXCHANGES = re.compile(r'^sluice_worker_commands_total\{outcome="done"\} (\d+)', re.M)
FAR, NEAR = 1000000, 500  # out of reach: everything is admitted, and counted; and all used up: nodes ask and units go to and fro
LIMITS = {"far_second": ("SECOND", FAR), "far_minute": ("MINUTE", FAR), "near_second": ("SECOND", NEAR)}
CONNECTIONS = 16


def admitted_by(world, count, name, seconds):
    """Loads the API through so many nodes at once; answers how many calls were admitted."""
    host = world.names["g"]["sl_domain"]
    loads = [subprocess.Popen(["wrk", "-t1", f"-c{CONNECTIONS // count}", f"-d{seconds}s", "-H", f"Host: {host}",
                               f"{world.data_url(node)}/{name}"], stdout=subprocess.PIPE, text=True)
             for node in range(1, count + 1)]
    total = 0
    for load in loads:
        out = load.communicate()[0]
        assert load.returncode == 0, out
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        total += int(re.search(r"(\d+) requests in", out)[1]) - (int(refused[1]) if refused else 0)
    return total


def run_us(pids):
    """Time that all threads of the processes ran, finer than clock ticks."""
    tasks = [task for pid in pids for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1000


def exchanges(stack):
    """Messages of nodes that the owners have answered."""
    total = 0
    for owner in OWNERS:
        config = (stack.var / f"config/{owner}.yaml").read_text()
        path = re.search(r"^health_listen: unix:(.*)$", config, re.M)[1]
        text = subprocess.run(["curl", "-fs", "--unix-socket", path, "http://localhost/metrics"], check=True, capture_output=True,
                              text=True).stdout
        total += int(EXCHANGES.search(text)[1])
    return total


class Watch:
    """What owners and agents do in a time."""

    def __init__(self, stack, nodes):
        self.stack = stack
        self.pids = [[stack.pid(owner) for owner in OWNERS], [node.agent_pid for node in nodes.running]]
        self.before = self._look()

    def _look(self):
        return [run_us(pids) for pids in self.pids] + [exchanges(self.stack)]

    def a_second(self, seconds):
        """Owners' and agents' microseconds, and exchanges."""
        return [(after - before) / seconds for after, before in zip(self._look(), self.before)]


def measured(stack, world, nodes, name, seconds):
    """A row: what a load takes beyond what the same processes take without one."""
    watch = Watch(stack, nodes)
    subprocess.run(["sleep", str(seconds)], check=True)
    idle = watch.a_second(seconds)
    admitted_by(world, len(nodes.running), name, 1)  # its demand is known from here on
    watch = Watch(stack, nodes)
    admitted = admitted_by(world, len(nodes.running), name, seconds)
    owners, agents, calls = (busy - without for busy, without in zip(watch.a_second(seconds), idle))
    return [name, len(nodes.running), admitted, f"{admitted / seconds:.0f}", f"{calls:.1f}", f"{owners / 1000:.2f}",
            f"{owners / calls:.0f}" if calls > 5 else "-", f"{owners * seconds / admitted * 10:.2f}", f"{agents / 1000:.2f}",
            f"{idle[0] / 1000:.1f}/{idle[1] / 1000:.1f}/{idle[2]:.1f}"]


TITLES = ["limit", "nodes", "admitted", "a second", "exchanges/s", "owners ms/s", "us/exchange", "owners ms per 10^4", "agents ms/s",
          "idle: owners, agents ms/s, exchanges/s"]


def real(options):
    stack, world = gateway.start(options.build, options.var)
    try:
        world.group("g")
        for name, (unit, limit) in LIMITS.items():
            world.api(name)
            world.publish(name)
            world.throttle(f"t_{name}", api_call_limits=limit, time_unit=unit)
            world.binding(name, f"t_{name}")
        world.settle(name)
        rows = []
        with several.Nodes(stack, world) as nodes:
            for count in sorted(options.nodes or COUNTS, reverse=True):
                nodes.become(count)
                rows += [measured(stack, world, nodes, name, options.seconds) for name in LIMITS]
        print(gateway.table(sorted(rows, key=lambda row: (list(LIMITS).index(row[0]), row[1])), TITLES))
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
    print(f"run:       {options.seconds} s a row, {CONNECTIONS} connections over all nodes\n\nreal processes, one key, one API, wrk; "
          "time and exchanges beyond what the same processes take without calls:\n", flush=True)
    real(options)
    print("\nsimulated, the owners' protocol code alone (no bus, no PostgreSQL), CPU time of the process:\n")
    simulated(options.build)
    return []
