"""Bodies that wait, stall or are too many, in a real nginx: python3 body_test.py BUILD [unittest arguments]."""
import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import sys
import time
import unittest

import module_test as module
from module_node import PATIENCE_S, ROOT, Node, Reply, free_ports, fresh, pause, until

sys.path.insert(0, str(ROOT / "tests/lib"))
from exchange import Exchange  # noqa: E402
from h2session import Session  # noqa: E402
from stream_backend import StreamBackend  # noqa: E402

KB = 1024
BUDGET = 1024 * KB
FLOOD = 512 * KB * KB
HELD_MAX = 64 * KB * KB  # of a worker's memory
STALL_S = 2  # client_body_timeout where bodies stall
HOST = ("Host", "h.example.com")
APIS = [
    module.api(1, "/open", method="ANY", http={"path": "/echo", "timeout_ms": 60000}),
    module.api(2, "/signed", method="ANY", auth="APP", http={"path": "/echo", "timeout_ms": 60000}),
    module.api(3, "/sluggish", method="ANY", http={"timeout_ms": 60000}),
]


def image(apis):
    made = dict(module.image(), apis=apis)
    made["gateway"]["body_max_bytes"] = FLOOD
    return made


class Nodes:
    """One where a body may take its time, as it does on a busy machine, and one where it may not."""

    patient = brief = None

    @staticmethod
    def started(name, base, stall_s):
        node = Node(module.BUILD, fresh(module.BUILD / f"tests/{name}"), base)
        node.publish(image(APIS))  # whose backend is the first one's
        node.start(workers=2, echo=base == module.PORT, replaced=[
            ("@BODY_BUDGET@m", "1m"), ("client_body_timeout 8s", f"client_body_timeout {stall_s}s")])
        return node


def setUpModule():
    Nodes.patient = Nodes.started("body-node", module.PORT, PATIENCE_S)
    Nodes.brief = Nodes.started("body-brief", free_ports(), STALL_S)


def tearDownModule():
    """As in module_test.py, but workers may have been killed."""
    for node in (Nodes.brief, Nodes.patient):
        status, logs = node.stop(), node.logs()
        bad = [line for line in logs.splitlines()
               if re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", line) and "exited on signal 9" not in line]
        assert not bad and status == 0, "\n".join(bad) + "\n" + logs[-6000:]


class Upload:
    """A request whose body comes in parts, over HTTP/1.1."""

    def __init__(self, node, size, target="/signed", chunked=False, body=None):
        self.body, self.sent, self.chunked = body or os.urandom(size), 0, chunked
        headers = [HOST]
        if target == "/signed":
            headers = module.sign("POST", target, headers, self.body)
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), framing, "", ""]
        self.socket = node.connect()
        self.socket.sendall("\r\n".join(lines).encode())

    def send(self, count):
        part = self.body[self.sent:self.sent + count]
        self.sent += len(part)
        framed = b"%x\r\n%b\r\n" % (len(part), part) if self.chunked else part
        self.socket.sendall(framed)

    def end(self):
        """Sends the rest; the answer."""
        with contextlib.suppress(ConnectionError):
            self.send(len(self.body))
            if self.chunked:
                self.socket.sendall(b"0\r\n\r\n")
        return self.reply()

    def reply(self):
        """The answer and whether the connection was closed after it; status 0: none came."""
        received = b""
        with self.socket, contextlib.suppress(ConnectionError):
            while not complete(received):
                part = self.socket.recv(65536)
                if not part:
                    break
                received += part
        return Reply(received)


def complete(received):
    """Whether an answer with a Content-Length is whole."""
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(length) and len(body) >= int(length[1])


class BodyTest(module.ModuleTest):
    brief = False

    @property
    def node(self):
        return Nodes.brief if self.brief else Nodes.patient

    def metric(self, name):
        text = self.node.request("GET", "/metrics", port=self.node.health).body.decode()
        return int(re.search(rf"^sluice_{name} (\d+)$", text, re.M)[1])

    def held(self):
        return self.metric("bodies_held_bytes")

    def until_held(self, wanted):
        until(lambda: self.held() == wanted, f"{wanted} bytes held")


class Budget(BodyTest):
    """Signed bodies wait for their digest under one budget of all workers."""

    MESSAGE = "The gateway holds too many request bodies. Try again later."

    def waiting(self, count, each, **kwargs):
        """Uploads that sent all but one byte; they hold `each` - 1 bytes each."""
        before, uploads = self.held(), [Upload(self.node, each, **kwargs) for _ in range(count)]
        for upload in uploads:
            upload.send(each - 1)
        self.until_held(before + count * (each - 1))
        return uploads

    def tearDown(self):
        self.until_held(0)

    def test_what_waits_is_held_and_given_back_when_it_is_done(self):
        uploads = self.waiting(3, 200 * KB) + self.waiting(2, 150 * KB, chunked=True)
        for upload in uploads:
            reply = upload.end()
            self.assertEqual(reply.status, 200, reply.body[:200])
            self.assertEqual(reply.json()["body"], upload.body.decode("latin-1"))

    def test_beyond_it_a_body_is_refused_whatever_its_framing(self):
        uploads = self.waiting(3, 300 * KB)
        refused = self.metric("bodies_refused_total")
        for chunked in (False, True):
            reply = Upload(self.node, 300 * KB, chunked=chunked).end()
            self.refused(reply, 503, "APIG.0201", self.MESSAGE)
            self.assertEqual(reply.header("Connection"), "close")
        with Session("127.0.0.1", self.node.https) as session:
            body = b"x" * (300 * KB)
            stream = session.open("POST", "/signed", module.sign("POST", "/signed", [HOST], body)[1:])
            session.send(stream, body, end=True)
            reply = session.reply(stream)
            self.assertEqual((reply.status, reply.json["error_msg"]), (503, self.MESSAGE))
        self.assertEqual(self.metric("bodies_refused_total"), refused + 3)
        self.assertEqual([upload.end().status for upload in uploads], [200] * 3)

    def test_a_body_that_is_not_signed_is_not_held(self):
        uploads = self.waiting(3, 300 * KB)
        self.assertEqual(Upload(self.node, 900 * KB, target="/open").end().status, 200)
        self.assertEqual([upload.end().status for upload in uploads], [200] * 3)

    def test_a_client_that_goes_away_gives_back(self):
        for upload in self.waiting(3, 300 * KB):
            upload.socket.close()
        self.until_held(0)
        self.assertEqual(Upload(self.node, 900 * KB).end().status, 200)

    def test_a_body_that_stalls_gives_back(self):
        self.brief = True
        upload = Upload(self.node, 300 * KB)
        upload.send(200 * KB)
        self.assertEqual(upload.reply().status, 408)
        self.until_held(0)

    def test_a_refused_signature_gives_back(self):
        upload = Upload(self.node, 300 * KB)
        upload.body = os.urandom(300 * KB)
        self.assertEqual(upload.end().status, 401)

    def test_a_killed_worker_leaks_nothing(self):
        uploads = self.waiting(6, 150 * KB)
        old = self.node.workers().split()
        os.kill(int(old[0]), signal.SIGKILL)
        replies = [upload.end().status for upload in uploads]
        self.assertEqual(set(replies) - {0, 200}, set(), replies)
        self.until_held(0)
        until(lambda: len(self.node.workers().split()) == 2, "another worker")
        for upload in self.waiting(6, 150 * KB):
            self.assertEqual(upload.end().status, 200)

    def test_many_at_once_are_answered_or_refused_and_never_over(self):
        def one(number):
            reply = Upload(self.node, 90 * KB, chunked=number % 2 == 0).end()
            return reply.status
        refused = self.metric("bodies_refused_total")
        with concurrent.futures.ThreadPoolExecutor(48) as pool:
            calls = [pool.submit(one, number) for number in range(300)]
            while not all(call.done() for call in calls):
                self.assertLessEqual(self.held(), BUDGET + 128 * KB)  # a part may be added and taken back
            statuses = [call.result() for call in calls]
        self.assertEqual(set(statuses) - {200, 503}, set())
        self.assertIn(200, statuses)
        self.assertEqual(self.metric("bodies_refused_total"), refused + statuses.count(503))


class Deadline(BodyTest):
    """A body that stalls is answered, wherever it was being read for."""

    brief = True

    STALLED = {
        "a signed one": {"size": 1000, "sent": 10},
        "a signed one that never begins": {"size": 100000, "sent": 0},
        "a small one, before the backend is called": {"size": 1000, "sent": 10, "target": "/open"},
        "a streamed one": {"size": 300 * KB, "sent": 200 * KB, "target": "/open"},
        "a chunked one": {"size": 0, "sent": 10, "target": "/open", "chunked": True, "body": b"x" * 100},
    }

    def test_a_body_that_stalls_is_answered(self):
        began, uploads = time.monotonic(), {}
        for name, row in self.STALLED.items():
            row = dict(row)
            sent = row.pop("sent")
            uploads[name] = Upload(self.node, **row)
            if sent:
                uploads[name].send(sent)
        for name, upload in uploads.items():
            with self.subTest(name):
                reply = upload.reply()
                self.refused(reply, 408, "APIG.0201", "API request error.")
                self.assertEqual(reply.header("Connection"), "close")
                self.assertGreater(time.monotonic() - began, STALL_S * 0.8)

    def test_over_http_2_the_other_streams_go_on(self):
        with Session("127.0.0.1", self.node.https) as session:
            signed = module.sign("POST", "/signed", [HOST], b"x" * 100)[1:]
            streams = [session.open("POST", "/signed", signed), session.open("POST", "/open"),
                       session.open("POST", "/open", [("Content-Length", str(300 * KB))]),
                       session.open("POST", "/open", [("Content-Length", "100")])]
            for stream in streams:
                session.send(stream, b"x" * 10)
            for stream in streams:
                reply = session.reply(stream)
                self.assertIsNotNone(reply, f"stream {stream}")
                self.assertEqual((reply.status, reply.json["error_code"]), (408, "APIG.0201"))
                self.assertEqual(reply.json["request_id"], reply.headers["x-request-id"])
            last = session.open("POST", "/open")
            session.send(last, b"abc", end=True)
            self.assertEqual(session.reply(last).json["body"], "abc")

    def test_a_slow_and_steady_body_is_not_cut(self):
        upload = Upload(self.node, 60, target="/open", body=b"y" * 60)
        for _ in range(6):
            upload.send(10)
            pause(STALL_S / 5)
        self.assertEqual(upload.end().json()["body"], "y" * 60)

    def test_a_client_that_waits_for_the_backend_is_not_blamed(self):
        with Session("127.0.0.1", self.node.https) as session:
            stream = session.open("POST", "/sluggish")
            session.send(stream, b"z" * (12 * KB * KB), end=True)
            reply = session.reply(stream)
            self.assertEqual(reply and reply.status, 200)

    def test_the_log_tells_of_it(self):
        reply = Upload(self.node, 1000, target="/open").reply()
        wanted, log = reply.header("X-Request-Id"), self.node.place / "access.log"
        lines = until(lambda: [line for line in log.read_text().splitlines(True) if wanted in line and line.endswith("\n")],
                      "its line in the log")
        self.assertEqual(len(lines), 1)
        for word in ("408", "local", "APIG.0201"):
            self.assertIn(word, lines[0])


class Memory(BodyTest):
    """What streams is not kept. The runtime of sanitizers is larger than the bound: there it only has to pass."""

    def held_at_most(self):
        """Of the worker that held most: the bytes."""
        texts = [pathlib.Path(f"/proc/{pid}/status").read_text() for pid in self.node.workers().split()]
        return max(int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) for text in texts) * KB

    def test_what_streams_both_ways_at_once_is_not_kept(self):
        block, size = os.urandom(KB * KB), FLOOD
        count = size // len(block)

        def serve(call):
            told = sum(len(part) for part in call.parts())
            call.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\nX-Told: %d\r\n\r\n" % (size, told))
            for _ in range(count):
                call.send(block)

        with StreamBackend(serve) as backend:
            port = int(backend.address.rpartition(":")[2])
            flood = module.api(4, "/flood", method="ANY", http={"port": port, "timeout_ms": 30000})
            self.node.publish(image([*APIS, flood]))
            with Exchange(f"http://127.0.0.1:{self.node.http}", "POST", "/flood",
                          {"Host": "h.example.com", "Transfer-Encoding": "chunked"}) as exchange:
                for _ in range(count):
                    exchange.send(block)
                exchange.end()
                head = exchange.head()
                came = sum(len(part) for part in iter(lambda: head.read(KB * KB), b""))
        self.assertEqual((head.status, came, head.getheader("X-Told")), (200, size, str(size)))
        if not os.environ.get("SLUICE_NGINX_PRELOAD"):
            self.assertLess(self.held_at_most(), HELD_MAX)


class Headers(BodyTest):
    """All headers together are bounded at 128 KB, on every wire."""

    @staticmethod
    def many(count, each=30 * KB):
        return [(f"x-many-{number}", "v" * each) for number in range(count)]

    def test_over_http_1(self):
        self.assertEqual(self.node.request("GET", "/open", self.many(4)).status, 200)
        for count in (5, 8):
            self.refused(self.node.request("GET", "/open", self.many(count)), 494, "APIG.0201",
                         "Request headers too large.")

    def test_over_http_2_the_connection_goes_on(self):
        with Session("127.0.0.1", self.node.https) as session:
            for count, status in ((4, 200), (5, 494), (8, 494), (4, 200)):
                reply = session.reply(session.open("GET", "/open", self.many(count), end=True))
                self.assertIsNotNone(reply, f"{count} headers: {session.closed}")
                self.assertEqual(reply.status, status)
            many_small = session.reply(session.open("GET", "/open", self.many(1500, 100), end=True))
            self.assertEqual((many_small.status, many_small.json["error_msg"]), (494, "Request headers too large."))

    def test_over_http_2_twice_as_much_ends_the_connection(self):
        with Session("127.0.0.1", self.node.https) as session:
            self.assertIsNone(session.reply(session.open("GET", "/open", self.many(10), end=True)))
            self.assertIsNotNone(session.closed)


if __name__ == "__main__":
    unittest.main(verbosity=1)
