"""steady: requests by the clock (steady.c) beside what a block does. A request's time counts from the moment it was due."""
import contextlib
import subprocess

CONNECTIONS = 100  # that share the load
KINDS = ("429", "other status", "cut off", "unanswered")  # of errors


def by_kind(loads):
    """The errors of loads, as a table says them: "0", or how many and of what kind."""
    totals = [sum(counts) for counts in zip(*(load.kinds for load in loads))]
    named = ", ".join(f"{count} {kind}" for count, kind in zip(totals, KINDS) if count)
    return named or "0"


class Load:
    """So many requests a second of a file to a port, from one core; at the longest for `limit_s`."""

    def __init__(self, build, port, rate, requests, core, limit_s):
        self.limit_s = limit_s
        self.command = ["taskset", "-c", core, build / "tests/steady", str(port), str(CONNECTIONS), str(rate), str(limit_s), requests]
        self.requests = self.errors = self.reconnects = self.unsent = 0
        self.rate = self.p50_ms = self.p99_ms = self.max_ms = 0.0
        self.kinds = [0] * len(KINDS)

    @contextlib.contextmanager
    def running(self):
        """Its figures are there after the block."""
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout.readline() == "ready\n"
            yield
            assert process.poll() is None, "the load ended before what ran beside it"
            process.terminate()
            words = process.communicate(timeout=self.limit_s)[0].split()
            self.requests, self.errors, self.reconnects = map(int, words[:3])
            self.rate, self.p50_ms, self.p99_ms, self.max_ms = map(float, words[3:7])
            *self.kinds, self.unsent = map(int, words[7:])
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
