"""ratelimit, request_body_size, backend_timeout, sse_strategy: set, obeyed by both nodes, off again"""
import queue

from backend import SILENCE, Backend
from exchange import Exchange
from stream_backend import StreamBackend

OWN_STACK = True  # what the served gateway's features are concerns every story beside it
SERVED = True
NODES = (1, 2)
MB = 1 << 20
LIMIT = 5
TIMEOUT_MS = 300
FEATURES = ("ratelimit", "request_body_size", "backend_timeout", "sse_strategy")


def rate_limit(world):
    """The default of an API without a policy, shared by the nodes."""
    debug = {"X-Apig-Mode": "debug"}

    def shown(node):
        return world.call("GET", "/limited", node, headers=debug).headers["x-apig-ratelimit-api-allenv"]
    assert all("limit:200," in shown(node) for node in NODES)
    world.feature("ratelimit", {"api_limits": LIMIT})
    world.settle("limited")
    assert all(f"limit:{LIMIT}," in shown(node) for node in NODES)
    for node in NODES:
        replies = [world.call("GET", "/limited", node) for _ in range(60)]
        refused = [reply for reply in replies if reply.status == 429]
        assert refused and refused[0].json["error_code"] == "APIG.0308", replies
        assert refused[0].json["error_msg"].endswith(f"limit:{LIMIT},time:1 second"), refused[0]
    world.feature("ratelimit")
    world.settle("limited")
    assert all("limit:200," in shown(node) for node in NODES)


def body_size(world):
    """A body beyond the size is refused; one of exactly the size is not."""
    def statuses(size):
        return [world.call("POST", "/taken", node, body=b"x" * size).status for node in NODES]
    assert statuses(2 * MB) == [200, 200]
    world.feature("request_body_size", str(MB))
    world.settle("taken")
    assert statuses(MB) == [200, 200]
    reply = world.call("POST", "/taken", body=b"x" * (MB + 1))
    assert (reply.status, reply.json["error_code"]) == (413, "APIG.0201"), reply
    world.feature("request_body_size")
    world.settle("taken")
    assert statuses(2 * MB) == [200, 200]


def backend_timeout(world):
    """A lower maximum bounds the APIs that have more, also those published before."""
    def answered():
        return [(reply.status, reply.json.get("error_code")) for reply in
                (world.call("GET", "/silent", node) for node in NODES)]
    world.feature("backend_timeout", {"max_timeout": TIMEOUT_MS})
    world.settle("limited")
    assert answered() == [(504, "APIG.0201")] * 2
    reply = world.manage("PUT", f"/apis/{world.names['silent']['id']}", world.names["silent"]["body"])
    assert (reply.status, reply.json["error_code"]) == (400, "APIG.2004"), reply
    assert "backend_api.timeout" in reply.json["error_msg"], reply
    world.feature("backend_timeout")
    world.want(200, "PUT", f"/apis/{world.names['silent']['id']}", world.names["silent"]["body"])


class Parts:
    """Sends each part of a text only when the client acknowledged the one before."""

    def __init__(self):
        self.acknowledged = queue.Queue()

    def serve(self, call):
        if call.target.startswith("/acknowledge"):
            self.acknowledged.put(call.target)
            call.answer(Connection="close")
            return
        call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n")
        for number in range(3):
            call.send(b"part %d\n" % number)
            self.acknowledged.get(timeout=10)


def unbuffered(world):
    """sse_strategy: an answer of any type is passed on as it comes."""
    parts = Parts()
    with StreamBackend(parts.serve) as backend:
        for name in ("parts", "acknowledge"):
            world.api(name, backend={"url_domain": backend.address, "req_uri": f"/{name}"})
            world.publish(name)
        world.feature("sse_strategy", "on")
        world.settle("parts")
        for node in NODES:
            headers = {"Host": world.names["g"]["sl_domain"]}
            with Exchange(world.data_url(node), "GET", "/parts", headers) as exchange:
                for number in range(3):
                    part = b"part %d\n" % number
                    assert exchange.head().read(len(part)) == part
                    assert world.call("GET", "/acknowledge", node).status == 200
        world.feature("sse_strategy")


def story(world):
    world.group("g")
    with Backend(take=lambda seen: SILENCE) as silent:
        world.api("limited")
        world.api("taken", req_method="POST", backend={"req_method": "POST"})
        world.api("silent", backend={"url_domain": silent.address, "timeout": 60000,
                                     "retry_count": "0"})
        for name in ("limited", "taken", "silent"):
            world.publish(name)
        try:
            rate_limit(world)
            body_size(world)
            backend_timeout(world)
            unbuffered(world)
        finally:
            for name in FEATURES:
                world.feature(name)
