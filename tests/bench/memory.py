"""memory: bytes of the live image, and what a worker holds of its own, with nothing, many and very many APIs, all called."""
import pathlib
import re
import socket

import gateway
import local

BURST = 200  # requests that are sent before the first answer is read
# What design allows: an API with five parameters; a worker's growth from none to 100,000 APIs.
BYTES_PER_API, GROWTH_MB = 1536, 40


def anonymous_mb(pid):
    """RssAnon of a process."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) / 1024


def image_bytes(name):
    """Files of an image in shared memory: directory and segments."""
    return sum(path.stat().st_size for path in pathlib.Path("/dev/shm").glob(f"sluice-{name}-*")
               if "counters" not in path.name)


def call_all(port, request, count, expected=200):
    """request(0), request(1)… once each, in bursts; all are answered so."""
    with socket.create_connection(("127.0.0.1", port), 60) as sock:
        file = sock.makefile("rb")
        for begin in range(0, count, BURST):
            burst = range(begin, min(count, begin + BURST))
            sock.sendall(b"".join(request(n) for n in burst))
            for n in burst:
                status = file.readline()
                assert b" %d " % expected in status, (n, status)
                length = 0
                while (line := file.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                file.read(length)


def run(options):
    """Prints the table; answers what missed its budget."""
    lines, missed, empty = [], [], None
    with local.Bed(options) as bed:
        for count in [0, *options.apis]:
            groups = min(1000, max(1, count // 100))
            node = bed.node(local.image(count, bed.backend_port, groups, **local.PARAMETERS,
                                        throttle_id=local.THROTTLE))
            call_all(node.http, lambda n, groups=groups: local.request(n, groups), 1, 200 if count else 404)
            start = anonymous_mb(node.pids[-1])
            empty = empty or start
            image = image_bytes(node.name)
            call_all(node.http, lambda n, groups=groups: local.request(n, groups), count)
            called = anonymous_mb(node.pids[-1])
            each = image / max(1, count)
            lines.append([count, groups, f"{image / 1e6:.1f}", f"{each:.0f}" if count else "", f"<= {BYTES_PER_API}" if count else "",
                          f"{start:.1f}", f"{called:.1f}", f"{called - empty:+.1f}", f"<= {GROWTH_MB}"])
            if count >= 10_000 and each > BYTES_PER_API * options.slack:
                missed.append(f"image of {count}")
            if called - empty > GROWTH_MB * options.slack:
                missed.append(f"worker at {count}")
    print(gateway.heading(options.build))
    print("run:       APIs with 5 mapped parameters and a throttle; a worker's RssAnon after one call and after a call of each\n")
    print(gateway.table(lines, ["APIs", "groups", "image MB", "bytes/API", "budget", "worker MB", "all called", "growth",
                                "budget MB"]))
    return missed
