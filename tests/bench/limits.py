"""limits: how much of a limit is admitted, and that it is never more: simulated whole, real in part."""
import collections
import subprocess
import threading
import time

import gateway  # first: it puts tests/lib on the path
import stack as stacks

SPREADS = ("even", "one", "hopping")
NODES = (1, 2, 4)
OFFERS = ("0.5", "1", "2", "10")
PROMISED = {"second": 95.0}  # percent of min(offered, limit); others:
PROMISED_LONG = 98.0
FEW = 50  # possible units below which one unit is more than the promise's slack
MINUTE_S, MARGIN_S = 60, 3
SECONDS = 6  # that a policy by the second is called on real processes


def cells(text):
    """{(unit, limit, offer): {(nodes, spread): (admitted, possible, over)}} of the program's output."""
    found = collections.defaultdict(dict)
    for line in text.splitlines():
        unit, limit, nodes, spread, offer, admitted, possible, over = line.split()
        found[unit, int(limit), offer][int(nodes), spread] = (int(admitted), int(possible), int(over))
    return found


def shown(cell):
    admitted, possible, over = cell
    percent = 100.0 if possible == 0 else 100.0 * admitted / possible
    return f"{percent:.1f}" + (f" OVER {over}" if over > 0 else "")


def misses(found):
    """Cells above their limit, and cells below what is promised."""
    over, short = [], []
    for (unit, limit, offer), row in found.items():
        for (nodes, spread), (admitted, possible, beyond) in row.items():
            name = f"{limit} a {unit}, {nodes} nodes, {spread}, {offer}x: {admitted} of {possible}"
            promised = PROMISED.get(unit, PROMISED_LONG)
            if beyond > 0:
                over.append(f"{name}, {beyond} over")
            elif admitted * 100 < possible * promised and possible - admitted > (1 if possible < FEW else 0):
                short.append(name)
    return over, short


def simulated(build, units):
    """Prints the table; answers the cells that miss."""
    program = build / "tests" / "throttle_table"
    parts = [subprocess.run([program, unit], capture_output=True, text=True, check=True).stdout for unit in units]
    found = cells("".join(parts))
    columns = [(nodes, spread) for nodes in NODES for spread in SPREADS]
    rows = [[unit, limit, f"{offer}x"] + [shown(row[column]) for column in columns]
            for (unit, limit, offer), row in found.items()]
    print(gateway.table(rows, ["unit", "limit", "offered"] + [f"{n}/{s}" for n, s in columns]))
    total = sum(len(row) for row in found.values())
    over, short = misses(found)
    print(f"\n{total} cells; above the limit: {len(over)}; below the promise: {len(short)}")
    for line in over + short:
        print(f"  {line}")
    return over


def call_in_minute(world, name, pick, rate, until):
    """Calls `rate` times a second until the time; answers the number of calls and of 200s."""
    calls = admitted = 0
    started = time.time()
    while time.time() < until:
        if calls >= (time.time() - started) * rate:
            stacks.select_pause(0.002)
            continue
        admitted += world.call("GET", f"/{name}", pick(calls)).status == 200
        calls += 1
    return calls, admitted


def call_in_seconds(world, name, pick, limit, offer):
    """SECONDS whole seconds of the clock at a steady rate; answers calls, admitted and the most there may be."""
    stacks.wait_until(lambda: time.time() % 1 < 0.05, 2, "a second's begin")
    started = time.time()
    calls, admitted = call_in_minute(world, name, pick, limit * offer, started + SECONDS)
    touched = int(time.time()) - int(started) + 2  # windows that a call may have been counted in, either clock's edge
    return calls, admitted, limit * touched


def by_the_second(world, picks):
    """Policies by the second, one after another."""
    plan = [(f"s{limit}_{spread}_{int(offer * 10)}", limit, spread, offer)
            for limit in (3, 10) for spread in SPREADS for offer in (0.5, 1, 2)]
    for name, limit, _, _ in plan:
        world.api(name)
        world.publish(name)
        world.throttle(f"t_{name}", api_call_limits=limit, time_unit="SECOND")
        world.binding(name, f"t_{name}")
    world.settle(plan[-1][0])
    rows, over = [], []
    for name, limit, spread, offer in plan:
        calls, admitted, most = call_in_seconds(world, name, picks[spread], limit, offer)
        possible = min(calls, limit * SECONDS)
        rows.append([limit, spread, f"{offer}x", calls, admitted, f"{100 * admitted / max(possible, 1):.1f}"])
        over += [name] if admitted > most else []
    print(gateway.table(rows, ["a second", "spread", "offered", "calls", "admitted", "% of possible"]))
    return over


def real(build, var):
    """Policies by the second, then by the minute: all of these within one minute of the clock; two nodes."""
    stack, world = gateway.start(build, var)
    picks = {"even": lambda n: 1 + n % 2, "one": lambda n: 1, "hopping": lambda n: 1 + n // 10 % 2}
    try:
        world.group("g")
        over = by_the_second(world, picks)
        print()
        plan = [(f"r{limit}_{spread}_{int(offer * 10)}", limit, spread, offer)
                for limit in (3, 10, 100) for spread in SPREADS for offer in (0.5, 1, 2)]
        for name, limit, _, _ in plan:
            world.api(name)
            world.publish(name)
            world.throttle(f"t_{name}", api_call_limits=limit, time_unit="MINUTE")
            world.binding(name, f"t_{name}")
        world.settle(plan[-1][0])
        stacks.wait_until(lambda: 1 < time.time() % MINUTE_S < 2, MINUTE_S + 2, "the next minute")
        until = time.time() - time.time() % MINUTE_S + MINUTE_S - MARGIN_S
        results = {}

        def work(name, limit, spread, offer):
            rate = limit * offer / (until - time.time())
            results[name] = call_in_minute(world, name, picks[spread], rate, until)
        threads = [threading.Thread(target=work, args=row) for row in plan]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows = []
        for name, limit, spread, offer in plan:
            calls, admitted = results[name]
            possible = min(calls, limit)
            rows.append([limit, spread, f"{offer}x", calls, admitted, f"{100 * admitted / max(possible, 1):.1f}"])
            over += [name] if admitted > limit else []
        print(gateway.table(rows, ["a minute", "spread", "offered", "calls", "admitted", "% of possible"]))
        return over
    finally:
        stack.quickstart("clean")


def run(options):
    units = options.units or ["second", "minute", "hour", "day"]
    print(gateway.heading(options.build))
    print(f"run:       simulated: {', '.join(units)}; 2 owners; messages 1 to 3 ms, a request waits 20 ms\n")
    over = [] if options.real else simulated(options.build, units)
    if not options.simulated:
        print("\nreal processes, two nodes; by the second one after another, by the minute all in one minute of the clock:\n")
        over += real(options.build, options.var)
    return over
