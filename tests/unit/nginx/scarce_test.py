"""A worker without descriptors, or whose image lacks files, forgets no limit: python3 scarce_test.py BUILD."""
import http.client
import itertools
import json
import os
import pathlib
import re
import resource
import sys
import unittest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lib")]
from backend import Backend  # noqa: E402
from module_node import PATIENCE_S, TIMEOUT_MS, Node, free_ports, fresh, hex_id  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
GROUP, POLICY = hex_id(1), hex_id(5)


class Scarce(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node(BUILD, fresh(BUILD / "tests/scarce-node"), free_ports())

    def setUp(self):
        self.backend = self.enterContext(Backend())
        self.publish(10)
        self.node.start(echo=False)
        self.client = http.client.HTTPConnection("127.0.0.1", self.node.http, timeout=PATIENCE_S)
        self.addCleanup(self.client.close)
        self.assertEqual(self.ask("/free")[0], 200)  # from here on both sides keep their connections

    def tearDown(self):
        self.client.close()
        status, logs = self.node.stop(), self.node.logs()
        assert status == 0 and not re.search(r"\[(alert|emerg)\]|Sanitizer|runtime error", logs), logs[-6000:]

    def publish(self, limit):
        """An API without a policy and one with; nobody grants units, so that a policy lets nothing pass."""
        apis = [{"publish_id": hex_id(1000 + number), "api_id": hex_id(2000 + number), "name": path, "group_id": GROUP,
                 "path": path, "method": "ANY", "match_mode": "NORMAL", "schemes": 3, "auth": "NONE", "backend_type": "HTTP",
                 "http": {"host": "back.test", "path": path, "port": self.backend.port, "method": "ANY",
                          "timeout_ms": TIMEOUT_MS, "retry_count": 0, "tls": False}, **more}
                for number, (path, more) in enumerate([("/free", {}), ("/limited", {"throttle_id": POLICY})])]
        self.node.publish({
            "gateway": {"id": hex_id(9), "features": []}, "groups": [{"id": GROUP, "name": "g", "sl_domain_enabled": True}],
            "hosts": [{"name": "h.example.com", "group_id": GROUP}], "apps": [], "apis": apis,
            "throttles": [{"id": POLICY, "shared": False, "window_s": 60, "interval": 1, "unit": "minute", "api_limit": limit}],
            "upstreams": {"back.test": ["127.0.0.1"]}})

    def ask(self, path):
        self.client.request("GET", path, headers={"Host": "h.example.com"})
        reply = self.client.getresponse()
        return reply.status, json.loads(reply.read()).get("error_code")

    def test_without_descriptors_a_worker_follows_what_is_published(self):
        pid = int(self.node.workers().split()[0])
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (next(fd for fd in itertools.count() if fd not in taken), before[1]))
        for limit in (20, 30, 40):
            self.publish(limit)
            self.assertEqual(self.ask("/limited"), (429, "APIG.0308"))
            self.assertEqual(self.ask("/free"), (200, None))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    def test_what_cannot_be_read_is_refused(self):
        self.publish(20)
        files = list(pathlib.Path("/dev/shm").glob(f"sluice-{self.node.name}-*-s*"))
        self.assertTrue(files)
        for path in files:
            path.unlink()
        for path in ("/limited", "/free", "/limited"):
            self.assertEqual(self.ask(path), (503, "SLUICE.0503"))
        self.publish(30)
        self.assertEqual(self.ask("/limited"), (429, "APIG.0308"))
        self.assertEqual(self.ask("/free"), (200, None))
        self.assertIn("cannot be mapped, the call is refused", self.node.logs())


if __name__ == "__main__":
    unittest.main()
