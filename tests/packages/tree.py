"""Trees to install packages in, beside the machine's own."""
import shutil
import subprocess

ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}


class Lacking(Exception):
    """This machine does not let us make a tree."""


class Tree:
    """A directory to chroot into; services are not started there."""

    def __init__(self, place):
        self.place, self.root = place, place / "root"
        self.mounts = []

    def __enter__(self):
        try:
            self.make()
            self.mount("proc", "-t", "proc", "proc")
            self.mount("dev/shm", "-t", "tmpfs", "tmpfs")
        except Exception:
            self.__exit__()
            raise
        self.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
        (self.root / "usr/sbin/policy-rc.d").chmod(0o755)
        return self

    def __exit__(self, *_):
        for place in reversed(self.mounts):
            subprocess.run(["umount", "-l", place], check=True)
        self.mounts = []
        shutil.rmtree(self.place, ignore_errors=True)

    def mount(self, name, *words):
        (self.root / name).mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", *words, self.root / name], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Lacking(done.stderr.strip())
        self.mounts.append(self.root / name)

    def write(self, path, text):
        target = self.root / path.lstrip("/")
        target.unlink(missing_ok=True)
        target.write_text(text)

    def run(self, *command, status=0):
        """Runs a command in the tree; answers what it printed; refuses another exit status."""
        done = subprocess.run(["chroot", self.root, *command], env=ENV, stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
        if done.returncode != status:
            raise AssertionError(f"in the tree: {' '.join(command[:5])}: status {done.returncode}\n{done.stdout[-4000:]}")
        return done.stdout

    def install(self, debs):
        place = self.root / "tmp/debs"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for deb in debs:
            shutil.copy2(deb, place)
        self.install_files([f"/tmp/debs/{deb.name}" for deb in debs])
        shutil.rmtree(place)

    def purge(self, names):
        self.run("dpkg", "--purge", *names)


class Overlay(Tree):
    """This machine's files, with what is written in a directory of its own: no network, seconds."""

    def make(self):
        for name in ("upper", "work"):
            (self.place / name).mkdir(parents=True)
        self.mount("", "-t", "overlay", "overlay", "-o",
                   f"lowerdir=/,upperdir={self.place}/upper,workdir={self.place}/work")

    def install_files(self, paths):
        self.run("dpkg", "--force-confdef", "--force-confold", "-i", *paths)

    def written(self):
        """What is in the tree and not on the machine; a file that was removed again is none."""
        upper = self.place / "upper"
        return [str(path.relative_to(upper)) for path in upper.rglob("*") if not path.is_char_device()]


class Debootstrap(Tree):
    """A bare Debian 12; apt brings what the packages depend on."""

    def make(self):
        self.root.mkdir(parents=True)
        subprocess.run(["debootstrap", "--variant=minbase", "bookworm", self.root], check=True,
                       stdout=subprocess.DEVNULL)
        self.before = set(self.files())

    def files(self):
        done = subprocess.run(["find", self.root, "-xdev", "-printf", "%P\\0"], check=True, stdout=subprocess.PIPE)
        return done.stdout.decode().split("\0")

    def install_files(self, paths):
        self.run("apt-get", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confdef",
                 "-o", "Dpkg::Options::=--force-confold", "install", "systemd", "logrotate", *paths)

    def written(self):
        return sorted(set(self.files()) - self.before)
