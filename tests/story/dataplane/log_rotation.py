"""access logs and logs of services are rotated by size; no call is lost and nginx stays"""
import re

from stack import wait_until

SERVED = True
OWN_STACK = True
TOLERATES = (r"connect", r"peer", r"heartbeat")  # the agent is restarted
KEEP = 2
BIG = 20 * 1024 * 1024  # above LOG_MAX_BYTES of deploy/lib/units.sh


def bound(stack, size):
    """Gives node 1 small logs."""
    config = stack.var / "config/node-1.yaml"
    text = re.sub(r"access_log_max_bytes: \d+", f"access_log_max_bytes: {size}", config.read_text())
    text = re.sub(r"access_log_keep: \d+", f"access_log_keep: {KEEP}", text)
    config.write_text(text)
    stack.sv("restart", "node-1")


def logged(stack):
    """The numbers of the calls in all logs that are there."""
    found = []
    for path in (stack.var / "node-1").glob("access.log*"):
        found += map(int, re.findall(r'"call=(\d+)"', path.read_text(errors="replace")))
    return sorted(found)


def trimmed(stack):
    """A service's log beyond its bound is kept beside and emptied; the service goes on writing."""
    log = stack.var / "log/echo.log"
    with log.open("ab") as file:
        file.truncate(BIG)
    wait_until(lambda: log.stat().st_size < BIG, 30, "the log of a service was emptied")
    assert (stack.var / "log/echo.log.1").stat().st_size >= BIG
    log.with_name("echo.log.1").unlink()


def story(world):
    stack = world.stack
    nginx = stack.pid("nginx-1"), stack.children("nginx-1")
    world.group("g")
    world.api("a")
    world.publish("a")
    bound(stack, 8192)
    oldest = stack.var / f"node-1/access.log.{KEEP}"
    made = 0
    while not oldest.exists():
        assert made < 2000, "the log is never rotated"
        for made in range(made + 1, made + 26):
            assert world.call("GET", "/a", headers={"User-Agent": f"call={made}"}).status == 200
        wait_until(lambda: logged(stack)[-1:] == [made], 10, "the last call in the log")
    first = logged(stack)[0]
    assert logged(stack) == list(range(first, made + 1)), "calls are lost, or told twice"
    assert not oldest.with_suffix(f".{KEEP + 1}").exists()
    assert (stack.pid("nginx-1"), stack.children("nginx-1")) == nginx, "nginx restarted or reloaded"
    assert world.call("GET", "/a", headers={"User-Agent": "call=0"}).status == 200
    wait_until(lambda: "call=0" in stack.quickstart("logs", "access-1").stdout, 10, "the log shown")
    trimmed(stack)
