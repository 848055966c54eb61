"""instructions: what a proxied request costs in instructions of user space, against plain proxy_pass.

One nginx process under callgrind answers rounds of requests over sixteen kept connections. Unlike time, the count hardly
depends on the machine or on who else uses it. Limits are left out: their counters need the control plane.
"""
import pathlib
import re
import socket
import ssl
import subprocess
import sys

import gateway
import proxy
import stack as stacks

sys.path.insert(0, str(gateway.TREE / "tests/unit/nginx"))
import module_node  # noqa: E402
import signer  # noqa: E402

CONNECTIONS = 16
WARM_UP, ROUNDS = 20, 60
APIS = 100
HOST, KEY, SECRET, CODE = "bench.example.com", "benchkey", "benchsecret", "c" * 64
ROWS = {"route only": "plain http", "AppCode": "plain https", "signature": "plain http"}


def image(backend):
    """An image of APIS APIs; the second takes an AppCode, the third a signature."""
    apis = [{"publish_id": module_node.hex_id(1000 + n), "api_id": module_node.hex_id(2000 + n), "name": f"bench_{n}",
             "group_id": module_node.hex_id(1), "path": f"/bench/{n}/items", "method": "GET", "match_mode": "NORMAL",
             "schemes": 3, "auth": "APP" if n in (1, 2) else "NONE", "app_code": True, "backend_type": "HTTP",
             "env_id": "DEFAULT_ENVIRONMENT_RELEASE_ID", "env_name": "RELEASE",
             "http": {"host": "127.0.0.1", "path": "/", "port": backend, "method": "GET", "timeout_ms": 5000,
                      "retry_count": -1}} for n in range(APIS)]
    return {"gateway": {"id": module_node.hex_id(9)}, "throttles": [], "apis": apis,
            "groups": [{"id": module_node.hex_id(1), "name": "g", "sl_domain_enabled": True}],
            "hosts": [{"name": HOST, "group_id": module_node.hex_id(1)}], "upstreams": {"127.0.0.1": ["127.0.0.1"]},
            "apps": [{"id": module_node.hex_id(50), "name": "an app", "key": KEY, "secret": SECRET, "codes": [CODE],
                      "publish_ids": [module_node.hex_id(1001), module_node.hex_id(1002)]}]}


def connect(port, tls):
    sock = socket.create_connection(("127.0.0.1", port), 60)
    return ssl._create_unverified_context().wrap_socket(sock, server_hostname=HOST) if tls else sock


def play(sockets, request, rounds):
    """Each round: a request on every connection, then all the answers."""
    for _ in range(rounds):
        for sock in sockets:
            sock.sendall(request)
        for sock in sockets:
            received = b""
            while not received.endswith(proxy.BODY.encode()):
                part = sock.recv(65536)
                assert part and (received or part.startswith(b"HTTP/1.1 200")), received + part
                received += part


def control(word, pid):
    subprocess.run(["callgrind_control", *word.split(), str(pid)], check=True, capture_output=True)


def measure(place, conf, port, tls, request):
    """Instructions a request, and callgrind's own file of them."""
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
        play(sockets, request, WARM_UP)
        control("--instr=on", process.pid)
        play(sockets, request, ROUNDS)
        control("--instr=off", process.pid)
        for sock in sockets:
            sock.close()
    finally:
        process.terminate()
        process.wait(60)
    total = re.search(r"^totals: (\d+)", out.read_text(), re.M)
    return int(total[1]) / (ROUNDS * CONNECTIONS)


def request_of(path, headers=()):
    lines = [f"GET {path} HTTP/1.1", f"Host: {HOST}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def candidates(options, port):
    """name → what measure() takes; plain ones and the module's own."""
    cert, key = proxy.certificate(options.var / "peers")
    plain = options.var / "plain"
    plain.mkdir()
    servers = proxy.PLAIN.format(backend=port, port=port + 1, tls=port + 2, cert=cert, key=key)
    (plain / "nginx.conf").write_text(re.sub("daemon off;", "", proxy.PEER.format(dir=plain, servers=servers)))
    node = module_node.Node(options.build, module_node.fresh(options.var / "node"), port + 3)
    node.configure(replaced=[("@IF_LOG_JSON@access_log", "#access_log"), ("sluice_limits @LIMITS@;", "")])
    node.publish(image(port))
    signed = signer.sign("GET", "/bench/2/items", {"Host": HOST}, b"", KEY, SECRET)
    signed.pop("Host", None)
    bench, own = (plain, plain / "nginx.conf"), (node.place, node.place / "nginx.conf")
    return {
        "plain http": (*bench, port + 1, False, request_of("/bench")),
        "route only": (*own, node.http, False, request_of("/bench/0/items")),
        "plain https": (*bench, port + 2, True, request_of("/bench")),
        "AppCode": (*own, node.https, True, request_of("/bench/1/items", [("X-Apig-AppCode", CODE)])),
        "signature": (*own, node.http, False, request_of("/bench/2/items", signed.items())),
    }, node


def run(options):
    """Prints the table; has no budget of its own."""
    port = stacks.free_port_block()
    backend = proxy.start_nginx(options.var / "backend", proxy.BACKEND.format(port=port, body=proxy.BODY), "0")
    rows, node = candidates(options, port)
    counts = {}
    try:
        for name, row in rows.items():
            counts[name] = measure(*row)
            if options.keep:
                (row[0] / "callgrind.out").rename(options.keep / f"callgrind.{name.replace(' ', '-')}")
    finally:
        backend.terminate()
        backend.wait(10)
        for path in pathlib.Path("/dev/shm").glob(f"sluice-{node.name}-*"):
            path.unlink()
    print(gateway.heading(options.build))
    print(f"run:       {ROUNDS * CONNECTIONS} requests over {CONNECTIONS} connections, {APIS} APIs, 128-byte body, access log "
          "on; user space alone\n")
    print(gateway.table([[name, f"{count:.0f}", f"{count - counts[ROWS.get(name, name)]:+.0f}",
                          f"{count / counts[ROWS.get(name, name)]:.3f}"] for name, count in counts.items()],
                        ["what", "instructions/req", "over plain", "ratio"]))
    return []
