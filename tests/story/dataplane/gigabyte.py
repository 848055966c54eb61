"""a gigabyte goes up and a gigabyte comes down, in little memory and without a spool file"""
import contextlib
import os
import pathlib
import subprocess
import threading
import zlib

from exchange import Exchange
from stack import select_pause, wait_until
from stream_backend import StreamBackend

OWN_STACK = True  # what its workers write and hold is this story's doing alone
SERVED = True
MB = 1 << 20
SIZE = 1024 * MB
H2_SIZE = 128 * MB
BLOCK = os.urandom(MB)
HELD_MAX = 64 * MB  # of a worker, at its worst
QUARANTINE = 256 * MB  # what a sanitizer's runtime keeps of freed memory, besides its own
FILE_MAX = MB


def pump(send):
    """Sends a gigabyte; answers its checksum."""
    told = 0
    for _ in range(SIZE // MB):
        send(BLOCK)
        told = zlib.crc32(BLOCK, told)
    return told


def summed(parts):
    told, size = 0, 0
    for part in parts:
        told, size = zlib.crc32(part, told), size + len(part)
    return told, size


def serve(call):
    if call.method == "POST":
        call.answer(b"%d %d" % summed(call.parts()))
        return
    call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % SIZE)
    pump(call.send)


class Worker:
    """What the kernel says of a process."""

    def __init__(self, pid):
        self.proc = pathlib.Path(f"/proc/{pid}")
        self.begun = self.held("VmHWM"), self.written()

    def held(self, what):
        line, = [x for x in (self.proc / "status").read_text().splitlines() if x.startswith(what)]
        return int(line.split()[1]) * 1024

    def written(self):
        """Bytes written to files, from its start."""
        text = (self.proc / "io").read_text()
        return int(text.split("write_bytes: ")[1].split()[0])


class Spool:
    """Looks all the time at the workers' open files: nginx unlinks its temporary ones at once."""

    def __init__(self, stack):
        self.places = [pathlib.Path(f"/proc/{pid}/fd") for pid in workers_of(stack)]
        self.largest, self.looks, self.over = 0, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.over.is_set():
            for path in (path for place in self.places for path in place.iterdir()):
                with contextlib.suppress(OSError):
                    if "/temp-" in os.readlink(path):
                        self.largest = max(self.largest, path.stat().st_size)
            self.looks += 1
            select_pause(0.01)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.thread.join()


def workers_of(stack):
    return [pid for unit in ("nginx-1", "nginx-2") for pid in stack.children(unit)]


def up_by_h2(world, host):
    """A stream of unknown length, over HTTP/2."""
    curl = subprocess.Popen(["curl", "-sk", "--http2", "-X", "POST", "-T", "-", "-H", f"Host: {host}",
                             "-w", " %{http_version}", world.data_url("h2") + "/up"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    told = 0
    for _ in range(H2_SIZE // MB):
        curl.stdin.write(BLOCK)
        told = zlib.crc32(BLOCK, told)
    answer = curl.communicate(timeout=60)[0]
    assert answer == b"%d %d 2" % (told, H2_SIZE), answer


def story(world):
    stack, wanted = world.stack, zlib.crc32(BLOCK)
    for _ in range(SIZE // MB - 1):
        wanted = zlib.crc32(BLOCK, wanted)
    stack.admin("gateway", "set", world.instance, f"request_body_size={SIZE}")
    try:
        with StreamBackend(serve) as backend, Spool(stack) as spool:
            world.group("g")
            for name, method in (("up", "POST"), ("down", "GET")):
                world.api(name, req_method=method, backend={
                    "url_domain": backend.address, "req_method": method, "timeout": 30000})
                world.publish(name)
            head = {"Host": world.names["g"]["sl_domain"], "Connection": "close"}
            wait_until(lambda: world.call("POST", "/up", body=b"1").body == b"%d 1" % zlib.crc32(b"1"),
                       5, "the backend")
            workers = [Worker(pid) for pid in workers_of(stack)]
            assert len(workers) > 1, workers
            with Exchange(world.data_url(1), "POST", "/up",
                          {**head, "Content-Length": str(SIZE)}) as up:
                assert pump(up.send) == wanted
                assert up.reply().body == b"%d %d" % (wanted, SIZE), up.reply()
            with Exchange(world.data_url(2), "GET", "/down", head) as down:
                came = iter(lambda: down.head().read(MB), b"")
                assert summed(came) == (wanted, SIZE)
            up_by_h2(world, head["Host"])
        assert spool.looks > 10 and spool.largest <= FILE_MAX, (spool.looks, spool.largest)
        for worker in workers:
            held, written = worker.held("VmHWM"), worker.written()
            if stack.sanitized:
                held -= worker.begun[0] + QUARANTINE
            assert held < HELD_MAX, f"{worker.begun[0] / MB:.1f} MB, then {held / MB:.1f} MB"
            assert written - worker.begun[1] < FILE_MAX, written - worker.begun[1]
    finally:
        stack.admin("gateway", "set", world.instance, "request_body_size=")
