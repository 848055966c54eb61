"""/metrics of a real nginx with two workers: python3 metrics_test.py BUILD."""
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
from module_node import TIMEOUT_MS, Node, free_ports, fresh, hex_id, pause, until  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
BASE = free_ports()
ECHO, MOCK = hex_id(2001), hex_id(2002)


def api(number, path, timeout_ms=TIMEOUT_MS, **fields):
    return {"publish_id": hex_id(1000 + number), "api_id": hex_id(2000 + number), "name": f"api {number}",
            "group_id": hex_id(1), "path": path, "method": "ANY", "match_mode": "NORMAL", "schemes": 3, "auth": "NONE",
            "backend_type": "HTTP",
            "http": {"host": "echo.test", "path": path, "port": BASE + 3, "method": "ANY", "timeout_ms": timeout_ms,
                     "retry_count": -1}, **fields}


IMAGE = {
    "gateway": {"id": hex_id(9), "body_max_bytes": 1000000},
    "groups": [{"id": hex_id(1), "name": "g", "sl_domain_enabled": True}],
    "hosts": [{"name": "h.example.com", "group_id": hex_id(1)}], "apps": [], "throttles": [],
    "apis": [api(1, "/own502", match_mode="SWA"), api(2, "/mock", backend_type="MOCK", mock={"body": "{}", "status": 200}),
             api(3, "/slow", timeout_ms=1000)],
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

    def rose(self, name, before, by):
        """A worker may count after the client has its whole answer, and another one may tell."""
        until(lambda: self.told().get(name, 0) - before.get(name, 0) >= by, f"{name} +{by}")
        self.assertEqual(self.told()[name] - before.get(name, 0), by, name)

    def grew(self, name, before, by):
        until(lambda: self.told().get(name, 0) - before.get(name, 0) >= by, f"{name} +{by} or more")

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
            self.rose(name, before, by)
        self.grew(f'sluice_api_received_bytes_total{{api_id="{ECHO}"}}', before, 301)
        self.grew(f'sluice_api_sent_bytes_total{{api_id="{MOCK}"}}', before, len(reply.body) + 1)

    def test_time_is_counted_and_the_slowest_request_named(self):
        before = self.told()
        self.assertEqual(self.node.request("GET", "/slow").status, 504)
        self.grew(f'sluice_api_request_seconds_sum{{api_id="{hex_id(2003)}"}}', before, 1)
        self.assertGreaterEqual(self.told()[f'sluice_api_slowest_seconds{{api_id="{hex_id(2003)}"}}'], 1)
        self.grew("sluice_backend_failures_total", before, 1)

    def test_all_workers_count_together_and_a_killed_one_loses_nothing(self):
        name = f'sluice_api_requests_total{{api_id="{MOCK}",class="2xx"}}'
        before = self.told()
        for _ in range(40):
            self.node.request("GET", "/mock")
        self.rose(name, before, 40)
        self.assertEqual({self.told()[name] for _ in range(10)}, {before.get(name, 0) + 40})
        for pid in (old := self.node.workers().split()):
            os.kill(int(pid), signal.SIGKILL)
        until(lambda: not set(old) & set(new := self.node.workers().split()) and len(new) == 2, "new workers")
        self.rose(name, before, 40)

    def test_idle_connections_are_those_of_all_workers(self):
        def one_is_idle():  # for a second only, which a look at it may take
            self.assertEqual(self.node.request("GET", "/own502").status, 502)
            return 1 <= self.told()["sluice_backend_idle_connections"] < 10
        until(one_is_idle, "an idle connection")

    def test_idle_connections_are_closed_in_time_and_used_ones_are_not(self):
        for _ in range(4):  # one of them longer than a second
            used = time.monotonic()
            self.assertEqual(self.node.request("GET", "/own502").status, 502)
            pause(0.4)
            left = self.told()["sluice_backend_idle_connections"]
            self.assertTrue(left or time.monotonic() - used > 0.9)  # a busy machine may be that slow
        until(lambda: self.told()["sluice_backend_idle_connections"] == 0, "the end of idle connections")
        self.assertEqual(self.node.request("GET", "/own502").status, 502)


if __name__ == "__main__":
    unittest.main()
