"""Features of a gateway that shape requests and answers: python3 feature_test.py BUILD.

A real nginx with the module and an image without a control plane; every test publishes its own features.
"""
import gzip
import json
import pathlib
import re
import socket
import ssl
import sys
import time
import unittest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lib")]
import access_log  # noqa: E402
from backend import Backend, answer, mirror  # noqa: E402
from module_node import PATIENCE_S, TIMEOUT_MS, Node, free_ports, fresh, hex_id, until  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
GROUP = hex_id(1)
GCM = "ECDHE-ECDSA-AES256-GCM-SHA384"
CBC = "ECDHE-ECDSA-AES128-SHA256"
URN = "urn:fss:region:p:function:default:hello"


def api(number, path, port, **fields):
    http = {"host": "back.test", "path": "/back", "port": port, "method": "ANY", "timeout_ms": TIMEOUT_MS, "retry_count": 0,
            **fields.pop("http", {})}
    return {"publish_id": hex_id(1000 + number), "api_id": hex_id(2000 + number), "name": f"api-{number}",
            "group_id": GROUP, "path": path, "method": "ANY", "match_mode": "NORMAL", "schemes": 3, "auth": "NONE",
            "backend_type": "HTTP", "http": http, **fields}


def setUpModule():
    Told.node = Node(BUILD, fresh(BUILD / "tests/feature-node"), free_ports())
    Told.backend = Backend(take=lambda seen: Told.take(seen)).__enter__()
    Told.features()
    Told.node.start(replaced=[("client_body_timeout 8s", f"client_body_timeout {2 * PATIENCE_S}s")])


def tearDownModule():
    Told.backend.__exit__(None, None, None)
    status, logs = Told.node.stop(), Told.node.logs()
    assert status == 0 and not re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", logs), logs[-6000:]


def param(name, location="PATH", **more):
    return {"name": name, "location": location, "required": location == "PATH", "pass_through": True, **more}


def mapped(name, value, location):
    return {"name": name, "value": value, "location": location, "origin": "REQUEST"}


class Told(unittest.TestCase):
    """What the tests say often."""

    node = backend = None
    take = staticmethod(mirror)

    @classmethod
    def features(cls, **features):
        port = cls.backend.port
        by_path = {"name": "p", "conditions": [
            {"origin": "system", "name": "req_path", "type": "exact", "value": "/choose/a%2Fb"}],
            "http": {"host": "back.test", "path": "/chosen", "port": port, "method": "ANY", "timeout_ms": TIMEOUT_MS,
                     "retry_count": 0}}
        cls.node.publish({
            "gateway": {"id": hex_id(9), "body_max_bytes": 1 << 20,
                        "features": [{"name": name.replace("__", "."), "value": value}
                                     for name, value in sorted(features.items())]},
            "groups": [{"id": GROUP, "name": "g", "sl_domain_enabled": True}],
            "hosts": [{"name": "h.example.com", "group_id": GROUP}], "apps": [], "throttles": [],
            "upstreams": {"back.test": ["127.0.0.1"]},
            "apis": [
                api(1, "/", port, match_mode="SWA"), api(2, "/aa/aa", port, http={"path": "/two"}),
                api(3, "/one/{name}", port, http={"path": "/back/{name}"}, req_params=[param("name")]),
                api(4, "/rest/{name+}", port, http={"path": "/back/{name+}/end"}, req_params=[param("name")]),
                api(5, "/moved/{name}", port, http={"path": "/back/{other}"}, req_params=[param("name")],
                    backend_params=[mapped("other", "name", "PATH"), mapped("q", "name", "QUERY"),
                                    mapped("X-Name", "name", "HEADER")]),
                api(6, "/choose/{name}", port, req_params=[param("name")], policies=[by_path]),
                api(7, "/hidden", port, req_params=[param("X-Kind", "HEADER", pass_through=False)]),
                api(8, "/function/{name}", port, backend_type="FUNCTION", req_params=[param("name")],
                    http={"path": f"/v2/p/fgs/functions/{URN}/invocations", "method": "POST"}),
                api(9, "/mock", port, backend_type="MOCK", mock={"body": json.dumps("m" * 2000), "status": 200})]})

    def row(self, reply):
        """The access log's line of an answer."""
        log, wanted = self.node.place / "access.log", reply.header("X-Request-Id")
        return access_log.parse(until(lambda: next(
            (line for line in log.read_text().splitlines(True) if wanted in line and line.endswith("\n")), None),
            "its line in the access log").rstrip("\n"))


class Compression(Told):
    LARGE = b"0123456789abcdef" * 100

    def answered(self, body=LARGE, headers=(), accept="gzip", path="/x"):
        Told.take = staticmethod(lambda seen: answer(200, body, headers or [("Content-Type", "text/plain")]))
        sent = [("Accept-Encoding", accept)] if accept else []
        return self.node.request("GET", path, sent)

    def is_compressed(self, body=LARGE, **more):
        reply = self.answered(body, **more)
        if reply.header("Content-Encoding") is None:
            self.assertEqual(reply.body, body)
            return False
        self.assertEqual(reply.header("Content-Encoding"), "gzip")
        self.assertEqual(reply.header("Vary"), "Accept-Encoding")
        self.assertEqual(gzip.decompress(reply.body), body)
        return True

    def test_only_while_the_feature_is_set(self):
        self.features()
        self.assertFalse(self.is_compressed())
        self.features(gzip__comp_level="6")
        self.assertTrue(self.is_compressed())
        self.features()
        reply = self.answered()
        self.assertEqual((reply.body, reply.header("Vary"), self.row(reply)["gzip_ratio"]), (self.LARGE, None, "-"))

    def test_what_the_client_takes_and_the_backend_left_to_do(self):
        self.features(gzip__comp_level="1")
        for accept, wanted in (("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("br", False), ("", False)):
            self.assertEqual(self.is_compressed(accept=accept), wanted, accept)
        packed = gzip.compress(self.LARGE * 20)
        reply = self.answered(packed, [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")])
        self.assertEqual(reply.body, packed)
        self.assertFalse(self.is_compressed(b"x" * 1024))
        self.assertTrue(self.is_compressed(b"x" * 1025))
        reply = self.node.request("GET", "/x", [("Accept-Encoding", "gzip"), ("Via", "1.1 proxy")])
        self.assertEqual(reply.header("Content-Encoding"), "gzip")

    def test_types(self):
        self.features(gzip__comp_level="9")
        for kind in ("text/xml", "text/plain; charset=utf-8", "TEXT/CSS", "application/javascript", "application/x-javascript",
                     "application/rss+xml", "text/javascript", "image/tiff", "image/svg+xml", "application/json ;a=b",
                     "application/xml"):
            self.assertTrue(self.is_compressed(headers=[("Content-Type", kind)]), kind)
        for kind in ("text/html", "image/png", "text/event-stream", "text/plainer", "application/grpc"):
            self.assertFalse(self.is_compressed(headers=[("Content-Type", kind)]), kind)
        self.assertFalse(self.is_compressed(headers=[("X-A", "1")]))

    def test_answers_of_the_gateway_and_of_functions_too(self):
        self.features(gzip__comp_level="6")
        reply = self.answered(path="/mock")
        self.assertEqual(json.loads(gzip.decompress(reply.body)), "m" * 2000)
        Told.take = staticmethod(lambda seen: answer(200, json.dumps({"statusCode": 200, "body": "f" * 2000})))
        reply = self.node.request("GET", "/function/a", [("Accept-Encoding", "gzip")])
        self.assertEqual(gzip.decompress(reply.body), b"f" * 2000)
        row = self.row(reply)
        self.assertEqual(row["function_urn"], URN)
        self.assertGreater(float(row["gzip_ratio"]), 10)

    def test_levels_differ(self):
        sizes = []
        body = bytes(i * i % 251 for i in range(60000))
        for level in "19":
            self.features(gzip__comp_level=level)
            reply = self.answered(body)
            self.assertEqual(gzip.decompress(reply.body), body)
            sizes.append(len(reply.body))
        self.assertGreater(*sizes)


class Handshakes(Told):
    def shake(self, ciphers=None, version=ssl.TLSVersion.TLSv1_2, session=None, alpn=("h2", "http/1.1")):
        """(suite, protocol, session, whether it was resumed); None: refused."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if session is None else session[0]
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = version
        context.set_alpn_protocols(list(alpn))
        if ciphers:
            context.set_ciphers(ciphers)
        try:
            with socket.create_connection(("127.0.0.1", self.node.https), PATIENCE_S) as plain, \
                    context.wrap_socket(plain, session=session and session[1]) as sock:
                return (sock.cipher()[0], sock.selected_alpn_protocol(), (context, sock.session), sock.session_reused)
        except ssl.SSLError:
            return None

    def test_only_the_named_suites(self):
        self.features()
        self.assertEqual((self.shake(GCM)[0], self.shake(CBC)[0]), (GCM, CBC))
        self.features(ssl_ciphers__ssl_ciphers=CBC)
        self.assertEqual((self.shake(GCM), self.shake(CBC)[0], self.shake()[0]), (None, CBC, CBC))
        self.assertTrue(self.shake(version=ssl.TLSVersion.TLSv1_3)[0].startswith("TLS_"))
        self.features(ssl_ciphers__ssl_ciphers=f"{GCM}:ECDHE-RSA-AES256-SHA384")
        self.assertEqual((self.shake(GCM)[0], self.shake(CBC)), (GCM, None))

    def test_a_session_ends_with_the_list_that_it_was_made_under(self):
        self.features()
        first = self.shake()
        self.assertTrue(self.shake(session=first[2])[3])
        self.features(ssl_ciphers__ssl_ciphers=CBC)
        again = self.shake(session=first[2])
        self.assertEqual((again[0], again[3]), (CBC, False))
        self.assertTrue(self.shake(session=again[2])[3])

    def test_http2_is_offered_unless_it_is_off(self):
        for features, wanted in (({}, "h2"), ({"request_custom_config__http2": "off"}, "http/1.1"),
                                 ({"request_custom_config__http2": "on"}, "h2")):
            self.features(**features)
            self.assertEqual(self.shake()[1], wanted)
        self.features(request_custom_config__http2="off")
        Told.take = staticmethod(mirror)
        self.assertEqual(self.node.request("GET", "/x", tls=True).status, 200)
        alone = self.shake(alpn=("h2",))
        self.assertIsNone(alone and alone[1])


class Patience(Told):
    def stalled(self, target, length=10):
        """Seconds until a body that never comes is answered, and the status."""
        with self.node.connect() as sock:
            begun = time.monotonic()
            sock.sendall(f"POST {target} HTTP/1.1\r\nHost: h.example.com\r\nContent-Length: {length}\r\n\r\nx".encode())
            status = int(sock.recv(65536).split()[1])
            return time.monotonic() - begun, status

    def test_a_body_may_stall_as_long_as_the_gateway_says(self):
        Told.take = staticmethod(mirror)
        self.features(request_custom_config__client_body_timeout="1")
        for target, length in (("/x", 10), ("/x", 100000), ("/function/a", 10)):
            waited, status = self.stalled(target, length)
            self.assertEqual(status, 408)
            self.assertTrue(0.9 < waited < PATIENCE_S, waited)  # nginx.conf says more than that


class CustomLogs(Told):
    def test_they_fill_their_fields_in_order(self):
        Told.take = staticmethod(mirror)
        self.features(custom_log__custom_logs="header X-Kind,query q,cookie c,header absent,query long,header Authorization,"
                                              "query access_token,header x-bytes")
        reply = self.node.request("GET", "/hidden?a=1&q=%20b+c&q=2&long=" + "l" * 3000 + "&access_token=t", [
            ("x-kind", 'a "b" \\c'), ("Cookie", "b=1; c=d e"), ("Cookie", "c=2"), ("Authorization", "secret"),
            ("X-Bytes", "\xe9\x01")])
        self.assertEqual(reply.status, 200)
        self.assertNotIn("x-kind", {name for name, _ in self.backend.seen[-1].headers})
        row = self.row(reply)
        self.assertEqual([row[f"custom_data_log{i}"] for i in range(1, 11)], [
            "a+\\x22b\\x22+\\x5Cc", "%20b+c", "d+e", "-", "l" * 2048, "-", "-", "\\xE9\\x01", "-", "-"])
        self.assertNotIn("secret", (self.node.place / "access.log").read_text())
        refused = self.node.request("GET", "/a/..;x?q=7")
        self.assertEqual((refused.status, self.row(refused)["custom_data_log2"]), (400, "7"))
        self.features()
        self.assertEqual(self.row(self.node.request("GET", "/hidden?q=1"))["custom_data_log1"], "-")


class RawPaths(Told):
    def sent(self, target, headers=()):
        Told.take = staticmethod(mirror)
        reply = self.node.request("GET", target, headers)
        return reply.json()["target"] if reply.status == 200 else reply.status

    def test_escapes_are_decoded_unless_the_feature_is_on(self):
        self.features()
        self.assertEqual(self.sent("/aa%2Faa"), "/two")
        self.assertEqual(self.sent("/one/a%2Fb"), "/back/one/a/b")
        self.features(api_uri_no_escape="on")
        self.assertEqual(self.sent("/aa%2Faa"), "/back/aa%2Faa")
        self.assertEqual(self.sent("/aa/aa"), "/two")
        for target, wanted in (("/one/a%2fb", "/back/a%2Fb"), ("/one/a%2Fb%20c%25", "/back/a%2Fb%20c%25"),
                               ("/one/%61%2e%2Db", "/back/a.-b"), ("/rest/a%2Fb/c%3F", "/back/a%2Fb/c%3F/end"),
                               ("/one/a\xe9b", "/back/a%E9b"), ("/x//y/./z/../%77", "/back/x/y/w"),
                               ("/aa/x/%2e%2E/aa", "/two"), ("/choose/a%2Fb", "/chosen"), ("/choose/a", "/back")):
            self.assertEqual(self.sent(target), wanted, target)

    def test_what_could_be_read_in_two_ways_stays_refused(self):
        self.features(api_uri_no_escape="on")
        for target in ("/a%2F..%2Fb", "/a%2F../b", "/a%2Fb/../c", "/..", "/a/%2e%2e/..", "/a%00", "/a%zz", "/a/..%5Cb", "/..;x"):
            self.assertEqual(self.sent(target), 400, target)

    def test_a_parameter_of_the_path_is_the_raw_text(self):
        self.features(api_uri_no_escape="on")
        self.assertEqual(self.sent("/moved/a%2Fb?x=%2F"), "/back/a%2Fb?x=%2F&q=a%252Fb")
        self.assertEqual(self.backend.seen[-1].header("x-name"), "a%2Fb")
        reply = self.node.request("GET", "/one/a%2Fb")
        self.assertEqual(self.row(reply)["router_uri"], "/one/a%2Fb")
        Told.take = staticmethod(lambda seen: answer(200, json.dumps({"statusCode": 200})))
        self.assertEqual(self.node.request("GET", "/function/a%2Fb").status, 200)
        event = json.loads(self.backend.seen[-1].body)
        self.assertEqual((event["path"], event["pathParameters"]), ("/function/a%2Fb", {"name": "a%2Fb"}))


if __name__ == "__main__":
    unittest.main()
