"""100,000 requests and 1,000 publishes leave memory, descriptors and shared memory where they were"""
import concurrent.futures
import contextlib
import os
import pathlib
import re
import subprocess
import time

import access_log
from stack import wait_until

OWN_STACK = True
SERVED = True
UNITS = ("node-1", "node-2", "nginx-1", "nginx-2")
APIS = [f"a{number}" for number in range(8)]
GROWTH_KB = 1024  # of a process; some 200 were seen, most of it in the first minute
SHM_BYTES = 256 * 1024
SETTLE_S = 15
CALLERS = 16  # of a node at a time; a worker keeps a backend connection for each that it served at once


def anonymous_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Anonymous: +(\d+)", text, re.M)[1])


def to_backend(port):
    """The inodes of all connections to a port of 127.0.0.1."""
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[2] == f"0100007F:{port:04X}"}


def descriptors(pid, pooled):
    """How many descriptors a process has beside connections to the backend, and how many of those."""
    links = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    connections = sum(link in pooled for link in links)
    return len(links) - connections, connections


def take_stock(stack):
    """name → (anonymous KB, descriptors, those to the backend) of every process of both nodes; files and
    bytes in /dev/shm."""
    pooled = to_backend(int(stack.env["SLUICE_ECHO_ADDR"].rpartition(":")[2]))
    pids = {unit: stack.pid(unit) for unit in UNITS}
    for unit in ("nginx-1", "nginx-2"):
        for number, pid in enumerate(stack.children(unit)):
            pids[f"{unit} worker {number} ({pid})"] = pid
    files = list(pathlib.Path("/dev/shm").glob(f"sluice-*{stack.id}*"))
    stock = {name: (anonymous_kb(pid), *descriptors(pid, pooled)) for name, pid in pids.items()}
    return stock, len(files), sum(f.stat().st_size for f in files if f.is_file())


def faults(stack, before):
    old, old_files, old_bytes = before
    new, files, size = take_stock(stack)
    found = []
    if new.keys() != old.keys():
        return [f"other processes: {sorted(old)} {sorted(new)}"]
    for name, (kb, others, pooled) in new.items():
        # AddressSanitizer keeps what was freed: memory says nothing there.
        if not stack.sanitized and kb > old[name][0] + GROWTH_KB:
            found.append(f"{name}: {old[name][0]} KB grew to {kb} KB")
        if others > old[name][1]:
            found.append(f"{name}: {old[name][1]} descriptors grew to {others}")
        if pooled > (CALLERS if "worker" in name else 0):
            found.append(f"{name}: {pooled} connections to the backend for {CALLERS} callers at a time")
    if files > old_files or size > old_bytes + SHM_BYTES:
        found.append(f"/dev/shm: {old_files} files, {old_bytes} bytes grew to {files}, {size}")
    return found


def refusals(stack):
    """Status and error of what was not answered 200, by the logs of both nodes; they come within a second."""
    def read():
        rows = [access_log.parse(line) for node in (1, 2)
                for line in (stack.var / f"node-{node}/access.log").read_text("ascii").splitlines()]
        return {(row["status"], row["apig_err_code"]) for row in rows if row["router_uri"] == "/stays"} - {("200", "-")}
    with contextlib.suppress(AssertionError):
        wait_until(read, SETTLE_S, "a line of what was refused")
    return sorted(read())


def call(world, url, wanted):
    """At least `wanted` requests through a node; answers how many were not answered 200."""
    done = bad = 0
    host = world.names["g"]["sl_domain"]
    while done < wanted:
        text = subprocess.run(["wrk", "-t1", f"-c{CALLERS}", "-d2s", "-H", f"Host: {host}", url + "/stays"],
                              capture_output=True, text=True, check=True, timeout=60).stdout
        done += int(re.search(r"(\d+) requests in", text)[1])
        errors = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        assert "Socket errors" not in text, text
        bad += int(errors[1]) if errors else 0
    assert bad == 0, f"{bad} of {done} calls failed: {refusals(world.stack)}"


def publish(world, api, count):
    for number in range(count // 2 * 2):  # it ends online
        action = "offline" if number % 2 == 0 else "online"
        world.want(201, "POST", "/apis/action", {"action": action, "api_id": world.names[api]["id"],
                                                 "env_id": world.env_id("RELEASE")})


def work(world, requests, publishes):
    urls = [world.env["SLUICE_DATA_URL"], world.env["SLUICE_DATA2_URL"]]
    with concurrent.futures.ThreadPoolExecutor(len(APIS) + 2) as pool:
        jobs = [pool.submit(call, world, url, requests // 2) for url in urls]
        jobs += [pool.submit(publish, world, api, publishes // len(APIS)) for api in APIS]
        for job in jobs:
            job.result()
    world.settle("stays")
    for node in (1, 2):  # publishing may have gone on for longer than an idle connection is kept
        assert world.call("GET", "/stays", node).status == 200


def story(world):
    stack = world.stack
    requests, publishes = (10_000, 160) if stack.sanitized else (100_000, 1_008)
    stack.admin("gateway", "set", world.instance, "domain_call_limit=0", "api_default_limit=0")
    world.group("g")
    world.waits = False
    for api in APIS:
        world.api(api)
        world.publish(api)
    world.waits = True
    world.api("stays")
    world.publish("stays")  # it is called at once: on every node
    work(world, requests // 10, publishes // 4)  # pools and caches fill once
    before = take_stock(stack)
    assert any(pooled for _, _, pooled in before[0].values()), "no connection to the backend was kept"
    started = time.monotonic()
    work(world, requests, publishes)
    took = time.monotonic() - started
    wait_until(lambda: not faults(stack, before), SETTLE_S, f"all to be as before: {faults(stack, before)}")
    stack.admin("gateway", "set", world.instance, "domain_call_limit=", "api_default_limit=")
    assert took < 120, f"{took:.0f} s"
