"""A supervised process: started again a second after its last start, as runit does."""
import os
import signal
import subprocess
import threading
import time

from stack import wait_until

RESTART_S = 1.0  # at most one start in this time
STOP_S = 30
DRAIN_S = 2  # that balancers have to see it go, as the unit sluice-nginx does it
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Unit:
    """`command` run on `host`. `ready()` says whether it serves."""

    def __init__(self, name, host, command, **more):
        self.name = name
        self.host = host
        self.command = command
        self.log = more["log"]
        self.environ = more.get("environ", {})
        self.stop_signal = more.get("stop_signal", signal.SIGTERM)
        self.ready = more.get("ready", lambda: True)
        self.draining = more.get("draining")  # file that says that it is about to stop; None: none
        self.process = None
        self.starts = 0
        self.ends = []  # exit statuses, oldest first
        self._wanted = threading.Event()
        self._down = threading.Condition()
        self._watcher = None

    def start(self):
        """Starts it, and from then on again whenever it ends."""
        assert self._watcher is None, f"{self.name} is up"
        if self.draining:
            self.draining.unlink(missing_ok=True)
        self._wanted.set()
        self._watcher = threading.Thread(target=self._watch, name=self.name, daemon=True)
        self._watcher.start()

    def _watch(self):
        while self._wanted.is_set():
            started = time.monotonic()
            with self._down, open(self.log, "ab") as log:
                if not self._wanted.is_set():
                    return
                self.process = process = subprocess.Popen(
                    self.host.command(self.command), stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, cwd=self.host.dir, start_new_session=True,
                    env={"PATH": PATH, "LANG": "C.UTF-8", **self.environ})
                self.starts += 1
            self.ends.append(process.wait())
            # Children that outlived a killed parent (nginx workers) hold its ports.
            _kill_group(process.pid)
            with self._down:
                self._down.wait_for(lambda: not self._wanted.is_set(),
                                    max(0.0, RESTART_S - (time.monotonic() - started)))

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def serves(self):
        """Whether it lives and says that it is ready."""
        return self.alive() and bool(self.ready())

    def kill(self, number=signal.SIGKILL):
        """Sends a signal to the process, the supervisor stays."""
        assert self.alive(), f"{self.name} is not running"
        os.kill(self.process.pid, number)

    def children(self):
        """The pids of its child processes."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]

    def stop(self, number=None):
        """Ends it for good: lets it drain, then its stop signal; or at once another signal. KILL when
        that takes too long."""
        if self._watcher is None:
            return
        if self.draining and number is None:
            self.draining.touch()
            threading.Event().wait(DRAIN_S)
        with self._down:
            self._wanted.clear()
            self._down.notify_all()
            if self.alive():
                # CONT first: after TERM it would take away the STOP of a leak check at the end.
                for sent in (signal.SIGCONT, number or self.stop_signal):
                    os.kill(self.process.pid, sent)
        self._watcher.join(STOP_S)
        if self._watcher.is_alive():
            _kill_group(self.process.pid)
            self._watcher.join()
        self._watcher = None

    def restart(self):
        """Stops and starts it and waits until it serves again."""
        self.stop()
        self.start()
        self.wait(STOP_S)

    def wait(self, seconds):
        """Waits until it serves."""
        wait_until(self.serves, seconds, f"{self.name} to serve (its log: {self.log})")


def _kill_group(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
