"""a front that is restarted serves until balancers have seen it go, and again only when it can"""
import signal

import client
from stack import wait_until

OWN_STACK = True
TOLERATES = (r"bus", r"draining")


def ready(world):
    """What /readyz says; None where nobody listens."""
    try:
        return client.request(world.env["SLUICE_METRICS_FRONT"], "GET", "/readyz").status
    except OSError:
        return None


def asked(world):
    """The status of a management request; None when the connection is refused."""
    try:
        return world.manage("GET", "/api-groups", check=False).status
    except ConnectionError:
        return None


def story(world):
    assert asked(world) == 200
    old = world.stack.kill("front", signal.SIGTERM)
    wait_until(lambda: ready(world) == 503, 5, "/readyz to say that it drains")
    assert asked(world) == 200, "a draining front refuses"
    wait_until(lambda: world.stack.pid("front") not in (None, old), 20, "the next front")
    # The first that it answers is no 503: it listens when buses and identity entries are there.
    first = wait_until(lambda: asked(world), 20, "an answer")
    assert first == 200, first
