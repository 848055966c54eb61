"""check.py BUILD [--debootstrap]: builds the Debian packages and tries them; ends `packages: N passed, N failed`.

Lintian finds nothing; systemd takes the units and rates their exposure; install, upgrade and purge do what
they should in a tree of their own: an overlay over this machine's (by root or sudo; what is written goes to a
temporary directory), or with --debootstrap a bare Debian 12 that apt fills. Where nothing may be mounted the
run says so. check.py --debs DIR tries packages that are there.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

import tree
import yaml

ROLES = ("bus", "front", "registry", "identity", "publisher", "throttle", "node")
PACKAGES = ("common", "admin", *ROLES)
UNITS = tuple(f"sluice-{role}.service" for role in (*ROLES, "nginx"))
EXPOSURE = 20  # tenths; systemd calls what is below 2.5 "OK"
# A log beyond what logrotate lets stand, and one that is not.
ROTATED = "cd /var/lib/sluice/node && truncate -s 2G access.log && echo a call >access.json.log"
# In nginx's place: says that it is there, ends when it is told to open its logs anew.
NGINX = """mkfifo up hold && { sh -c 'trap "touch told" USR1; echo $$ >nginx.pid; echo >up; read -r _ <>hold' & } &&
read -r _ <up"""
# Who builds packages for others says who he is: cpack -D CPACK_PACKAGE_CONTACT=…
NOBODY = "bogus-mail-host,bogus-mail-host-in-debian-changelog"


def run(*command, status=0, **more):
    """Runs a command; answers what it printed; refuses another exit status."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=600, **more)
    if done.returncode != status:
        raise AssertionError(f"{' '.join(map(str, command[:4]))}…: status {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def fields(package):
    """The control fields of a .deb."""
    return dict(line.split(": ", 1) for line in run("dpkg-deb", "-f", package).splitlines() if ": " in line)


class Checks:
    """Each method is a check; they go in order, as the later ones need what the earlier ones made."""

    def __init__(self, build, work, bare):
        self.build, self.work, self.bare = build, work, bare
        self.unpacked = work / "unpacked"
        self.debs = []

    def packages_are_built_one_a_role(self):
        run("cpack", "--config", self.build / "CPackConfig.cmake", "-B", self.work / "debs", cwd=self.build)
        self.debs = sorted((self.work / "debs").glob("*.deb"))
        assert [fields(deb)["Package"] for deb in self.debs] == sorted(f"sluice-{name}" for name in PACKAGES), self.debs

    def a_package_depends_on_what_it_needs(self):
        depends = {fields(deb)["Package"]: fields(deb).get("Depends", "") for deb in self.debs}
        for role in ROLES:
            assert "sluice-common" in depends[f"sluice-{role}"] and "libc6" in depends[f"sluice-{role}"], depends
        assert re.search(r"\bnginx-abi-[0-9.]+-\d+\b", depends["sluice-node"]), depends
        assert "libpq5" in depends["sluice-registry"] and "libpq5" not in depends["sluice-front"], depends

    def lintian_finds_nothing(self):
        # It leaves files behind in its temporary directory.
        told = run("lintian", "--allow-root", "--suppress-tags", NOBODY, *self.debs,
                   env={**os.environ, "TMPDIR": str(self.work)})
        assert not told.strip(), told

    def systemd_takes_the_units(self):
        for deb in self.debs:
            run("dpkg-deb", "-x", deb, self.unpacked)
        units = self.unpacked / "lib/systemd/system"
        assert sorted(path.name for path in units.iterdir()) == sorted(UNITS)
        shutil.copytree("/lib/systemd/system", units, symlinks=True, dirs_exist_ok=True)
        for program in ("usr/sbin/nginx", "bin/kill", "bin/rm", "bin/sh"):  # other packages'
            (self.unpacked / program).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(f"/{program}", self.unpacked / program)
        told = run("systemd-analyze", "verify", f"--root={self.unpacked}", "--recursive-errors=no", *UNITS)
        assert not told.strip(), told

    def systemd_finds_the_units_hardened(self):
        for unit in UNITS:
            run("systemd-analyze", "security", f"--root={self.unpacked}", "--offline=true",
                f"--threshold={EXPOSURE}", unit)

    def users_and_directories_are_declared(self):
        run("systemd-sysusers", f"--root={self.unpacked}", "sluice.conf")
        assert re.search(r"^sluice:", (self.unpacked / "etc/passwd").read_text(), re.M)
        told = (self.unpacked / "usr/lib/tmpfiles.d/sluice.conf").read_text()
        for place in ("/etc/sluice/allow", "/run/sluice", "/var/lib/sluice/node"):
            assert re.search(rf"^d {place} +0750 sluice sluice$", told, re.M), place

    def configurations_are_whole(self):
        for role in ROLES:
            text = (self.unpacked / f"etc/sluice/{role}.yaml").read_text()
            assert not re.search(r"@[A-Z_]+@", text), f"{role}.yaml has a hole"
            assert yaml.safe_load(text)["peer_file"] == f"/etc/sluice/{role}.peer", role

    def they_are_installed_upgraded_and_purged(self):
        if os.geteuid() != 0:
            told = run("sudo", "-n", sys.executable, "-B", __file__, "--debs", self.work / "debs",
                       *["--debootstrap"] * self.bare)
            if "not tried" in told:
                raise tree.Lacking(told)
            return
        kind = tree.Debootstrap if self.bare else tree.Overlay
        with kind(self.work / "tree") as place:
            place.install(self.debs)
            self.installed(place)
            self.rotated(place)
            self.upgraded(place)
            place.purge([f"sluice-{name}" for name in PACKAGES])
            self.purged(place)

    def installed(self, place):
        assert place.run("stat", "-c", "%U:%G %a", "/etc/sluice/allow", "/var/lib/sluice/node").split("\n")[:2] == [
            "sluice:sluice 750"] * 2
        for role in ROLES:
            assert "sluice 0" in place.run(f"/usr/lib/sluice/sluice-{role}", "--version"), role
            told = place.run(f"/usr/lib/sluice/sluice-{role}", "--config", f"/etc/sluice/{role}.yaml", status=1)
            assert f"/etc/sluice/{role}.peer" in told, f"{role} complains of something else than its peer file: {told}"
        as_owner = ("runuser", "-u", "sluice", "--", "sluice-admin")
        place.run(*as_owner, "bus", "new", "bus", "--out", "/etc/sluice/bus.peer", "--commands", "tcp://127.0.0.1:1",
                  "--workers", "tcp://127.0.0.1:2", "--events", "tcp://127.0.0.1:3")
        place.run(*as_owner, "peer", "new", "front", "--role", "front", "--bus", "/etc/sluice/bus.peer", "--allow",
                  "/etc/sluice/allow", "--out", "/etc/sluice/front.peer")
        assert place.run("stat", "-c", "%U %a", "/etc/sluice/front.peer", "/etc/sluice/allow/front.peer") == (
            "sluice 600\n" * 2)
        for unit in UNITS:
            assert place.run("systemctl", "is-enabled", unit) == "enabled\n", unit
        place.write("/tmp/nginx.conf", "load_module modules/ngx_http_sluice_module.so;\nevents {}\nhttp {}\n")
        place.run("/usr/sbin/nginx", "-t", "-c", "/tmp/nginx.conf")

    def rotated(self, place):
        """What the agent let grow is cut by logrotate, and nginx is told; a small log is left alone."""
        place.run("runuser", "-u", "sluice", "--", "sh", "-c", ROTATED)
        place.run("sh", "-c", f"cd /var/lib/sluice/node && {NGINX} && logrotate -s /tmp/state /etc/logrotate.d/sluice-node"
                  " && wait")
        left = place.run("ls", "/var/lib/sluice/node").split()
        assert "access.json.log" in left and "access.log" not in left and "told" in left, left
        assert [name for name in left if re.fullmatch(r"access\.log-\d{8}-\d+", name)], left
        place.run("sh", "-c", "rm /var/lib/sluice/node/* /tmp/state")

    def upgraded(self, place):
        """The operator's configuration and choice of units outlive an upgrade."""
        place.run("sh", "-c", "echo 'log_level: debug' >/etc/sluice/bus.yaml; echo secret >/etc/sluice/seal.key")
        place.run("systemctl", "disable", "sluice-front.service")
        place.install([self.newer(deb) for deb in self.debs])
        assert place.run("dpkg-query", "-W", "-f", "${Version}", "sluice-bus") == "99.0"
        assert place.run("cat", "/etc/sluice/bus.yaml") == "log_level: debug\n"
        assert place.run("cat", "/etc/sluice/seal.key") == "secret\n"
        assert place.run("systemctl", "is-enabled", "sluice-front.service", status=1) == "disabled\n"
        assert place.run("systemctl", "is-enabled", "sluice-bus.service") == "enabled\n"

    def newer(self, deb):
        """The same package under a later version."""
        place = self.work / "newer" / deb.stem
        place.parent.mkdir(exist_ok=True)
        run("dpkg-deb", "-R", deb, place)
        control = place / "DEBIAN/control"
        control.write_text(re.sub(r"^Version: .*$", "Version: 99.0", control.read_text(), flags=re.M))
        run("dpkg-deb", "-b", "--root-owner-group", "-Znone", place, f"{place}.deb")
        return pathlib.Path(f"{place}.deb")

    def purged(self, place):
        left = [path for path in place.written() if "sluice" in path]
        assert not left, left


CHECKS = [name for name, value in vars(Checks).items()
          if callable(value) and not name.startswith("_") and name not in ("installed", "rotated", "upgraded", "newer", "purged")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=pathlib.Path, nargs="?", default="build")
    parser.add_argument("--debs", type=pathlib.Path, help="install, upgrade and purge these only")
    parser.add_argument("--debootstrap", action="store_true", help="try them in a bare Debian 12")
    args = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="sluice-packages-", dir="/var/tmp") as work:
        checks = Checks(args.build.absolute(), pathlib.Path(work), args.debootstrap)
        names = CHECKS
        if args.debs:
            checks.debs, names = sorted(args.debs.glob("*.deb")), CHECKS[-1:]
        for name in names:
            try:
                getattr(checks, name)()
                passed += 1
                print(f"ok   {name}", flush=True)
            except tree.Lacking as lack:
                print(f"not tried: {name}: {lack}", flush=True)
            except Exception as fault:  # pylint: disable=broad-except
                failed += 1
                print(f"FAIL {name}\n{fault if isinstance(fault, AssertionError) else traceback.format_exc()}")
    print(f"packages: {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
