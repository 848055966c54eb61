"""Machines for tests of packages: a Debian with its own systemd, in namespaces, on one switch.

A machine's files are an overlay over a tree that others share, so it can be switched off and on again. All of it
ends with the process that holds it.
"""
import os
import pathlib
import signal
import subprocess
import threading

from stack import wait_until
from tree import Lacking

BOOT_S = 60
STEP_S = 300
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root",
       "TERM": "dumb"}
HOLD = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--propagation", "private", "--mount", "bash", "-c",
        "echo; exec cat"]

# What a kernel and an initial file system would have done: $1 the root, $2 the host's name.
BOOT = r"""
set -e
mount --make-rprivate /
echo "$2" >"$1/etc/hostname"
mount -t proc proc "$1/proc"
mount -t sysfs -o ro sysfs "$1/sys"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs -o mode=755 tmpfs "$1/dev"
mkdir "$1/dev/shm" "$1/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$1/dev/pts"
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty "$1/dev/"
ln -s pts/ptmx "$1/dev/ptmx"
ln -s /proc/self/fd "$1/dev/fd"
for n in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${n%:*}" "$1/dev/${n#*:}"; done
mount -t tmpfs -o mode=755 tmpfs "$1/sys/fs/cgroup"
mkdir "$1/sys/fs/cgroup/systemd"
mount -t cgroup -o none,name=systemd cgroup "$1/sys/fs/cgroup/systemd"
cd "$1"
mkdir -p old
pivot_root . old
umount -l /old
exec env -i container=sluice /lib/systemd/systemd --log-target=journal --show-status=0 \
    systemd.legacy_systemd_cgroup_controller=1
"""


def run(*command, check=True, **more):
    """A short command; what it says belongs to whoever asks."""
    done = subprocess.run([str(word) for word in command], stdin=more.pop("stdin", subprocess.DEVNULL), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=STEP_S, **more)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


def lacking():
    """Why machines cannot be made here; None when they can."""
    if os.geteuid() != 0:
        return "machines in namespaces need root"
    tried = run("unshare", "--pid", "--mount", "--net", "--ipc", "--uts", "--cgroup", "--fork", "ip", "link", "add",
                "sw0", "type", "bridge", check=False)
    return f"no namespaces here: {tried.strip()}" if tried else None


class Network:
    """One switch, 10.77.0.0/24, in a namespace of its own; whoever is outside the machines stands there."""

    def __init__(self):
        self.holder = subprocess.Popen(HOLD, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"\n":
            raise Lacking("unshare made no namespaces")
        for words in ("link add sw0 type bridge", "link set sw0 up", "link set lo up"):
            self._here("ip", *words.split())

    def _here(self, *words, **more):
        return run("nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *words, **more)

    def join(self, name, pid, address):
        """Gives the machine with this pid an eth0."""
        self._here("ip", "link", "add", f"port-{name}", "type", "veth", "peer", "name", "eth0", "netns", pid)
        self._here("ip", "link", "set", f"port-{name}", "master", "sw0", "up")
        run("nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-c",
            f"ip addr add {address}/24 dev eth0; ip link set eth0 up; ip link set lo up")

    def outside(self, address, server, command, environ):
        """Runs a command at `address`, beside a server there; answers the finished command."""
        self._here("ip", "addr", "replace", f"{address}/24", "dev", "sw0")
        enter = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]
        with subprocess.Popen(enter + [str(word) for word in server], stdin=subprocess.DEVNULL) as process:
            try:
                return subprocess.run(enter + [str(command)], env=environ, stdin=subprocess.DEVNULL, text=True,
                                      capture_output=True, check=False, timeout=STEP_S)
            finally:
                process.terminate()

    def close(self):
        self.holder.kill()
        self.holder.communicate()


class Machine:
    """A host with systemd; off at first. `type` is what root types into a shell that stays open."""

    def __init__(self, name, address, base, place, network):
        self.name, self.address, self.network, self.place = name, address, network, place
        self.base = base
        self.group = pathlib.Path(place) / "cgroup" / f"sluice-{os.getpid()}-{name}"
        self.process = self.shell = self.init = None
        self.log = place / "typed.log"
        for part in ("upper", "work", "root", "cgroup"):
            (place / part).mkdir(parents=True)

    def boot(self):
        """Switches it on; returns when systemd says that it runs."""
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={self.base},upperdir={self.place}/upper,"
            f"workdir={self.place}/work", self.place / "root")
        run("mount", "-t", "cgroup", "-o", "none,name=systemd", "cgroup", self.place / "cgroup")
        self.group.mkdir()
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "bash", "-c", 'echo $$ >"$1"; shift; exec "$@"', "boot",
             self.group / "cgroup.procs", "unshare", "--pid", "--mount", "--net", "--ipc", "--uts", "--cgroup", "--fork",
             "--kill-child", "bash", "-c", BOOT, "boot", self.place / "root", self.name],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.place / "boot.log", "w"))
        wait_until(self._has_init, BOOT_S, f"{self.name}'s systemd")
        self.network.join(self.name, self.init, self.address)
        wait_until(lambda: self.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded"),
                   BOOT_S, f"{self.name} to have booted")
        self.shell = None

    def _has_init(self):
        if self.process.poll() is not None:
            raise Lacking(f"{self.name}: {(self.place / 'boot.log').read_text()[-500:]}")
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        if not children or pathlib.Path(f"/proc/{children[0]}/comm").read_text() != "systemd\n":
            return False
        self.init = children[0]
        return True

    def _enter(self, *words):
        return ["nsenter", "-t", self.init, "--all", "--wdns=/root", "env", "-i", *(f"{k}={v}" for k, v in ENV.items()), *words]

    def run(self, *words, check=True):
        """Runs a short command there; answers what it said."""
        return run(*self._enter(*words), check=check)

    def type(self, lines):
        """Types lines into root's shell, which ends at the first that fails."""
        if self.shell is None:
            self.shell = subprocess.Popen(self._enter("bash", "-eu", "-o", "pipefail"), stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
        done = f"typed-{os.urandom(4).hex()}"
        self.shell.stdin.write(f"{lines}\necho {done}\n")
        self.shell.stdin.flush()
        watch = threading.Timer(STEP_S, self.shell.kill)
        watch.start()
        try:
            with open(self.log, "a", buffering=1) as log:
                log.write(f"# {lines}\n")
                for line in self.shell.stdout:
                    if line.rstrip().endswith(done):
                        return
                    log.write(line)
        finally:
            watch.cancel()
        raise AssertionError(f"{self.name}: a line failed, or took {STEP_S} s\n{self.log.read_text()[-3000:]}")

    def last_words(self):
        """What the units that are not well last said."""
        if self.process is None or self.process.poll() is not None:
            return "switched off"
        return self.run("sh", "-c", "systemctl --no-pager --failed; journalctl --no-pager -n 60 -u 'sluice-*'", check=False)

    def off(self):
        """Pulls the plug."""
        if self.process is None:
            return
        if self.init:
            os.kill(int(self.init), signal.SIGKILL)  # and with it all of its namespace
        else:
            self.process.kill()
        self.process.wait()
        if self.shell:
            self.shell.kill()
            self.shell.communicate()
        self.process = self.init = None
        wait_until(self._is_forgotten, BOOT_S, f"{self.name}'s processes to end")
        run("umount", self.place / "cgroup")
        run("umount", self.place / "root")

    def _is_forgotten(self):
        """Whether no process of the machine is left: its control groups can go then."""
        for directory, _, _ in os.walk(self.group, topdown=False):
            try:
                os.rmdir(directory)
            except OSError:
                return False
        return True
