"""what one side sends reaches the other before it sends more: events, and chunks of a request"""
import queue
import urllib.parse

from exchange import Exchange
from h2session import Session
from stream_backend import StreamBackend

SERVED = True
ROUNDS = 20
WAIT_S = 10


class Meeting:
    """What the backend's calls tell each other: acknowledgements, and the parts that came."""

    def __init__(self):
        self.acknowledged, self.seen = queue.Queue(), queue.Queue()

    def serve(self, call):
        path, _, query = call.target.partition("?")
        {"/events": self.events, "/acknowledge": self.acknowledge, "/upload": self.upload,
         "/seen": self.tell_seen, "/talk": self.talk}[path](call, query)

    @staticmethod
    def begin(call):
        call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")

    def events(self, call, _):
        """Event n+1 only after event n was acknowledged."""
        self.begin(call)
        for number in range(ROUNDS):
            call.send(event(number))
            assert self.acknowledged.get(timeout=WAIT_S) == str(number)

    def acknowledge(self, call, query):
        self.acknowledged.put(query)
        call.answer(Connection="close")

    def upload(self, call, _):
        for part in call.parts():
            self.seen.put(part)
        call.answer(b"whole", Connection="close")

    def tell_seen(self, call, _):
        call.answer(self.seen.get(timeout=WAIT_S), Connection="close")

    def talk(self, call, _):
        """An event for every chunk, while the request is still being sent."""
        self.begin(call)
        for part in call.parts():
            call.send(b"data: %b\n\n" % part)


def event(number):
    return b"data: %d\n\n" % number


def read_event(head, wanted):
    came = b""
    while len(came) < len(wanted):
        part = head.read1(len(wanted) - len(came))
        assert part, came
        came += part
    assert came == wanted, came


def listen(world, node, host):
    with Exchange(world.data_url(node), "GET", "/events", {"Host": host}) as exchange:
        for number in range(ROUNDS):
            read_event(exchange.head(), event(number))
            assert world.call("GET", f"/acknowledge?{number}", node).status == 200
        assert exchange.head().read() == b""


def listen_h2(world, address, host):
    with Session(address.hostname, address.port) as session:
        stream, came = session.open("GET", "/events", authority=host, end=True), b""
        for number in range(ROUNDS):
            came += event(number)
            assert session.body(stream, len(came)) == came
            # The other way on the same connection.
            other = session.open("GET", f"/acknowledge?{number}", authority=host, end=True)
            assert session.reply(other).status == 200
        assert session.reply(stream).body == came


def send(world, node, host):
    headers = {"Host": host, "Transfer-Encoding": "chunked"}
    with Exchange(world.data_url(node), "POST", "/upload", headers) as exchange:
        for number in range(ROUNDS):
            exchange.send(b"part %d" % number)
            assert world.call("GET", "/seen", node).body == b"part %d" % number
        exchange.end()
        assert exchange.reply().body == b"whole"


def send_h2(world, address, host):
    with Session(address.hostname, address.port) as session:
        stream = session.open("POST", "/upload", authority=host)
        for number in range(ROUNDS):
            session.send(stream, b"part %d" % number)
            other = session.open("GET", "/seen", authority=host, end=True)
            assert session.reply(other).body == b"part %d" % number
        session.send(stream, b"", end=True)
        assert session.reply(stream).body == b"whole"


def talk(world, node, host):
    headers = {"Host": host, "Transfer-Encoding": "chunked"}
    with Exchange(world.data_url(node), "POST", "/talk", headers) as exchange:
        for number in range(ROUNDS):
            exchange.send(b"%d" % number)
            read_event(exchange.head(), event(number))
        exchange.end()
        assert exchange.head().read() == b""


def talk_h2(world, address, host):
    with Session(address.hostname, address.port) as session:
        stream, came = session.open("POST", "/talk", authority=host), b""
        for number in range(ROUNDS):
            session.send(stream, b"%d" % number)
            came += event(number)
            assert session.body(stream, len(came)) == came
        session.send(stream, b"", end=True)
        assert session.reply(stream).body == came


def story(world):
    with StreamBackend(Meeting().serve) as backend:
        world.group("g")
        for name, method in (("events", "GET"), ("acknowledge", "GET"), ("seen", "GET"),
                             ("upload", "POST"), ("talk", "POST")):
            world.api(name, req_method=method, backend={
                "url_domain": backend.address, "req_method": method, "req_uri": f"/{name}"})
            world.publish(name)
        host, tls = world.names["g"]["sl_domain"], urllib.parse.urlsplit(world.data_url("h2"))
        for node in (1, 2, "tls"):
            for act in (listen, send, talk):
                act(world, node, host)
        for act in (listen_h2, send_h2, talk_h2):
            act(world, tls, host)
