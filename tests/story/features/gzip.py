"""gzip compresses what the document names, to who takes it, and nothing else: type by type, size by size, and gRPC not at all"""
import gzip
import json

import client
from backend import Backend, answer
from grpc_backend import GrpcBackend, GrpcCaller

OWN_STACK = True  # what the served gateway's features are concerns every story beside it
SERVED = True
NODES = (1, 2, "tls", "h2")
TYPES = ("text/xml", "text/plain", "text/css", "application/javascript", "application/x-javascript", "application/rss+xml",
         "text/javascript", "image/tiff", "image/svg+xml", "application/json", "application/xml")
OTHERS = ("text/html", "application/octet-stream", "image/png", "application/grpc", "text/event-stream", "application/jsonp")
KB = 1024
TAKES = {"Accept-Encoding": "gzip"}
ENCODED = {"Content-Encoding": "gzip"}


def packed(reply, body):
    """Whether the answer came compressed; either way it is the body, and says that it depends on what the caller takes."""
    is_packed = reply.headers.get("content-encoding") == "gzip"
    came = gzip.decompress(reply.body) if is_packed else reply.body
    assert reply.status == 200 and came == body, reply
    assert not is_packed or reply.headers["vary"].lower() == "accept-encoding", reply.headers
    return is_packed


def rows(world, backend):
    def asked(body, content_type, node=1, headers=None, more=()):
        backend.answer = lambda seen: answer(200, body, [("Content-Type", content_type), *more])
        return world.call("GET", "/a", node, headers=TAKES if headers is None else headers)
    text = b"0123456789abcdef" * 200
    for number, name in enumerate(TYPES + OTHERS):
        node = NODES[number % len(NODES)]
        for said in (name, f"{name}; charset=utf-8"):
            assert packed(asked(text, said, node), text) == (name in TYPES), f"{node} {said}"
    for node in NODES:
        for size, wanted in ((KB - 1, False), (KB, False), (KB + 1, True)):
            assert packed(asked(b"x" * size, "text/plain", node), b"x" * size) == wanted, f"{node} {size}"
        for headers, wanted in (({}, False), ({"Accept-Encoding": "br"}, False), ({"Accept-Encoding": "br, gzip"}, True),
                                ({"Accept-Encoding": "gzip;q=0"}, False)):
            assert packed(asked(text, "text/plain", node, headers), text) == wanted, f"{node} {headers}"
        own = gzip.compress(text)
        reply = asked(own, "text/plain", node, more=ENCODED.items())
        assert reply.body == own and reply.headers["content-encoding"] == "gzip", reply
        mock = world.call("GET", "/mock", node, headers=TAKES)
        assert packed(mock, json.dumps("m" * 1500).encode())


def untouched_grpc(world):
    """Neither a message nor a refusal is compressed, whatever the caller's HTTP takes."""
    with GrpcBackend() as backend, GrpcCaller(world) as caller:
        own = {"url_domain": backend.address, "req_protocol": "GRPCS", "req_method": "POST", "req_uri": "/", "timeout": 5000}
        for name, auth in (("open", "NONE"), ("kept", "APP")):
            world.api(name, req_protocol="GRPCS", req_method="POST", backend_type="GRPC", backend_api=own, auth_type=auth,
                      req_uri=f"/pkg.{name.title()}", match_mode="SWA")
            world.publish(name)
        told, call = caller.unary("/pkg.Open/Echo", b"x" * 5000, metadata=(("accept-encoding", "gzip"),))
        assert told == b"x" * 5000, len(told)
        assert "content-encoding" not in dict(call.initial_metadata()), call.initial_metadata()
        headers = {"Host": world.names["g"]["sl_domain"], "Content-Type": "application/grpc", **TAKES}
        refused = client.request_h2(world.data_url("h2"), "POST", "/pkg.Kept/Echo", headers, b"")
        assert (refused.headers["grpc-status"], refused.body) == ("16", b""), refused
        assert "content-encoding" not in refused.headers, refused.headers


def story(world):
    world.group("g")
    with Backend() as backend:
        world.api("a", backend={"url_domain": backend.address})
        world.api("mock", backend_type="MOCK", mock_info={"result_content": json.dumps("m" * 1500)})
        world.feature("gzip", {"comp_level": 6})
        try:
            for name in ("a", "mock"):
                world.publish(name)
            rows(world, backend)
            untouched_grpc(world)
        finally:
            world.feature("gzip")
