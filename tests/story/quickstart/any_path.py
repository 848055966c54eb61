"""the two commands work in a clone of any name, as root and as a user, side by side"""
import os
import pathlib
import shutil
import signal
import subprocess
import time

from stack import TREE, Stack, free_port_block, short_hash

OWN_STACK = True
# Everything that a shell, cmake, ninja, nginx, YAML, Python's venv or our own templates would trip over.
ODD = "a 'clone' \"of\" \\ ;{}$HOME#%@UNIT@\t*?[x]\n\u00e9\u65e5~&|<>(),:!`id` -e"
UNITS = 16
QUIET = ("--no-install", "--no-demo")
USER = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")


def copy_tree(home):
    """A copy of what git has, below a private directory; the same place each time, for ccache."""
    tree = home / ODD
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o700)
    names = subprocess.run(["git", "-C", TREE, "ls-files", "-zco", "--exclude-standard"], check=True,
                           capture_output=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (TREE / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TREE / name, tree / name)
    return tree


def deployment(tree, var):
    stack = Stack(var, tree / "build", False)
    stack.script = tree / "deploy/quickstart.sh"
    stack.port_base = free_port_block()
    return stack


def records(stack):
    return {place.parent.name: place.read_text() for place in (stack.var / "run").glob("*/record")}


def outside(*paths):
    """What stands outside the tree because of these directories."""
    found = [pathlib.Path(f"/var/tmp/sluice-{short_hash(path)}") for path in paths]
    for path in paths:
        found += pathlib.Path("/dev/shm").glob(f"*{short_hash(path)}*")
    return [str(place) for place in found if os.path.lexists(place)]


def whole(stack):
    """From nothing to a demo, again without a change, adopted by a new supervisor."""
    told = stack.quickstart("up", "--no-install", timeout=900).stdout
    assert "admitted: 3\n" in told, told
    before = records(stack)
    assert len(before) == UNITS, before
    started = time.monotonic()
    stack.quickstart("up", *QUIET)
    assert time.monotonic() - started < 10 and records(stack) == before
    os.kill(int((stack.var / "run/supervisor").read_text().split()[0]), signal.SIGKILL)
    stack.quickstart("up", *QUIET)
    assert records(stack) == before, "a service was not adopted"


def beside(first, tree, home):
    """A second deployment of the clone comes and goes; the first keeps its links."""
    second = deployment(tree, home / f"{ODD} second")
    second.quickstart("up", *QUIET, "--no-build")
    assert second.quickstart("status").stdout.count(" ready ") == UNITS
    second.quickstart("clean")
    assert not outside(second.var) and not second.var.exists()
    first.quickstart("restart", "registry-1", "nginx-1")
    assert first.quickstart("status").stdout.count(" ready ") == UNITS


def story(world):
    home = pathlib.Path(f"/var/tmp/sluice-any-path-{short_hash(TREE)}")
    stack = None
    try:
        tree = copy_tree(home)
        stack = deployment(tree, tree / "var")
        whole(stack)
        assert not outside(tree), "the links of the build stay"
        beside(stack, tree, home)
        stack.quickstart("clean")
        assert not outside(stack.var) and not stack.var.exists()
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "nobody:nogroup", home], check=True)
            stack.as_whom = USER
            told = stack.quickstart("up", "--no-install", "--no-build").stdout
            assert "admitted: 3\n" in told, told
            stack.quickstart("clean")
            assert not outside(stack.var) and not stack.var.exists()
    finally:
        if stack:
            stack.quickstart("clean", check=False)
        shutil.rmtree(home, ignore_errors=True)
