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
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) * TICK_US
    return total


class Candidate:
    """One thing to measure: a URL with headers, and the processes that serve it."""

    def __init__(self, name, pids, url, headers=()):
        self.name, self.pids, self.url, self.headers = name, pids, url, list(headers)
        self.rounds = []  # (CPU µs per request, requests per second, p50 ms, p99 ms, refused)

    def run(self, seconds, connections):
        """Loads it for `seconds`; refuses a round in which a connection failed or over 1 % was no 2xx."""
        command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", self.url]
        for header in self.headers:
            command += ["-H", header]
        before = cpu_us(self.pids)
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        spent = cpu_us(self.pids) - before
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        other = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        refused = int(other.group(1)) if other else 0
        broken = re.search(r"Socket errors: (.*)", out)
        if broken or refused * 100 > requests or requests == 0:
            raise RuntimeError(f"{self.name}: {refused} of {requests} refused, {broken and broken.group(0)}")
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
        self.rounds.append((spent / requests, rate, latency_ms(out, "50%"), latency_ms(out, "99%"), refused))

    def median(self, column):
        return statistics.median(row[column] for row in self.rounds)


def latency_ms(out, percentile):
    value, unit = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", out).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def interleave(candidates, rounds, seconds, connections=64):
    """Each round runs every candidate once, after one unmeasured warm-up round."""
    for candidate in candidates:
        candidate.run(1, connections)
        candidate.rounds.clear()
    for _ in range(rounds):
        for candidate in candidates:
            candidate.run(seconds, connections)


def ratio(candidate, base):
    """Median over the rounds of candidate's CPU per request over base's in the same round."""
    return statistics.median(a[0] / b[0] for a, b in zip(candidate.rounds, base.rounds))


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
