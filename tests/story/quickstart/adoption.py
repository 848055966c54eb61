"""up on a running gateway changes nothing, and services outlive every part of their supervisor"""
import os
import pathlib
import re
import signal
import stat
import subprocess
import time

from stack import free_port_block, wait_until

OWN_STACK = True
TOLERATES = (r"database", r"UNAVAILABLE", r"connect", r"peer", r"worker")  # postgres is killed
UNITS = ("postgres", "bus-1", "bus-2", "registry-1", "registry-2", "identity", "publisher",
         "throttle-1", "throttle-2", "front", "echo", "node-1", "node-2", "nginx-1", "nginx-2", "logs")
KEYS = ("ENDPOINT PROJECT_ID INSTANCE_ID DOMAIN_NAME USERNAME PASSWORD READER_USERNAME "
        "READER_PASSWORD AK SK DATA_URL DATA2_URL DATA_TLS_URL DATA2_TLS_URL METRICS_FRONT "
        "METRICS_NODE1 METRICS_NODE2 ECHO_ADDR").split()
UP = ("up", "--no-install", "--no-build", "--no-demo")


def records(stack):
    return {unit: stack.record(unit) for unit in UNITS}


def supervisors(stack):
    """The pids of runsvdir and of the runsv processes."""
    parent = int((stack.var / "run/supervisor").read_text().split()[0])
    found = []
    for unit in UNITS:
        place = str(stack.var / "sv" / unit)
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    comm = pathlib.Path(f"/proc/{entry}/comm").read_text().strip()
                    if comm == "runsv" and os.readlink(f"/proc/{entry}/cwd") == place:
                        found.append(int(entry))
                except OSError:
                    continue
    return parent, found


def command_line(stack, before):
    """Asking for help, a word too many or other ports harm nothing."""
    for word in ("up", "down", "status", "restart", "clean"):
        assert "a whole gateway" in stack.quickstart(word, "--help").stdout, word
    for word in ("down", "status", "clean"):
        assert stack.quickstart(word, "now", check=False).returncode != 0, word
    chosen = stack.port_base
    try:
        stack.port_base = None
        assert stack.quickstart("status").stdout.count(" ready ") == len(UNITS)
        stack.port_base = free_port_block()
        refused = stack.quickstart(*UP, check=False)
        assert refused.returncode != 0 and "ports are fixed" in refused.stdout, refused.stdout
    finally:
        stack.port_base = chosen
    assert records(stack) == before, "a service was touched"


def story(world):
    stack = world.stack
    env_file = stack.var / "quickstart.env"
    text = env_file.read_text()
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600, oct(env_file.stat().st_mode)
    assert [line.split("=")[0] for line in text.splitlines()] == [f"SLUICE_{k}" for k in KEYS], text
    assert not re.search(r"""["'\s]""", text.replace("\n", "")), "quotes or blanks in the file"

    before = records(stack)
    started = time.monotonic()
    stack.quickstart(*UP)
    assert time.monotonic() - started < 10, "up on a running gateway took too long"
    assert records(stack) == before and env_file.read_text() == text

    command_line(stack, before)

    parent, children = supervisors(stack)
    os.kill(parent, signal.SIGKILL)
    stack.quickstart(*UP)
    assert records(stack) == before, "a service did not outlive runsvdir"

    parent, children = supervisors(stack)
    assert len(children) == len(UNITS), children
    for pid in [parent, *children]:
        os.kill(pid, signal.SIGKILL)
    for unit in UNITS:
        assert stack.pid(unit), f"{unit} did not outlive its supervisor"
    stack.quickstart(*UP)
    assert records(stack) == before, "a service was not adopted"

    # Adopted, they are watched over again.
    for unit in ("registry-1", "nginx-1", "postgres"):
        dead = stack.kill(unit)
        wait_until(lambda: stack.pid(unit) not in (None, dead), 15, f"{unit} restarted")
    stack.quickstart(*UP)

    # What `up` leaves running does not hold the caller's output.
    stack.quickstart("down")
    subprocess.run(f"'{stack.script}' {' '.join(UP)} 2>&1 | cat", shell=True, check=True, timeout=90,
                   env=stack.environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    status = stack.quickstart("status").stdout
    assert status.count(" ready ") == len(UNITS), status
