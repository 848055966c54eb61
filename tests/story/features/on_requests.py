"""gzip, api_uri_no_escape, ssl_ciphers, request_custom_config, custom_log: set, obeyed by both nodes, off again"""
import gzip
import json
import pathlib
import socket
import ssl
import urllib.parse

import access_log
from backend import Backend, answer
from stack import wait_until

OWN_STACK = True  # what the served gateway's features are concerns every story beside it
SERVED = True
NODES = (1, 2)
LARGE = json.dumps(["0123456789abcdef"] * 200)
SUITE = "ECDHE-ECDSA-AES128-GCM-SHA256"
FEATURES = ("gzip", "api_uri_no_escape", "ssl_ciphers", "request_custom_config", "custom_log")


def set_and_back(world, name, config, seen, before, meanwhile):
    """`seen(node)` is `before`, then `meanwhile` while the feature is set, then `before` again."""
    for wanted, act in ((before, None), (meanwhile, lambda: world.feature(name, config)),
                        (before, lambda: world.feature(name))):
        if act is not None:
            act()
            world.settle("large")
        assert [seen(node) for node in NODES] == [wanted] * 2, f"{name}: {[seen(node) for node in NODES]} not {wanted}"


def compressed(world):
    def seen(node):
        reply = world.call("GET", "/large", node, headers={"Accept-Encoding": "gzip"})
        packed = reply.headers.get("content-encoding") == "gzip"
        assert (gzip.decompress(reply.body) if packed else reply.body) == LARGE.encode(), reply
        return packed
    set_and_back(world, "gzip", {"comp_level": 6}, seen, False, True)


def escapes(world):
    def seen(node):
        return world.call("GET", "/kept/a%2Fb", node).json["path"]
    set_and_back(world, "api_uri_no_escape", "", seen, "/whole/a/b", "/part/a%2Fb")


def handshake(world, version=ssl.TLSVersion.TLSv1_2, ciphers=None):
    """(suite, protocol) of a handshake with node 1, None when there is none."""
    url = urllib.parse.urlsplit(world.data_url("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    if ciphers:
        context.set_ciphers(ciphers)
    try:
        with socket.create_connection((url.hostname, url.port), 20) as plain, context.wrap_socket(plain) as sock:
            return sock.cipher()[0], sock.selected_alpn_protocol()
    except ssl.SSLError:
        return None


def suites(world):
    def seen(_node):
        return handshake(world, ciphers="ECDHE-ECDSA-AES256-GCM-SHA384") is not None
    set_and_back(world, "ssl_ciphers", {"ssl_ciphers": [SUITE]}, seen, True, False)
    assert handshake(world, ciphers=SUITE)[0] == SUITE


def requests(world):
    set_and_back(world, "request_custom_config", {"http2": "off", "client_body_timeout": "1"},
                 lambda node: handshake(world)[1], "h2", "http/1.1")
    world.feature("request_custom_config", {"client_body_timeout": "1"})
    world.settle("large")
    for node in NODES:
        url = urllib.parse.urlsplit(world.data_url(node))
        with socket.create_connection((url.hostname, url.port), 20) as sock:
            sock.sendall(f"POST /large HTTP/1.1\r\nHost: {world.names['g']['sl_domain']}\r\nContent-Length: 9\r\n\r\n1".encode())
            sock.settimeout(7)  # eight seconds without the feature
            assert sock.recv(4096).startswith(b"HTTP/1.1 408"), node
    assert handshake(world)[1] == "h2"
    world.feature("request_custom_config")


def logged(world):
    path = pathlib.Path(world.stack.var) / "node-1/access.log"

    def seen(_node):
        reply = world.call("GET", "/large?colour=red", 1, headers={"Cookie": "size=1 2"})
        wanted = reply.headers["x-request-id"]
        row = wait_until(lambda: access_log.find(path, lambda row: row["request_id"] == wanted), 20, "the line")
        return row["custom_data_log1"], row["custom_data_log2"]
    set_and_back(world, "custom_log", {"custom_logs": [{"location": "cookie", "name": "size"},
                                                       {"location": "query", "name": "colour"}]},
                 seen, ("-", "-"), ("1+2", "red"))


def story(world):
    world.group("g")
    with Backend(take=lambda seen: answer(200, LARGE, [("Content-Type", "application/json")])) as backend:
        world.api("large", req_method="ANY", backend={"url_domain": backend.address, "req_method": "ANY"})
        world.api("part", req_uri="/kept/{p}", backend={"req_uri": "/part/{p}"},
                  req_params=[{"name": "p", "type": "STRING", "location": "PATH", "required": 1}],
                  backend_params=[{"name": "p", "value": "p", "location": "PATH", "origin": "REQUEST"}])
        world.api("whole", req_uri="/kept", match_mode="SWA", backend={"req_uri": "/whole"})
        for name in ("large", "part", "whole"):
            world.publish(name)
        try:
            compressed(world)
            escapes(world)
            suites(world)
            requests(world)
            logged(world)
        finally:
            for name in FEATURES:
                world.feature(name)
