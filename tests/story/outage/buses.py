"""both buses are killed in turn while writes run: nothing acknowledged is lost or done twice"""
import concurrent.futures
import itertools
import threading

from stack import wait_until

OWN_STACK = True
TOLERATES = (r"bus", r"connect", r"worker", r"heartbeat", r"peer", r"publish", r"stream")
WRITERS = 4
KILLS = ("bus-1", "bus-2", "bus-1", "bus-2")


def story(world):
    stop = threading.Event()
    numbers = itertools.count()
    acknowledged, refused, other = [], [], []

    def write():
        while not stop.is_set():
            name = f"w{next(numbers)}_{world.uid}"
            try:
                reply = world.manage("POST", "/throttles", {
                    "name": name, "time_interval": 1, "time_unit": "HOUR", "api_call_limits": 3})
            except OSError as fault:
                other.append(f"{name}: {fault}")
                continue
            if reply.status == 201:
                acknowledged.append((name, reply.json["id"]))
            elif reply.status in (502, 503, 504):
                refused.append(name)
            else:
                other.append(f"{name}: {reply}")

    # Room for what the writers make: the documented quota is 300.
    world.stack.admin("gateway", "set", world.instance, "quota_throttles=100000")
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(write) for _ in range(WRITERS)]
        try:
            wait_until(lambda: len(acknowledged) > 20, 20, "the first writes")
            for bus in KILLS:
                before, dead = len(acknowledged), world.stack.kill(bus)
                wait_until(lambda: len(acknowledged) > before + 20, 20, f"writes without {bus}")
                wait_until(lambda: world.stack.pid(bus) not in (None, dead), 20, f"{bus} restarted")
        finally:
            stop.set()
        for writer in writers:
            writer.result()
    assert not other, other[:5]
    # A command that only timed out may have been done; it must not have been done twice.
    stored = {}
    offset = 0
    while True:
        page = world.want(200, "GET", f"/throttles?limit=500&offset={offset}")
        for row in page["throttles"]:
            assert row["name"] not in stored, f"{row['name']} was made twice"
            stored[row["name"]] = row["id"]
        offset += page["size"]
        if page["size"] == 0:
            break
    lost = [name for name, id_ in acknowledged if stored.get(name) != id_]
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged writes are lost: {lost[:5]}"
    unknown = set(stored) - {name for name, _ in acknowledged} - set(refused)
    assert not unknown, unknown
