"""Where processes run: hosts that are addresses of loopback, or network namespaces on one switch.

Both kinds look the same from outside: `command()` runs something there, `address` reaches it. A
namespace has a network, mounts and a /dev/shm of its own; all of them end with the process that
holds them, so a test that dies leaves nothing behind. Links can be cut, thinned and slowed only
where hosts are namespaces.
"""
import ctypes
import os
import pathlib
import subprocess

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
SUBNET = "10.77.0"
# Our own threads come before others on a busy machine, or their lateness would count as the
# cluster's; what we start does not.
AHEAD = 10 if os.geteuid() == 0 else 0
END_WITH_US = ["nice", "-n", str(AHEAD), "setpriv", "--pdeathsig", "KILL"]


def go_ahead():
    """Puts this process before others."""
    os.setpriority(os.PRIO_PROCESS, 0, -AHEAD)


def run(*command, check=True, **more):
    """A short command; its output belongs to whoever asks."""
    return subprocess.run([str(word) for word in command], check=check, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, **more)


def may_have_namespaces():
    """Why namespaces cannot be made here; None when they can."""
    if os.geteuid() != 0:
        return "hosts in namespaces need root"
    for tool in ("unshare", "nsenter", "ip", "nft", "tc"):
        if run("which", tool, check=False).returncode != 0:
            return f"hosts in namespaces need {tool}"
    tried = run("unshare", "--net", "--mount", "ip", "link", "add", "sw0", "type", "bridge",
                check=False)
    return f"no network namespaces here: {tried.stderr.strip()}" if tried.returncode else None


class Host:
    """A place with an address and a directory."""

    def __init__(self, name, address, directory):
        self.name = name
        self.address = address
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(mode=0o711)

    def command(self, words):
        """The command line that runs `words` here and ends when the test's process does."""
        return END_WITH_US + [str(word) for word in words]

    shared_memory = pathlib.Path("/dev/shm")

    @property
    def path(self):
        """The directory, for those who are not on the host."""
        return self.dir


class Flat:
    """Hosts as addresses of loopback: 127.<n>.<k>.1, n chosen by our pid."""

    isolated = False

    def __init__(self):
        self.prefix = f"127.{os.getpid() % 250 + 1}"
        self.count = 0

    def host(self, name, directory):
        self.count += 1
        return Host(name, f"{self.prefix}.{self.count}.1", directory)

    def close(self):
        """Addresses need no undoing."""


class Namespace(Host):
    """A host with a network, mounts and a /dev/shm of its own."""

    def __init__(self, name, address, directory):
        super().__init__(name, address, directory)
        self.holder = hold()
        self.shared_memory = pathlib.Path(f"/proc/{self.holder.pid}/root/dev/shm")
        self.here("mount", "-t", "tmpfs", "-o", "mode=1777", "sluice-chaos", "/dev/shm")
        self.here("ip", "link", "set", "lo", "up")

    def _enter(self):
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net",
                f"--mount=/proc/{self.holder.pid}/ns/mnt", f"--wdns={self.dir}"]

    def command(self, words):
        return self._enter() + super().command(words)

    @property
    def path(self):
        return pathlib.Path(f"/proc/{self.holder.pid}/root{self.dir}")

    def here(self, *words, check=True):
        """Runs a short command on this host."""
        return run(*self._enter(), *words, check=check)

    def move_in(self):
        """Moves the calling thread's network here: threads and processes it starts follow."""
        with open(f"/proc/{self.holder.pid}/ns/net", "rb") as namespace:
            if LIBC.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    # ---- damage ----

    def filter(self, *rules):
        """Drops what the nft rules match; no rules: everything passes again."""
        self.here("nft", "delete", "table", "inet", "chaos", check=False)
        if not rules:
            return
        hooks = ("input", "output")
        self.here("nft", "add table inet chaos; " + " ".join(
            f"add chain inet chaos {hook} {{ type filter hook {hook} priority 0; }};"
            for hook in hooks) + " ".join(f"add rule inet chaos {rule} drop;" for rule in rules))

    def cut(self, *others, ways=("in", "out")):
        """Cuts the links to other hosts, both ways or only one."""
        rules = []
        for other in others:
            if "in" in ways:
                rules.append(f"input ip saddr {other.address}")
            if "out" in ways:
                rules.append(f"output ip daddr {other.address}")
        self.filter(*rules)

    def lose(self, percent):
        """Loses that share of what arrives and leaves, loopback apart."""
        self.filter(*(f"{hook} {way}ifname eth0 numgen random mod 100 < {percent}"
                      for hook, way in (("input", "i"), ("output", "o"))))

    def detour(self, ways):
        """Leads new connections elsewhere: {(address, port): (address, port)}; {}: no longer."""
        self.here("nft", "delete", "table", "ip", "detour", check=False)
        if ways:
            self.here("nft", "add table ip detour; add chain ip detour out "
                      "{ type nat hook output priority -100; };" + " ".join(
                          f"add rule ip detour out ip daddr {address} tcp dport {port} "
                          f"dnat to {to}:{to_port};"
                          for (address, port), (to, to_port) in ways.items()))

    def slow(self, rate=None):
        """Lets out at most `rate` (tc's words: 1mbit); None: as fast as it goes."""
        self.here("tc", "qdisc", "del", "dev", "eth0", "root", check=False)
        if rate:
            self.here("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate,
                      "burst", "16k", "latency", "200ms")


def hold():
    """A process in new namespaces, which live as long as it."""
    holder = subprocess.Popen(END_WITH_US + ["unshare", "--net", "--mount", "--propagation",
                                             "private", "bash", "-c", "echo; exec cat"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if holder.stdout.readline() != b"\n":
        raise RuntimeError("unshare made no namespaces")
    return holder


class Switched:
    """Hosts in namespaces, each on one port of a bridge that lives in a namespace of its own."""

    isolated = True

    def __init__(self):
        self.holder = hold()
        self.hosts = []
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._switch("ip", "link", "add", "sw0", "type", "bridge")
        self._switch("ip", "link", "set", "sw0", "up")

    def _switch(self, *words):
        run("nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *words)

    def host(self, name, directory):
        number = len(self.hosts) + 1
        made = Namespace(name, f"{SUBNET}.{number}", directory)
        self.hosts.append(made)
        port = f"port{number}"
        self._switch("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0",
                     "netns", str(made.holder.pid))
        self._switch("ip", "link", "set", port, "master", "sw0", "up")
        made.here("ip", "addr", "add", f"{made.address}/24", "dev", "eth0")
        made.here("ip", "link", "set", "eth0", "up")
        return made

    def close(self):
        """Moves back to where the test started and ends every namespace."""
        LIBC.setns(self.home, CLONE_NEWNET)
        os.close(self.home)
        for holder in [self.holder] + [host.holder for host in self.hosts]:
            holder.kill()
            holder.wait()
            holder.stdin.close()
            holder.stdout.close()
