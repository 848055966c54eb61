"""an HTTPS backend is asked for by the Host that is sent, over connections and sessions of that name alone"""
import client
from backend import Backend, answer, mirror

SERVED = True
NAMES = ("one.example.com", "two.example.com")
HANDSHAKE = ("GET /socket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")


def host_sent(name):
    return [{"name": "Host", "value": name, "location": "HEADER", "origin": "CONSTANT"}]


def reply_to(seen):
    if seen.header("upgrade"):
        return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\n\r\n")
    said = mirror(seen)
    if seen.header("x-close"):
        said = said.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    return said


def refusals(world):
    """TLS where none is spoken, and none where TLS is."""
    with Backend(take=lambda seen: answer(200)) as plain, Backend(tls=True) as secure:
        world.api("muddled", backend={"url_domain": plain.address, "req_protocol": "HTTPS"})
        world.api("naked", backend={"url_domain": secure.address})
        for name in ("muddled", "naked"):
            world.publish(name)
        for node in (1, 2):
            reply = world.call("GET", "/muddled", node)
            assert (reply.status, reply.json["error_code"]) == (502, "APIG.0202"), reply
            reply = world.call("GET", "/naked", node)
            assert reply.status == 502, reply
        assert not secure.seen and not plain.seen


def story(world):
    world.group("g")
    with Backend(tls=True, take=reply_to) as backend:
        secured = {"url_domain": backend.address, "req_protocol": "HTTPS"}
        world.api("one", backend=secured, backend_params=host_sent(NAMES[0]))
        world.api("two", backend=secured, backend_params=host_sent(NAMES[1]))
        world.api("socket", backend=secured, backend_params=host_sent(NAMES[0]))
        world.api("bare", backend=secured)
        for name in ("one", "two", "socket", "bare"):
            world.publish(name)
        for node in (1, 2, "tls", "h2"):
            for name, host in zip(("one", "two") * 2, NAMES * 2):
                reply = world.call("GET", f"/{name}?a=1", node)
                assert reply.status == 200, reply
                assert reply.json["sni"] == host == reply.json["headers"]["host"], reply
                assert reply.json["target"] == f"/back/{name}?a=1", reply
        assert {(seen.header("host"), seen.sni) for seen in backend.seen} == {(n, n) for n in NAMES}
        reply = world.call("GET", "/bare")
        assert reply.json["sni"] is None and reply.json["headers"]["host"] == backend.address, reply
        resumed = [world.call("GET", "/one", headers={"X-Close": "1"}).json["resumed"]
                   for _ in range(6)]
        assert any(resumed), resumed  # a worker that meets the name first has no session yet
        host = world.names["g"]["sl_domain"]
        opened = client.raw(world.data_url("tls"), HANDSHAKE.format(host=host).encode())
        assert opened and opened.status == 101, opened
        assert backend.seen[-1].sni == NAMES[0], backend.seen[-1].sni
    refusals(world)
