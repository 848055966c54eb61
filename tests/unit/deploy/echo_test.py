"""The echo backend: calls that wait hold nobody up, and its end keeps none of them: echo_test.py BUILD."""
import http.client
import json
import pathlib
import signal
import socket
import subprocess
import sys
import unittest

BUILD = pathlib.Path(sys.argv.pop(1))
PATIENCE_S = 60
LONG_MS, BRIEF_MS, BEYOND_MS = 60000, 50, 60001
WAITING = 8  # more than it has threads


class Echo(unittest.TestCase):
    def setUp(self):
        while not self.started():  # somebody else took its port
            pass

    def started(self):
        """Starts it on a port that was free; answers whether it listens there."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen([BUILD / "bin/sluice-echo", f"127.0.0.1:{self.port}"])
        self.addCleanup(self.process.wait, PATIENCE_S)
        self.addCleanup(self.process.kill)
        while self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return True
            except ConnectionRefusedError:
                pass
        return False

    def begin(self, **headers):
        """A call that has been sent."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        self.addCleanup(client.close)
        client.request("POST", "/a?b=c", "body", {key.replace("_", "-"): str(value) for key, value in headers.items()})
        return client

    def end(self, client):
        reply = client.getresponse()
        return reply.status, json.loads(reply.read())["body"]

    def test_calls_that_wait_hold_nobody_up(self):
        waiting = [self.begin(X_Echo_Delay_Ms=LONG_MS) for _ in range(WAITING)]
        self.assertEqual(self.end(self.begin()), (200, "body"))
        self.assertEqual(self.end(self.begin(X_Echo_Delay_Ms=BRIEF_MS, X_Echo_Status=418)), (418, "body"))
        for client in waiting:
            client.sock.setblocking(False)
            self.assertRaises(BlockingIOError, client.sock.recv, 1)

    def test_a_wait_that_is_too_long_is_none(self):
        for wait in (BEYOND_MS, -1, "soon"):
            self.assertEqual(self.end(self.begin(X_Echo_Delay_Ms=wait)), (200, "body"))

    def test_its_end_waits_for_nobody(self):
        waiting = [self.begin(X_Echo_Delay_Ms=LONG_MS) for _ in range(WAITING)]
        for _ in range(WAITING):  # by now its threads have seen those before
            self.end(self.begin())
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(LONG_MS / 1000 / 2), 0)
        for client in waiting:
            client.close()

    def test_a_caller_that_goes_away_while_it_waits_harms_nobody(self):
        self.begin(X_Echo_Delay_Ms=BRIEF_MS).close()
        for _ in range(WAITING):
            self.assertEqual(self.end(self.begin(X_Echo_Delay_Ms=BRIEF_MS)), (200, "body"))


if __name__ == "__main__":
    unittest.main()
