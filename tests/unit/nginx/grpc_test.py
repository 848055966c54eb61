"""Functions behind gRPC APIs: what they are told, without TLS and with it: python3 grpc_test.py BUILD.

A real nginx with the module and an image without a control plane; the backend is a server of HTTP/2 by hand.
"""
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lib")]
import access_log  # noqa: E402
from authority import Authority  # noqa: E402
from grpc_service import Service  # noqa: E402
from h2session import Session  # noqa: E402
from module_node import PATIENCE_S, TIMEOUT_MS, Node, free_ports, fresh, hex_id, until  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
GROUP = hex_id(1)
NAME = "functions.test"
URN = "urn:fss:r1:p1:function:default:hello:v1"
OTHER = "urn:fss:r1:p1:function:default:other:!a1"
OURS = ("x-cff-func-urn", "x-apig-request-id", "x-apig-api-id", "x-apig-source-stage", "x-apig-source-ip")
FORGED = [(name, f"theirs {number}") for name in OURS for number in (1, 2)]
NEAR = [{"origin": "source", "value": "127.0.0.0/8"}]
FAR = [{"origin": "source", "value": "192.0.2.0/24"}]


def setUpModule():
    Functions.node = Node(BUILD, fresh(BUILD / "tests/grpc-node"), free_ports())
    Functions.node.publish(image([]))
    Functions.node.start()


def tearDownModule():
    status, logs = Functions.node.stop(), Functions.node.logs()
    logs = "".join(line for line in logs.splitlines(True) if "certificate verify failed" not in line)  # a test's doing
    assert status == 0 and not re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", logs), logs[-6000:]


def target(service, **fields):
    return {"host": NAME, "path": "/", "port": service.port, "method": "POST", "timeout_ms": TIMEOUT_MS, "retry_count": 0,
            "tls": service.context is not None, **fields}


def api(http, policies=()):
    return {"publish_id": hex_id(1001), "api_id": hex_id(2001), "name": "api-1", "group_id": GROUP, "path": "/pkg.Service",
            "method": "POST", "match_mode": "SWA", "schemes": 4, "auth": "NONE", "backend_type": "GRPC", "http": http,
            "policies": [{"name": "p", "http": own, "conditions": conditions} for own, conditions in policies]}


def image(apis, features=()):
    return {"gateway": {"id": hex_id(9), "body_max_bytes": 1 << 20, "features": list(features)}, "epoch": "e1",
            "groups": [{"id": GROUP, "name": "g", "sl_domain_enabled": True}],
            "hosts": [{"name": "h.example.com", "group_id": GROUP}], "apps": [], "throttles": [],
            "apis": [{**one, "env_id": "E", "env_name": "RELEASE"} for one in apis], "upstreams": {NAME: ["127.0.0.1"]}}


class Functions(unittest.TestCase):
    node = None

    def call(self, headers=()):
        with Session("127.0.0.1", self.node.https) as session:
            number = session.open("POST", "/pkg.Service/Do", [("content-type", "application/grpc"), ("te", "trailers"), *headers])
            session.send(number, b"\0\0\0\0\1m", end=True)
            reply = session.reply(number)
        self.assertIsNotNone(reply, "the stream ended without an answer")
        return reply

    def heard(self, service, headers=()):
        """What the service heard of a call that it answered, each header as the list of its values."""
        reply = self.call(headers)
        self.assertEqual((reply.status, reply.headers.get("x-first"), reply.body), (200, "1", b"\0\0\0\0\1x"), reply)
        names = {}
        for name, value in service.seen[-1]:
            names.setdefault(name, []).append(value)
        return reply, names

    def assert_told(self, reply, heard, urn):
        told = [urn, reply.headers["x-request-id"], hex_id(2001), "RELEASE", "127.0.0.1"]
        self.assertEqual([heard.get(name) for name in OURS], [[value] for value in told], heard)
        self.assertEqual((heard[":path"], heard[":method"]), (["/pkg.Service/Do"], ["POST"]), heard)

    def test_a_function_is_named_and_a_callers_own_name_for_it_dropped(self):
        with Service() as service:
            self.node.publish(image([api(target(service, function=URN))]))
            for forged in ((), FORGED, [(name.title(), value) for name, value in FORGED]):
                self.assert_told(*self.heard(service, forged), URN)

    def test_it_is_called_over_the_scheme_of_the_service(self):
        with Authority("the authority") as authority:
            pair = authority.issue("service", f"DNS:{NAME}")
            for service, scheme in ((Service(), "http"), (Service(pair), "https")):
                with service:
                    self.node.publish(image([api(target(service, function=URN))]))
                    reply, heard = self.heard(service)
                    self.assert_told(reply, heard, URN)
                    self.assertEqual((heard[":scheme"], heard["host"]), ([scheme], [f"{NAME}:{service.port}"]), heard)

    def test_a_certificate_that_nobody_trusts_is_refused_where_the_gateway_verifies(self):
        with Authority("the authority") as authority, Authority("another") as other:
            own = authority.issue("node")
            parts = {"enable": "on", "content": own[0], "key": own[1], "ca": authority.certificate}
            features = [{"name": f"backend_client_certificate.{name}", "value": text} for name, text in parts.items()]
            for issuer, status in ((authority, 200), (other, 502)):
                with Service(issuer.issue("service", f"DNS:{NAME}")) as service:
                    self.node.publish(image([api(target(service, function=URN))], features))
                    self.assertEqual(self.call().status, status)
                    self.assertEqual(len(service.seen), 1 if status == 200 else 0)

    def test_a_host_that_answers_itself_hears_nothing_of_functions(self):
        with Service() as service:
            self.node.publish(image([api(target(service))]))
            _, heard = self.heard(service, [("x-cff-func-urn", "mine"), ("x-apig-api-id", "mine")])
            self.assertEqual([heard.get(name) for name in OURS], [["mine"], None, ["mine"], None, None], heard)

    def test_a_policy_has_a_function_of_its_own(self):
        with Service() as service:
            for conditions, urn in ((NEAR, OTHER), (FAR, URN)):
                policy = (target(service, function=OTHER), conditions)
                self.node.publish(image([api(target(service, function=URN), [policy])]))
                self.assert_told(*self.heard(service), urn)

    def test_the_access_log_names_the_function(self):
        with Service() as service:
            for http, urn in ((target(service, function=URN), URN), (target(service), "-")):
                self.node.publish(image([api(http)]))
                wanted = self.heard(service)[0].headers["x-request-id"]
                path = self.node.place / "access.log"
                row = until(lambda: access_log.find(path, lambda row: row["request_id"] == wanted), "the line of the call")
                self.assertEqual((row["function_urn"], row["upstream_uri"]), (urn, "/pkg.Service/Do"), row)

    def test_without_a_service_calls_are_refused(self):
        self.node.publish(image([api({"host": "", "path": "/", "port": 80, "method": "POST", "timeout_ms": 1000})]))
        reply = self.call()
        self.assertEqual((reply.status, reply.headers["grpc-status"], reply.body), (500, "13", b""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
