"""keys: a million live limits by address: memory, and what a limited request costs among so many.

First a whole deployment whose first node has room for so many counters and is called from as many addresses: memory of the
node's counters, its agent and the throttle workers, and what each process spends on a call. Then two nodes without a control
plane (local.py), one called from few addresses and one from many: the request alone, timed in interleaved pairs, then counted.
"""
import itertools
import pathlib
import re
import subprocess
import time

import gateway  # first: it puts tests/lib on the path
import instructions
import local
import measure
import stack as stacks

LIMIT = 1000  # calls a day of an address: never used up
FEW = 1000
SPARE = 2000  # counters that are no address's
FULL = 1_000_000  # what the budget of memory speaks of
MEMORY_MB, RATIO = 256, 1.20  # what design allows a node, and a request among many keys over one among few
FILLING = 256  # connections while counters are made: each first call waits for its unit
PLACE = 1 << 23  # the addresses of those who call few begin here
OFFSET = 150_000  # calls of a round: the next one goes on there
OURS = ("throttle-1", "throttle-2", "node-1")
FEATURES = {"real_ip_from_xff.enable": "on", "real_ip_from_xff.xff_index": "-1"}


def address(number):
    """As addresses.lua has it."""
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def command(url, host, path, place, seconds, connections):
    """wrk's; `place`: first address, how many, calls made before."""
    lua = pathlib.Path(__file__).with_name("addresses.lua")
    return ["taskset", "-c", measure.LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", lua, url,
            "--", host, path, *map(str, place)]


def load(*words):
    """Calls, and how many were refused."""
    out = subprocess.run(command(*words), check=True, capture_output=True, text=True).stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return int(re.search(r"(\d+) requests in", out)[1]), int(refused[1]) if refused else 0


def fill(url, host, path, count, smoke):
    """A call from each address; a row of what came of it."""
    begin, done, refused = time.monotonic(), 0, 0
    while done < count:
        calls, late = load(url, host, path, (0, count, done), 1 if smoke else 5, measure.SMOKE_CONNECTIONS if smoke else FILLING)
        assert calls, "no answers"
        done, refused = done + calls, refused + late
    seconds = time.monotonic() - begin
    return [f"{seconds:.0f}", done, f"{done / seconds:.0f}", f"{100 * refused / done:.1f}"]


def own_mb(pid):
    """A process's own memory in MB of 10^6 bytes."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024 / 1e6


def counters_mb(stack):
    """What the first node's counters take of shared memory."""
    files = pathlib.Path("/dev/shm").glob(f"sluice-node-1-{stack.id}*-counters-*")
    return max(path.stat().st_blocks * 512 for path in files) / 1e6


def spent_us(stack, url, host, place, options):
    """CPU of a call from one of these addresses, by process; and how many calls were refused."""
    units = OURS + ("nginx-1",)
    pids = {unit: measure.tree(stack.pid(unit)) for unit in units}
    before = {unit: measure.cpu_us(pids[unit]) for unit in units}
    calls, refused = load(url, host, "/a", place, options.seconds, measure.SMOKE_CONNECTIONS if options.smoke else 64)
    return [place[1], calls, f"{100 * refused / calls:.1f}"] + [f"{(measure.cpu_us(pids[u]) - before[u]) / calls:.1f}" for u in units]


def provision(stack, world, count):
    """An API with a limit by address, the table large enough; the node's URL and the host."""
    world.group("g")
    world.api("a")
    world.publish("a")
    world.throttle("t", api_call_limits=local.UNLIMITED, ip_call_limits=LIMIT, time_unit="DAY")
    world.binding("a", "t")
    world.feature("real_ip_from_xff", {"enable": "on", "xff_index": -1})
    world.settle("a")
    config = stack.var / "config/node-1.yaml"
    config.write_text(re.sub(r"limit_keys: \d+", f"limit_keys: {count + SPARE}", config.read_text()))
    stack.sv("restart", "node-1")
    stacks.wait_until(lambda: world.call("GET", "/a", 1).status == 200, 60, "units in the larger table")
    return world.data_url(1), world.names["g"]["sl_domain"]


def real(options):
    """The whole gateway; answers what missed its budget."""
    count = options.keys
    stack, world = gateway.start(options.build, options.var / "gateway")
    try:
        url, host = provision(stack, world, count)
        empty = {unit: own_mb(stack.pid(unit)) for unit in OURS}
        filled = fill(url, host, "/a", count, options.smoke)
        load(url, host, "/a", (PLACE, FEW, 0), options.seconds, measure.SMOKE_CONNECTIONS)  # their first calls
        spent = [spent_us(stack, url, host, place, options) for place in ((0, count, 0), (PLACE, FEW, 0)) * options.rounds]
        grown = {unit: own_mb(stack.pid(unit)) for unit in OURS}
        shared = counters_mb(stack)
    finally:
        stack.quickstart("clean")
    node = shared + grown["node-1"]
    allowed = f"<= {MEMORY_MB}" if count == FULL else ""
    print(gateway.table([filled], ["seconds", "calls", "a second", "% refused at first"]), end="\n\n")
    print(gateway.table([["counters of the node", "-", f"{shared:.1f}", ""],
                         *([unit, f"{empty[unit]:.1f}", f"{grown[unit]:.1f}", ""] for unit in OURS),
                         ["counters and agent", "-", f"{node:.1f}", allowed]], ["memory, MB", "before", "full", "budget"]), end="\n\n")
    print(gateway.table(spent, ["addresses", "calls", "% refused", *(f"{unit} us/call" for unit in OURS + ("nginx-1",))]))
    return ["memory of a node"] if count == FULL and node > MEMORY_MB * options.slack else []


class Callers(measure.Candidate):
    """A node that is called from `count` addresses, each round from others."""

    def __init__(self, node, count):
        super().__init__(f"limited by address, {count} live", node.pids, f"http://127.0.0.1:{node.http}")
        self.count, self.made = count, 0

    def command(self, seconds, connections):
        self.made += OFFSET
        return command(self.url, local.host(0, 1), "/bench/0/items", (0, self.count, self.made), seconds, connections)


def requests(count):
    """One after another, from addresses in no order."""
    order = (number * 514229 % count for number in itertools.count(1))
    return (local.request(0, headers=[("X-Forwarded-For", address(number))]) for number in order)


def alone(options):
    """The request without what is behind it; answers what missed its budget."""
    rounds = 2 if options.smoke else instructions.ROUNDS
    with local.Bed(options) as bed:
        content = local.image(1, bed.backend_port, throttle_id=local.THROTTLE)
        content["throttles"][0] |= {"shared": False, "app_limit": 0, "ip_limit": LIMIT}
        content["gateway"]["features"] = [{"name": name, "value": value} for name, value in FEATURES.items()]
        rows, counted = [], {}
        for count in (min(FEW, options.keys), options.keys):
            node = bed.node(content, keys=count + SPARE)
            rows.append((node, Callers(node, count)))
            fill(rows[-1][1].url, local.host(0, 1), "/bench/0/items", count, options.smoke)
        few, many = rows[0][1], measure.compared(rows[1][1], rows[0][1], RATIO)
        measure.interleave([few, many], options.rounds, options.seconds)
        lines, missed = measure.report([few, many], options.slack)
        for node, callers in rows:
            node.process.terminate()
            node.process.wait(30)
            counted[callers.name] = instructions.measure(rounds, node.place, node.place / "nginx.conf", node.http, False,
                                                         requests(callers.count))
    print(gateway.table(lines, measure.TITLES), end="\n\n")
    print(gateway.table([[name, f"{count:.0f}", f"{count / counted[few.name]:.3f}"] for name, count in counted.items()],
                        ["what", "instructions/req", "ratio"]))
    return missed


def run(options):
    """Prints the tables; answers what missed its budget."""
    print(gateway.heading(options.build))
    print(f"run:       {options.keys} addresses by X-Forwarded-For, one policy of {LIMIT} calls a day of an address; a call's cost over "
          f"{options.seconds} s\n\na whole gateway, two throttle workers, all calls to node 1:\n", flush=True)
    missed = real(options)
    print("\nwithout a control plane, every unit granted:\n", flush=True)
    return missed + alone(options)
