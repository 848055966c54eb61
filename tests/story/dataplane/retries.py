"""a backend is called as often as retry_count says, by method and fault"""
from backend import RESET, SILENCE, Backend, answer, mirror
from stack import wait_until

SERVED = True
BRIEF_MS, LONG_MS = 300, 20000  # the timeout where the backend says nothing, and where it does
# retry_count, method, fault, attempts, status: POST and PATCH are not repeated by default.
ROWS = [("-1", "GET", RESET, 2, 502), ("-1", "PUT", RESET, 2, 502), ("-1", "POST", RESET, 1, 502),
        ("-1", "PATCH", RESET, 1, 502), ("-1", "GET", SILENCE, 2, 504),
        ("-1", "POST", SILENCE, 1, 504), ("0", "GET", RESET, 1, 502), ("0", "GET", SILENCE, 1, 504),
        ("2", "POST", RESET, 3, 502), ("2", "PATCH", SILENCE, 3, 504), ("3", "GET", RESET, 4, 502)]
COUNTS = ("-1", "0", "2", "3")
LARGE = b"x" * 100000  # streamed: repeated only before its first byte was sent


def attempts(world, backend, count, method, wanted, kind="r", **more):
    """How often one call reaches the backend, and its reply. What the gateway gave up is read all the same, a moment later."""
    before = len(backend.seen)
    reply = world.call(method, f"/{kind}{COUNTS.index(count)}", **more)
    wait_until(lambda: len(backend.seen) - before >= wanted, 20, f"{wanted} attempts, and {reply}")
    return len(backend.seen) - before, reply


def story(world):
    world.group("g")
    with Backend() as backend:
        for kind, timeout in (("r", LONG_MS), ("silent", BRIEF_MS)):
            for number, count in enumerate(COUNTS):
                world.api(f"{kind}{number}", req_method="ANY", backend={
                    "url_domain": backend.address, "req_method": "ANY", "timeout": timeout, "retry_count": count})
                world.publish(f"{kind}{number}")
        for count, method, fault, wanted, status in ROWS:
            backend.answer = lambda seen, said=fault: said
            made, reply = attempts(world, backend, count, method, wanted, "silent" if fault is SILENCE else "r")
            row = f"retry_count {count}, {method}: {made} attempts, {reply}"
            assert (made, reply.status) == (wanted, status), row
            assert reply.json["error_code"] == "APIG.0201", row
        backend.answer = lambda seen: answer(503, "mine")
        made, reply = attempts(world, backend, "3", "GET", 1)
        assert (made, reply.status, reply.body) == (1, 503, b"mine"), reply
        backend.answer = lambda seen: RESET
        made, reply = attempts(world, backend, "3", "POST", 1, body=LARGE)
        assert (made, reply.status) == (1, 502), reply
        first = len(backend.seen)
        backend.answer = lambda seen: mirror(seen) if len(backend.seen) == first + 3 else RESET
        made, reply = attempts(world, backend, "2", "POST", 3, body=b"again")
        assert (made, reply.status, reply.json["body"]) == (3, 200, "again"), reply
