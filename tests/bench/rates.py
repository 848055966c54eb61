"""rates: the proxy at rates that it can hold, beside plain nginx at the same rate: CPU per request, and how long answers take.

Open loop: an answer's time counts from the moment that its request was due, so one that stalls others shows. At low rates a
request costs more, as there is less to do at each wake-up; a ratio means something at equal rates only. What a machine cannot hold
is never sent; that is no error. Errors are told by kind.
"""
import statistics

import cold
import gateway
import local
import measure
import stack as stacks
import steady

RATES = (1_000, 10_000, 30_000)  # a second
LIMIT_S = 60  # of one load


class Candidate:
    """A proxy with the requests that it gets; a figure of each round."""

    def __init__(self, name, pids, port, requests, base=None):
        self.name, self.pids, self.port, self.requests, self.base = name, pids, port, requests, base
        self.rounds = []  # (CPU us per request, the load)

    def run(self, options, rate):
        """Loads it for a round."""
        load = steady.Load(options.build, self.port, rate, self.requests, measure.LOAD_CORE, LIMIT_S)
        before = cold.cpu_us(self.pids)
        with load.running():
            stacks.select_pause(options.seconds)
        self.rounds.append(((cold.cpu_us(self.pids) - before) / max(1, load.requests), load))

    def median(self, function):
        return statistics.median(function(row) for row in self.rounds)


def candidates(bed):
    """Plain nginx, a route, a signature with two limits and the log; all over HTTP/1.1."""
    bare, signed = bed.replay([local.request(0)]), bed.replay([local.request(1, signed=True)])
    quiet = bed.node(local.image(100, bed.backend_port), log=False)
    guarded = bed.node(local.image(100, bed.backend_port, **local.GUARDED))
    plain = Candidate("plain", bed.plain, bed.plain_port, bare)
    plain_signed = Candidate("plain, signed", bed.plain, bed.plain_port, signed)
    return [plain, Candidate("route only", quiet.pids, quiet.http, bare, plain), plain_signed,
            Candidate("signature + 2 limits", guarded.pids, guarded.http, signed, plain_signed)]


def rows_at(rows, options, rate, lines, missed):
    """Interleaved rounds of all at one rate."""
    for row in rows:
        row.rounds.clear()
    for turn in range(options.rounds + (not options.smoke)):
        for row in rows:
            row.run(options, rate)
            if turn == 0 and not options.smoke:
                row.rounds.clear()  # connections, units of limits
    for row in rows:
        over = [own[0] / (base[0] or 1) for own, base in zip(row.rounds, row.base.rounds)] if row.base else None
        requests, errors, reconnects = (sum(getattr(load, what) for _, load in row.rounds) for what in ("requests", "errors", "reconnects"))
        lines.append([rate, row.name, f"{row.median(lambda r: r[0]):.2f}", f"{statistics.median(over):.3f}" if over else "",
                      f"{row.median(lambda r: r[1].rate):.0f}", *(f"{row.median(lambda r, w=what: getattr(r[1], w)):.2f}"
                                                                  for what in ("p50_ms", "p99_ms", "max_ms")),
                      steady.by_kind([load for _, load in row.rounds]), reconnects,
                      sum(load.unsent for _, load in row.rounds)])
        if row.base and (errors * 100 > requests or reconnects) and not options.smoke:  # limits refuse a few at first
            missed.append(f"errors or reconnects of {row.name} at {rate} a second")


def run(options):
    """Prints the table; answers what lost requests. No row has a budget of time."""
    lines, missed = [], []
    with local.Bed(options) as bed:
        rows = candidates(bed)
        for rate in [RATES[0]] if options.smoke else RATES:
            rows_at(rows, options, rate, lines, missed)
    print(gateway.heading(options.build))
    print(f"run:       {options.rounds} rounds of {options.seconds} s a candidate and rate, after one that does not count, over "
          f"{steady.CONNECTIONS} connections, 100 APIs, 128-byte body; proxy on core {measure.PROXY_CORE}, load and backend on core "
          f"{measure.LOAD_CORE}\n")
    print(gateway.table(lines, ["wanted/s", "what", "CPU us/req", "over plain", "req/s", "p50 ms", "p99 ms", "max ms", "errors",
                                "reconnects", "never sent"]))
    return missed
