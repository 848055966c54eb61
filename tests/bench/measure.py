"""CPU per request, in interleaved pairs: what every row of the proxy bench is made of.

The proxy under test is alone on one core; load generator and backend share the other. CPU µs per request is utime +
stime of all the proxy's processes over the requests of the window. Only ratios within one round mean anything.
"""
import os
import pathlib
import re
import statistics
import subprocess

TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE, LOAD_CORE = str(CORES[0]), str(CORES[-1])


def tree(pid):
    """A process and its descendants that live now."""
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def pin(pids, core):
    for pid in pids:
        subprocess.run(["taskset", "-apc", core, str(pid)], check=True, stdout=subprocess.DEVNULL)


def cpu_us(pids):
    """User and system time of the processes, in microseconds (resolution: a clock tick)."""
    return sum(int(fields[11]) + int(fields[12]) for fields in map(stat_of, pids)) * TICK_US


def faults(pids):
    """Pages that the processes were given, each of them an interruption."""
    return sum(int(stat_of(pid)[7]) for pid in pids)


def stat_of(pid):
    """The fields of /proc/PID/stat from the third on."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


SMOKE_CONNECTIONS = 4  # few enough that a second on a busy machine is enough to begin them
TOLERANT = False  # --smoke: a bench that only has to work takes any answer


class Candidate:
    """One thing to measure: a URL with headers, and the processes that serve it.

    `replay`: a file of whole requests that are sent in turn instead (local.py). `log`: h2load speaks HTTP/2, and writes each
    request into this file.
    """

    def __init__(self, name, pids, url, headers=(), replay=None, log=None, connections=None):
        self.name, self.pids, self.url, self.headers = name, pids, url, list(headers)
        self.replay, self.log, self.connections = replay, log, connections
        self.comparisons = []  # (candidate that it is compared with, how much more it may cost or None)
        self.requests = 0  # that were answered, warm-up included
        self.rounds = []  # (CPU µs per request, requests per second, p50 ms, p99 ms, refused, page faults per request)

    def command(self, seconds, connections):
        tool = ["taskset", "-c", LOAD_CORE]
        headers = [word for header in self.headers for word in ("-H", header)]
        if self.log:
            return [*tool, "h2load", f"-c{connections}", "-m1", f"-D{seconds}", "--warm-up-time=0", f"--log-file={self.log}",
                    *headers, self.url]
        tool += ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
        if self.replay:
            return [*tool, "-s", str(pathlib.Path(__file__).with_name("replay.lua")), self.url, "--", str(self.replay)]
        return [*tool, *headers, self.url]

    def run(self, seconds, connections):
        """Loads it for `seconds`; refuses a round in which a connection failed or over 1 % was no 2xx."""
        before, faulted = cpu_us(self.pids), faults(self.pids)
        out = subprocess.run(self.command(seconds, min(self.connections or connections, connections)), check=True, capture_output=True,
                             text=True).stdout
        spent, faulted = cpu_us(self.pids) - before, faults(self.pids) - faulted
        if self.log:
            done, rate, refused = h2_figures(self.name, out)
            times = h2_times_ms(self.log)
            self.rounds.append((spent / done, rate, percentile(times, 0.5), percentile(times, 0.99), refused, faulted / done))
            return
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        other = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        refused = int(other.group(1)) if other else 0
        broken = re.search(r"Socket errors: (.*)", out)
        if requests == 0 or (not TOLERANT and (broken or refused * 100 > requests)):
            raise RuntimeError(f"{self.name}: {refused} of {requests} refused, {broken and broken.group(0)}")
        self.requests += requests
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
        self.rounds.append((spent / requests, rate, latency_ms(out, "50%"), latency_ms(out, "99%"), refused,
                            faulted / requests))

    def median(self, column):
        return statistics.median(row[column] for row in self.rounds)


def h2_figures(name, out):
    """Requests, requests per second and refused ones of h2load's report."""
    done, failed = map(int, re.search(r"requests: .* (\d+) succeeded, (\d+) failed", out).groups())
    rate = float(re.search(r"finished in .*, ([\d.]+) req/s", out).group(1))
    if failed or not done:
        raise RuntimeError(f"{name}: {failed} of {done + failed} refused")
    return done, rate, failed


def h2_times_ms(log):
    """What each answered request took, from h2load's log, which it appends to: start, status, microseconds."""
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    log.unlink()
    return [int(row[2]) / 1000 for row in rows if row[1] != "-1"]


def latency_ms(out, percentile):
    value, unit = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", out).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def interleave(candidates, rounds, seconds, connections=64):
    """Each round runs every candidate once, after one unmeasured warm-up round."""
    if TOLERANT:
        connections = SMOKE_CONNECTIONS
    for candidate in [] if TOLERANT else candidates:
        candidate.run(1, connections)
        candidate.rounds.clear()
    for _ in range(rounds):
        for candidate in candidates:
            candidate.run(seconds, connections)


def compared(candidate, base, budget=None):
    """Has the candidate measured against `base` as well; answers it."""
    candidate.comparisons.append((base, budget))
    return candidate


def report(rows, slack):
    """The rows of a table, and the names of those that missed their budget by more than `slack`."""
    lines, missed = [], []
    for row in rows:
        figures = [f"{row.median(1):.0f}", f"{row.median(2):.2f}", f"{row.median(3):.2f}",
                   sum(r[4] for r in row.rounds), f"{row.median(5):.2f}"]
        if not row.comparisons:
            lines.append([row.name, f"{row.median(0):.2f}", "", "", "", *figures, ""])
        for base, budget in row.comparisons:
            over = ratio(row, base)
            if budget and over > budget * slack:
                missed.append(f"{row.name} over {base.name}")
            lines.append([row.name, f"{row.median(0):.2f}", f"{over:.3f}", "{:.2f}-{:.2f}".format(*spread(row, base)),
                          f"<= {budget}" if budget else "", *figures, base.name])
    return lines, missed


TITLES = ["what", "CPU us/req", "ratio", "spread", "budget", "req/s", "p50 ms", "p99 ms", "refused", "faults", "over"]


def ratios(candidate, base):
    """Candidate's CPU per request over base's, of each round, in order."""
    return sorted(a[0] / (b[0] or 1) for a, b in zip(candidate.rounds, base.rounds))


def ratio(candidate, base):
    """The median of the rounds' ratios."""
    return statistics.median(ratios(candidate, base))


def spread(candidate, base):
    """The quartiles of the rounds' ratios: what another run may well read."""
    values = ratios(candidate, base)
    return values[len(values) // 4], values[-1 - len(values) // 4]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
