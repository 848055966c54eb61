"""Requests over connections that backends were called by before: python3 kept_test.py BUILD.

They are sent without asking whether the connection lives. Those that do not are found out by that.
"""
import os
import pathlib
import re
import signal
import socket
import sys
import threading
import unittest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lib")]
from backend import LINGER_NONE, SILENCE, Backend, answer  # noqa: E402
from module_node import PATIENCE_S, TIMEOUT_MS, Node, free_ports, fresh, hex_id, until  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
GROUP = hex_id(1)
BRIEF_MS = 1000  # of which a busy machine takes a part
LONG = "x" * 30000


def ends(sock):
    sock.shutdown(socket.SHUT_RDWR)


def resets(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
    sock.close()


class Kept(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node(BUILD, fresh(BUILD / "tests/kept-node"), free_ports())
        cls.publish(Backend())
        cls.node.start(echo=False)

    @classmethod
    def tearDownClass(cls):
        status, logs = cls.node.stop(), cls.node.logs()
        assert status == 0 and not re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", logs), logs[-6000:]

    @classmethod
    def publish(cls, backend, timeout_ms=TIMEOUT_MS, tls=False):
        port = getattr(backend, "port", cls.node.closed)
        cls.node.publish({
            "gateway": {"id": hex_id(9)}, "groups": [{"id": GROUP, "name": "g", "sl_domain_enabled": True}],
            "hosts": [{"name": "h.example.com", "group_id": GROUP}], "apps": [], "throttles": [],
            "upstreams": {"back.test": ["127.0.0.1"]},
            "apis": [{"publish_id": hex_id(3), "api_id": hex_id(2), "name": "a", "group_id": GROUP, "path": "/a",
                      "method": "ANY", "match_mode": "NORMAL", "schemes": 3, "auth": "NONE", "backend_type": "HTTP",
                      "http": {"host": "back.test", "path": "/a", "port": port, "method": "ANY",
                               "timeout_ms": timeout_ms, "retry_count": 0, "tls": tls}}]})

    def client(self, tls=False):
        made = self.node.client(tls)
        self.addCleanup(made.close)
        return made

    def ask(self, client, method="GET", **headers):
        client.request(method, "/a", headers={"Host": "h.example.com", **headers})
        reply = client.getresponse()
        return reply.status, reply.read()

    def test_requests_of_every_length_arrive_over_one_connection(self):
        for tls in (False, True):
            with self.subTest(tls=tls), Backend(tls=tls, take=lambda seen: answer(200, "told")) as backend:
                self.publish(backend, tls=tls)
                client = self.client(tls)
                for count in (0, 1, 3, 0, 3):
                    said = {f"X-Long-{n}": LONG for n in range(count)}
                    self.assertEqual(self.ask(client, **said), (200, b"told"))
                    self.assertEqual([value for name, value in backend.seen[-1].headers if name.startswith("x-long-")],
                                     [LONG] * count)
                self.assertEqual({seen.connection.number for seen in backend.seen}, {1})

    def test_every_method_goes_over_it(self):
        with Backend(take=lambda seen: answer(200, seen.method if seen.method != "HEAD" else "")) as backend:
            self.publish(backend)
            client = self.client()
            for method in ("GET", "PUT", "DELETE", "HEAD", "POST", "PATCH", "OPTIONS", "GET"):
                expected = b"" if method == "HEAD" else method.encode()
                self.assertEqual(self.ask(client, method), (200, expected))
            self.assertEqual({seen.connection.number for seen in backend.seen}, {1})

    def dies_unseen(self, ending, tls):
        """A connection ends after the next call came, and before the worker looks at either."""
        told, worker = threading.Event(), int(self.node.workers())

        def answers_and_ends(sock):
            sock.sendall(answer(200, "first"))
            self.assertTrue(told.wait(PATIENCE_S))
            ending(sock)
        with Backend(tls=tls, take=lambda seen: answers_and_ends if len(backend.seen) == 1 else answer(200, "second")) as backend:
            self.publish(backend, tls=tls)
            client = self.client()
            self.assertEqual(self.ask(client), (200, b"first"))
            os.kill(worker, signal.SIGSTOP)
            try:
                until(lambda: self.state_of(worker) == "T", "the worker to stop")
                client.request("GET", "/a", headers={"Host": "h.example.com"})
                told.set()
                until(lambda: self.ended(backend.port), "the end of the connection")
            finally:
                os.kill(worker, signal.SIGCONT)
            reply = client.getresponse()
            self.assertEqual((reply.status, reply.read()), (200, b"second"))
            self.assertEqual([seen.connection.number for seen in backend.seen], [1, 2])

    def state_of(self, pid):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    def ended(self, port):
        """Whether no connection to the port is established as the node's side sees it."""
        rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return not any(row[2] == f"0100007F:{port:04X}" and row[3] == "01" for row in rows)

    def test_one_that_ended_unseen_costs_no_attempt(self):
        for ending in (ends, resets):
            with self.subTest(ending=ending.__name__):
                self.dies_unseen(ending, tls=False)

    def test_one_of_tls_that_ended_unseen_costs_no_attempt(self):
        self.dies_unseen(resets, tls=True)

    def test_a_silent_backend_is_waited_for_as_long_as_its_api_says(self):
        with Backend(take=lambda seen: answer(200, "told") if len(backend.seen) % 2 else SILENCE) as backend:
            self.publish(backend, BRIEF_MS)
            client = self.client()
            for _ in range(2):
                self.assertEqual(self.ask(client), (200, b"told"))
                self.assertEqual(self.ask(client)[0], 504)
            self.assertEqual([seen.connection.number for seen in backend.seen], [1, 1, 2, 2])

    def test_a_client_that_goes_away_meanwhile_harms_nobody(self):
        with Backend(take=lambda seen: SILENCE if len(backend.seen) % 2 == 0 else answer(200, "told")) as backend:
            self.publish(backend)
            for turn in range(1, 6):
                self.assertEqual(self.ask(self.client()), (200, b"told"))
                leaving = self.client()
                leaving.request("GET", "/a", headers={"Host": "h.example.com"})
                until(lambda: len(backend.seen) == 2 * turn, "the request")
                leaving.close()
            self.assertEqual(self.ask(self.client()), (200, b"told"))


if __name__ == "__main__":
    unittest.main()
