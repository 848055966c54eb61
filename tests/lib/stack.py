"""A deployment for tests: the quickstart in a directory and on ports of its own."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
PORTS = 20  # a deployment's block
DAY_S = 86400
_given = set()  # blocks of ports that this process was given: who starts beside may not have bound them yet
_giving = threading.Lock()


def free_port_block():
    """The first of PORTS free ports in a row, below the range of outgoing connections; another one each time."""
    with _giving:
        for base in range(20000 + os.getpid() % 400 * PORTS, 32000, PORTS):
            if base not in _given and _is_free(base):
                _given.add(base)
                return base
    raise RuntimeError("no free block of ports")


def _is_free(base):
    """Whether nobody has a port of the block."""
    sockets = []
    try:
        for port in range(base, base + PORTS):
            probe = socket.socket()
            sockets.append(probe)
            probe.bind(("127.0.0.1", port))
        return True
    except OSError:
        return False
    finally:
        for probe in sockets:
            probe.close()


def wait_until(condition, seconds, what):
    """Polls until condition() is truthy and answers its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        select_pause()


def clear_of_midnight(seconds=60):
    """Windows are the clock's own: a story that counts in one of a day does not begin just before its end."""
    wait_until(lambda: time.time() % DAY_S < DAY_S - seconds, seconds + 30, "the next day")


def select_pause(seconds=0.05):
    """Yields the processor for a moment between two looks at something that has no event."""
    signal.sigtimedwait([], seconds)


class Stack:
    """One deployment; `env` holds its quickstart.env."""

    def __init__(self, var, build, sanitized):
        self.var = pathlib.Path(var)
        self.build = pathlib.Path(build)
        self.sanitized = sanitized
        self.env = {}
        self.port_base = None
        self.id = short_hash(self.var)

    script = TREE / "deploy/quickstart.sh"
    as_whom = ()  # the words before it, that make another user of the caller

    def environ(self):
        """The environment that makes the quickstart this deployment."""
        environ = dict(os.environ, SLUICE_VAR=str(self.var), SLUICE_BUILD=str(self.build))
        if self.port_base:
            environ["SLUICE_PORT_BASE"] = str(self.port_base)
        if self.sanitized:
            reports = f"log_path={self.var}/log/sanitizer:abort_on_error=0"
            environ["ASAN_OPTIONS"] = reports + ":detect_leaks=1:handle_abort=1"
            environ["UBSAN_OPTIONS"] = reports + ":print_stacktrace=1"
            environ["SLUICE_NGINX_PRELOAD"] = libasan()
        return environ

    def quickstart(self, *words, check=True, timeout=300):
        """Runs deploy/quickstart.sh; answers the finished process."""
        done = subprocess.run([*self.as_whom, self.script, *words], env=self.environ(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError(f"quickstart {' '.join(words)} failed:\n{done.stdout}")
        return done

    def up(self):
        """Starts it, fresh when it was never up, and reads its addresses and keys."""
        if self.port_base is None:
            self.port_base = free_port_block()
        self.quickstart("up", "--no-install", "--no-build", "--no-demo")
        self.read_env()

    def read_env(self):
        lines = (self.var / "quickstart.env").read_text().splitlines()
        self.env = dict(line.split("=", 1) for line in lines)

    def admin(self, *words):
        """Runs sluice-admin and answers its JSON."""
        done = subprocess.run([self.build / "bin/sluice-admin", "--peer",
                               self.var / "secrets/admin.peer", "--json", *words],
                              env=self.environ(), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"sluice-admin {' '.join(words)}: {done.stderr or done.stdout}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    # ---- units ----

    def record(self, unit):
        """(pid, start time) of a unit's process as it was last started."""
        pid, start, _ = (self.var / "run" / unit / "record").read_text().split()
        return int(pid), int(start)

    def pid(self, unit):
        """The pid of a unit's living process, or None."""
        try:
            pid, start = self.record(unit)
            return pid if start_time(pid) == start else None
        except (OSError, ValueError):
            return None

    def kill(self, unit, number=signal.SIGKILL):
        pid = self.pid(unit)
        assert pid, f"{unit} is not running"
        os.kill(pid, number)
        return pid

    def sv(self, command, *units, wait=30):
        """Tells the supervisor: up, down, restart…; waits for the outcome."""
        subprocess.run(["sv", "-w", str(wait), command, *[self.var / "sv" / u for u in units]],
                       check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def children(self, unit):
        """The pids of a unit's child processes (nginx workers), sorted."""
        pid = self.pid(unit)
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return sorted(int(word) for word in text.split())

    def leftovers(self):
        """Processes that still work below this deployment's directories."""
        found = []
        for link in pathlib.Path("/proc").glob("[0-9]*/cwd"):
            try:
                if os.readlink(link).startswith(str(self.var) + "/"):
                    found.append(link.parent.name)
            except OSError:
                continue
        return found

    def keep_logs(self, place):
        """Copies the logs to where a reader finds them after the run."""
        shutil.rmtree(place, ignore_errors=True)
        if (self.var / "log").exists():
            shutil.copytree(self.var / "log", place)


def short_hash(path):
    """What is in the names of a directory's things outside of it, as in deploy/lib/env.sh."""
    return hashlib.sha256(os.path.realpath(path).encode()).hexdigest()[:10]


def start_time(pid):
    """A process's start in clock ticks; None when it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def libasan():
    """The sanitizer's runtime, which a plain nginx must load before a sanitized module."""
    done = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True,
                          check=True)
    return str(pathlib.Path(done.stdout.strip()).resolve())
