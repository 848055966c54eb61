"""an answer that stalls is cut after the API's timeout, and its backend let go, however much of it has gone out"""
import http.client
import threading

from exchange import Exchange
from stream_backend import StreamBackend

SERVED = True
TIMEOUT_MS = 2000
SENT, WHOLE = b"x" * 2000, 6000


class Answers:
    """A third of what the head promises, then nothing until the gateway hangs up."""

    def __init__(self):
        self.hung_up = threading.Semaphore(0)

    def serve(self, call):
        call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
                  b"Content-Length: %d\r\n\r\n" % WHOLE + SENT)
        assert call.connection.recv(1) == b""
        self.hung_up.release()


def story(world):
    answers = Answers()
    with StreamBackend(answers.serve) as backend:
        world.group("g")
        world.api("stall", backend={"url_domain": backend.address, "timeout": TIMEOUT_MS})
        world.publish("stall")
        for node in (1, 2, "tls"):
            with Exchange(world.data_url(node), "GET", "/stall", {"Host": world.names["g"]["sl_domain"]}) as exchange:
                assert exchange.head().status == 200, node
                try:
                    raise AssertionError(f"{node}: {len(exchange.head().read())} bytes are a whole answer")
                except http.client.IncompleteRead as cut:
                    assert cut.partial == SENT, (node, len(cut.partial))
            assert answers.hung_up.acquire(timeout=10), node
        assert backend.calls == 3, backend.calls  # nothing is tried again once the caller has a byte
