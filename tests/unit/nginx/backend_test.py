"""Backends that misbehave, speak TLS, count attempts: python3 backend_test.py BUILD.

A real nginx with the module and an image without a control plane; every test publishes its own APIs.
"""
import base64
import json
import pathlib
import re
import sys
import threading
import unittest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lib")]
from authority import Authority  # noqa: E402
from backend import CLOSE, RESET, SILENCE, Backend, answer, mirror  # noqa: E402
from module_node import PATIENCE_S, TIMEOUT_MS, Node, free_ports, fresh, hex_id, until  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
GROUP = hex_id(1)
NAMES = ("one.example.com", "two.example.com")
BRIEF_MS = 300  # the timeout of backends that never answer
LARGE = b"x" * 100000  # more than is read before connecting


def api(number, path, backend, **fields):
    """An API whose backend is a Backend or a port."""
    port = getattr(backend, "port", backend)
    http = {"host": "back.test", "path": path, "port": port, "method": "ANY", "timeout_ms": TIMEOUT_MS, "retry_count": 0,
            "tls": False, **fields.pop("http", {})}
    return {"publish_id": hex_id(1000 + number), "api_id": hex_id(2000 + number), "name": f"api-{number}",
            "group_id": GROUP, "path": path, "method": "ANY", "match_mode": "NORMAL", "schemes": 3, "auth": "NONE",
            "backend_type": "HTTP", "http": http, **fields}


def host_sent(name):
    return [{"name": "Host", "value": name, "location": "HEADER", "origin": "CONSTANT"}]


def setUpModule():
    Told.node = Node(BUILD, fresh(BUILD / "tests/backend-node"), free_ports())
    Told.publish([])
    Told.node.start()


def tearDownModule():
    status, logs = Told.node.stop(), Told.node.logs()
    assert status == 0 and not re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", logs), logs[-6000:]


class Told(unittest.TestCase):
    """What the tests say often."""

    node = None

    @classmethod
    def publish(cls, apis, epoch="e1", features=None):
        features = [{"name": name, "value": value} for name, value in (features or {}).items()]
        cls.node.publish({
            "gateway": {"id": hex_id(9), "body_max_bytes": 1 << 20, "features": features}, "epoch": epoch,
            "groups": [{"id": GROUP, "name": "g", "sl_domain_enabled": True}],
            "hosts": [{"name": "h.example.com", "group_id": GROUP}], "apps": [], "throttles": [], "apis": apis,
            "upstreams": {"back.test": ["127.0.0.1"], "two.test": ["127.0.0.2", "127.0.0.1"],
                          "127.0.0.1": ["127.0.0.1"], "::1": ["127.0.0.1"]}})

    def refused(self, reply, status, code):
        self.assertEqual((reply.status, reply.json()["error_code"]), (status, code), reply.body)

    def got(self, path, **more):
        reply = self.node.request("GET", path, **more)
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json()


class Certificates(Told):
    """A backend that asks for certificates, at one address under one name."""

    @classmethod
    def setUpClass(cls):
        cls.authority = cls.enterClassContext(Authority("the authority"))
        cls.first, cls.second = (cls.authority.issue(f"{name} client") for name in ("first", "second"))
        cls.server = cls.authority.issue("server", f"DNS:{NAMES[0]},IP:127.0.0.1")

    def asking(self):
        return Backend(tls=True, pair=self.server, asks=self.authority.certificate)

    def secured(self, backend, pair, ca="", enable="on", **more):
        """/shows presents the certificate, /hides does not, /bare has an address for a name."""
        tls = {"tls": True}
        sent = {"backend_params": host_sent(NAMES[0])}
        parts = {"content": pair[0], "key": pair[1], "ca": ca, "enable": enable}
        self.publish([api(1, "/shows", backend, http={**tls, "client_certificate": True}, **sent),
                      api(2, "/hides", backend, http=tls, **sent),
                      api(3, "/bare", backend, http={**tls, "host": "127.0.0.1"}),
                      api(4, "/plain", backend, http={**tls, "client_certificate": True, "tls": False})],
                     features={f"backend_client_certificate.{name}": text for name, text in parts.items()}, **more)

    def test_it_is_shown_where_the_api_says_so(self):
        with self.asking() as backend:
            self.secured(backend, self.first)
            self.assertEqual([self.got(path)["client"] for path in ("/shows", "/hides") * 2],
                             ["first client", None] * 2)
            self.assertEqual([seen.connection.number for seen in backend.seen], [1, 2] * 2)

    def test_connections_follow_a_new_certificate_and_no_other_change(self):
        with self.asking() as backend:
            self.secured(backend, self.first)
            before = self.got("/shows")["connection"]
            self.secured(backend, self.first, epoch="e2")
            self.assertEqual(self.got("/shows")["connection"], before)
            self.secured(backend, self.second)
            got = self.got("/shows")
            self.assertEqual((got["client"], got["connection"], got["resumed"]), ("second client", 2, False))
            self.secured(backend, self.first)
            self.assertEqual(self.got("/shows")["client"], "first client")

    def test_a_session_of_one_certificate_is_not_resumed_by_another(self):
        def closing(seen):
            return mirror(seen).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
        with Backend(tls=True, pair=self.server, take=closing) as backend:
            self.secured(backend, self.first, self.authority.certificate)
            self.assertEqual([self.got("/shows")["resumed"] for _ in range(2)], [False, True])
            self.assertFalse(self.got("/hides")["resumed"])
            self.secured(backend, self.second, self.authority.certificate)
            self.assertFalse(self.got("/shows")["resumed"])

    def test_without_a_certificate_there_is_nothing_to_show(self):
        with self.asking() as backend:
            self.secured(backend, self.first, enable="off")
            self.refused(self.node.request("GET", "/shows"), 500, "APIG.0105")
            self.assertIsNone(self.got("/hides")["client"])

    def test_one_that_cannot_be_used_fails_the_calls_that_need_it(self):
        with self.asking() as backend:
            self.secured(backend, ("no certificate", self.first[1]))
            self.refused(self.node.request("GET", "/shows"), 500, "APIG.0105")
            self.assertIsNone(self.got("/hides")["client"])
            self.secured(backend, (self.first[0], self.second[1]))
            self.refused(self.node.request("GET", "/shows"), 500, "APIG.0105")

    def test_an_address_is_verified_as_one(self):
        with self.asking() as backend:
            self.secured(backend, self.first, self.authority.certificate)
            self.assertIsNone(self.got("/bare")["client"])


class Address(Told):
    """$context.sourceIp of calls whose headers say where they come from."""

    def source(self, features, *headers):
        with Backend() as backend:
            self.publish([api(1, "/from", backend, backend_params=[
                {"name": "X-Source", "value": "$context.sourceIp", "location": "HEADER", "origin": "SYSTEM"}])],
                features=features)
            return self.got("/from", headers=list(headers))["headers"]["x-source"]

    def test_the_peer_without_a_feature(self):
        self.assertEqual(self.source({}, ("X-Forwarded-For", "1.2.3.4")), "127.0.0.1")
        self.assertEqual(self.source({"real_ip_from_xff.enable": "off"}, ("X-Forwarded-For", "1.2.3.4")), "127.0.0.1")

    def test_an_element_of_all_forwarded_headers_together(self):
        given = (("X-Forwarded-For", "1.1.1.1, 2.2.2.2"), ("X-Forwarded-For", " 2001:DB8::0:7 "))
        for index, wanted in ((None, "2001:db8::7"), ("-1", "2001:db8::7"), ("0", "1.1.1.1"), ("1", "2.2.2.2"),
                              ("-3", "1.1.1.1"), ("3", "127.0.0.1"), ("-4", "127.0.0.1"),
                              ("2147483647", "127.0.0.1"), ("-2147483648", "127.0.0.1")):
            features = {"real_ip_from_xff.enable": "on"} | ({"real_ip_from_xff.xff_index": index} if index else {})
            self.assertEqual(self.source(features, *given), wanted, index)

    def test_what_is_no_address_is_passed_over(self):
        features = {"real_ip_from_xff.enable": "on"}
        for said in ("", "unknown", "1.2.3.4:80", "1.2.3.4.5", "[::1]", "1.2.3.4,", "x" * 300):
            self.assertEqual(self.source(features, ("X-Forwarded-For", said)), "127.0.0.1", said)
        self.assertEqual(self.source(features, ("X-Forwarded-For", "::ffff:9.8.7.6")), "9.8.7.6")
        self.assertEqual(self.source(features), "127.0.0.1")

    def test_a_named_header_goes_before_the_forwarded_ones(self):
        features = {"real_ip_from_xff.enable": "on", "real_ip_header_getter.enable": "on",
                    "real_ip_header_getter.header_getter": "header:Test-IP"}
        both = (("test-ip", "5.6.7.8"), ("X-Forwarded-For", "1.2.3.4"))
        self.assertEqual(self.source(features, *both), "5.6.7.8")
        self.assertEqual(self.source(features, both[1]), "127.0.0.1")
        for getter in ("header:", "head", "header:" + "x" * 65):
            self.assertEqual(self.source({**features, "real_ip_header_getter.header_getter": getter}, *both), "127.0.0.1")


class Tls(Told):
    def secured(self, backend, **more):
        """An API for each name, which the Host header says; both at one address."""
        self.publish([api(1, "/one", backend, http={"tls": True, **more}, backend_params=host_sent(NAMES[0])),
                      api(2, "/two", backend, http={"tls": True, **more}, backend_params=host_sent(NAMES[1])),
                      api(3, "/own", backend, http={"tls": True, **more}),
                      api(4, "/bare", backend, http={"tls": True, "host": "127.0.0.1", **more}),
                      api(5, "/odd", backend, http={"tls": True, **more},
                          req_params=[{"name": "h", "location": "QUERY", "pass_through": True}],
                          backend_params=[{"name": "Host", "value": "h", "location": "HEADER", "origin": "REQUEST"}])])

    def test_the_name_asked_for_is_the_host_that_is_sent(self):
        with Backend(tls=True) as backend:
            self.secured(backend)
            self.assertEqual(self.got("/one")["sni"], NAMES[0])
            self.assertEqual(self.got("/own")["sni"], "back.test")
            self.assertEqual(self.got("/own")["headers"]["host"], f"back.test:{backend.port}")
            self.assertEqual(self.got("/odd?h=Some.Example.com:99")["sni"], "some.example.com")

    def test_an_ipv6_address_stands_in_brackets(self):
        with Backend() as backend:
            self.publish([api(1, "/six", backend, http={"host": "::1"})])
            self.assertEqual(self.got("/six")["headers"]["host"], f"[::1]:{backend.port}")
        with Backend(tls=True) as backend:
            self.publish([api(1, "/six", backend, http={"host": "::1", "tls": True})])
            self.assertIsNone(self.got("/six")["sni"])

    def test_an_address_is_no_name(self):
        with Backend(tls=True) as backend:
            self.secured(backend)
            self.assertIsNone(self.got("/bare")["sni"])

    def test_a_host_that_cannot_be_a_name_is_refused(self):
        with Backend(tls=True) as backend:
            self.secured(backend)
            self.refused(self.node.request("GET", "/odd?h=" + "a" * 254), 400, "APIG.0201")
            self.refused(self.node.request("GET", "/odd?h=:80"), 400, "APIG.0201")
            self.assertEqual(backend.seen, [])

    def test_a_connection_made_for_one_name_is_never_handed_to_another(self):
        with Backend(tls=True) as backend:
            self.secured(backend)
            for _ in range(3):
                self.got("/one")
                self.got("/two")
            callers = [threading.Thread(target=lambda p=path: [self.got(p) for _ in range(10)])
                       for path in ("/one", "/two") * 3]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
            self.assertEqual({(seen.header("host"), seen.sni) for seen in backend.seen},
                             {(name, name) for name in NAMES})
            self.assertEqual([seen.connection.number for seen in backend.seen[:6]], [1, 2] * 3)

    def test_a_plain_connection_is_not_handed_to_tls(self):
        with Backend() as backend:
            self.publish([api(1, "/plain", backend), api(2, "/tls", backend, http={"tls": True})])
            self.got("/plain")
            self.refused(self.node.request("GET", "/tls"), 502, "APIG.0202")

    def test_sessions_are_resumed_for_the_same_name_alone(self):
        def once(seen):
            return mirror(seen).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
        with Backend(tls=True, take=once) as backend:
            self.secured(backend)
            self.assertEqual([self.got("/one")["resumed"] for _ in range(3)], [False, True, True])
            self.assertEqual([self.got("/two")["resumed"] for _ in range(2)], [False, True])

    def test_a_backend_without_tls_is_a_wrong_protocol(self):
        with Backend(take=lambda seen: answer(400)) as backend:
            self.secured(backend)
            self.refused(self.node.request("GET", "/one"), 502, "APIG.0202")

    def test_a_tls_backend_called_plainly_is_a_wrong_protocol(self):
        with Backend(tls=True) as backend:
            self.publish([api(1, "/plain", backend)])
            reply = self.node.request("GET", "/plain")
            self.assertEqual(reply.status, 502, reply.body)
            self.assertEqual(backend.seen, [])

    def test_a_web_socket_is_relayed(self):
        def talk(sock):
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            sock.sendall(sock.recv(100).upper())
        with Backend(tls=True, take=lambda seen: talk) as backend:
            self.secured(backend)
            with self.node.connect(tls=True) as sock:
                sock.sendall(b"GET /one HTTP/1.1\r\nHost: h.example.com\r\nUpgrade: websocket\r\n"
                             b"Connection: Upgrade\r\n\r\n")
                self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 101"))
                sock.sendall(b"hello")
                self.assertEqual(sock.recv(4096), b"HELLO")

    def test_large_bodies_pass_both_ways(self):
        with Backend(tls=True, take=lambda seen: answer(200, seen.body)) as backend:
            self.secured(backend)
            self.assertEqual(self.node.request("POST", "/one", body=LARGE).body, LARGE)


# retry_count, method, what the backend does, attempts, status, code: runtime.md 10.1.
RETRIES = [
    (-1, "GET", RESET, 2, 502, "APIG.0201"),
    (-1, "GET", CLOSE, 2, 502, "APIG.0201"),
    (-1, "PUT", RESET, 2, 502, "APIG.0201"),
    (-1, "DELETE", RESET, 2, 502, "APIG.0201"),
    (-1, "POST", RESET, 1, 502, "APIG.0201"),
    (-1, "PATCH", RESET, 1, 502, "APIG.0201"),
    (-1, "GET", SILENCE, 2, 504, "APIG.0201"),
    (-1, "POST", SILENCE, 1, 504, "APIG.0201"),
    (0, "GET", RESET, 1, 502, "APIG.0201"),
    (0, "GET", SILENCE, 1, 504, "APIG.0201"),
    (1, "POST", RESET, 2, 502, "APIG.0201"),
    (3, "GET", RESET, 4, 502, "APIG.0201"),
    (3, "PATCH", RESET, 4, 502, "APIG.0201"),
    (2, "POST", SILENCE, 3, 504, "APIG.0201"),
]


class Retry(Told):
    def limited(self, backend, count, **more):
        self.publish([api(1, "/r", backend, http={"retry_count": count, **more})])

    def attempts(self, backend, count, method, body=b"", **more):
        self.limited(backend, count, **more)
        reply = self.node.request(method, "/r", body=body)
        return reply, len(backend.seen)

    def test_attempts_are_those_documented(self):
        for count, method, fault, attempts, status, code in RETRIES:
            with self.subTest(count=count, method=method), Backend(take=lambda seen, f=fault: f) as backend:
                brief = {"timeout_ms": BRIEF_MS} if fault is SILENCE else {}
                reply, _ = self.attempts(backend, count, method, **brief)
                self.refused(reply, status, code)
                # One that the gateway gave up is read all the same, a moment later.
                until(lambda: len(backend.seen) >= attempts, f"{attempts} attempts")  # pylint: disable=cell-var-from-loop
                self.assertEqual(len(backend.seen), attempts)

    def test_an_answer_is_relayed_whatever_its_status(self):
        with Backend(take=lambda seen: answer(503, "mine")) as backend:
            reply, made = self.attempts(backend, 3, "GET")
            self.assertEqual((reply.status, reply.body, made), (503, b"mine", 1))

    def test_the_next_attempt_may_succeed_with_the_same_body(self):
        with Backend() as backend:
            backend.answer = lambda seen: RESET if len(backend.seen) < 3 else mirror(seen)
            reply, made = self.attempts(backend, 2, "POST", b"a body")
            self.assertEqual((reply.status, made), (200, 3))
            self.assertEqual({seen.body for seen in backend.seen}, {b"a body"})

    def test_a_streamed_body_is_sent_once(self):
        with Backend(take=lambda seen: RESET) as backend:
            reply, made = self.attempts(backend, 5, "POST", LARGE)
            self.assertEqual((reply.status, made), (502, 1))

    def test_a_streamed_request_may_be_connected_again(self):
        with Backend() as backend:
            self.limited(backend, 1, host="two.test")
            replies = [self.node.request("POST", "/r", body=LARGE).status for _ in range(4)]
            self.assertEqual(replies, [200] * 4)
            self.assertEqual(len(backend.seen), 4)

    def test_nothing_is_tried_again_once_the_client_has_a_byte(self):
        def half(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + b"x" * 30000)
        with Backend(take=lambda seen: half) as backend:
            reply, made = self.attempts(backend, 5, "GET")
            self.assertEqual((reply.status, made), (200, 1))
            self.assertLess(len(reply.body), 50000)

    def test_a_slow_connect_to_nobody_is_tried_on_the_next_address(self):
        with Backend() as backend:
            self.limited(backend, -1, host="two.test")
            self.assertEqual({self.node.request("POST", "/r").status for _ in range(4)}, {200})
            self.limited(backend, 0, host="two.test")
            self.assertEqual(sorted(self.node.request("POST", "/r").status for _ in range(4)), [200, 200, 502, 502])


def param(name, **fields):
    return {"name": name, "location": "QUERY", "pass_through": True, "checked": True, **fields}


# what is declared, the query, the fault that is named: runtime.md 8.1.
CHECKS = [
    ({"enumerations": "red,green"}, "p=red", None),
    ({"enumerations": "red,green"}, "p=blue", "not in enumerations"),
    ({"enumerations": "red,green"}, "p=blue&p=red", "not in enumerations"),
    ({"enumerations": "a b"}, "p=a+b", None),
    ({"is_number": True}, "p=1.5", None),
    ({"is_number": True}, "p=one", "not a number"),
    ({"is_number": True, "has_min": True, "min": 1, "has_max": True, "max": 9}, "p=9", None),
    ({"is_number": True, "has_min": True, "min": 1, "has_max": True, "max": 9}, "p=9.1", "out of range"),
    ({"is_number": True, "has_min": True, "min": 1, "has_max": True, "max": 9}, "p=0", "out of range"),
    ({"has_min": True, "min": 2, "has_max": True, "max": 3}, "p=%C3%A4%C3%B6%C3%BC", None),
    ({"has_min": True, "min": 2, "has_max": True, "max": 3}, "p=a", "out of range"),
    ({"has_min": True, "min": 2, "has_max": True, "max": 3}, "p=abcd", "out of range"),
    ({"has_min": True, "min": 2, "default": "a"}, "", "out of range"),
    ({"has_min": True, "min": 2}, "", None),
    ({"has_min": True, "min": 2}, "p=", "out of range"),
    ({"has_min": True, "min": 2, "checked": False}, "p=a", None),
]


class Checks(Told):
    def test_a_value_that_is_not_allowed_is_refused_and_named(self):
        with Backend() as backend:
            self.publish([api(i + 1, f"/c{i}", backend, req_params=[param("p", **row[0])])
                          for i, row in enumerate(CHECKS)])
            for i, (declared, query, fault) in enumerate(CHECKS):
                with self.subTest(declared=declared, query=query):
                    reply = self.node.request("GET", f"/c{i}?{query}")
                    if fault is None:
                        self.assertEqual(reply.status, 200, reply.body)
                        continue
                    self.refused(reply, 400, "APIG.0106")
                    self.assertEqual(reply.json()["error_msg"],
                                     f"Orchestration error: Invalid query parameter: p, {fault}")

    def test_headers_and_paths_are_checked_too(self):
        with Backend() as backend:
            self.publish([api(1, "/u/{id}", backend, http={"path": "/u"}, req_params=[
                param("id", location="PATH", is_number=True), param("X-Color", location="HEADER", enumerations="red")])])
            self.assertEqual(self.node.request("GET", "/u/7", [("x-color", "red")]).status, 200)
            self.refused(self.node.request("GET", "/u/a"), 400, "APIG.0106")
            self.refused(self.node.request("GET", "/u/7", [("X-Color", "blue")]), 400, "APIG.0106")
            self.assertEqual(len(backend.seen), 1)


class Mapped(Told):
    def test_a_mapping_with_nothing_to_say_leaves_its_name_unsaid(self):
        sent = [{"name": "X-App", "value": "$context.appId", "location": "HEADER", "origin": "SYSTEM"},
                {"name": "X-Kind", "value": "kind", "location": "HEADER", "origin": "REQUEST"},
                {"name": "app", "value": "$context.appId", "location": "QUERY", "origin": "SYSTEM"}]
        with Backend() as backend:
            self.publish([api(1, "/m", backend, backend_params=sent, req_params=[param("kind", checked=False)])])
            got = self.got("/m?app=forged&b=1", headers=[("x-app", "forged"), ("X-Kind", "forged"), ("X-Own", "1")])
            self.assertEqual(got["target"], "/m?b=1")
            self.assertNotIn("x-app", got["headers"])
            self.assertNotIn("x-kind", got["headers"])
            self.assertEqual(got["headers"]["x-own"], "1")


def condition(origin, value, name="", kind="exact"):
    return {"origin": origin, "value": value, "name": name, "type": kind}


# any, conditions, call, whether the policy takes it: runtime.md 9.
POLICIES = [
    (False, [condition("param", "gold", "kind")], "/p?kind=gold", True),
    (False, [condition("param", "gold", "KIND")], "/p?kind=gold", True),
    (False, [condition("param", "gold", "kind")], "/p?kind=silver", False),
    (False, [condition("param", "gold", "kind")], "/p", False),
    (False, [condition("param", "plain", "level")], "/p", True),
    (False, [condition("param", "gold,silver", "kind", "enum")], "/p?kind=silver", True),
    (False, [condition("param", "gold,silver", "kind", "enum")], "/p?kind=gold,silver", False),
    (False, [condition("param", "^g.*d$", "kind", "pattern")], "/p?kind=good", True),
    (False, [condition("param", "l", "kind", "pattern")], "/p?kind=silver", True),
    (False, [condition("param", "^(a+)+$x", "kind", "pattern")], "/p?kind=" + "a" * 60, False),
    (False, [condition("source", "192.0.2.1,127.0.0.0/8")], "/p", True),
    (False, [condition("source", "192.0.2.0/24")], "/p", False),
    (False, [condition("system", "/p", "req_path")], "/p?x=1", True),
    (False, [condition("system", "^/q", "req_path", "pattern")], "/p", False),
    (False, [condition("system", "PUT,GET", "req_method", "enum")], "/p", True),
    (False, [condition("param", "gold", "kind"), condition("source", "192.0.2.0/24")], "/p?kind=gold", False),
    (True, [condition("param", "gold", "kind"), condition("source", "192.0.2.0/24")], "/p?kind=gold", True),
    (True, [condition("param", "gold", "kind"), condition("source", "192.0.2.0/24")], "/p", False),
]


class Policies(Told):
    DECLARED = [param("kind", checked=False), param("level", checked=False, default="plain")]

    def own(self, other, number, path, policies, **more):
        return api(number, path, other, http={"path": "/own"}, req_params=self.DECLARED, policies=policies, **more)

    def policy(self, backend, name, conditions, **fields):
        http = {"host": "back.test", "path": f"/{name}", "port": backend.port, "method": "ANY", "timeout_ms": TIMEOUT_MS,
                "retry_count": 0, **fields.pop("http", {})}
        return {"name": name, "http": http, "conditions": conditions, **fields}

    def test_conditions_decide(self):
        with Backend() as backend:
            for number, (wants_any, conditions, target, taken) in enumerate(POLICIES):
                with self.subTest(number=number, conditions=conditions):
                    self.publish([self.own(backend, 1, "/p", [self.policy(backend, "mine", conditions, any=wants_any)])])
                    self.assertEqual(self.got(target)["target"].partition("?")[0], "/mine" if taken else "/own")

    def test_the_first_that_applies_takes_the_call(self):
        always = [condition("source", "0.0.0.0/0")]
        with Backend() as backend:
            self.publish([self.own(backend, 1, "/p", [
                self.policy(backend, "never", [condition("param", "x", "kind")]),
                self.policy(backend, "first", always), self.policy(backend, "second", always)])])
            self.assertEqual(self.got("/p")["target"], "/first?level=plain")

    def test_a_policy_has_all_of_a_backend_of_its_own(self):
        sent = [{"name": "X-Kind", "value": "kind", "location": "HEADER", "origin": "REQUEST"},
                {"name": "Host", "value": NAMES[0], "location": "HEADER", "origin": "CONSTANT"}]
        with Backend(tls=True) as backend, Backend() as other:
            self.publish([self.own(other, 1, "/p", [self.policy(
                backend, "gold", [condition("param", "gold", "kind")], backend_params=sent,
                http={"tls": True, "method": "PUT"})])])
            got = self.got("/p?kind=gold")
            self.assertEqual((got["method"], got["sni"], got["headers"]["x-kind"]), ("PUT", NAMES[0], "gold"))
            self.assertNotIn("x-kind", self.got("/p?kind=silver")["headers"])
            self.assertEqual([len(backend.seen), len(other.seen)], [1, 1])

    def test_a_mock_has_policies_too(self):
        self.publish([self.own(9, 1, "/p", [
            {"name": "gold", "mock": {"body": "gold", "status": 200}, "conditions": [condition("param", "gold", "kind")]}],
            backend_type="MOCK", mock={"body": "own", "status": 200})])
        self.assertEqual(self.node.request("GET", "/p?kind=gold").body, b"gold")
        self.assertEqual(self.node.request("GET", "/p").body, b"own")


class Functions(Told):
    """Answers of functions that are too large for the worker to read itself."""

    TEXT = "0123456789abcdef" * 50_000

    def setUp(self):
        self.service = self.enterContext(Backend(take=lambda seen: self.said))
        self.publish([api(1, "/f", self.service, backend_type="FUNCTION", http={"method": "POST"}),
                      api(2, "/small", self.service, http={"path": "/small"})])

    def tell(self, fields, body=None):
        self.said = answer(200, body if body is not None else json.dumps({"statusCode": 200, **fields}))

    def test_they_are_read_and_sent(self):
        binary = bytes(range(256)) * 24_000  # 6 MB, as base64 8 MB
        for tls in (False, True):
            self.tell({"statusCode": 207, "body": self.TEXT, "headers": {"X-A": "1", "Content-Type": "text/csv"}})
            reply = self.node.request("GET", "/f", tls=tls)
            self.assertEqual((reply.status, reply.body.decode()), (207, self.TEXT))
            self.assertEqual((reply.header("X-A"), reply.header("Content-Type")), ("1", "text/csv"))
            self.tell({"isBase64Encoded": True, "body": base64.b64encode(binary).decode()})
            reply = self.node.request("GET", "/f", tls=tls)
            self.assertEqual((reply.status, reply.body == binary), (200, True))
            self.tell({"body": self.TEXT})
            self.assertEqual(self.node.request("HEAD", "/f", tls=tls).header("Content-Length"), str(len(self.TEXT)))

    def test_a_service_that_refuses_is_no_function_wherever_its_header_is_cut(self):
        whole = b"HTTP/1.1 403 No\r\nContent-Length: 18\r\nX-A: b\r\n\r\n{\"statusCode\": 200}"

        def in_two(sock, cut):
            sock.sendall(whole[:cut])
            sock.sendall(whole[cut:])
        for cut in range(1, len(whole)):
            self.said = lambda sock, cut=cut: in_two(sock, cut)
            reply = self.node.request("GET", "/f")
            self.assertEqual((reply.status, reply.json()["error_code"]), (502, "APIG.0202"))

    def test_what_is_none_is_refused(self):
        for broken in (json.dumps({"statusCode": 200, "body": self.TEXT}) + "}", json.dumps({"body": self.TEXT}),
                       json.dumps({"statusCode": 200, "body": "x" * (8 << 20)})):
            self.tell(None, broken)
            for tls in (False, True):
                self.refused(self.node.request("GET", "/f", tls=tls), 500, "APIG.0601")

    def test_the_connection_goes_on_afterwards(self):
        self.tell({"body": self.TEXT})
        with self.node.connect() as sock:
            one = b"GET /f HTTP/1.1\r\nHost: h.example.com\r\n\r\n"
            sock.sendall(one * 3 + one.replace(b"/f ", b"/nowhere ").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            received = b"".join(iter(lambda: sock.recv(1 << 20), b""))
        self.assertEqual((received.count(b"HTTP/1.1 200"), received.count(b"HTTP/1.1 404")), (3, 1))
        self.assertEqual(received.count(self.TEXT.encode()), 3)

    def test_clients_that_go_away_meanwhile_harm_nobody(self):
        self.tell({"body": "x" * (7 << 20)})
        for _ in range(10):
            with self.node.connect() as sock:
                sock.sendall(b"GET /f HTTP/1.1\r\nHost: h.example.com\r\n\r\n")
                until(lambda: self.service.seen, "the call")
                self.service.seen.clear()
        replies = []
        threads = [threading.Thread(target=lambda: replies.append(self.node.request("GET", "/f"))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * PATIENCE_S)
        self.assertEqual([(reply.status, len(reply.body)) for reply in replies], [(200, 7 << 20)] * 6)


if __name__ == "__main__":
    unittest.main(verbosity=2)
