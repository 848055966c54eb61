"""app_route: calls by address, routed by their app, in a real nginx, from outside: python3 app_route_test.py BUILD."""
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from module_node import TIMEOUT_MS, Node, free_ports, fresh, hex_id  # noqa: E402
from signing import sign  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).absolute()
PORT = free_ports()
ONE, TWO, DEFAULT = hex_id(1), hex_id(2), hex_id(3)  # groups
KEY, SECRET, KEY2, SECRET2 = "AppKey0001", "0123456789abcdefghijABCDEFGHIJ", "AppKey0002", "another secret"
GOOD = (("X-HW-ID", KEY), ("X-HW-AppKey", SECRET))
OTHERS = (("X-HW-ID", KEY2), ("X-HW-AppKey", SECRET2))
OWN, FOREIGN = "127.0.0.1", "192.0.2.7"
PREFIX = "Incorrect app authentication information: "
GONE = "The API does not exist or has not been published in the environment."
ON = {"app_route": "on", "app_secret": "on"}


def api(number, group, path, **fields):
    return {"publish_id": hex_id(1000 + number), "api_id": hex_id(2000 + number), "name": f"api-{number}", "group_id": group,
            "path": path, "method": "GET", "match_mode": "NORMAL", "schemes": 3, "auth": "APP", "backend_type": "HTTP",
            "http": {"host": "echo.test", "path": f"/{number}", "port": PORT + 3, "method": "ANY", "timeout_ms": TIMEOUT_MS,
                     "retry_count": -1}, **fields}


APIS = [
    api(1, ONE, "/a"),
    api(2, TWO, "/b/{name}"),
    api(3, TWO, "/b/{name}", env_name="TEST"),
    api(4, DEFAULT, "/a", auth="NONE"),
    api(5, DEFAULT, "/default", auth="NONE", method="POST"),
    api(6, ONE, "/b/literal"),  # of nobody
    api(7, TWO, "/open", auth="NONE"),
    api(8, ONE, "/default"),
    api(9, ONE, "/post", method="POST"),
    api(10, TWO, "/iam", auth="IAM"),
    api(11, TWO, "/c"),
]


def image(**features):
    """Two apps, two groups beside DEFAULT."""
    def of(*numbers):
        return sorted(hex_id(1000 + number) for number in numbers)
    return {
        "gateway": {"id": hex_id(9), "body_max_bytes": 1 << 20, "node_ids": [hex_id(77)], "addresses": [OWN],
                    "features": [{"name": name, "value": value} for name, value in features.items()]},
        "groups": [{"id": ONE, "name": "one"}, {"id": TWO, "name": "two"},
                   {"id": DEFAULT, "name": "DEFAULT", "is_default": True}],
        "hosts": [{"name": "h.example.com", "group_id": ONE}],
        "apps": [{"id": hex_id(50), "name": "first", "key": KEY, "secret": SECRET, "groups": [TWO, ONE],
                  "publish_ids": of(1, 2, 3, 7, 8, 9, 10)},
                 {"id": hex_id(51), "name": "second", "key": KEY2, "secret": SECRET2, "groups": [TWO],
                  "publish_ids": of(11)}],
        "apis": APIS, "upstreams": {"echo.test": ["127.0.0.1"]},
    }


def setUpModule():
    Case.node = Node(BUILD, fresh(BUILD / "tests/app-route-node"), PORT)
    Case.node.publish(image(**ON))
    Case.node.start()


def tearDownModule():
    status, logs = Case.node.stop(), Case.node.logs()
    assert status == 0 and not re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", logs), logs[-6000:]
    written = logs + (Case.node.place / "access.log").read_text() + (Case.node.place / "access.json.log").read_text()
    for secret in (SECRET, SECRET2):
        assert secret not in written, f"a log holds {secret}"


class Case(unittest.TestCase):
    node = None

    def setUp(self):
        self.node.publish(image(**ON))

    def reaches(self, number, target, *headers, host=OWN, **more):
        reply = self.node.request("GET", target, headers, host=host, **more)
        self.assertEqual(reply.status, 200, reply.body)
        received = reply.json()
        self.assertEqual(received["path"].split("/")[1].split("?")[0], str(number))
        return {name.lower(): value for name, value in received["headers"]}

    def refused(self, status, code, message, target, *headers, host=OWN, method="GET"):
        reply = self.node.request(method, target, headers, host=host)
        body = reply.json()
        self.assertEqual((reply.status, body["error_code"], body["error_msg"]), (status, code, message))


class Routed(Case):
    def test_an_app_reaches_its_apis_in_any_group(self):
        for host in (OWN, FOREIGN, f"{OWN}:{PORT}", "[2001:db8::1]"):
            headers = self.reaches(2, "/b/x", *GOOD, host=host)
            self.assertEqual(headers["x-hw-id"], KEY)
            self.assertNotIn("x-hw-appkey", headers)
        self.reaches(1, "/a", *GOOD, host=FOREIGN)
        self.reaches(2, "/b/x", *GOOD, tls=True)

    def test_what_is_not_the_app_s_does_not_stand_in_the_way(self):
        self.reaches(2, "/b/literal", *GOOD)

    def test_default_comes_first(self):
        self.reaches(4, "/a", *GOOD)
        self.reaches(4, "/a")
        self.reaches(8, "/default", *GOOD)  # DEFAULT has the path for another method
        self.reaches(1, "/a", *GOOD, host=FOREIGN)  # no address of the gateway: no DEFAULT

    def test_a_stage_is_part_of_the_choice(self):
        self.reaches(3, "/b/x", ("X-Stage", "TEST"), *GOOD)
        self.refused(404, "APIG.0101", GONE, "/a", ("X-Stage", "TEST"), *GOOD, host=FOREIGN)
        self.refused(404, "APIG.0101", GONE, "/b/x", ("X-Stage", "NONE"), *GOOD)

    def test_a_path_without_the_method_says_so(self):
        self.refused(404, "APIG.0101", "The API does not exist.", "/post", *GOOD, host=FOREIGN)
        self.refused(404, "APIG.0101", "The API does not exist.", "/default", *OTHERS)
        self.refused(404, "APIG.0101", GONE, "/nowhere", *GOOD)

    def test_one_app_does_not_reach_another_s(self):
        self.reaches(11, "/c", *OTHERS)
        self.refused(404, "APIG.0101", GONE, "/c", *GOOD)
        self.refused(404, "APIG.0101", GONE, "/b/x", *OTHERS)
        for _ in range(3):  # nothing is remembered of a call that its app decided
            self.reaches(2, "/b/x", *GOOD)
            self.refused(404, "APIG.0101", GONE, "/b/x")
            self.refused(404, "APIG.0101", GONE, "/b/x", *OTHERS)

    def test_a_body_that_is_waited_for_is_judged_on_the_same_route(self):
        reply = self.node.request("POST", "/post", GOOD, b"x" * 40000, host=OWN)
        self.assertEqual((reply.status, reply.json()["path"]), (200, "/9"))
        signed = sign("POST", "/post", [("Host", OWN)], b"x" * 400, key=KEY, secret=SECRET)[1:]
        self.refused(404, "APIG.0101", GONE, "/post", *signed, method="POST")


class Judged(Case):
    def test_a_credential_that_does_not_hold_is_refused(self):
        self.refused(401, "APIG.0303", PREFIX + "verify app secret fail", "/b/x", ("X-HW-ID", KEY), ("X-HW-AppKey", SECRET2))
        self.refused(401, "APIG.0303", PREFIX + "app not found, appkey nobody", "/b/x", ("X-HW-ID", "nobody"), GOOD[1])
        self.refused(401, "APIG.0303", PREFIX + "X-HW-AppKey header is missing", "/b/x", GOOD[0], host=FOREIGN)

    def test_without_one_it_is_as_if_the_feature_were_off(self):
        self.refused(404, "APIG.0101", GONE, "/b/x")
        self.refused(404, "APIG.0101", GONE, "/b/x", host=FOREIGN)

    def test_a_domain_leads_where_it_leads(self):
        self.refused(404, "APIG.0101", GONE, "/b/x", *GOOD, host="h.example.com")
        self.refused(404, "APIG.0101", GONE, "/b/x", *GOOD, host="unknown.test")
        self.reaches(1, "/a", *GOOD, host="h.example.com")

    def test_what_the_api_asks_for_is_asked_for(self):
        headers = self.reaches(7, "/open", *GOOD)
        self.assertNotIn("x-hw-appkey", headers)  # the gateway took it
        reply = self.node.request("GET", "/iam", GOOD, host=OWN)
        self.assertEqual((reply.status, reply.json()["error_code"]), (401, "APIG.0301"))

    def test_both_features_must_be_on(self):
        for features in ({}, {"app_secret": "on"}, {"app_route": "on"}, {"app_route": "off", "app_secret": "on"}):
            self.node.publish(image(**features))
            self.refused(404, "APIG.0101", GONE, "/b/x", *GOOD)
            self.refused(404, "APIG.0101", GONE, "/b/x", *GOOD, host=FOREIGN)

    def test_an_authorisation_that_ends_ends_the_route(self):
        self.reaches(2, "/b/x", *GOOD)
        less = image(**ON)
        less["apps"][0]["publish_ids"].remove(hex_id(1002))
        self.node.publish(less)
        self.refused(404, "APIG.0101", GONE, "/b/x", *GOOD)


if __name__ == "__main__":
    unittest.main()
