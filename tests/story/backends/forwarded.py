"""what a backend is told of its caller, what stays between two neighbours, and what the gateway says of itself"""
import urllib.parse

import client
from backend import Backend, answer, mirror

SERVED = True
# What one neighbour says to the next, in both directions.
BETWEEN = [("Connection", "close, X-Own-Hop"), ("X-Own-Hop", "1"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"),
           ("Upgrade", "h2,h2c")]
SPOOFED = {"X-Forwarded-Host": "spoofed.example.com", "X-Forwarded-Port": "1", "X-Forwarded-Proto": "gopher", "X-Real-IP": "192.0.2.1",
           "X-Request-Id": "mine", "X-Apig-Mode": "debug", "X-Forwarded-For": "192.0.2.9", "X-Kept": "1"}


def told(world, backend):
    """The headers that the gateway sends of its own, whatever the caller said."""
    domain = world.names["g"]["sl_domain"]
    for node in (1, 2, "tls", "h2"):
        url = urllib.parse.urlsplit(world.data_url(node))
        for said, forwarded in ((SPOOFED, "192.0.2.9, 127.0.0.1"), ({}, "127.0.0.1")):
            reply = world.call("GET", "/a", node, headers=said)
            assert reply.status == 200, reply
            heard = reply.json["headers"]
            wanted = {"x-forwarded-for": forwarded, "x-real-ip": "127.0.0.1", "x-forwarded-proto": url.scheme,
                      "x-forwarded-port": str(url.port), "x-forwarded-host": domain, "x-request-id": reply.headers["x-request-id"],
                      "host": backend.address, "x-kept": said.get("X-Kept"), "x-apig-mode": None}
            assert {name: heard.get(name) for name in wanted} == wanted, f"{node}: {heard}"


def between(world, backend):
    """Neither a request's nor an answer's hop-by-hop headers pass; Server and Date are the gateway's."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in [*BETWEEN, ("TE", "trailers"), ("X-Through", "2")])
    sent = f"GET /a HTTP/1.1\r\nHost: {world.names['g']['sl_domain']}\r\n{lines}\r\n".encode()
    for node in (1, 2, "tls"):
        reply = client.raw(world.data_url(node), sent)
        heard = reply.json["headers"]
        assert heard["x-through"] == "2" and "te" not in heard, heard
        assert not {"x-own-hop", "keep-alive", "proxy-connection", "upgrade"} & set(heard), heard
    theirs = [*BETWEEN, ("Server", "theirs"), ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("X-Request-Id", "theirs"),
              ("X-Apig-Latency", "1"), ("X-Through", "2"), ("X-Accel-Redirect", "/elsewhere"), ("Set-Cookie", "a=1")]
    backend.answer = lambda seen: answer(418, "short and stout", theirs)
    for node in (1, 2, "tls", "h2"):
        reply = world.call("GET", "/a", node)
        assert (reply.status, reply.body) == (418, b"short and stout"), reply
        own = reply.headers
        assert own["server"] == "api-gateway" and "1970" not in own["date"] and own["x-through"] == "2", own
        assert len(own["x-request-id"]) == 32 and own["set-cookie"] == "a=1" and "x-apig-latency" not in own, own
        assert not {"x-own-hop", "keep-alive", "proxy-connection", "upgrade"} & set(own), own


def measured(world):
    """Latencies stand in answers to who asks for them, refusals included."""
    for node in (1, 2, "tls", "h2"):
        debug = {"X-Apig-Mode": "debug"}
        reply = world.call("GET", "/kept", node, headers=debug)
        assert reply.status == 401 and reply.headers["x-apig-latency"].isdigit(), reply.headers
        assert "x-apig-upstream-latency" not in reply.headers, reply.headers
        assert reply.headers["content-type"] == "application/json" and reply.headers["server"] == "api-gateway", reply.headers
        assert list(reply.json) == ["error_msg", "error_code", "request_id"], reply
        assert reply.json["request_id"] == reply.headers["x-request-id"], reply
        reply = world.call("GET", "/a", node, headers=debug)
        assert reply.headers["x-apig-latency"].isdigit() and reply.headers["x-apig-upstream-latency"].isdigit(), reply.headers
        assert "x-apig-latency" not in world.call("GET", "/a", node, headers={"X-Apig-Mode": "other"}).headers


def story(world):
    world.group("g")
    with Backend(take=mirror) as backend:
        world.api("a", backend={"url_domain": backend.address})
        world.api("kept", auth_type="APP", backend={"url_domain": backend.address})
        for name in ("a", "kept"):
            world.publish(name)
        told(world, backend)
        between(world, backend)
        measured(world)
