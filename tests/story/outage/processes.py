"""each process that is killed comes back by itself and callers of published APIs notice nothing"""
import concurrent.futures
import threading

from stack import wait_until

OWN_STACK = True
SERVED = True
TOLERATES = (r".",)
KILLED = ("front", "registry-1", "identity", "publisher", "throttle-1", "bus-2", "node-1", "postgres")


def story(world):
    world.group("g")
    world.api("a")
    world.publish("a")
    stop, calls, wrong = threading.Event(), [0], []

    def keep_calling(node):
        while not stop.is_set():
            reply = world.call("GET", "/a", node)
            calls[0] += 1
            # The gateway's default of 200 calls a second for an API is far above this rate.
            if reply.status != 200:
                wrong.append(str(reply))
            stop.wait(0.02)

    stack = world.stack
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        callers = [pool.submit(keep_calling, node) for node in (1, 2)]
        try:
            for unit in KILLED:
                dead = stack.kill(unit)
                wait_until(lambda: stack.pid(unit) not in (None, dead), 15, f"{unit} restarted")
                wait_until(lambda: works(world), 30, f"the management API after {unit}")
        finally:
            stop.set()
        for caller in callers:
            caller.result()
    assert calls[0] > 50 and not wrong, (calls, wrong[:3])


def works(world):
    try:
        return world.manage("GET", "/api-groups", check=False).status == 200
    except OSError:
        return False
