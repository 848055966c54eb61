"""scale, shapes: the proxy's cost by the number of APIs and backends, and by the shape of the traffic.

A node without a control plane (local.py) beside plain nginx; both get the same requests, byte for byte.
"""
import gateway
import local
import measure
from measure import Candidate, compared


def pair(bed, node, name, requests, budget=None, tls=False, **more):
    """Plain nginx and a node of ours with the same requests."""
    replay = bed.replay(requests)
    scheme = "https" if tls else "http"
    plain = Candidate(f"plain: {name}", bed.plain, f"{scheme}://127.0.0.1:{bed.tls_port if tls else bed.plain_port}/",
                      replay=replay, **more)
    own = Candidate(name, node.pids, f"{scheme}://127.0.0.1:{node.https if tls else node.http}/", replay=replay, **more)
    return plain, compared(own, plain, budget)


def spread(count, groups, **more):
    return [local.request(n, groups, **more) for n in local.some(count, local.SPREAD)]


def scale(bed, options):
    """Route only and signature with two limits, at each number of APIs; many backends."""
    rows, first, guarded = [], None, None
    for count in options.apis:
        groups = min(1000, max(1, count // 100))
        node = bed.node(local.image(count, bed.backend_port, groups), log=False)
        plain, own = pair(bed, node, f"route only, {count} APIs", spread(count, groups), 1.08 if count == 100 else None)
        rows += [plain, compared(own, first, 1.20) if first else own]
        first = first or own
        node = bed.node(local.image(count, bed.backend_port, groups, **local.GUARDED))
        plain, own = pair(bed, node, f"signature + 2 limits, {count} APIs", spread(count, groups, signed=True),
                          1.20 if count == 100 else 1.30)
        rows += [plain, compared(own, guarded, 1.20) if guarded else own]
        guarded = guarded or own
    one = bed.node(local.image(local.BACKENDS, bed.backend_port), log=False)
    many = bed.node(local.image(local.BACKENDS, bed.backend_port, backends=local.BACKENDS), log=False)
    replay = bed.replay(spread(local.BACKENDS, 1))
    single = Candidate("1 backend", one.pids, f"http://127.0.0.1:{one.http}/", replay=replay)
    rows += [single, compared(Candidate(f"{local.BACKENDS} backends", many.pids, f"http://127.0.0.1:{many.http}/",
                                        replay=replay), single, 1.15)]
    return rows


def shapes(bed, _options):
    """Bodies, connections, TLS, HTTP/2; these rows have no budget."""
    sized = [local.api(n, 1, 1, http={"host": "b0.test", "path": path, "port": bed.backend_port, "method": "ANY",
                                      "timeout_ms": 5000, "retry_count": 0})
             for n, path in ((1, "/sized/10k"), (2, "/sized/1m"))]
    content = local.image(100, bed.backend_port)
    content["apis"][1:3] = sized
    node = bed.node(content, log=False)
    close = [("Connection", "close")]
    rows = []
    rows += pair(bed, node, "128 bytes, kept connections", [local.request(0)])
    rows += pair(bed, node, "128 bytes, new connections", [local.request(0, headers=close)])
    rows += pair(bed, node, "128 bytes, TLS", [local.request(0)], tls=True)
    rows += pair(bed, node, "128 bytes, TLS, new connections", [local.request(0, headers=close)], tls=True)
    for number, name, size in ((1, "10k", 10240), (2, "1m", 1 << 20)):
        body = local.request(number, method="POST", body=b"x" * size)
        plain, own = pair(bed, node, f"{name} both ways", [body], connections=16)
        plain.replay = bed.replay([body.replace(f"/bench/{number}/items".encode(), f"/sized/{name}".encode())])
        rows += [plain, own]
    log = bed.options.var / "h2load.log"
    host = [f":authority: {local.host(0, 1)}"]
    plain = Candidate("plain: HTTP/2", bed.plain, f"https://127.0.0.1:{bed.tls_port}/bench/0/items", host,
                      log=log)
    rows += [plain, compared(Candidate("HTTP/2", node.pids, f"https://127.0.0.1:{node.https}/bench/0/items",
                                       host, log=log), plain)]
    return rows


def run(options):
    """Prints the table; answers the rows that missed their budget."""
    with local.Bed(options) as bed:
        rows = {"scale": scale, "shapes": shapes}[options.what](bed, options)
        measure.interleave(rows, options.rounds, options.seconds)
        lines, missed = measure.report(rows, options.slack)
    print(gateway.heading(options.build))
    print(f"run:       {options.rounds} rounds of {options.seconds} s a candidate, 64 connections (16 for large bodies); proxy "
          f"on core {measure.PROXY_CORE}, load and backend on core {measure.LOAD_CORE}; access log on where limits are\n")
    print(gateway.table(lines, measure.TITLES))
    return missed
