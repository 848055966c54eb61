"""The access log of a real nginx, in both forms, and the trace that goes on: python3 log_test.py BUILD.

Needs no control plane: image_fixture builds the image.
"""
import json
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lib")]
import access_log  # noqa: E402
from module_node import TIMEOUT_MS, Node, free_ports, fresh, hex_id, until  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
BASE = free_ports()
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
JSON_ONLY = {"time", "node_id", "env", "publish_id", "trace_id"}


def api(number, path, **fields):
    return {"publish_id": hex_id(1000 + number), "api_id": hex_id(2000 + number), "name": f"api {number}",
            "group_id": hex_id(1), "path": path, "method": "ANY", "match_mode": "NORMAL", "schemes": 3, "auth": "NONE",
            "backend_type": "HTTP", "env_id": "DEFAULT_ENVIRONMENT_RELEASE_ID", "env_name": "RELEASE",
            "http": {"host": "echo.test", "path": "/back", "port": BASE + 3, "method": "ANY", "timeout_ms": TIMEOUT_MS,
                     "retry_count": -1}, **fields}


IMAGE = {
    "gateway": {"id": hex_id(9), "body_max_bytes": 1000000},
    "groups": [{"id": hex_id(1), "name": "g", "sl_domain_enabled": True}],
    "hosts": [{"name": "h.example.com", "group_id": hex_id(1)}], "apps": [], "throttles": [],
    "apis": [api(1, "/echo"), api(2, "/a\"b\\c é", name="naïve \"name\"\n"),
             api(3, "/mock", backend_type="MOCK", mock={"body": "{}", "status": 200}),
             api(4, "/two", http={"host": "two.test", "path": "/", "port": BASE + 3, "method": "ANY", "timeout_ms": TIMEOUT_MS,
                                  "retry_count": -1})],
    "upstreams": {"echo.test": ["127.0.0.1"], "two.test": ["127.0.0.2", "127.0.0.1"]},
}


def setUpModule():
    Log.node = Node(BUILD, fresh(BUILD / "tests/log-node"), BASE)
    Log.node.publish(IMAGE)
    Log.node.start(replaced=[(f"sluice_{form} buffer=64k flush=1s", f"sluice_{form} buffer=64k flush=50ms")
                             for form in ("line", "json")])


def tearDownModule():
    status, logs = Log.node.stop(), Log.node.logs()
    assert status == 0 and not re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", logs), logs[-6000:]


class Log(unittest.TestCase):
    node = None

    def line(self, request_id, name="access.log"):
        """The raw line of a request."""
        path = self.node.place / name
        return until(lambda: next((line for line in path.read_bytes().splitlines(True) if request_id.encode() in line
                                   and line.endswith(b"\n")), None), "its line in the access log").rstrip(b"\n")

    def both(self, *args, **kwargs):
        """A request's row of either log, and the reply."""
        reply = self.node.request(*args, **kwargs)
        wanted = reply.header("X-Request-Id")
        return (access_log.parse(self.line(wanted).decode("ascii")),
                json.loads(self.line(wanted, "access.json.log").decode("utf-8")), reply)

    def test_both_forms_say_the_same(self):
        row, told, reply = self.both("GET", "/echo?x=1", [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2"),
                                                         ("User-Agent", "a b")])
        for name, text in row.items():
            value = told.get(name, "-")
            if isinstance(value, list):
                value, text = value[0], text
            if isinstance(value, (int, float)):
                self.assertAlmostEqual(float(text), value, msg=name)
            else:
                self.assertEqual(text, value, name)
        self.assertEqual(set(told) - JSON_ONLY, {name for name, text in row.items() if text != "-"})
        self.assertEqual(row["http_x_forwarded_for"], "1.1.1.1, 2.2.2.2")
        self.assertEqual((row["upstream_uri"], row["upstream_addr"]), ("/back", f"127.0.0.1:{BASE + 3}"))
        self.assertEqual(int(row["body_bytes_sent"]), len(reply.body))
        self.assertGreater(int(row["bytes_sent"]), len(reply.body))
        self.assertEqual((told["node_id"], told["env"], told["publish_id"]), (hex_id(77), "RELEASE", hex_id(1001)))

    def test_each_try_has_its_own_address(self):
        tried = set()
        for _ in range(2):  # workers begin with another address each time; nobody listens on the first
            row, told, _ = self.both("GET", "/two")
            self.assertEqual((row["status"], row["upstream_addr"]), ("200", ", ".join(told["upstream_addr"])))
            tried.add(row["upstream_addr"])
        good, bad = f"127.0.0.1:{BASE + 3}", f"127.0.0.2:{BASE + 3}"
        self.assertEqual(tried, {good, f"{bad}, {good}"})

    def test_what_a_client_controls_cannot_forge_a_line(self):
        evil = 'x" 200 "y\\ \x1b[2J\xff\xc3\xa9'
        row, told, _ = self.both("GET", "/nowhere/%22%5C%E4%B8%AD", [("User-Agent", evil), ("X-Forwarded-For", evil),
                                                                    ("X-Stage", evil)])
        self.assertEqual(row["http_user_agent"], "x\\x22 200 \\x22y\\x5C \\x1B[2J\\xFF\\xC3\\xA9")
        self.assertEqual(row["http_x_forwarded_for"], row["http_user_agent"])
        self.assertEqual(told["http_user_agent"], 'x" 200 "y\\ \x1b[2J\ufffdé')
        self.assertEqual(told["env"], told["http_user_agent"])
        self.assertEqual(told["router_uri"], '/nowhere/"\\中')
        self.assertEqual(row["router_uri"], "/nowhere/\\x22\\x5C\\xE4\\xB8\\xAD")

    def test_names_of_operators_are_escaped_too(self):
        row, told, _ = self.both("GET", "/a%22b%5Cc%20%C3%A9")
        self.assertEqual((row["status"], row["api_name"]), ("200", "na\\xC3\\xAFve \\x22name\\x22\\x0A"))
        self.assertEqual(told["api_name"], 'naïve "name"\n')

    def test_what_nginx_itself_refuses_has_its_line(self):
        reply = self.node.raw(b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\nUser-Agent: u\r\n\r\n")
        wanted = re.search(rb"X-Request-Id: (\w+)", reply)[1].decode()
        row = access_log.parse(self.line(wanted).decode("ascii"))
        self.assertEqual((row["status"], row["apig_err_code"], row["request_method"], row["api_id"], row["response_source"]),
                         ("400", "APIG.0201", "GET", "-", "local"))

    def test_the_method_is_the_client_s_when_the_backend_does_not_answer(self):
        row, _, _ = self.both("PATCH", "/echo", [("Transfer-Encoding", "chunked")], b"zz\r\n")
        self.assertEqual((row["status"], row["request_method"]), ("400", "PATCH"))

    # -- traceparent

    def trace(self, headers):
        """What the backend received of a trace, and the log."""
        _, told, reply = self.both("GET", "/echo", headers)
        received = [(name.lower(), value) for name, value in reply.json()["headers"]]
        return ([value for name, value in received if name == "traceparent"],
                [value for name, value in received if name == "tracestate"], told)

    def test_a_trace_goes_on_as_it_came(self):
        parents, states, told = self.trace([("Traceparent", PARENT), ("TraceState", "a=1"), ("tracestate", "b=2")])
        self.assertEqual((parents, states, told["trace_id"]), ([PARENT], ["a=1", "b=2"], TRACE))

    def test_a_trace_begins_where_there_is_none(self):
        parents, _, told = self.trace([])
        self.assertRegex(parents[0], rf"^00-{told['trace_id']}-[0-9a-f]{{16}}-01$")
        self.assertEqual(told["trace_id"], told["request_id"])

    def test_what_does_not_hold_is_replaced_with_its_state(self):
        for headers in ([("traceparent", PARENT.upper())], [("traceparent", PARENT), ("traceparent", PARENT)],
                        [("traceparent", "")]):
            parents, states, told = self.trace([*headers, ("tracestate", "a=1")])
            self.assertEqual(len(parents), 1)
            self.assertIn(told["request_id"], parents[0])
            self.assertEqual((states, told["trace_id"]), ([], told["request_id"]))

    def test_a_refusal_has_its_trace_in_the_log(self):
        _, told, reply = self.both("GET", "/nowhere", [("traceparent", PARENT)])
        self.assertEqual((reply.status, told["trace_id"]), (404, TRACE))


if __name__ == "__main__":
    unittest.main()
