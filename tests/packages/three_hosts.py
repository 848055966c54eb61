"""three_hosts.py [BUILD]: plays the walk-through "Three hosts" of deploy/README.md as it stands, on three machines
with the Debian packages and a systemd each, in namespaces. Then the demo passes through each host, and a host that
is switched off and on again comes back by itself. Root; some minutes. Ends `three hosts: N passed, N failed`.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TREE / "tests/lib")]
# pylint: disable=wrong-import-position
import machine
import tree
from stack import wait_until

HOSTS = {"a": "10.77.0.1", "b": "10.77.0.2", "c": "10.77.0.3"}
OUTSIDE = "10.77.0.9"  # where the demo runs, and its backend
BASE = ("systemd", "systemd-sysv", "dbus", "openssh-server", "openssl", "curl", "ca-certificates", "iproute2", "procps")
LATER = ("postgresql-15",)  # what the walk-through installs itself, from apt's cache
READY_S = 120
UNITS = [f"sluice-{role}" for role in ("bus", "registry", "identity", "publisher", "throttle", "front", "node", "nginx")]


def walk_through():
    """The steps of deploy/README.md: [(hosts, lines)]."""
    text = (TREE / "deploy/README.md").read_text()
    section = re.search(r"^## Three hosts\n(.*?)^## ", text, re.M | re.S)[1]
    steps = re.findall(r"^On ((?:`[a-c]`(?:, | and )?)+), [^\n]*(?:\n[^\n`]+)*:?\n\n```sh\n(.*?)^```", section, re.M | re.S)
    assert len(steps) == section.count("```sh"), "a block of the walk-through does not say on which hosts"
    return [(re.findall(r"`([a-c])`", hosts), lines) for hosts, lines in steps]


class Base(tree.Debootstrap):
    """A Debian 12 with what a machine has before anyone installs Sluice, and apt's cache full of the rest."""

    def fill(self, debs):
        key = self.root / "root/.ssh/id_ed25519"
        self.run("apt-get", "-q", "-y", "--no-install-recommends", "install", *BASE)
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/.ssh/id_ed25519")
        key.with_name("authorized_keys").write_text(key.with_suffix(".pub").read_text())
        key.with_name("config").write_text("Host *\n  StrictHostKeyChecking accept-new\n  LogLevel ERROR\n")
        for deb in debs:
            (self.root / "root" / deb.name).write_bytes(deb.read_bytes())
        self.write("/etc/hosts", "127.0.0.1 localhost\n")
        self.write("/etc/apt/apt.conf.d/keep", 'APT::Keep-Downloaded-Packages "true"; Binary::apt-get::APT::'
                   'Keep-Downloaded-Packages "true"; APT::Install-Recommends "false";\n')
        self.run("apt-get", "-q", "-y", "--download-only", "install", *LATER, *(f"/root/{deb.name}" for deb in debs))
        (self.root / "usr/sbin/policy-rc.d").unlink()


class Play:
    """The checks, in order."""

    def __init__(self, build, work):
        self.build, self.work = build, work
        self.network = self.machines = self.base = None

    def machines_boot(self):
        machine.run("cpack", "--config", self.build / "CPackConfig.cmake", "-B", self.work / "debs", cwd=self.build)
        self.base = Base(self.work / "base")
        self.base.__enter__()
        self.base.fill(sorted((self.work / "debs").glob("*.deb")))
        self.network = machine.Network()
        self.machines = {name: machine.Machine(name, address, self.base.root, self.work / name, self.network)
                         for name, address in HOSTS.items()}
        for host in self.machines.values():
            host.boot()

    def the_walk_through_plays(self):
        for number, (hosts, lines) in enumerate(walk_through(), 1):
            for name in hosts:
                print(f"     step {number} on {name}", flush=True)
                self.machines[name].type(lines)

    def every_unit_serves(self):
        for name, host in self.machines.items():
            told = host.run("systemctl", "is-active", *UNITS, check=False).split()
            assert told == ["active"] * len(UNITS), f"{name}: {dict(zip(UNITS, told))}"

    def an_acknowledged_write_has_two_homes(self):
        told = self.machines["a"].run("env", "--chdir=/", "runuser", "-u", "postgres", "--", "psql", "-Atc",
                                      "SELECT application_name, sync_state FROM pg_stat_replication")
        assert told == "b|sync\n", told

    def the_demo_passes_through_every_host(self):
        for front, nodes in (("a", "bc"), ("b", "ca"), ("c", "ab")):
            told = self.demo(HOSTS[front], *(HOSTS[node] for node in nodes))
            assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-3000:]

    def demo(self, front, node1, node2):
        """deploy/demo.sh from beside the three, with a backend there."""
        place = self.work / "demo"
        place.mkdir(exist_ok=True)
        told = self.machines["a"].run("sh", "-c", "cat /root/sluice/admin.json; SLUICE_PEER_FILE=/root/sluice/admin.peer "
                                      "sluice-admin --json project list --domain demo; SLUICE_PEER_FILE="
                                      "/root/sluice/admin.peer sluice-admin --json gateway list; cat /root/sluice/tls.crt")
        decoder, found = json.JSONDecoder(), []
        while told.lstrip().startswith("{"):
            value, end = decoder.raw_decode(told.lstrip())
            found.append(value)
            told = told.lstrip()[end:]
        user, projects, gateways = found
        (place / "tls.crt").write_text(told.lstrip())
        words = {"SLUICE_ENDPOINT": f"https://{front}:7443", "SLUICE_DOMAIN_NAME": "demo", "SLUICE_USERNAME": "admin",
                 "SLUICE_PASSWORD": user["password"], "SLUICE_PROJECT_ID": projects["projects"][0]["id"],
                 "SLUICE_INSTANCE_ID": gateways["instances"][0]["id"], "SLUICE_ECHO_ADDR": f"{OUTSIDE}:7180",
                 "SLUICE_DATA_URL": f"http://{node1}:8080", "SLUICE_DATA2_URL": f"http://{node2}:8080",
                 "SLUICE_DATA_TLS_URL": f"https://{node1}:8443", "SLUICE_DATA2_TLS_URL": f"https://{node2}:8443"}
        (place / "quickstart.env").write_text("".join(f"{name}={value}\n" for name, value in words.items()))
        return self.network.outside(OUTSIDE, [self.build / "bin/sluice-echo", f"{OUTSIDE}:7180"], TREE / "deploy/demo.sh", dict(
            os.environ, SLUICE_VAR=str(place), SLUICE_BUILD=str(self.build), CURL_CA_BUNDLE=str(place / "tls.crt")))

    def a_host_comes_back_by_itself(self):
        host = self.machines["c"]
        host.off()
        host.boot()
        wait_until(lambda: host.run("systemctl", "is-active", *UNITS, check=False).split() == ["active"] * len(UNITS),
                   READY_S, "c's units")
        host.type('curl -sSf --retry 60 --retry-delay 1 --retry-all-errors "http://c:7190/readyz" "http://c:7090/readyz"')
        told = self.demo(HOSTS["c"], HOSTS["c"], HOSTS["a"])
        assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-3000:]

    def close(self):
        for host in (self.machines or {}).values():
            host.off()
        if self.network:
            self.network.close()
        if self.base:
            self.base.__exit__()


CHECKS = ("machines_boot", "the_walk_through_plays", "every_unit_serves", "an_acknowledged_write_has_two_homes",
          "the_demo_passes_through_every_host", "a_host_comes_back_by_itself")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=pathlib.Path, nargs="?", default="build")
    build = parser.parse_args().build.absolute()
    lack = machine.lacking()
    if lack:
        sys.exit(f"three hosts: not tried: {lack}")
    passed = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    work = pathlib.Path(tempfile.mkdtemp(prefix="sluice-hosts-", dir="/var/tmp"))
    play = Play(build, work)
    try:
        for name in CHECKS:
            getattr(play, name)()
            passed += 1
            print(f"ok   {name}", flush=True)
    except (AssertionError, tree.Lacking, subprocess.SubprocessError, TimeoutError, RuntimeError) as fault:
        print(f"FAIL {CHECKS[passed]}\n{fault}")
        for host in (play.machines or {}).values():
            print(f"--- {host.name}\n{host.last_words()}")
    finally:
        play.close()  # or what is mounted there would be removed too
        shutil.rmtree(work)
    print(f"three hosts: {passed} passed, {len(CHECKS) - passed} failed")
    sys.exit(passed < len(CHECKS))


if __name__ == "__main__":
    main()
