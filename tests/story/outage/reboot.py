"""after the loss of every memory a new policy of three a day admits three, an old one what is left"""
import pathlib
import re
import subprocess

from stack import clear_of_midnight, wait_until

OWN_STACK = True
SERVED = True
TOLERATES = (r".",)  # every process loses its peers here; what counts is what callers see
ACCOUNTING = ("throttle-1", "throttle-2")
NODES = ("nginx-1", "node-1", "nginx-2", "node-2")
USED = 10
VOUCHED = "SELECT count(*) FROM throttle_contact WHERE 0 < ALL (vouched)"


def sql(stack, text):
    settings = (stack.var / "config/throttle-1.yaml").read_text()
    database = re.search(r"^database: *[\"']?(.*?)[\"']?$", settings, re.M).group(1)
    done = subprocess.run(["psql", "-XAtq", database, "-c", text], capture_output=True, text=True,
                          check=True)
    return done.stdout.strip()


def reboot(stack):
    """All that a reboot takes away: the processes that hold counters, and the counters."""
    stack.sv("down", *NODES)
    stack.sv("down", *ACCOUNTING)
    gone = [path for path in pathlib.Path("/dev/shm").glob(f"sluice-*{stack.id}*")]
    assert gone, "no counters in shared memory"
    for path in gone:
        path.unlink()
    stack.sv("up", *ACCOUNTING)
    stack.sv("up", "node-1", "node-2", "nginx-1", "nginx-2")


def limited(world, name, limit):
    world.api(name)
    world.publish(name)
    world.throttle(f"t_{name}", api_call_limits=limit)
    world.binding(name, f"t_{name}")
    world.settle(name)


def status(world, name, node):
    try:
        return world.call("GET", f"/{name}", node).status
    except OSError:
        return None


def story(world):
    world.group("g")
    limited(world, "old", 1000)
    limited(world, "used_up", 3)
    for number in range(USED):
        wait_until(lambda node=1 + number % 2: status(world, "old", node) == 200, 30, "units")
    for _ in range(3):
        wait_until(lambda: status(world, "used_up", 1) == 200, 30, "three units")
    wait_until(lambda: sql(world.stack, VOUCHED) == "2", 40, "what nodes vouch for to be written")
    clear_of_midnight(100)
    reboot(world.stack)
    for node in (1, 2):
        wait_until(lambda: status(world, "old", node) == 200, 30, "units of what is left")
    limited(world, "new", 3)
    replies = [reply.status for reply in world.admitted(3, lambda n: world.call("GET", "/new", 1 + n % 2))]
    assert replies.count(200) == 3 and set(replies) == {200, 429}, replies
    replies = [status(world, "used_up", 1 + n % 2) for n in range(6)]
    assert replies == [429] * 6, f"three were used before the reboot: {replies}"
    ceiling = int(sql(world.stack, "SELECT max(ceiling) FROM throttle_usage"
                                   " WHERE \"limit\" = 1000 AND key LIKE 't/%'"))
    assert USED + 2 <= ceiling <= USED + 300, ceiling
