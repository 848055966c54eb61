"""/metrics of a real nginx with two workers: python3 metrics_test.py BUILD. Ports 17630-17634 on loopback."""
import os
import pathlib
import re
import signal
import sys
import time
import unittest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lib")]
import metrics  # noqa: E402
from module_node import Node, fresh, hex_id, pause  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
BASE = 17630
ECHO, MOCK = hex_id(2001), hex_id(2002)


def api(number, path, **fields):
    return {"publish_id": hex_id(1000 + number), "api_id": hex_id(2000 + number), "name": f"api {number}",
            "group_id": hex_id(1), "path": path, "method": "ANY", "match_mode": "NORMAL", "schemes": 3, "auth": "NONE",
            "backend_type": "HTTP",
            "http": {"host": "echo.test", "path": path, "port": BASE + 3, "method": "ANY", "timeout_ms": 1000,
                     "retry_count": -1}, **fields}


IMAGE = {
    "gateway": {"id": hex_id(9), "body_max_bytes": 1000000},
    "groups": [{"id": hex_id(1), "name": "g", "sl_domain_enabled": True}],
    "hosts": [{"name": "h.example.com", "group_id": hex_id(1)}], "apps": [], "throttles": [],
    "apis": [api(1, "/own502", match_mode="SWA"), api(2, "/mock", backend_type="MOCK", mock={"body": "{}", "status": 200}),
             api(3, "/slow")],
    "upstreams": {"echo.test": ["127.0.0.1"]},
}


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node(BUILD, fresh(BUILD / "tests/metrics-node"), BASE)
        cls.node.publish(IMAGE)
        cls.node.start(workers=2, replaced=[("sluice_backend_idle_time 60s", "sluice_backend_idle_time 1s")])

    @classmethod
    def tearDownClass(cls):
        status, logs = cls.node.stop(), cls.node.logs()
        bad = [line for line in logs.splitlines() if re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", line)
               and "exited on signal 9" not in line]
        assert status == 0 and not bad, logs[-6000:]

    def told(self):
        """The figures, checked against the contract."""
        return metrics.check(self.node.request("GET", "/metrics", port=self.node.health).body.decode(), "node")

    def rise(self, name, before):
        return self.told()[name] - before.get(name, 0)

    def test_every_figure_is_declared_and_valid(self):
        self.node.request("GET", "/mock")
        self.assertEqual(self.told()["sluice_image_revision"], self.node.revision)

    def test_a_backend_s_and_a_gateway_s_answers_are_told_apart(self):
        before = self.told()
        for _ in range(3):
            self.assertEqual(self.node.request("POST", "/own502", body=b"x" * 100).status, 502)
        reply = self.node.request("GET", "/mock")
        self.node.request("GET", "/nowhere")
        for name, by in ((f'sluice_api_requests_total{{api_id="{ECHO}",class="5xx"}}', 3),
                         (f'sluice_api_requests_total{{api_id="{MOCK}",class="2xx"}}', 1),
                         ('sluice_api_requests_total{api_id="none",class="4xx"}', 1),
                         (f'sluice_api_request_seconds_count{{api_id="{ECHO}"}}', 3),
                         ("sluice_refused_total", 1), ("sluice_backend_calls_total", 3),
                         ("sluice_backend_failures_total", 0), ('sluice_requests_total{class="5xx"}', 3)):
            self.assertEqual(self.rise(name, before), by, name)
        self.assertGreater(self.rise(f'sluice_api_received_bytes_total{{api_id="{ECHO}"}}', before), 300)
        self.assertGreater(self.rise(f'sluice_api_sent_bytes_total{{api_id="{MOCK}"}}', before), len(reply.body))

    def test_time_is_counted_and_the_slowest_request_named(self):
        before = self.told()
        self.assertEqual(self.node.request("GET", "/slow").status, 504)
        self.assertGreaterEqual(self.rise(f'sluice_api_request_seconds_sum{{api_id="{hex_id(2003)}"}}', before), 1)
        self.assertGreaterEqual(self.told()[f'sluice_api_slowest_seconds{{api_id="{hex_id(2003)}"}}'], 1)
        self.assertGreaterEqual(self.rise("sluice_backend_failures_total", before), 1)

    def test_all_workers_count_together_and_a_killed_one_loses_nothing(self):
        name = f'sluice_api_requests_total{{api_id="{MOCK}",class="2xx"}}'
        before = self.told()
        for _ in range(40):
            self.node.request("GET", "/mock")
        self.assertEqual(self.rise(name, before), 40)
        self.assertEqual({self.told()[name] for _ in range(10)}, {before.get(name, 0) + 40})
        for pid in (old := self.node.workers().split()):
            os.kill(int(pid), signal.SIGKILL)
        end = time.monotonic() + 15
        while (set(old) & set(new := self.node.workers().split()) or len(new) < 2) and time.monotonic() < end:
            pause(0.05)
        self.assertEqual(self.rise(name, before), 40)

    def test_idle_connections_are_those_of_all_workers(self):
        self.assertEqual(self.node.request("GET", "/own502").status, 502)
        self.assertIn(self.told()["sluice_backend_idle_connections"], range(1, 10))

    def test_idle_connections_are_closed_in_time_and_used_ones_are_not(self):
        for _ in range(4):  # one of them longer than a second
            self.assertEqual(self.node.request("GET", "/own502").status, 502)
            pause(0.4)
            self.assertGreaterEqual(self.told()["sluice_backend_idle_connections"], 1)
        end = time.monotonic() + 10
        while (left := self.told()["sluice_backend_idle_connections"]) and time.monotonic() < end:
            pause(0.05)
        self.assertEqual(left, 0)
        self.assertEqual(self.node.request("GET", "/own502").status, 502)


if __name__ == "__main__":
    unittest.main()
