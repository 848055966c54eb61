"""What runs out: descriptors, connections, room for logs and for PostgreSQL; clients that dawdle."""
import json
import os
import resource
import socket
import ssl
import subprocess

import client
import signer
from databases import isolated
from nodes import root_only
from row import Row
from stack import wait_until

STARVED_S = 10
FLOOD_S = 20  # half of it may be handshakes
DAWDLERS = 1000
CONNECTIONS = 2000  # of the client that writes as fast as it can: more than workers have credits
RSS_MAX = 512 << 20  # of a front that all of them hold on to


def no_descriptors(name):
    """The strike that leaves a process no descriptor beyond those it has open."""
    def strike(scene):
        unit = scene.unit(name)
        pid = (unit.children() or [unit.process.pid])[0]
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, before[1]))
        scene.lasts(STARVED_S)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        scene.healed()
        scene.check(unit.alive(), f"{name} ended")
    return strike


def dawdlers(scene):
    """A thousand connections send a front a byte a second; health answers, memory stays bounded."""
    unit = scene.unit("front-1")
    address = (unit.host.address, 7443)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    held = []
    try:
        for _ in range(DAWDLERS):
            try:
                held.append(socket.create_connection(address, timeout=5))
            except OSError:
                break  # shed
        scene.note(f"{len(held)} of {DAWDLERS} connections were accepted")
        for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01":
            send_all(held, bytes([byte]))
            reply = client.request(f"http://{address[0]}:7090", "GET", "/readyz", timeout=2)
            scene.check(reply.status == 200, f"/readyz of the front: {reply}")
            scene.lasts(1)
        scene.check(len(held) > DAWDLERS // 2, f"only {len(held)} connections were accepted")
        size = resident(unit.process.pid)
        scene.note(f"the front's memory: {size >> 20} MB")
        scene.check(size < RSS_MAX // 4, f"the front has grown to {size >> 20} MB")
        wait_until(lambda: not send_all(held, b"\x00"), 60, "the front to close slow connections")
    finally:
        for connection in held:
            connection.close()
    scene.healed()


def send_all(connections, data):
    """Sends to those that still stand; answers how many do."""
    standing = 0
    for connection in connections:
        try:
            connection.setblocking(False)
            connection.send(data)
            standing += 1
        except OSError:
            continue
    return standing


def resident(pid):
    """Bytes of memory that a process has."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


COUNT = """
wrk.method, wrk.body = "PUT", %s
local threads = {}
function setup(thread) threads[#threads + 1] = thread end
function init() seen = {} end
function response(status) seen[status] = (seen[status] or 0) + 1 end
function done()
    for _, thread in ipairs(threads) do
        for status, count in pairs(thread:get("seen")) do print("status", status, count) end
    end
end
"""


def everything_at_once(scene):
    """One client writes through a front as fast as it can, all to one policy, which takes one after
    another: it is served or told to come later."""
    made, unit = scene.api.world, scene.unit("front-1")
    host = f"{unit.host.address}:7443"
    if "flood" not in made.names:
        made.throttle("flood")
    target = f"{made.base}/throttles/{made.names['flood']['id']}"
    body = json.dumps({"name": "flood", "type": 1, "time_interval": 1, "time_unit": "HOUR",
                       "api_call_limits": 7})
    headers = signer.sign("PUT", target, {"Host": host, "X-Project-Id": made.project,
                                          "Content-Type": "application/json"}, body.encode(),
                          made.env["SLUICE_AK"], made.env["SLUICE_SK"])
    script = scene.cluster.home / "count.lua"
    script.write_text(COUNT % json.dumps(body))
    words = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    asking = subprocess.Popen(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{FLOOD_S}s", "-s", script, *words,
                               f"https://{host}{target}"], stdout=subprocess.PIPE, text=True)
    most = 0
    for _ in range(FLOOD_S // 2):
        scene.lasts(1)
        reply = client.request(f"http://{unit.host.address}:7090", "GET", "/readyz", timeout=5)
        scene.check(reply.status == 200, f"/readyz of the front: {reply}")
        most = max(most, resident(unit.process.pid))
    told, _ = asking.communicate(timeout=60)
    statuses = {int(line.split()[1]): int(line.split()[2]) for line in told.splitlines()
                if line.startswith("status")}
    scene.note(f"answers: {statuses}, memory: at most {most >> 20} MB")
    scene.check(statuses.get(200, 0) > 100 and set(statuses) <= {200, 429, 503}, told)
    scene.check(statuses.keys() & {429, 503}, f"nothing was shed: {told}")
    scene.check(most < RSS_MAX, f"the front has grown to {most >> 20} MB")
    scene.healed()


def full_logs(scene):
    """The file system of a front's and a registry's logs is full: they go on without."""
    names = ("front-1", "registry-1")
    for name in names:
        unit = scene.unit(name)
        unit.log, unit.kept_log = "/dev/full", unit.log
        unit.restart()
        wait_until(scene.cluster.balanced, 20, "the balancers to use every server")
    scene.lasts(STARVED_S)
    for name in names:
        unit = scene.unit(name)
        unit.log = unit.kept_log
        unit.restart()
    scene.healed()


def full_database(scene):
    """PostgreSQL's disk is full: nothing can be written until there is room again."""
    number = scene.cluster.database.primary
    ballast = scene.cluster.database.fill(number)
    scene.lasts(STARVED_S)
    ballast.unlink()
    scene.healed()


ROWS = [Row(f"descriptors of a {kind} are used up for 10 s", no_descriptors(f"{kind}-1"),
            refused_calls=5)
        for kind in ("front", "registry", "bus", "throttle", "node")]
ROWS += [
    # A worker that cannot accept lets connections wait until its check fails twice.
    Row("descriptors of an nginx worker are used up for 10 s", no_descriptors("nginx-1"),
        failed_calls=50),
    Row("1,000 slow connections to a front", dawdlers, whole_s=30),
    # What one client asks for stands in line before others' writes: those are told to come again.
    Row("one client asks as fast as it can", everything_at_once, whole_s=30, needs=isolated),
    Row("disk full under the logs of a front and a registry", full_logs, needs=root_only),
    Row("disk full under PostgreSQL for 10 s", full_database, refused_calls=40, whole_s=40,
        least_units=60, needs=isolated),
]
