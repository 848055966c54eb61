"""one path is routed, limited, logged and sent on: every line of the table, on both nodes"""
import client

SERVED = True

# raw target, and the canonical path the backend must see; None: refused, 400 APIG.0201
TABLE = [
    ("/p/a/b", "/p/a/b"),
    ("/p//a", "/p/a"),
    ("//p/a", "/p/a"),
    ("/p/./a", "/p/a"),
    ("/p/x/../a", "/p/a"),
    ("/p/a%2Fb", "/p/a/b"),
    ("/p/%61", "/p/a"),
    ("/p/a%20b", "/p/a%20b"),
    ("/p/%E4%B8%AD", "/p/%E4%B8%AD"),
    ("/p/a/", "/p/a/"),
    ("/p/a?q=/../%2e", "/p/a"),
    ("/p/..%2fa", None),
    ("/p/%2e%2e%2fa", None),
    ("/p/x%2f../a", None),
    ("/p/..%5ca", None),
    ("/p/x\\../a", None),
    ("/p/..;/a", None),
    ("/p/a#b", None),
    ("/p/a%00b", None),
    ("/p/a%0ab", None),
    ("/p/a\x7fb", None),
    ("http://other.example.com/p/a", None),
]

# Whole requests that have no place behind a gateway; {host} is the group's domain.
REFUSED = [
    "GET /p/a HTTP/1.1\r\nHost: {host}\r\nHost: other\r\n\r\n",
    "POST /p/a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /p/a HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "CONNECT {host}:80 HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "GET /p/a HTTP/1.1\r\n\r\n",
    "GET /p/a HTTP/1.1\r\nHost: {host}\r\nBad Name: x\r\n\r\n",
]


def story(world):
    world.group("g")
    world.api("p", match_mode="SWA", req_method="ANY", backend={"req_uri": "/p", "req_method": "ANY"})
    world.publish("p")
    host = world.names["g"]["sl_domain"]
    faults = []
    for node in (1, 2):
        base = world.data_url(node)
        for target, expected in TABLE:
            sent = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            reply = client.raw(base, sent.encode("latin-1"))
            if expected is None:
                ok = reply and reply.status == 400 and reply.json["error_code"] == "APIG.0201"
            else:
                ok = reply and reply.status == 200 and reply.json["path"] == expected
            if not ok:
                faults.append(f"node {node} {target!r}: wanted {expected}, got {reply}")
        for sent in REFUSED:
            reply = client.raw(base, sent.format(host=host).encode())
            if not reply or reply.status != 400 or (reply.json or {}).get("error_code") != "APIG.0201":
                faults.append(f"node {node} {sent!r}: wanted 400, got {reply}")
        old = client.raw(base, b"GET /p/a\r\n\r\n")
        if old is not None and old.status != 400:
            faults.append(f"node {node}: HTTP/0.9 was answered: {old}")
        whole = client.raw(base, f"GET http://{host}/p/a HTTP/1.1\r\nHost: {host}\r\n"
                                 "Connection: close\r\n\r\n".encode())
        if not whole or whole.status != 200 or whole.json["path"] != "/p/a":
            faults.append(f"node {node}: absolute target: {whole}")
        bare = client.raw(base, f"POST /p/a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n"
                                "Connection: close\r\n\r\n3\nabc\r\n0\r\n\r\n".encode())
        # Refused, or re-framed so that the backend cannot see it.
        if bare and bare.status != 400 and bare.json.get("body") != "abc":
            faults.append(f"node {node}: bare LF in a chunk: {bare}")
    assert not faults, "\n".join(faults)
