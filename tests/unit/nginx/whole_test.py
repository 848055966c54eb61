"""Answers that come at once, header and body together, to clients that keep their connection: python3 whole_test.py BUILD.

They take another way through nginx than longer ones. What callers and backends see must not tell.
"""
import gzip
import json
import pathlib
import re
import sys
import threading
import unittest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lib")]
from backend import SILENCE, Backend, answer  # noqa: E402
from module_node import PATIENCE_S, TIMEOUT_MS, Node, free_ports, fresh, hex_id, until  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
GROUP = hex_id(1)
LENGTHS = (0, 1, 100, 1400, 1460, 8000, 15000, 16384, 16500, 40000)  # 16 KB is what nginx reads at first
BRIEF_MS, LONGER_MS = 1000, 2500  # the first: for an answer of a busy machine
PIPELINED, EACH = 1500, 8000  # more than two sockets hold
REQUEST = b"GET /brief HTTP/1.1\r\nHost: h.example.com\r\n\r\n"


def api(number, path, backend, timeout_ms=TIMEOUT_MS):
    http_part = {"host": "back.test", "path": path, "port": backend.port, "method": "ANY", "timeout_ms": timeout_ms,
                 "retry_count": 0, "tls": False}
    return {"publish_id": hex_id(1000 + number), "api_id": hex_id(2000 + number), "name": f"api-{number}",
            "group_id": GROUP, "path": path, "method": "ANY", "match_mode": "NORMAL", "schemes": 3, "auth": "NONE",
            "backend_type": "HTTP", "http": http_part}


def body_of(length):
    return (b"0123456789abcdef" * (length // 16 + 1))[:length]


class Whole(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node(BUILD, fresh(BUILD / "tests/whole-node"), free_ports())
        cls.publish([])
        cls.node.start(echo=False)

    @classmethod
    def tearDownClass(cls):
        status, logs = cls.node.stop(), cls.node.logs()
        assert status == 0 and not re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", logs), logs[-6000:]

    @classmethod
    def publish(cls, apis, **features):
        cls.node.publish({
            "gateway": {"id": hex_id(9), "features": [{"name": name, "value": value} for name, value in features.items()]},
            "groups": [{"id": GROUP, "name": "g", "sl_domain_enabled": True}],
            "hosts": [{"name": "h.example.com", "group_id": GROUP}], "apps": [], "throttles": [], "apis": apis,
            "upstreams": {"back.test": ["127.0.0.1"]}})

    def client(self, tls=False):
        made = self.node.client(tls)
        self.addCleanup(made.close)
        return made

    def ask(self, client, path="/a", method="GET", **headers):
        client.request(method, path, headers={"Host": "h.example.com", **headers})
        reply = client.getresponse()
        return reply, reply.read()

    def idle(self):
        """Backend connections that nobody uses."""
        text = self.node.request("GET", "/metrics", port=self.node.health).body.decode()
        return int(re.search(r"^sluice_backend_idle_connections (\d+)$", text, re.M)[1])

    def test_every_length_arrives_over_one_connection_to_the_backend(self):
        for tls in (False, True):
            with self.subTest(tls=tls), Backend(take=lambda seen: answer(200, body_of(int(seen.header("x-wants"))))) as backend:
                self.publish([api(1, "/a", backend)])
                client = self.client(tls)
                for length in LENGTHS * 2:
                    reply, body = self.ask(client, **{"X-Wants": str(length)})
                    self.assertEqual((reply.status, reply.getheader("content-length")), (200, str(length)))
                    self.assertEqual(body, body_of(length))
                self.assertEqual({seen.connection.number for seen in backend.seen}, {1})

    def test_a_body_after_its_header_arrives_as_well(self):
        told = threading.Event()

        def in_parts(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + body_of(100))
            self.assertTrue(told.wait(PATIENCE_S))
            sock.sendall(body_of(200)[100:])
        with Backend(take=lambda seen: in_parts) as backend:
            self.publish([api(1, "/a", backend)])
            client = self.client()
            client.request("GET", "/a", headers={"Host": "h.example.com"})
            until(lambda: backend.seen, "the request")
            told.set()
            self.assertEqual(client.getresponse().read(), body_of(200))

    def test_what_follows_the_body_is_dropped_with_its_connection(self):
        with Backend(take=lambda seen: answer(200, "hello") + b"!!") as backend:
            self.publish([api(1, "/a", backend)])
            client = self.client()
            self.assertEqual([self.ask(client)[1] for _ in range(3)], [b"hello"] * 3)
            self.assertEqual({seen.connection.number for seen in backend.seen}, {1, 2, 3})

    def test_answers_without_a_body_say_its_length(self):
        with Backend() as backend:
            self.publish([api(1, "/a", backend)])
            for method, status in (("HEAD", 200), ("GET", 304)):
                backend.answer = lambda seen, status=status: answer(status, "", [("Content-Length", "7")]).replace(
                    b"Content-Length: 0\r\n", b"")
                client = self.client()
                for _ in range(2):
                    reply, body = self.ask(client, method=method)
                    self.assertEqual((reply.status, body, reply.getheader("content-length")), (status, b"", "7"))

    def test_an_answer_that_nginx_gave_up_is_none(self):
        with Backend() as backend:
            self.publish([api(1, "/a", backend)])
            for length in range(1, 60):  # one of them is what follows the header that is none
                backend.answer = lambda seen, length=length: (
                    f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nX-\0: a value\r\n\r\n".encode() + b"x" * 20)
                reply, body = self.ask(self.client())
                self.assertEqual((reply.status, json.loads(body)["error_code"]), (502, "APIG.0202"))

    def test_one_is_compressed_like_any_other(self):
        kept = threading.Event()

        def in_parts(sock):
            head, _, body = plain.partition(b"\r\n\r\n")
            sock.sendall(head + b"\r\n\r\n")
            self.assertTrue(kept.wait(PATIENCE_S))
            sock.sendall(body)
        plain = answer(200, body_of(5000), [("Content-Type", "application/json")])
        packed = []
        with Backend() as backend:
            self.publish([api(1, "/a", backend)], **{"gzip.comp_level": "6"})
            for answered in (lambda seen: plain, lambda seen: in_parts):
                backend.answer = answered
                if len(packed) == 1:
                    threading.Thread(target=lambda: (until(lambda: len(backend.seen) == 2, "the second"), kept.set())).start()
                reply, body = self.ask(self.client(), **{"Accept-Encoding": "gzip"})
                self.assertEqual(reply.getheader("content-encoding"), "gzip")
                self.assertEqual(gzip.decompress(body), body_of(5000))
                packed.append(body)
        self.assertEqual(packed[0], packed[1])

    def test_a_client_that_does_not_read_holds_no_backend(self):
        # A backend of its own is silent: a call to it may not take, and close, the connection that is looked for.
        with Backend(take=lambda seen: answer(200, body_of(EACH))) as backend, Backend(take=lambda seen: SILENCE) as silent:
            self.publish([api(1, "/brief", backend, BRIEF_MS), api(2, "/silent", silent, LONGER_MS)])
            with self.node.connect() as sock:
                sock.settimeout(PATIENCE_S)
                sender = threading.Thread(target=sock.sendall, args=(REQUEST * PIPELINED,))
                sender.start()
                until(lambda: len(backend.seen) > 10, "the first answers")
                # Longer than the API's timeout, and by then nothing moves any more.
                self.assertEqual(self.ask(self.client(), "/silent")[0].status, 504)
                self.assertLess(len(backend.seen), PIPELINED)
                until(lambda: self.idle() == 1, "the backend's connection to be free")
                with sock.makefile("rb") as stream:
                    for number in range(PIPELINED):
                        self.assertEqual(stream.readline(), b"HTTP/1.1 200 Told\r\n", number)
                        while stream.readline() != b"\r\n":
                            pass
                        self.assertEqual(stream.read(EACH), body_of(EACH))
                sender.join()


if __name__ == "__main__":
    unittest.main()
