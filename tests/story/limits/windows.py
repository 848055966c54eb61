"""windows are the clock's own: one call in two seconds is one in each even second and the odd one behind it, on all nodes"""
import time

from stack import wait_until

SERVED = True
WINDOW_S, WINDOWS = 2, 3
EDGE_S = 0.3  # that accounting's clock, asked over a busy machine, may be off
NODES = (1, 2)


def story(world):
    world.group("g")
    world.api("a")
    world.publish("a")
    world.throttle("t", api_call_limits=1, time_interval=WINDOW_S, time_unit="SECOND")
    world.binding("a", "t")
    world.settle("a")
    admitted, texts = {}, set()

    def several_windows():
        """A call through each node; those admitted, by the window that they surely were in."""
        for node in NODES:
            wait_until(lambda: time.time() % WINDOW_S > EDGE_S, 10, "the begin of a window to be over")
            window = time.time() // WINDOW_S
            reply = world.call("GET", "/a", node)
            if reply.status == 429:
                texts.add(reply.json["error_msg"].partition("policy ")[2])
            elif time.time() < (window + 1) * WINDOW_S - EDGE_S:
                assert reply.status == 200, reply
                admitted[window] = admitted.get(window, 0) + 1
        return len(admitted) >= WINDOWS

    wait_until(several_windows, 45 * WINDOW_S, "calls in several windows")
    assert set(admitted.values()) == {1}, admitted
    assert texts == {f"api over ratelimit,limit:1,time:{WINDOW_S} second"}, texts
