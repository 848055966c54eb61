"""limits: how much of a limit is admitted, and that it is never more: simulated whole, and on real nodes in part."""
import collections
import concurrent.futures
import subprocess
import time

import gateway  # first: it puts tests/lib on the path
import nodes as several
import stack as stacks

SPREADS = ("even", "one", "hopping")
NODES = (1, 2, 4)
OFFERS = ("0.5", "1", "2", "10")
PROMISED = {"second": 95.0}  # percent of min(offered, limit); others:
PROMISED_LONG = 98.0
FEW = 50  # possible units below which one unit is more than the promise's slack
MINUTE_S, MARGIN_S = 60, 3
SECONDS, SHORT_SECONDS = 6, 1  # that a policy by the second is called on real nodes; with --smoke
# What is called on real nodes, by unit: limits and how many times as much is offered.
REAL = {"second": ((3, 10), (0.5, 1, 2)), "minute": ((3, 10, 100), (0.5, 1, 2))}


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


def report(found, node_counts):
    """Prints the table of what was found and what of it missed; answers the cells above their limit."""
    columns = [(nodes, spread) for nodes in node_counts for spread in SPREADS if any((nodes, spread) in row for row in found.values())]
    rows = [[unit, limit, f"{offer}x"] + [shown(row[column]) for column in columns]
            for (unit, limit, offer), row in found.items()]
    print(gateway.table(rows, ["unit", "limit", "offered"] + [f"{n}/{s}" for n, s in columns]))
    total = sum(len(row) for row in found.values())
    over, short = misses(found)
    print(f"\n{total} cells; above the limit: {len(over)}; below the promise: {len(short)}")
    for line in over + short:
        print(f"  {line}")
    return over


def simulated(build, units):
    """Prints the table; answers the cells that miss."""
    program = build / "tests" / "throttle_table"
    parts = [subprocess.run([program, unit], capture_output=True, text=True, check=True).stdout for unit in units]
    return report(cells("".join(parts)), NODES)


def picks(nodes):
    """By spread: the node that the n-th call goes to."""
    every = {"even": lambda n: 1 + n % nodes, "one": lambda n: 1, "hopping": lambda n: 1 + n // 10 % nodes}
    return every if nodes > 1 else {"one": every["one"]}


def call_steadily(world, name, pick, rate, until):
    """Calls `rate` times a second until the time; answers the number of calls and of 200s."""
    calls = admitted = 0
    started = time.time()
    while (due := started + calls / rate) < until:
        stacks.select_pause(max(0, due - time.time()))
        admitted += world.call("GET", f"/{name}", pick(calls)).status == 200
        calls += 1
    return calls, admitted


def by_the_second(world, row, seconds):
    """So many whole seconds of the clock; admitted, possible, beyond the most there may be."""
    name, limit, pick, offer = row
    stacks.wait_until(lambda: time.time() % 1 < 0.05, 2, "a second's begin")
    started = time.time()
    calls, admitted = call_steadily(world, name, pick, limit * offer, started + seconds)
    touched = int(time.time()) - int(started) + 2  # windows that a call may have been counted in, either clock's edge
    return admitted, min(calls, limit * seconds), max(0, admitted - limit * touched)


def by_the_minute(world, row, until):
    """The rest of this minute; the same."""
    name, limit, pick, offer = row
    calls, admitted = call_steadily(world, name, pick, limit * offer / (until - time.time()), until)
    return admitted, min(calls, limit), max(0, admitted - limit)


def at_once(work, rows):
    """Runs work(row) for each row in a thread of its own; answers what they say, in order."""
    with concurrent.futures.ThreadPoolExecutor(max(1, len(rows))) as pool:
        return list(pool.map(work, rows))


def minute_end():
    """When to stop calling: waits for a minute of the clock to begin."""
    stacks.wait_until(lambda: 1 < time.time() % MINUTE_S < 2, MINUTE_S + 2, "the next minute")
    return time.time() - time.time() % MINUTE_S + MINUTE_S - MARGIN_S


def one_minute(world, nodes, found, options):
    """Every row once, on this many nodes: those by the minute all in one minute of the clock, those by the second meanwhile, in turn."""
    length = SHORT_SECONDS if options.smoke else SECONDS
    rows = {unit: [(f"{unit[0]}{limit}_{spread}_{int(offer * 10)}_{nodes}", limit, pick, offer, spread) for limit in limits for offer in offers
                   for spread, pick in picks(nodes).items()] for unit, (limits, offers) in REAL.items() if unit in options.units}
    for unit, of_unit in rows.items():
        for name, limit, *_ in of_unit:
            world.api(name)
            world.publish(name)
            world.throttle(f"t_{name}", api_call_limits=limit, time_unit=unit.upper())
            world.binding(name, f"t_{name}")
    world.settle(name)
    by_second, by_minute = rows.get("second", []), rows.get("minute", [])
    until = minute_end() if by_minute else None
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        minutes = beside.submit(at_once, lambda row: by_the_minute(world, row[:4], until), by_minute)
        seconds = []
        for first in range(0, len(by_second), len(picks(nodes))):
            seconds += at_once(lambda row: by_the_second(world, row[:4], length), by_second[first:first + len(picks(nodes))])
        answers = {"second": seconds, "minute": minutes.result()}
    for unit, of_unit in rows.items():
        for (_, limit, _, offer, spread), answer in zip(of_unit, answers[unit]):
            found[unit, limit, offer][nodes, spread] = answer


def real(options, node_counts):
    """The table on real nodes, the most of them first; answers the cells above their limit."""
    stack, world = gateway.start(options.build, options.var)
    try:
        world.group("g")
        found = collections.defaultdict(dict)
        with several.Nodes(stack, world) as nodes:
            for count in sorted(node_counts, reverse=True):
                nodes.become(count)
                one_minute(world, count, found, options)
        return report(dict(sorted(found.items(), key=lambda item: item[0][0], reverse=True)), sorted(node_counts))
    finally:
        stack.quickstart("clean")


def run(options):
    units = options.units = options.units or ["second", "minute", "hour", "day"]
    print(gateway.heading(options.build))
    print(f"run:       simulated: {', '.join(units)}; 2 owners; messages 1 to 3 ms, a request waits 20 ms\n")
    over = [] if options.real else simulated(options.build, units)
    node_counts = options.nodes or NODES
    if not options.simulated:
        print(f"\nreal processes, {', '.join(map(str, node_counts))} nodes; by the minute all rows in one minute of the clock, by the second "
              f"{SHORT_SECONDS if options.smoke else SECONDS} of its seconds:\n", flush=True)
        over += real(options, node_counts)
    return over
