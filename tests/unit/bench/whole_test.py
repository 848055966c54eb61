"""The look at whether a peer does what ours does: python3 whole_test.py TESTS [unittest arguments]."""
import pathlib
import socket
import sys
import threading
import types
import unittest

TESTS = pathlib.Path(sys.argv.pop(1))
sys.path.insert(0, str(TESTS / "bench"))
sys.modules["local"] = types.SimpleNamespace(KEY="k", SECRET="s", hex_id=str, request=lambda *_, **__: b"GET / HTTP/1.1\r\n\r\n")

import whole  # pylint: disable=wrong-import-position

TOLD = "GET / HTTP/1.1\r\nHost: b0.test\r\nX-Request-Id: {id}\r\n{more}\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-Id: 1\r\n\r\nhi"


class Gateway:
    """Tells the ear the lines that it is given, and answers its caller with `answers`, the last one again and again."""

    def __init__(self, ear, head, *answers):
        self.ear, self.head, self.answers = ear, head, list(answers)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            with sock:
                sock.recv(65536)
                with socket.create_connection(("127.0.0.1", self.ear.port)) as backend:
                    backend.sendall(self.head.encode())
                    backend.recv(65536)
                sock.sendall(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class EarTest(unittest.TestCase):
    """Two gateways before one backend that listens."""

    def setUp(self):
        self.ear = whole.Ear()
        self.ear.__enter__()
        self.addCleanup(self.ear.__exit__)

    def gateway(self, head, *answers):
        made = Gateway(self.ear, head, *(answers or [ANSWER]))
        self.addCleanup(made.close)
        return made.port

    def test_the_same_lines_with_other_values_are_the_same_work(self):
        self.ear.compare(self.gateway(TOLD.format(id="aa", more="")), self.gateway(TOLD.format(id="bb", more="")))

    def test_a_line_less_is_told(self):
        with self.assertRaisesRegex(AssertionError, "traceparent"):
            self.ear.compare(self.gateway(TOLD.format(id="aa", more="traceparent: 00\r\n")),
                             self.gateway(TOLD.format(id="aa", more="")))

    def test_a_shorter_value_is_told(self):
        with self.assertRaisesRegex(AssertionError, "backend is told"):
            self.ear.compare(self.gateway(TOLD.format(id="aa", more="")), self.gateway(TOLD.format(id="a", more="")))

    def test_who_does_not_answer_the_id_is_told(self):
        with self.assertRaises(AssertionError):
            self.ear.told(self.gateway(TOLD.format(id="aa", more=""), ANSWER.replace(b"X-Request-Id", b"X-Else")))

    def test_first_refusals_are_waited_out(self):
        port = self.gateway(TOLD.format(id="aa", more=""), b"HTTP/1.1 429 Too Many Requests\r\n\r\n", ANSWER)
        self.assertEqual(self.ear.told(port)[1]["x-request-id"], 2)


if __name__ == "__main__":
    unittest.main()
