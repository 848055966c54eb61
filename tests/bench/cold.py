"""cold: what the first call of an API costs a worker, and what the next one does, at each number of APIs.

A node starts anew for every round. Its worker has served one API often before the first look, so what is counted is what
an API costs that was never called: its pages of the image, its record, its counters and their units; not nginx's own
beginning. The next calls are the same requests in the same order.
"""
import os
import pathlib
import statistics

import gateway
import local
import measure
import memory

WARM = 2000  # calls of one API before anything is counted


def cpu_us(pids):
    """Time on a processor in microseconds, counted in nanoseconds: a hundred calls take less than a clock tick."""
    return sum(int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1000


def spent(node, requests):
    """CPU per request of these, once each."""
    before = cpu_us(node.pids)
    memory.call_all(node.http, requests.__getitem__, len(requests))
    return (cpu_us(node.pids) - before) / len(requests)


def turn(bed, count, signed):
    """(first, again) of a node that has just started."""
    groups = min(1000, max(1, count // 100))
    guards = local.GUARDED if signed else {}
    node = bed.node(local.image(count, bed.backend_port, groups, **guards), log=signed)
    try:
        head, *rest = [local.request(n, groups, signed=signed) for n in local.some(count, local.SPREAD)]
        memory.call_all(node.http, lambda _: head, WARM)
        return spent(node, rest), spent(node, rest)
    finally:
        bed.end(node.process)


def run(options):
    """Prints the table; no row has a budget."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(measure.LOAD_CORE)})  # the caller keeps off the core that is measured
    lines = []
    with local.Bed(options) as bed:
        for signed in (False, True):
            for count in options.apis:
                rounds = [turn(bed, count, signed) for _ in range(options.rounds)]
                first, again = (statistics.median(column) for column in zip(*rounds))
                lines.append(["signature + 2 limits" if signed else "route only", count, min(count, local.SPREAD) - 1,
                              f"{first:.2f}", f"{again:.2f}", f"{statistics.median(a / b for a, b in rounds):.3f}"])
    os.sched_setaffinity(0, cores)
    print(gateway.heading(options.build))
    print(f"run:       {options.rounds} starts of a node each; one call of each API, then one more, over one connection\n")
    print(gateway.table(lines, ["what", "APIs", "called", "first us/call", "again us/call", "ratio"]))
    return []
