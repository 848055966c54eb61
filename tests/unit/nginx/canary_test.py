"""Planted faults turn a run red: python3 canary_test.py BUILD, a build with sanitizers.

Starts nginx with the canary module and asks for each fault: the worker must die of it, and the log
must hold the sanitizer's report.
"""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from module_node import Node, free_ports, fresh, hex_id  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).absolute()
REPORTS = {"heap": "heap-buffer-overflow", "signed": "signed integer overflow"}


class Canary(unittest.TestCase):
    def report_of(self, fault):
        """Asks for the fault; answers the logs of the nginx that met it."""
        node = Node(BUILD, fresh(BUILD / "tests/canary-node"), free_ports(), module="ngx_http_sluice_canary.so")
        node.publish({"gateway": {"id": hex_id(9)}})
        node.start()
        try:
            reply = node.request("GET", "/", [("X-Sluice-Canary", fault)])
            self.assertEqual(reply.status, 0, "the worker survived")
        finally:
            node.stop()
        return node.logs()

    def test_a_heap_overflow_is_reported(self):
        self.assertIn(REPORTS["heap"], self.report_of("heap"))

    def test_a_signed_overflow_is_reported(self):
        self.assertIn(REPORTS["signed"], self.report_of("signed"))


if __name__ == "__main__":
    unittest.main(verbosity=1)
