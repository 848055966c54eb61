"""The module in a real nginx, from outside: python3 module_test.py BUILD [unittest arguments].

Needs no control plane: image_fixture builds the image. With SLUICE_NGINX_PRELOAD=<libasan.so> the module
may be a sanitized one; any report fails the run.
"""
import concurrent.futures
import hashlib
import pathlib
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from module_node import TIMEOUT_MS, Echo, Node, Reply, free_ports, fresh, hex_id, pause, until  # noqa: E402
from signing import sign as sign_with  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).absolute()
PORT = free_ports()  # HTTP; then HTTPS, health, the backend, one that nobody listens on
GROUP, DEFAULT, DEBUG, APP, OTHER = hex_id(1), hex_id(2), hex_id(3), hex_id(50), hex_id(51)
KEY, SECRET, CODE = "AppKey0001", "0123456789abcdefghijABCDEFGHIJ", "c" * 64
EMPTY = hashlib.sha256(b"").hexdigest()


def api(number, path, **fields):
    """An API; HTTP backend at the echo server unless told otherwise."""
    row = {"publish_id": hex_id(1000 + number), "api_id": hex_id(2000 + number), "name": f"api-{number}",
           "group_id": GROUP, "path": path, "method": "GET", "match_mode": "NORMAL", "schemes": 3, "auth": "NONE",
           "backend_type": "HTTP",
           "http": {"host": "echo.test", "path": path, "port": PORT + 3, "method": "ANY", "timeout_ms": TIMEOUT_MS,
                    "retry_count": -1}}
    row["http"].update(fields.pop("http", {}))
    row.update(fields)
    return row


APIS = [
    api(1, "/echo", method="ANY"),
    api(2, "/", method="ANY", match_mode="SWA", http={"path": "/root"}),
    api(3, "/mock", backend_type="MOCK", mock={"body": '{"mock":true}', "status": 203}),
    api(4, "/text", backend_type="MOCK", mock={"body": "plain words", "status": 200}),
    api(5, "/signed", method="ANY", auth="APP", app_code=True),
    api(6, "/foreign", auth="APP", app_code=True),
    api(7, "/only-https", schemes=2),
    api(8, "/only-http", schemes=1),
    api(9, "/users/{id}/{rest+}", method="POST", match_mode="NORMAL", http={"path": "/u/{id}/x/{rest+}"},
        req_params=[{"name": "id", "location": "PATH", "required": True, "pass_through": True},
                    {"name": "rest", "location": "PATH", "required": True, "pass_through": True},
                    {"name": "need", "location": "QUERY", "required": True, "pass_through": False},
                    {"name": "opt", "location": "QUERY", "default": "d e", "pass_through": True},
                    {"name": "X-Color", "location": "HEADER", "pass_through": False}],
        backend_params=[{"name": "id", "value": "id", "location": "PATH", "origin": "REQUEST"},
                        {"name": "rest", "value": "rest", "location": "PATH", "origin": "REQUEST"},
                        {"name": "asked", "value": "need", "location": "QUERY", "origin": "REQUEST"},
                        {"name": "X-Paint", "value": "X-Color", "location": "HEADER", "origin": "REQUEST"},
                        {"name": "X-Fixed", "value": "a b", "location": "HEADER", "origin": "CONSTANT"},
                        {"name": "X-Stage-Name", "value": "$context.stage", "location": "HEADER", "origin": "SYSTEM"},
                        {"name": "X-From", "value": "$context.sourceIp", "location": "HEADER", "origin": "SYSTEM"}]),
    api(10, "/shop", match_mode="SWA", method="ANY", http={"path": "/store/"}),
    api(11, "/down", http={"port": PORT + 4}),
    api(12, "/slow", http={"timeout_ms": 300, "retry_count": 0}),
    api(13, "/garbage", method="ANY"),
    api(14, "/own502"),
    api(15, "/unresolved", http={"host": "nowhere.test"}),
    api(16, "/restricted", http={"host": "denied.test"}),
    api(17, "/staged", env_name="TEST"),
    api(18, "/by-address", group_id=DEFAULT),
    api(19, "/debug", group_id=DEBUG),
    api(20, "/https-backend", http={"port": PORT + 1, "tls": True, "path": "/echo"}),
    api(21, "/custom", auth="AUTHORIZER"),
    api(22, "/posted", method="POST"),
    api(27, "/query-to-path", http={"path": "/files/{name}/{rest+}"},
        req_params=[{"name": "n", "location": "QUERY", "pass_through": False},
                    {"name": "r", "location": "QUERY", "default": "x", "pass_through": False}],
        backend_params=[{"name": "name", "value": "n", "location": "PATH", "origin": "REQUEST"},
                        {"name": "rest", "value": "r", "location": "PATH", "origin": "REQUEST"}]),
    api(23, "/socket"),
    api(24, "/events"),
    api(25, "/two", method="ANY", http={"host": "two.test", "path": "/echo"}),
    api(26, "/two-once", http={"host": "two.test", "path": "/echo", "retry_count": 0}),
]


def image():
    """What most tests run on."""
    may = [row["publish_id"] for row in APIS if row["path"] != "/foreign"]
    return {
        "gateway": {"id": hex_id(9), "body_max_bytes": 1 << 20, "timeout_max_ms": 60000, "addresses": ["127.0.0.1"],
                    "node_ids": [hex_id(77)]},
        "groups": [{"id": GROUP, "name": "g"}, {"id": DEFAULT, "name": "DEFAULT", "is_default": True},
                   {"id": DEBUG, "name": "off", "sl_domain_enabled": False}],
        "hosts": [{"name": "h.example.com", "group_id": GROUP}, {"name": "*.wild.example.com", "group_id": GROUP},
                  {"name": "off.debug.test", "group_id": DEBUG, "debugging": True},
                  {"name": "echo.test", "group_id": GROUP}],
        "apps": [{"id": APP, "name": "app", "key": KEY, "secret": SECRET, "codes": [CODE], "publish_ids": sorted(may)}],
        "apis": APIS,
        "upstreams": {"echo.test": ["127.0.0.1"], "two.test": ["127.0.0.2", "127.0.0.1"], "denied.test": "denied"},
    }


def sign(*args, key=KEY, secret=SECRET, **kwargs):
    """Signs as the app of the image."""
    return sign_with(*args, key=key, secret=secret, **kwargs)


def setUpModule():
    Tested.node = Node(BUILD, fresh(BUILD / "tests/module-node"), PORT)
    Tested.node.publish(image())
    Tested.node.start()


def tearDownModule():
    """Asserts, unasked, that nginx ended well and that its logs hold no alert and no report."""
    status, logs = Tested.node.stop(), Tested.node.logs()
    bad = [line for line in logs.splitlines()
           if re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error|exited on signal", line)]
    assert not bad, "\n".join(bad) + "\n" + logs[-6000:]
    assert status == 0, f"nginx ended with {status}\n" + logs[-6000:]


class Tested:
    """Holds the one node that all tests share."""

    node = None


class ModuleTest(unittest.TestCase):
    """What the tests say often."""

    @property
    def node(self):
        return Tested.node

    def refused(self, reply, status, code, message=None):
        """A reply in the documented form of a gateway error."""
        self.assertEqual(reply.status, status, reply.line)
        body = reply.json()
        self.assertEqual(list(body), ["error_msg", "error_code", "request_id"])
        self.assertEqual(body["error_code"], code)
        self.assertEqual(reply.header("Server"), "api-gateway")
        self.assertEqual(reply.header("Content-Type"), "application/json")
        self.assertEqual(reply.header("X-Request-Id"), body["request_id"])
        self.assertRegex(body["request_id"], r"^[0-9a-f]{32}$")
        if message is not None:
            self.assertEqual(body["error_msg"], message)
        return body["error_msg"]

    def echoed(self, *args, **kwargs):
        """What the backend received."""
        reply = self.node.request(*args, **kwargs)
        self.assertEqual(reply.status, 200, reply.body)
        received = reply.json()
        received["header"] = {name.lower(): value for name, value in received["headers"]}
        return received


class Canonical(ModuleTest):
    """architecture.md 6, One canonical path."""


# (name, target, what the backend sees below /root, or None for 400 APIG.0201)
CANONICAL = [
    ("a_plain_path_stays", "/admin", "/admin"),
    ("double_slashes_merge", "//admin", "/admin"),
    ("an_encoded_slash_is_a_slash", "/a%2Fb", "/a/b"),
    ("an_encoded_slash_in_lower_case_is_a_slash", "/a%2fb", "/a/b"),
    ("an_encoded_letter_is_decoded", "/%61dmin", "/admin"),
    ("a_dot_segment_goes", "/a/./b", "/a/b"),
    ("a_dot_dot_segment_takes_one_back", "/a/../b", "/b"),
    ("encoded_dots_are_dots", "/a/%2e%2e/b", "/b"),
    ("a_trailing_slash_stays", "/a/", "/a/"),
    ("a_trailing_dot_leaves_a_slash", "/a/.", "/a/"),
    ("three_dots_are_a_name", "/a/.../b", "/a/.../b"),
    ("a_dot_file_is_a_name", "/a/.b", "/a/.b"),
    ("an_encoded_percent_is_decoded_once", "/a%252Fb", "/a%252Fb"),
    ("an_encoded_question_mark_stays_in_the_path", "/a%3Fb", "/a%3Fb"),
    ("an_encoded_hash_stays_in_the_path", "/a%23b", "/a%23b"),
    ("an_encoded_space_stays_in_the_path", "/a%20b", "/a%20b"),
    ("a_semicolon_is_a_letter", "/a;v=1/b", "/a;v=1/b"),
    ("an_encoded_slash_after_dots_is_refused", "/a/..%2Fb", None),
    ("an_encoded_slash_before_dots_is_refused", "/a%2F../b", None),
    ("encoded_slashes_and_dots_are_refused", "/a%2f%2e%2e%2fb", None),
    ("an_encoded_slash_beside_one_dot_is_refused", "/a/.%2Fb", None),
    ("an_encoded_backslash_beside_dots_is_refused", "/a/..%5Cb", None),
    ("a_raw_backslash_beside_dots_is_refused", "/a/..\\b", None),
    ("a_backslash_before_dots_is_refused", "/a%5C..", None),
    ("dots_with_a_parameter_are_refused", "/a/..;/b", None),
    ("dots_with_an_encoded_semicolon_are_refused", "/a/..%3Bx/b", None),
    ("dots_above_the_root_are_refused", "/../a", None),
    ("a_raw_hash_is_refused", "/a#b", None),
    ("a_raw_hash_in_the_query_is_refused", "/a?x=1#b", None),
    ("an_encoded_nul_is_refused", "/a%00b", None),
    ("an_encoded_newline_is_refused", "/a%0Ab", None),
    ("an_encoded_delete_is_refused", "/a%7Fb", None),
    ("a_raw_control_character_is_refused", "/a\x01b", None),
    ("a_malformed_escape_is_refused", "/a%zzb", None),
    ("a_cut_escape_is_refused", "/a%2", None),
]


def canonical_case(target, expected):
    def test(self):
        reply = self.node.request("GET", target)
        if expected is None:
            self.refused(reply, 400, "APIG.0201", "API request error.")
        else:
            self.assertEqual(reply.status, 200, reply.body)
            self.assertEqual(reply.json()["path"], "/root" + expected)
    return test


for case_name, case_target, case_expected in CANONICAL:
    setattr(Canonical, "test_" + case_name, canonical_case(case_target, case_expected))


class Intake(ModuleTest):
    def raw(self, data, **kwargs):
        return Reply(self.node.raw(data, **kwargs))

    def bad(self, data, status=400, code="APIG.0201", message="API request error."):
        self.refused(self.raw(data), status, code, message)

    def test_http_0_9_is_refused(self):
        self.bad(b"GET /echo\r\n")

    def test_a_host_is_read_without_case_port_and_closing_dot(self):
        for host in (b"H.Example.COM", b"h.example.com:81", b"h.example.com.", b"H.example.com.:81"):
            reply = self.raw(b"GET /echo HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
            self.assertEqual(reply.status, 200, host)
            self.assertIn(["X-Forwarded-Host", host.decode()], reply.json()["headers"])

    def test_an_absolute_target_of_another_host_is_refused(self):
        self.bad(b"GET http://other.test/echo HTTP/1.1\r\nHost: h.example.com\r\nConnection: close\r\n\r\n")

    def test_an_absolute_target_of_the_same_host_passes(self):
        reply = self.raw(b"GET http://H.example.com/echo HTTP/1.1\r\nHost: h.example.com\r\nConnection: close\r\n\r\n")
        self.assertEqual(reply.json()["path"], "/echo")

    def test_an_absolute_target_of_another_port_is_refused(self):
        self.bad(b"GET http://h.example.com:81/echo HTTP/1.1\r\nHost: h.example.com\r\nConnection: close\r\n\r\n")

    def test_a_second_host_is_refused(self):
        self.bad(b"GET /echo HTTP/1.1\r\nHost: h.example.com\r\nHost: h.example.com\r\n\r\n")

    def test_no_host_in_http_1_1_is_refused(self):
        self.bad(b"GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n")

    def test_no_host_in_http_1_0_leads_to_the_default_group(self):
        reply = self.raw(b"GET /by-address HTTP/1.0\r\n\r\n")
        self.assertEqual(reply.status, 200, reply.body)

    def test_both_lengths_are_refused(self):
        self.bad(b"POST /echo HTTP/1.1\r\nHost: h.example.com\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
                 b"0\r\n\r\n")

    def test_chunks_in_http_1_0_are_refused(self):
        self.bad(b"POST /echo HTTP/1.0\r\nHost: h.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")

    def test_an_unknown_transfer_encoding_is_refused(self):
        self.bad(b"POST /echo HTTP/1.1\r\nHost: h.example.com\r\nTransfer-Encoding: gzip\r\n\r\n")

    def test_connect_is_refused(self):
        self.bad(b"CONNECT h.example.com:443 HTTP/1.1\r\nHost: h.example.com\r\n\r\n")

    def test_a_space_in_a_header_name_is_refused(self):
        self.bad(b"GET /echo HTTP/1.1\r\nHost: h.example.com\r\nX Y: 1\r\n\r\n")

    def test_a_control_character_in_host_is_refused(self):
        self.bad(b"GET /echo HTTP/1.1\r\nHost: h.exa\x01mple.com\r\n\r\n")

    def test_a_long_uri_is_refused(self):
        self.bad(b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: h.example.com\r\n\r\n", 414,
                 message="Request URI too large.")

    def test_a_long_header_is_refused(self):
        self.bad(b"GET /echo HTTP/1.1\r\nHost: h.example.com\r\nX-Long: " + b"a" * 40000 + b"\r\n\r\n", 494,
                 message="Request headers too large.")

    def test_a_declared_large_body_is_refused(self):
        self.bad(b"POST /echo HTTP/1.1\r\nHost: h.example.com\r\nContent-Length: 2000000\r\n\r\n", 413,
                 message="Request entity too large.")

    def test_a_chunked_large_body_is_refused(self):
        chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        self.bad(b"POST /echo HTTP/1.1\r\nHost: h.example.com\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 17
                 + b"0\r\n\r\n", 413, message="Request entity too large.")

    def test_a_bare_line_feed_in_chunks_does_not_reach_the_backend(self):
        reply = self.raw(b"POST /echo HTTP/1.1\r\nHost: h.example.com\r\nTransfer-Encoding: chunked\r\n"
                         b"Connection: close\r\n\r\n3\nabc\r\n0\r\n\r\n")
        if reply.status == 200:
            self.assertEqual(reply.json()["body"], "abc")
        else:
            self.refused(reply, 400, "APIG.0201")

    def test_ids_are_fresh_and_not_the_client_s(self):
        mine = "0" * 32
        ids = {self.node.request("GET", "/mock", [("X-Request-Id", mine)]).header("X-Request-Id") for _ in range(3)}
        self.assertEqual(len(ids), 3)
        self.assertNotIn(mine, ids)

    def test_a_worker_is_one_thread(self):
        """libc makes every request of a process with two threads pay; only large answers of functions need one."""
        self.assertEqual(self.node.request("GET", "/echo").status, 200)
        for pid in self.node.workers().split():
            self.assertEqual(len(list(pathlib.Path(f"/proc/{pid}/task").iterdir())), 1)

    def test_keep_alive_goes_on_after_a_refusal(self):
        one = b"GET /%s HTTP/1.1\r\nHost: unknown.test\r\n\r\n"
        received = self.node.raw(one % b"a" + b"GET /mock HTTP/1.1\r\nHost: h.example.com\r\nConnection: close\r\n\r\n")
        self.assertEqual(received.count(b"HTTP/1.1 "), 2)
        self.assertIn(b'{"mock":true}', received)


class Route(ModuleTest):
    NO_API = "The API does not exist or has not been published in the environment."

    def test_an_unknown_host_has_no_api(self):
        self.refused(self.node.request("GET", "/echo", host="unknown.test"), 404, "APIG.0101", self.NO_API)

    def test_host_is_compared_without_case_and_port(self):
        self.assertEqual(self.node.request("GET", "/mock", host="H.Example.COM:8080").status, 203)

    def test_a_wildcard_leads_to_its_group_at_any_depth(self):
        self.assertEqual(self.node.request("GET", "/mock", host="a.b.wild.example.com").status, 203)

    def test_an_own_address_leads_to_the_default_group(self):
        self.assertEqual(self.node.request("GET", "/by-address", host=f"127.0.0.1:{PORT}").status, 200)

    def test_another_address_has_no_api(self):
        self.refused(self.node.request("GET", "/by-address", host="10.0.0.1"), 404, "APIG.0101", self.NO_API)

    def test_a_disabled_debugging_domain_does_not_route(self):
        self.refused(self.node.request("GET", "/debug", host="off.debug.test"), 404, "APIG.0101", self.NO_API)

    def test_another_method_is_404_with_its_own_message(self):
        reply = self.node.request("GET", "/by-address", host="127.0.0.1")
        self.assertEqual(reply.status, 200)
        reply = self.node.request("POST", "/by-address", host="127.0.0.1")
        self.refused(reply, 404, "APIG.0101", "The API does not exist.")

    def test_x_stage_chooses_the_environment(self):
        self.assertEqual(self.node.request("GET", "/staged", [("X-Stage", "TEST")]).json()["path"], "/staged")

    def test_an_unknown_stage_has_no_api(self):
        reply = self.node.request("GET", "/echo", [("X-Stage", "NOPE")])
        self.refused(reply, 404, "APIG.0101", self.NO_API)

    def test_the_other_protocol_is_refused(self):
        self.refused(self.node.request("GET", "/only-https"), 400, "APIG.0607",
                     "The following protocol is supported: HTTPS")
        self.refused(self.node.request("GET", "/only-http", tls=True), 400, "APIG.0607",
                     "The following protocol is supported: HTTP")
        self.assertEqual(self.node.request("GET", "/only-https", tls=True).status, 200)

    def test_a_prefix_api_appends_the_rest(self):
        self.assertEqual(self.echoed("GET", "/shop/AA/CC?q=1")["path"], "/store/AA/CC?q=1")
        self.assertEqual(self.echoed("GET", "/shop")["path"], "/store/")

    def test_offline_is_404_at_once(self):
        changed = image()
        changed["apis"] = [row for row in APIS if row["path"] not in ("/echo", "/")]
        self.assertEqual(self.node.request("GET", "/echo").status, 200)
        try:
            self.node.publish(changed)
            # The fixture's builder starts anew; entries that are gone are gone from the image.
            self.assertIn(self.node.request("GET", "/echo").status, (404,))
        finally:
            self.node.publish(image())
        self.assertEqual(self.node.request("GET", "/echo").status, 200)


class Auth(ModuleTest):
    HOST = ("Host", "h.example.com")
    PREFIX = "Incorrect app authentication information: "

    def call(self, method="GET", target="/signed", headers=(), body=b"", extra=(), tls=False, **kwargs):
        signed = sign(method, target, [self.HOST, *headers], body, **kwargs)
        return self.node.request(method, target, [*signed, *extra], body, host=None, tls=tls)

    def test_nothing_is_401(self):
        self.refused(self.node.request("GET", "/signed"), 401, "APIG.0303",
                     self.PREFIX + "Authorization header is missing")

    def test_a_signature_passes(self):
        reply = self.call()
        self.assertEqual(reply.status, 200, reply.body)

    def test_a_signature_over_query_and_body_passes(self):
        reply = self.call("POST", "/signed?b=2&a=x%20y&a=", [("Content-Type", "application/json")], b'{"n":1}')
        self.assertEqual(reply.status, 200, reply.body)
        self.assertEqual(reply.json()["body"], '{"n":1}')

    def test_a_body_in_a_file_is_hashed_and_forwarded(self):
        body = b"0123456789abcdef" * 20000
        reply = self.call("POST", body=body)
        self.assertEqual(reply.status, 200, reply.body[:300])
        self.assertEqual(len(reply.json()["body"]), len(body))

    def test_a_changed_body_is_refused(self):
        signed = sign("POST", "/signed", [self.HOST], b"one")
        reply = self.node.request("POST", "/signed", signed, b"two", host=None)
        message = self.refused(reply, 401, "APIG.0303")
        self.assertTrue(message.startswith(self.PREFIX + "verify signature fail, canonicalRequest:POST|/signed/|"), message)

    def test_a_digest_in_the_header_is_checked_against_the_body(self):
        digest = hashlib.sha256(b"one").hexdigest()
        headers = [("X-Sdk-Content-Sha256", digest)]
        self.assertEqual(self.call("POST", headers=headers, body=b"one", digest=digest).status, 200)
        signed = sign("POST", "/signed", [self.HOST, *headers], b"one", digest=digest)
        self.refused(self.node.request("POST", "/signed", signed, b"two", host=None), 401, "APIG.0303")

    def test_a_body_removed_under_a_digest_is_refused(self):
        digest = hashlib.sha256(b"one").hexdigest()
        signed = sign("POST", "/signed", [self.HOST, ("X-Sdk-Content-Sha256", digest)], digest=digest)
        self.refused(self.node.request("POST", "/signed", signed, host=None), 401, "APIG.0303")

    def test_a_request_that_waits_is_judged_on_what_holds_then(self):
        signed = sign("POST", "/signed", [self.HOST], b"0123456789")
        head = "".join(f"{name}: {value}\r\n" for name, value in signed)
        moved, gone = image(), image()
        moved["apis"] = [dict(row, path="/elsewhere/{a}/{b}") if row["path"] == "/signed" else row for row in APIS]
        gone["apps"] = []
        try:
            for changed, status in ((moved, 404), (gone, 401), (image(), 200)):
                self.node.publish(image())
                with self.node.connect() as sock:
                    sock.sendall(f"POST /signed HTTP/1.1\r\n{head}Content-Length: 10\r\n\r\n01234".encode())
                    pause(0.05)
                    self.node.publish(changed)
                    sock.sendall(b"56789")
                    self.assertEqual(Reply(sock.recv(65536)).status, status)
        finally:
            self.node.publish(image())

    def test_an_unsigned_payload_streams(self):
        body = b"x" * 300000
        reply = self.call("POST", headers=[("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD")], body=body,
                          digest="UNSIGNED-PAYLOAD")
        self.assertEqual(reply.status, 200, reply.body[:300])
        self.assertEqual(len(reply.json()["body"]), len(body))

    def test_an_unknown_key_is_named(self):
        self.refused(self.call(key="nobody"), 401, "APIG.0303", self.PREFIX + "app not found, appkey nobody")

    def test_a_wrong_secret_is_refused(self):
        self.assertIn("verify signature fail", self.refused(self.call(secret="wrong"), 401, "APIG.0303"))

    def test_an_old_date_is_expired(self):
        message = self.refused(self.call(date="20200101T000000Z"), 401, "APIG.0303")
        self.assertRegex(message, r"signature expired, signature time:20200101T000000Z,server time:\d{8}T\d{6}Z$")

    def test_another_algorithm_is_refused(self):
        reply = self.node.request("GET", "/signed", [("Authorization", "SDK-HMAC-SM3 Access=a, SignedHeaders=host, "
                                                                       "Signature=b")])
        self.refused(reply, 401, "APIG.0303")

    def test_an_empty_access_is_named(self):
        reply = self.node.request("GET", "/signed", [("X-Sdk-Date", "20200101T000000Z"), (
            "Authorization", "SDK-HMAC-SHA256 Access=, SignedHeaders=host;x-sdk-date, Signature=" + "0" * 64)])
        self.refused(reply, 401, "APIG.0303", self.PREFIX + "Access or Credential is empty in Authorization")

    def test_an_app_code_passes_over_tls_only(self):
        header = [("X-Apig-AppCode", CODE)]
        reply = self.node.request("GET", "/signed", header, tls=True)
        self.assertEqual(reply.status, 200, reply.body)
        self.assertNotIn("x-apig-appcode", [name.lower() for name, _ in reply.json()["headers"]])
        self.refused(self.node.request("GET", "/signed", header), 401, "APIG.0303")

    def test_a_wrong_app_code_is_refused_and_not_echoed(self):
        message = self.refused(self.node.request("GET", "/signed", [("X-Apig-AppCode", "d" * 64)], tls=True), 401,
                               "APIG.0303")
        self.assertNotIn("dddd", message)

    def test_an_app_without_authorisation_is_403(self):
        reply = self.node.request("GET", "/foreign", [("X-Apig-AppCode", CODE)], tls=True)
        self.refused(reply, 403, "APIG.0304", "The app is not authorized to access the API.")

    def test_an_app_calls_from_where_its_list_lets_it(self):
        header = [("X-Apig-AppCode", CODE)]
        for mode, acl, status in (("PERMIT", ["10.0.0.0/8", "127.0.0.0/30"], 200), ("PERMIT", ["10.0.0.0/8"], 403),
                                  ("DENY", ["127.0.0.1-127.0.0.9"], 403), ("DENY", ["10.0.0.0/8", "::1"], 200)):
            changed = image()
            changed["apps"][0].update(acl_mode=mode, acl=acl)
            self.addCleanup(self.node.publish, image())
            self.node.publish(changed)
            reply = self.node.request("GET", "/signed", header, tls=True)
            if status == 403:
                self.refused(reply, 403, "APIG.0405", "The app is not accessed from a trusted IP address.")
            else:
                self.assertEqual(reply.status, 200, (mode, acl, reply.body))

    def test_a_reset_secret_counts_at_once(self):
        changed = image()
        changed["apps"][0]["secret"] = "another-secret-of-the-same-app"
        self.assertEqual(self.call().status, 200)
        try:
            self.node.publish(changed)
            self.refused(self.call(), 401, "APIG.0303")
            self.assertEqual(self.call(secret="another-secret-of-the-same-app").status, 200)
        finally:
            self.node.publish(image())

    def test_without_authentication_credentials_go_through(self):
        received = self.echoed("GET", "/echo", [("X-Apig-AppCode", "mine"), ("Authorization", "Basic abc")])
        self.assertEqual(received["header"]["x-apig-appcode"], "mine")
        self.assertEqual(received["header"]["authorization"], "Basic abc")

    def test_what_cannot_be_honoured_is_refused(self):
        self.refused(self.node.request("GET", "/custom"), 500, "APIG.0606")


class Params(ModuleTest):
    PATH = "/users/a%20b/c/d%3Fe"

    def test_path_query_and_header_are_mapped(self):
        got = self.echoed("POST", self.PATH + "?x=1&need=n%26m&y=%41", [("X-Color", "red")])
        self.assertEqual(got["path"], "/u/a%20b/x/c/d%3Fe?x=1&y=%41&asked=n%26m&opt=d%20e")
        self.assertEqual(got["header"]["x-paint"], "red")
        self.assertNotIn("x-color", got["header"])
        self.assertEqual(got["header"]["x-fixed"], "a b")
        self.assertEqual(got["header"]["x-stage-name"], "RELEASE")
        self.assertEqual(got["header"]["x-from"], "127.0.0.1")

    def test_a_query_may_become_a_part_of_the_path(self):
        self.assertEqual(self.echoed("GET", "/query-to-path?n=a%2Fb%3F&r=c/d")["path"], "/files/a%2Fb%3F/c/d")

    def test_a_query_cannot_climb_the_path(self):
        for query in ("n=..", "n=a&r=../../etc", "n=a&r=..%2F..%2Fetc", "n=..%5Cx", "n=..;x", "n=a/../b", "n=a%0Ab", "r=x"):
            self.refused(self.node.request("GET", "/query-to-path?" + query), 400, "APIG.0201")

    def test_an_absent_optional_one_sends_nothing(self):
        got = self.echoed("POST", self.PATH + "?need=1&opt=z")
        self.assertNotIn("x-paint", got["header"])
        self.assertTrue(got["path"].endswith("?opt=z&asked=1"), got["path"])

    def test_a_missing_required_one_is_refused(self):
        self.refused(self.node.request("POST", self.PATH), 400, "APIG.0106",
                     "Orchestration error: Invalid query parameter: need, required")

    def test_a_client_cannot_set_a_mapped_header(self):
        got = self.echoed("POST", self.PATH + "?need=1", [("X-Fixed", "mine")])
        self.assertEqual([value for name, value in got["headers"] if name.lower() == "x-fixed"], ["a b"])

    def test_undeclared_ones_are_forwarded_as_they_came(self):
        got = self.echoed("GET", "/echo?b=%7e&a=1&&b=+", [("X-Any", "1"), ("X-Any", "2"), ("x_under", "3")])
        self.assertEqual(got["path"], "/echo?b=%7e&a=1&&b=+")
        self.assertEqual([value for name, value in got["headers"] if name == "X-Any"], ["1", "2"])
        self.assertEqual(got["header"]["x_under"], "3")


class Backend(ModuleTest):
    def test_the_gateway_s_headers_are_added(self):
        got = self.echoed("GET", "/echo", [("X-Forwarded-For", "1.2.3.4"), ("Connection", "close, X-Hop"),
                                           ("X-Hop", "1"), ("X-Apig-Mode", "debug")])
        header = got["header"]
        self.assertEqual(header["host"], f"echo.test:{PORT + 3}")
        self.assertEqual(header["x-forwarded-for"], "1.2.3.4, 127.0.0.1")
        self.assertEqual(header["x-real-ip"], "127.0.0.1")
        self.assertEqual(header["x-forwarded-proto"], "http")
        self.assertEqual(header["x-forwarded-host"], "h.example.com")
        self.assertRegex(header["x-request-id"], r"^[0-9a-f]{32}$")
        self.assertNotIn("x-apig-mode", header)

    def test_the_response_carries_the_gateway_s_id_alone(self):
        reply = self.node.request("GET", "/echo")
        self.assertEqual([v for n, v in reply.headers if n.lower() == "x-request-id"],
                         [dict((n.lower(), v) for n, v in reply.json()["headers"])["x-request-id"]])
        self.assertEqual([v for n, v in reply.headers if n.lower() == "server"], ["api-gateway"])

    def test_connections_are_kept(self):
        ports = {self.echoed("GET", "/echo")["peer"] for _ in range(5)}
        self.assertEqual(len(ports), 1)

    def test_every_method_arrives(self):
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            self.assertEqual(self.echoed(method, "/echo")["method"], method)
        reply = self.node.request("HEAD", "/echo")
        self.assertEqual((reply.status, reply.body), (200, b""))

    def test_chunked_bodies_arrive(self):
        got = self.echoed("POST", "/echo", [("Transfer-Encoding", "chunked")], b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        self.assertEqual(got["body"], "abcde")

    def test_a_refused_connection_is_502(self):
        self.refused(self.node.request("GET", "/down"), 502, "APIG.0201", "Backend unavailable.")

    def test_a_backend_that_never_answers_is_504(self):
        self.refused(self.node.request("GET", "/slow"), 504, "APIG.0201", "Backend timeout.")

    def test_what_is_not_http_is_502_of_its_own(self):
        self.refused(self.node.request("GET", "/garbage"), 502, "APIG.0202", "Backend unavailable")

    def test_the_backend_s_own_502_is_relayed(self):
        reply = self.node.request("GET", "/own502")
        self.assertEqual((reply.status, reply.json()["path"]), (502, "/own502"))

    def test_an_unresolved_name_is_500(self):
        self.refused(self.node.request("GET", "/unresolved"), 500, "APIG.0605", "Domain name resolution failed.")

    def test_a_restricted_address_is_403(self):
        self.refused(self.node.request("GET", "/restricted"), 403, "APIG.0404")

    def test_a_tls_backend_is_reached(self):
        reply = self.node.request("GET", "/https-backend")
        self.assertEqual(reply.status, 200, reply.body)
        self.assertEqual(reply.json()["path"], "/echo")

    def test_another_address_is_tried(self):
        for method in ("GET", "POST"):
            self.assertEqual({self.node.request(method, "/two").status for _ in range(4)}, {200})

    def test_no_retry_where_none_is_allowed(self):
        self.assertEqual(sorted(self.node.request("GET", "/two-once").status for _ in range(4)), [200, 200, 502, 502])

    def test_a_web_socket_is_relayed(self):
        with self.node.connect() as sock:
            sock.sendall(b"GET /socket HTTP/1.1\r\nHost: h.example.com\r\nUpgrade: websocket\r\n"
                         b"Connection: Upgrade\r\n\r\n")
            self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 101"))
            sock.sendall(b"hello")
            self.assertEqual(sock.recv(4096), b"HELLO")

    def test_events_are_not_buffered(self):
        with self.node.connect() as sock:
            sock.sendall(b"GET /events HTTP/1.1\r\nHost: h.example.com\r\n\r\n")
            received = b""
            while b"one" not in received:
                received += sock.recv(4096)
            Echo.more.release()  # the backend has said no more than that so far
            while b"two" not in received:
                received += sock.recv(4096)

    def test_clients_that_go_away_harm_nobody(self):
        signed = sign("POST", "/signed", [("Host", "h.example.com")], b"0123456789")
        head = "".join(f"{name}: {value}\r\n" for name, value in signed)
        for data in (f"POST /signed HTTP/1.1\r\n{head}Content-Length: 10\r\n\r\n01234",
                     "POST /echo HTTP/1.1\r\nHost: h.example.com\r\nContent-Length: 100000\r\n\r\n0123",
                     "GET /slow HTTP/1.1\r\nHost: h.example.com\r\n\r\n", "GET /ec"):
            for _ in range(3):
                with self.node.connect() as sock:
                    sock.sendall(data.encode())
                    pause(0.02)
        self.assertEqual(self.node.request("GET", "/echo").status, 200)

    def test_many_at_once(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(lambda _: self.node.request("GET", "/echo").status, range(200)))
        self.assertEqual(set(statuses), {200})


class Answers(ModuleTest):
    def test_mock_answers_json(self):
        reply = self.node.request("GET", "/mock", [("X-Apig-Mode", "debug")])
        self.assertEqual((reply.status, reply.body), (203, b'{"mock":true}'))
        self.assertEqual(reply.header("Content-Type"), "application/json")
        self.assertRegex(reply.header("X-Apig-Latency"), r"^\d+$")
        self.assertIsNone(reply.header("X-Apig-Upstream-Latency"))

    def test_mock_answers_text(self):
        reply = self.node.request("GET", "/text")
        self.assertEqual((reply.body, reply.header("Content-Type")), (b"plain words", "text/plain"))

    def test_mock_takes_a_body(self):
        reply = self.node.request("GET", "/mock", body=b"ignored")
        self.assertEqual(reply.status, 203)

    def test_debug_headers_come_when_asked(self):
        reply = self.node.request("GET", "/echo", [("X-Apig-Mode", "debug")])
        self.assertRegex(reply.header("X-Apig-Latency"), r"^\d+$")
        self.assertRegex(reply.header("X-Apig-Upstream-Latency"), r"^\d+$")
        self.assertIsNone(self.node.request("GET", "/echo").header("X-Apig-Latency"))

    def test_debug_headers_come_with_errors(self):
        reply = self.node.request("GET", "/echo", [("X-Apig-Mode", "debug"), ("X-Stage", "NOPE")])
        self.assertRegex(reply.header("X-Apig-Latency"), r"^\d+$")

    def test_http_2_is_spoken(self):
        done = subprocess.run(["curl", "-sk", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}",
                               "-H", "Host: h.example.com", "-d", "abc",
                               f"https://127.0.0.1:{self.node.https}/echo"], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "2 200")

    def test_signed_bodies_pass_over_http_2(self):
        body = b"0123456789" * 30000
        path = self.node.place / "body"
        path.write_bytes(body)
        signed = sign("POST", "/signed", [("Host", "h.example.com")], body)
        done = subprocess.run(["curl", "-sk", "--http2", "-Z", "--data-binary", f"@{path}", "-H", "Content-Type:",
                               *[word for name, value in signed for word in ("-H", f"{name}: {value}")],
                               *[f"https://127.0.0.1:{self.node.https}/signed"] * 5, "-w", "%{http_code}\n",
                               *["-o", "/dev/null"] * 5], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.split(), ["200"] * 5)

    def test_health_is_told(self):
        self.assertEqual(self.node.request("GET", "/healthz", port=self.node.health).status, 200)
        self.assertEqual(self.node.request("GET", "/readyz", port=self.node.health).status, 200)
        text = self.node.request("GET", "/metrics", port=self.node.health).body.decode()
        self.assertIn(f"sluice_image_revision {self.node.revision}\n", text)

    def test_a_node_that_is_about_to_stop_is_not_ready_and_still_serves(self):
        leaving = self.node.place / "draining"
        leaving.touch()
        try:
            self.assertEqual(self.node.request("GET", "/readyz", port=self.node.health).status, 503)
            self.assertEqual(self.node.request("GET", "/healthz", port=self.node.health).status, 200)
            self.assertEqual(self.node.request("GET", "/mock").status, 203)
        finally:
            leaving.unlink()
        self.assertEqual(self.node.request("GET", "/readyz", port=self.node.health).status, 200)

    def test_a_node_that_starts_before_its_image_answers_late_instead_of_wrongly(self):
        node = Node(BUILD, fresh(BUILD / "tests/module-late"), free_ports())
        try:
            node.start()
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                asked = pool.submit(node.request, "GET", "/mock")
                concurrent.futures.wait([asked], timeout=0.5)
                self.assertFalse(asked.done(), "answered without an image")
                node.publish(image())
                self.assertEqual(asked.result().status, 203)
        finally:
            self.assertEqual(node.stop(), 0)

    def test_a_reload_goes_on_counting(self):
        def count():
            text = self.node.request("GET", "/metrics", port=self.node.health).body.decode()
            return int(re.search(r'sluice_requests_total\{class="2xx"\} (\d+)', text)[1])
        self.node.request("GET", "/mock")
        before, old = count(), self.node.workers()
        self.node.process.send_signal(signal.SIGHUP)
        until(lambda: not set(old.split()) & set(self.node.workers().split()), "the old workers end")
        self.assertEqual(self.node.request("GET", "/echo").status, 200)
        self.assertGreaterEqual(count(), before)

    def test_the_workers_stay_the_same_over_publishes(self):
        before = self.node.workers()
        for _ in range(5):
            self.node.publish(image())
            self.assertEqual(self.node.request("GET", "/mock").status, 203)
        self.assertEqual(self.node.workers(), before)


if __name__ == "__main__":
    unittest.main(verbosity=1)
