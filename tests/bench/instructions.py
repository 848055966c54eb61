"""instructions: what a proxied request costs in instructions of user space, against plain proxy_pass.

One nginx process under callgrind answers rounds of requests over sixteen kept connections. Unlike time, the count hardly
depends on the machine or on who else uses it. Nodes are those of local.py: no control plane, every unit granted.
"""
import itertools
import re
import socket
import ssl
import subprocess

import gateway
import local
import stack as stacks

CONNECTIONS = 16
WARM_UP, ROUNDS = 20, 60
APIS = 100
FIRST_TRIES = 50  # a limit's first unit takes a moment to arrive
ROWS = {"route only": "plain http", "route only + log": "plain http", "AppCode + 2 limits": "plain https",
        "signature + 2 limits": "plain http", "signature + 2 limits + IP list + 5 parameters": "plain http",
        "the same + channel of 10 + signature to the backend": "plain http"}


def connect(port, tls):
    sock = socket.create_connection(("127.0.0.1", port), 60)
    return ssl._create_unverified_context().wrap_socket(sock, server_hostname="bench") if tls else sock


def play(sockets, requests, rounds):
    """Each round: the next request on every connection, then all the answers."""
    for _ in range(rounds):
        for sock in sockets:
            sock.sendall(next(requests))
        for sock in sockets:
            received = b""
            while not received.endswith(local.BODY.encode()):
                part = sock.recv(65536)
                assert part and (received or part.startswith(b"HTTP/1.1 200")), received + part
                received += part


def first_answer(port, tls, request):
    with connect(port, tls) as sock:
        sock.sendall(request)
        return sock.recv(65536).startswith(b"HTTP/1.1 200")


def control(word, pid):
    subprocess.run(["callgrind_control", *word.split(), str(pid)], check=True, capture_output=True)


def measure(rounds, place, conf, port, tls, requests):
    """Instructions of one of `requests`, over `rounds` rounds, and callgrind's own file of them."""
    out = place / "callgrind.out"
    process = subprocess.Popen(
        ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}", "--", "/usr/sbin/nginx",
         "-p", f"{place}/", "-c", conf, "-e", place / "error.log", "-g", "daemon off; master_process off;"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def is_up():
            try:
                return socket.create_connection(("127.0.0.1", port), 60).close() or True
            except OSError:
                return False
        stacks.wait_until(is_up, 60, "nginx under callgrind")
        sockets = [connect(port, tls) for _ in range(CONNECTIONS)]
        assert any(first_answer(port, tls, next(requests)) for _ in range(FIRST_TRIES)), "no first answer"
        play(sockets, requests, WARM_UP)
        control("--instr=on", process.pid)
        play(sockets, requests, rounds)
        control("--instr=off", process.pid)
        for sock in sockets:
            sock.close()
    finally:
        process.terminate()
        process.wait(60)
    total = re.search(r"^totals: (\d+)", out.read_text(), re.M)
    return int(total[1]) / (rounds * CONNECTIONS)


def candidates(bed):
    """name → what measure() takes; plain ones and the module's own."""
    plain = bed.options.var / "plain-counted"
    plain.mkdir()
    port, tls = next(bed.ports), next(bed.ports)
    servers = local.PLAIN.format(backend=bed.backend_port, port=port, tls=tls, cert=bed.cert, key=bed.key,
                                 ciphers=local.CIPHERS)
    (plain / "nginx.conf").write_text(re.sub("daemon off;", "", local.PEER.format(dir=plain, servers=servers)))
    content = local.image(APIS, bed.backend_port)
    quiet, logged = bed.configured(content, log=False), bed.configured(content)
    guarded = bed.configured(local.image(APIS, bed.backend_port, **local.GUARDED))
    laden = bed.configured(local.laden(APIS, bed.backend_port))
    proving = bed.configured(local.proving(APIS, bed.backend_port))
    bare, full = local.request(0), local.request(2, signed=True, query=local.QUERY)

    def of(node, request, over_tls=False):
        return node.place, node.place / "nginx.conf", node.https if over_tls else node.http, over_tls, request
    return {
        "plain http": (plain, plain / "nginx.conf", port, False, bare),
        "route only": of(quiet, bare),
        "route only + log": of(logged, bare),
        "plain https": (plain, plain / "nginx.conf", tls, True, bare),
        "AppCode + 2 limits": of(guarded, local.request(1, headers=[("X-Apig-AppCode", local.CODE)]), True),
        "signature + 2 limits": of(guarded, local.request(2, signed=True)),
        "signature + 2 limits + IP list + 5 parameters": of(laden, full),
        "the same + channel of 10 + signature to the backend": of(proving, full),
    }


def run(options):
    """Prints the table; has no budget of its own."""
    counts, rounds = {}, 2 if options.smoke else ROUNDS
    with local.Bed(options) as bed:
        for name, row in candidates(bed).items():
            counts[name] = measure(rounds, *row[:-1], itertools.repeat(row[-1]))
            if options.keep:
                (row[0] / "callgrind.out").rename(options.keep / f"callgrind.{name.replace(' ', '-')}")
    print(gateway.heading(options.build))
    print(f"run:       {rounds * CONNECTIONS} requests over {CONNECTIONS} connections, {APIS} APIs, 128-byte body; \"route only\" "
          "writes no access log; user space alone\n")
    print(gateway.table([[name, f"{count:.0f}", f"{count - counts[ROWS.get(name, name)]:+.0f}",
                          f"{count / counts[ROWS.get(name, name)]:.3f}"] for name, count in counts.items()],
                        ["what", "instructions/req", "over plain", "ratio"]))
    return []
