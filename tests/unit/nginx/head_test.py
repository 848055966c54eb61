"""Headers of backends' answers, plain ones and others: python3 head_test.py BUILD.

Plain lines are read by the module, the rest by nginx. Callers must not see which.
"""
import itertools
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lib")]
from backend import Backend  # noqa: E402
from module_node import TIMEOUT_MS, Node, free_ports, fresh, hex_id  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
GROUP = hex_id(1)
OWN = {"server", "date", "connection", "x-request-id", "content-length"}
# What backends may say of a header that callers see: the line, and name and value as they arrive.
LINES = [
    (b"X-Plain: a value\r\n", ("X-Plain", "a value")),
    (b"x-PLAIN: of another case\r\n", ("x-PLAIN", "of another case")),
    (b"X-Blanks:    two  inside, some behind   \r\n", ("X-Blanks", "two  inside, some behind")),
    (b"X-None:\r\n", ("X-None", "")),
    (b"X-Only-Blanks:   \r\n", ("X-Only-Blanks", "")),
    (b"X-No-Blank:value\r\n", ("X-No-Blank", "value")),
    (b"X-Tab: a\tb\r\n", ("X-Tab", "a\tb")),
    (b"X-Line-Feed: alone\n", ("X-Line-Feed", "alone")),
    (b"X-Colons: a: b:c\r\n", ("X-Colons", "a: b:c")),
    (b"X-Text: caf\xc3\xa9 \xff\x7f.\r\n", ("X-Text", "caf\u00c3\u00a9 \u00ff\x7f.")),
    (b"X_Underscore: yes\r\n", ("X_Underscore", "yes")),
    (b"X.Dot: yes\r\n", ("X.Dot", "yes")),
    (b"9: digit\r\n", ("9", "digit")),
    (b"X: " + b"long " * 300 + b"end\r\n", ("X", "long " * 300 + "end")),
    *((b"N" * n + b": of %d\r\n" % n, ("N" * n, f"of {n}")) for n in (15, 16, 31, 32, 33, 64)),
    *((b"V-%d: " % n + b"v" * n + b"\r\n", (f"V-{n}", "v" * n)) for n in (1, 2, 14, 15, 16, 17, 31, 32, 33)),
    (b"Set-Cookie: a=1\r\n", ("Set-Cookie", "a=1")),
    (b"Set-Cookie: b=2\r\n", ("Set-Cookie", "b=2")),
    (b"ETag: \"tag\"\r\n", ("ETag", "\"tag\"")),
    (b"Last-Modified: Sun, 22 Nov 2026 10:00:00 GMT\r\n", ("Last-Modified", "Sun, 22 Nov 2026 10:00:00 GMT")),
    (b"Content-Type: text/x-test\r\n", ("Content-Type", "text/x-test")),
]


class Head(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.backend = Backend()
        cls.backend.__enter__()
        cls.node = Node(BUILD, fresh(BUILD / "tests/head-node"), free_ports())
        backend = {"host": "back.test", "path": "/", "port": cls.backend.port, "method": "ANY", "timeout_ms": TIMEOUT_MS,
                   "retry_count": 0, "tls": False}
        cls.node.publish({
            "gateway": {"id": hex_id(9)}, "groups": [{"id": GROUP, "name": "g", "sl_domain_enabled": True}],
            "hosts": [{"name": "h.example.com", "group_id": GROUP}], "apps": [], "throttles": [],
            "upstreams": {"back.test": ["127.0.0.1"]},
            "apis": [{"publish_id": hex_id(3), "api_id": hex_id(2), "name": "a", "group_id": GROUP, "path": "/a",
                      "method": "ANY", "match_mode": "NORMAL", "schemes": 3, "auth": "NONE", "backend_type": "HTTP",
                      "http": backend}]})
        cls.node.start(echo=False)

    @classmethod
    def tearDownClass(cls):
        status, logs = cls.node.stop(), cls.node.logs()
        cls.backend.__exit__()
        assert status == 0 and not re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", logs), logs[-6000:]

    def ask(self, *parts):
        """What a caller gets of an answer that the backend sends in these parts."""
        def send(sock):
            for part in parts:
                sock.sendall(part)
        self.backend.answer = lambda seen: send
        return self.node.request("GET", "/a")

    def told(self, reply):
        """The backend's headers in an answer."""
        self.assertEqual((reply.status, reply.body), (200, b"hello"))
        return sorted(row for row in reply.headers if row[0].lower() not in OWN)

    def head(self, lines):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + b"".join(lines) + b"\r\n"

    def test_every_line_arrives_as_it_was_said(self):
        reply = self.ask(self.head([line for line, _ in LINES]) + b"hello")
        self.assertEqual(self.told(reply), sorted(row for _, row in LINES))

    def test_each_line_alone_and_before_and_after_a_plain_one(self):
        plain = (b"X-Other: other\r\n", ("X-Other", "other"))
        for row in LINES:
            for order in ([row], [row, plain], [plain, row]):
                with self.subTest(line=row[0], order=len(order)):
                    self.assertEqual(self.told(self.ask(self.head([line for line, _ in order]) + b"hello")),
                                     sorted(wanted for _, wanted in order))

    def test_wherever_it_is_cut_it_is_the_same_answer(self):
        whole = self.head([b"X-One: 1\r\n", b"Set-Cookie: a=b; Path=/\r\n", b"X_Two: 2\r\n"]) + b"hello"
        expected = [("X-One", "1"), ("Set-Cookie", "a=b; Path=/"), ("X_Two", "2")]
        for cut in range(1, len(whole)):
            with self.subTest(cut=cut):
                self.assertEqual(self.told(self.ask(whole[:cut], whole[cut:])), sorted(expected))

    def test_more_names_than_a_worker_remembers(self):
        names = [f"{a}-{b}{c}" for a, b, c in itertools.product("ABC", "abcdefgh", "01234567")]
        for _ in range(2):
            reply = self.ask(self.head([f"{name}: {name}\r\n".encode() for name in names]) + b"hello")
            self.assertEqual(self.told(reply), sorted((name, name) for name in names))

    def test_what_nginx_obeys_is_obeyed_however_it_is_written(self):
        for name in (b"Content-Length", b"content-length", b"CONTENT-LENGTH"):
            for blank in (b" ", b"", b"  "):
                reply = self.ask(b"HTTP/1.1 200 OK\r\n" + name + b":" + blank + b"5\r\n\r\nhello, and more")
                self.assertEqual((reply.status, reply.body), (200, b"hello"))
        for name in (b"Transfer-Encoding", b"transfer-encoding"):
            reply = self.ask(b"HTTP/1.1 200 OK\r\n" + name + b": chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            self.assertEqual((reply.status, reply.body), (200, b"hello"))
        count = self.backend.seen[-1].connection.number
        self.ask(self.head([b"Connection: close\r\n"]) + b"hello")
        self.ask(self.head([]) + b"hello")
        self.assertGreater(self.backend.seen[-1].connection.number, count)

    def test_what_nginx_refuses_is_refused(self):
        for line in (b"X-Null: a\0b\r\n", b"X-Null:\0\r\n", b" X-Blank: a\r\n", b"X Blank: a\r\n", b"X-Blank : a\r\n",
                     b": a\r\n", b"X-\x01: a\r\n", b"X-Return: a\rb\r\n"):
            for before in (b"", b"X-Plain: a\r\n"):
                with self.subTest(line=line, before=before):
                    self.assertEqual(self.ask(self.head([before, line]) + b"hello").status, 502)

    def test_a_header_that_does_not_end_is_no_answer(self):
        def send(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n")
            sock.close()
        self.backend.answer = lambda seen: send
        self.assertEqual(self.node.request("GET", "/a").status, 502)


if __name__ == "__main__":
    unittest.main()
