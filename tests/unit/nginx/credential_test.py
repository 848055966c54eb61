"""What apps prove themselves with, in a real nginx, from outside: python3 credential_test.py BUILD.

Needs no control plane: image_fixture builds the image; features are switched by publishing another one.
"""
import base64
import hashlib
import hmac
import json
import pathlib
import re
import sys
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from module_node import TIMEOUT_MS, Node, free_ports, fresh, hex_id, until  # noqa: E402
from signing import sign  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).absolute()
PORT = free_ports()
GROUP, DEFAULT, APP, OTHER = hex_id(1), hex_id(2), hex_id(50), hex_id(51)
OWN = "127.0.0.1"
KEY, SECRET, CODE = "AppKey0001", "0123456789abcdefghijABCDEFGHIJ", "c" * 64
KEY2, SECRET2 = "AppKey0002", "another:secret"
PREFIX = "Incorrect app authentication information: "
FORM = ("Content-Type", "application/x-www-form-urlencoded")
EMPTY = hashlib.sha256(b"").hexdigest()
TOKEN_URI = "/v1/apigw/oauth2/token"
TOKEN_ON = {"app_token.enable": "on", "app_token.app_token_key": "the operator's own key"}


def image(**features):
    """Two apps, one API that asks for an app; the features are those of the gateway entry."""
    api = {"publish_id": hex_id(1001), "api_id": hex_id(2001), "name": "api", "group_id": GROUP, "path": "/app",
           "method": "ANY", "match_mode": "SWA", "schemes": 3, "auth": "APP", "app_code": True, "backend_type": "HTTP",
           "http": {"host": "echo.test", "path": "/back", "port": PORT + 3, "method": "ANY", "timeout_ms": TIMEOUT_MS,
                    "retry_count": -1}}
    down = {**api, "publish_id": hex_id(1002), "api_id": hex_id(2002), "path": "/down",
            "http": {**api["http"], "port": PORT + 4}}
    return {
        "gateway": {"id": hex_id(9), "body_max_bytes": 1 << 20, "node_ids": [hex_id(77)], "addresses": [OWN],
                    "features": [{"name": name, "value": value} for name, value in features.items()]},
        "groups": [{"id": GROUP, "name": "g"}, {"id": DEFAULT, "name": "DEFAULT", "is_default": True}], "hosts": [{"name": "h.example.com", "group_id": GROUP}],
        "apps": [{"id": APP, "name": "one", "key": KEY, "secret": SECRET, "codes": [CODE],
                  "publish_ids": [hex_id(1001), hex_id(1002), hex_id(1003)]},
                 {"id": OTHER, "name": "two", "key": KEY2, "secret": SECRET2, "publish_ids": [hex_id(1001)]}],
        "apis": [api, down, {**api, "publish_id": hex_id(1003), "api_id": hex_id(2003), "group_id": DEFAULT}], "upstreams": {"echo.test": ["127.0.0.1"]},
    }


def basic(key, secret):
    return ("Authorization", "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode())


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(claims, secret=SECRET, header=None):
    head = part(json.dumps(header or {"alg": "HS256", "typ": "JWT"}).encode()) + "." + part(json.dumps(claims).encode())
    return head + "." + part(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())


def now_ms(offset_s=0):
    return str(int((time.time() + offset_s) * 1000))


def setUpModule():
    Case.node = Node(BUILD, fresh(BUILD / "tests/credential-node"), PORT)
    Case.node.publish(image())
    Case.node.start()


def tearDownModule():
    """Asserts, unasked, that nginx ended well, and that no log holds a secret."""
    status, logs = Case.node.stop(), Case.node.logs()
    assert status == 0 and not re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", logs), logs[-6000:]
    written = logs + (Case.node.place / "access.log").read_text() + (Case.node.place / "access.json.log").read_text()
    for secret in (SECRET, SECRET2, CODE, "the operator's own key", *Case.tokens):
        assert secret not in written, f"a log holds {secret}"


class Case(unittest.TestCase):
    node = None
    tokens = set()

    def features(self, **features):
        self.node.publish(image(**features))

    def passes(self, *headers, target="/app", tls=False, method="GET", body=b""):
        """What the backend received: the header names in lower case, and its target."""
        reply = self.node.request(method, target, headers, body, tls=tls)
        self.assertEqual(reply.status, 200, reply.body)
        received = reply.json()
        return {name.lower(): value for name, value in received["headers"]}, received["path"]

    def refused(self, *headers, target="/app", status=401, code="APIG.0303", message=None, tls=False):
        reply = self.node.request("GET", target, headers, tls=tls)
        body = reply.json()
        self.assertEqual((reply.status, body["error_code"]), (status, code), body)
        if message is not None:
            self.assertEqual(body["error_msg"], message)
        for secret in (SECRET, SECRET2, CODE):
            self.assertNotIn(secret, body["error_msg"])


class Switched(Case):
    MISSING = PREFIX + "Authorization header is missing"

    def test_without_its_feature_a_credential_is_none(self):
        self.features()
        self.refused(("X-HW-ID", KEY), ("X-HW-AppKey", SECRET), message=self.MISSING)
        self.refused(("apikey", KEY), message=self.MISSING)
        self.refused(target=f"/app?apikey={KEY}", message=self.MISSING)
        self.refused(("access_token", "x"), message=self.MISSING)
        self.refused(basic(KEY, SECRET), message=PREFIX + "signing algorithm is not supported")
        self.refused(("Authorization", jwt({"iss": KEY})), ("Timestamp", now_ms()))
        self.assertEqual(self.node.request("POST", TOKEN_URI, [FORM], b"grant_type=client_credentials").status, 404)

    def test_off_is_not_on(self):
        self.features(app_secret="off", app_basic="off", app_api_key="off", **{"app_jwt.enable": "off"})
        self.refused(("X-HW-ID", KEY), ("X-HW-AppKey", SECRET), message=self.MISSING)
        self.refused(("apikey", KEY), message=self.MISSING)


class Order(Case):
    """runtime.md 5.1: each means before all that follow it, whether it holds or not."""

    MEANS = [
        ("X-Apig-AppCode", "d" * 64, "app not found by AppCode"),
        ("X-HW-ID", "by-id", "app not found, appkey by-id"),
        ("apikey", "by-key", "app not found, appkey by-key"),
        ("Authorization", "Basic " + base64.b64encode(b"by-basic:x").decode(), "app not found, appkey by-basic"),
        ("access_token", "x", None),  # APIG.2203
        ("X-My-Token", jwt({"appId": "by-jwt"}), "app not found, appkey by-jwt"),
        ("X-My-Auth", "SDK-HMAC-SHA256 Access=by-signature, SignedHeaders=host;x-sdk-date, Signature=" + "0" * 64,
         "app not found, appkey by-signature"),
    ]

    def test_the_first_of_those_that_are_there_decides(self):
        self.features(app_secret="on", app_api_key="on", app_basic="on", **TOKEN_ON,
                      **{"app_jwt.enable": "on", "app_jwt.auth_header": "X-My-Token",
                         "custom_auth_header.app_auth_header": "X-My-Auth"})
        beside = [("X-HW-AppKey", "x"), ("Timestamp", now_ms()),
                  ("X-Sdk-Date", time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))]
        for at, (_, _, reason) in enumerate(self.MEANS):
            headers = [means[:2] for means in self.MEANS[at:]] + beside
            if reason is None:
                self.refused(*headers, tls=True, status=400, code="APIG.2203", message="Access token is invalid")
            else:
                self.refused(*headers, tls=True, message=PREFIX + reason)


class Address(Case):
    """A call to an address of the gateway."""

    def signed(self, *leave_out, host=OWN):
        """Headers that sign the call but for those left out."""
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        held = {"host": host, "x-sdk-date": date}
        names = sorted(set(held) - set(leave_out))
        canonical = "\n".join(["GET", "/app/", "", *(f"{name}:{held[name]}" for name in names), "", ";".join(names), EMPTY])
        text = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        return [("X-Sdk-Date", date), ("Authorization", f"SDK-HMAC-SHA256 Access={KEY}, SignedHeaders={';'.join(names)}, "
                                                        f"Signature={signature}")]

    def test_the_host_need_not_be_signed(self):
        self.features()
        for headers in (self.signed(), self.signed("host")):
            self.assertEqual(self.node.request("GET", "/app", headers, host=OWN).status, 200)
        reply = self.node.request("GET", "/app", self.signed("x-sdk-date"), host=OWN)
        self.assertEqual((reply.status, reply.json()["error_code"]), (401, "APIG.0303"))
        self.refused(*self.signed("host", host="h.example.com"))
        self.passes(*self.signed(host="h.example.com"))


class Secret(Case):
    def setUp(self):
        self.features(app_secret="on")

    def test_key_and_secret_pass_and_the_secret_stays_here(self):
        headers, _ = self.passes(("X-HW-ID", KEY), ("X-HW-AppKey", SECRET))
        self.assertEqual(headers["x-hw-id"], KEY)
        self.assertNotIn("x-hw-appkey", headers)

    def test_what_does_not_hold_is_refused(self):
        self.refused(("X-HW-ID", KEY), ("X-HW-AppKey", SECRET2), message=PREFIX + "verify app secret fail")
        self.refused(("X-HW-ID", KEY), ("X-HW-AppKey", SECRET[:-1]))
        self.refused(("X-HW-ID", KEY), ("X-HW-AppKey", ""))
        self.refused(("X-HW-ID", KEY), message=PREFIX + "X-HW-AppKey header is missing")
        self.refused(("X-HW-ID", "nobody"), ("X-HW-AppKey", SECRET), message=PREFIX + "app not found, appkey nobody")
        self.refused(("X-HW-AppKey", SECRET), message=Switched.MISSING)

    def test_the_first_one_that_is_there_decides(self):
        signed = sign("GET", "/app", [("Host", "h.example.com")], key=KEY, secret=SECRET)[1:]
        self.refused(("X-HW-ID", "nobody"), *signed)
        self.refused(("X-HW-ID", "nobody"), ("X-HW-AppKey", SECRET), ("X-Apig-AppCode", "d" * 64), tls=True,
                     message=PREFIX + "app not found by AppCode")

    def test_a_signature_goes_on_being_accepted(self):
        headers, _ = self.passes(*sign("GET", "/app", [("Host", "h.example.com")], key=KEY, secret=SECRET)[1:])
        self.assertIn("authorization", headers)


class ApiKey(Case):
    def setUp(self):
        self.features(app_api_key="on")

    def test_the_key_passes_in_header_and_query(self):
        self.passes(("apikey", KEY))
        self.passes(target=f"/app?x=1&apikey={KEY}")
        self.passes(target="/app?apikey=%41ppKey0001")
        self.passes(("apikey", KEY), target="/app?apikey=nobody")

    def test_an_unknown_key_is_refused(self):
        self.refused(("apikey", "nobody"), message=PREFIX + "app not found, appkey nobody")
        self.refused(("apikey", ""))
        self.refused(target="/app?apikey=")
        self.refused(target=f"/app?xapikey={KEY}", message=Switched.MISSING)


class Basic(Case):
    def setUp(self):
        self.features(app_basic="on")

    def test_key_and_secret_pass_and_stay_here(self):
        headers, _ = self.passes(basic(KEY, SECRET))
        self.assertNotIn("authorization", headers)
        self.passes(("Authorization", basic(KEY, SECRET)[1].replace("Basic", "bAsIc")))

    def test_a_colon_may_stand_in_the_secret(self):
        self.passes(basic(KEY2, SECRET2))

    def test_what_does_not_hold_is_refused(self):
        self.refused(basic(KEY, SECRET2), message=PREFIX + "verify app secret fail")
        self.refused(basic("nobody", SECRET), message=PREFIX + "app not found, appkey nobody")
        for text in ("!!!", base64.b64encode(b"no colon").decode(), "", base64.b64encode(b"k:" + b"x" * 3000).decode()):
            self.refused(("Authorization", "Basic " + text))

    def test_a_signature_goes_on_being_accepted(self):
        self.passes(*sign("GET", "/app", [("Host", "h.example.com")], key=KEY, secret=SECRET)[1:])


class Jwt(Case):
    def setUp(self):
        self.features(**{"app_jwt.enable": "on"})

    def call(self, text, at=None, name="Authorization"):
        return [(name, text), ("Timestamp", at or now_ms())]

    def test_a_token_of_the_app_passes(self):
        self.passes(*self.call(jwt({"appId": KEY})))
        self.passes(*self.call(jwt({"iss": KEY, "timestamp": int(now_ms()), "exp": time.time() + 60})))

    def test_another_header_may_be_named(self):
        self.features(**{"app_jwt.enable": "on", "app_jwt.auth_header": "X-My-Token"})
        self.passes(*self.call(jwt({"iss": KEY}), name="x-my-token"))
        self.refused(*self.call(jwt({"iss": KEY})))

    def test_what_does_not_hold_is_refused(self):
        self.refused(*self.call(jwt({"iss": KEY}, SECRET2)), message=PREFIX + "verify JWT fail")
        self.refused(*self.call(jwt({"iss": "nobody"})), message=PREFIX + "app not found, appkey nobody")
        self.refused(*self.call(jwt({"sub": KEY})), message=PREFIX + "JWT is malformed")
        self.refused(*self.call(jwt({"iss": KEY}, header={"alg": "none"})), message=PREFIX + "JWT is malformed")
        self.refused(*self.call(jwt({"iss": KEY}).rsplit(".", 1)[0] + "."), message=PREFIX + "JWT is malformed")

    def test_a_time_too_far_away_is_refused_wherever_it_stands(self):
        expired = PREFIX + "JWT expired"
        self.passes(*self.call(jwt({"iss": KEY}), now_ms(-890)))
        self.refused(*self.call(jwt({"iss": KEY}), now_ms(-910)), message=expired)
        self.refused(*self.call(jwt({"iss": KEY}), now_ms(910)), message=expired)
        self.refused(*self.call(jwt({"iss": KEY}), "soon"), message=expired)
        self.refused(*self.call(jwt({"iss": KEY, "timestamp": int(now_ms(-910))})), message=expired)
        self.refused(*self.call(jwt({"iss": KEY, "iat": int(time.time()) + 910})), message=expired)
        self.refused(*self.call(jwt({"iss": KEY, "exp": int(time.time()) - 1})), message=expired)

    def test_a_signature_beside_a_timestamp_is_a_signature(self):
        signed = sign("GET", "/app", [("Host", "h.example.com")], key=KEY, secret=SECRET)[1:]
        self.passes(*signed, ("Timestamp", now_ms()))


class CustomHeader(Case):
    def test_the_signature_stands_in_the_header_that_was_named(self):
        self.features(**{"custom_auth_header.app_auth_header": "X-My-Auth"})
        plain = sign("GET", "/app", [("Host", "h.example.com")], key=KEY, secret=SECRET)[1:]
        named = sign("GET", "/app", [("Host", "h.example.com")], key=KEY, secret=SECRET, header="x-my-auth")[1:]
        headers, _ = self.passes(*named, ("Authorization", "for the backend"))
        self.assertEqual(headers["authorization"], "for the backend")
        self.refused(*plain, message=Switched.MISSING)
        self.refused(*sign("GET", "/app", [("Host", "h.example.com")], key=KEY, secret="x", header="X-My-Auth")[1:])


class Token(Case):
    def setUp(self):
        self.features(**TOKEN_ON)

    def ask(self, fields, headers=(FORM,), method="POST", target=TOKEN_URI, host="h.example.com"):
        body = fields if isinstance(fields, bytes) else urllib.parse.urlencode(fields).encode()
        reply = self.node.request(method, target, headers, body, host=host)
        answer = reply.json()
        self.tokens.update(answer.get(name) for name in ("access_token", "refresh_token") if answer.get(name))
        return reply, answer

    def tokens_of(self, key=KEY, secret=SECRET, **fields):
        reply, answer = self.ask({"grant_type": "client_credentials", "client_id": key, "client_secret": secret, **fields})
        self.assertEqual(reply.status, 200, answer)
        return answer

    def denied(self, status, code, message, fields, **kwargs):
        reply, answer = self.ask(fields, **kwargs)
        self.assertEqual((reply.status, answer["error_code"], answer["error_msg"]), (status, code, message))

    def test_a_pair_is_issued(self):
        reply, answer = self.ask({"grant_type": "client_credentials", "client_id": KEY, "client_secret": SECRET,
                                  "scope": "read \"é|\""})
        self.assertEqual((reply.status, reply.header("Cache-Control")), (200, "no-store"))
        self.assertEqual(set(answer), {"access_token", "refresh_token", "token_type", "expires_in", "scope"})
        self.assertEqual((answer["token_type"], answer["expires_in"], answer["scope"]), ("bearer", 3600, "read \"é|\""))

    def test_an_access_token_passes_wherever_it_stands_and_stays_here(self):
        token = self.tokens_of()["access_token"]
        headers, _ = self.passes(("Authorization", f"Bearer {token}"))
        self.assertNotIn("authorization", headers)
        headers, _ = self.passes(("access_token", token))
        self.assertNotIn("access_token", headers)
        _, path = self.passes(target=f"/app?a=1&access_token={token}&b=2")
        self.assertEqual(path, "/back?a=1&b=2")
        _, path = self.passes(target=f"/app?access_token={token}")
        self.assertEqual(path, "/back")

    def test_a_token_in_the_query_is_not_told_by_the_error_log(self):
        token = self.tokens_of()["access_token"]
        reply = self.node.request("GET", f"/down?first=1&access_token={token}")
        self.assertEqual(reply.status, 502, reply.body)
        told = [line for line in self.node.logs().splitlines() if "/down" in line]
        self.assertTrue(told and all("access_token" not in line for line in told), told)

    def test_what_is_no_access_token_is_refused(self):
        answer = self.tokens_of()
        invalid = {"status": 400, "code": "APIG.2203", "message": "Access token is invalid"}
        self.refused(("access_token", answer["refresh_token"]), **invalid)
        self.refused(("access_token", "x"), **invalid)
        self.refused(("access_token", ""), **invalid)
        self.refused(("Authorization", "Bearer " + answer["access_token"][:-1]), **invalid)
        self.features(**{**TOKEN_ON, "app_token.app_token_key": "another"})
        self.refused(("access_token", answer["access_token"]), **invalid)

    def test_a_token_ends_with_its_time_its_secret_and_its_app(self):
        lasting = self.tokens_of()
        self.features(**TOKEN_ON, **{"app_token.app_token_expire_time": "1", "app_token.refresh_token_expire_time": "1"})
        brief = self.tokens_of()
        self.assertEqual(brief["expires_in"], 1)
        changed = image(**TOKEN_ON)
        changed["apps"][0]["secret"] = "reset"
        self.node.publish(changed)
        self.refused(("access_token", lasting["access_token"]), status=400, code="APIG.2203")
        self.denied(400, "APIG.2202", "Refresh token is invalid", {
            "grant_type": "refresh_token", "client_id": KEY, "client_secret": "reset",
            "refresh_token": lasting["refresh_token"]})
        changed["apps"] = changed["apps"][1:]
        self.node.publish(changed)
        self.refused(("access_token", lasting["access_token"]), status=401, code="APIG.1004", message="App not exist")
        self.features(**TOKEN_ON)
        until(lambda: self.node.request("GET", "/app", [("access_token", brief["access_token"])]).status != 200,
              "the token's end")
        self.refused(("access_token", brief["access_token"]), code="APIG.1002", message="Access token is expired")
        self.denied(401, "APIG.1001", "Refresh token is expired", {
            "grant_type": "refresh_token", "client_id": KEY, "client_secret": SECRET,
            "refresh_token": brief["refresh_token"]})

    def test_a_refresh_token_gets_another_pair_with_the_same_scope(self):
        first = self.tokens_of(scope="read")
        reply, second = self.ask({"grant_type": "refresh_token", "client_id": KEY, "client_secret": SECRET,
                                  "refresh_token": first["refresh_token"]})
        self.assertEqual((reply.status, second["scope"]), (200, "read"))
        self.assertNotEqual(first["access_token"], second["access_token"])
        self.passes(("access_token", second["access_token"]))

    def test_the_documented_refusals(self):
        good = {"grant_type": "client_credentials", "client_id": KEY, "client_secret": SECRET}
        refresh = {**good, "grant_type": "refresh_token", "refresh_token": self.tokens_of(KEY2, SECRET2)["refresh_token"]}
        for status, code, message, fields in (
                (400, "APIG.2210", "Lack of grant_type", {**good, "grant_type": ""}),
                (400, "APIG.2210", "Lack of grant_type", b""),
                (400, "APIG.2209", "The value of grant_type is not in enum List", {**good, "grant_type": "password"}),
                (400, "APIG.2211", "Lack of client_id", {**good, "client_id": ""}),
                (400, "APIG.2212", "Lack of client_secret", {**good, "client_secret": ""}),
                (400, "APIG.2213", "Lack of refresh_token", {**refresh, "refresh_token": ""}),
                (400, "APIG.2208", "The length of through_data is out of range", {**good, "scope": "é" * 301}),
                (400, "APIG.2208", "The length of through_data is out of range", {**good, "scope": b"\xff"}),
                (400, "APIG.2205", "Auth parameter invalid", b"grant_type=a&grant_type=b"),
                (400, "APIG.2205", "Auth parameter invalid", b"grant_type=%zz"),
                (400, "APIG.2205", "Auth parameter invalid", b"grant_type=%4"),
                (400, "APIG.2205", "Auth parameter invalid", b"scope=a%00b"),
                (400, "APIG.2201", "Appkey or SecretKey is invalid", {**good, "client_secret": SECRET2}),
                (401, "APIG.1004", "App not exist", {**good, "client_id": "nobody"}),
                (400, "APIG.1009", "AppKey or AppSecret is invalid", {**refresh, "client_secret": "wrong"}),
                (401, "APIG.1003", "App not match refresh token", refresh),
                (400, "APIG.2202", "Refresh token is invalid", {**refresh, "refresh_token": "x"}),
        ):
            self.denied(status, code, message, fields)
        self.assertEqual(self.tokens_of(scope="é" * 300)["scope"], "é" * 300)
        self.denied(400, "APIG.2204", "ContentType invalid", good, headers=[("Content-Type", "application/json")])
        self.denied(400, "APIG.2204", "ContentType invalid", good, headers=[])
        self.denied(400, "APIG.2206", "Auth method invalid", b"", method="GET")
        self.denied(413, "APIG.0201", "Request entity too large.", b"scope=" + b"a" * 16384)

    def test_a_chunked_form_is_read(self):
        body = f"grant_type=client_credentials&client_id={KEY}&client_secret={SECRET}".encode()
        chunked = b"10\r\n" + body[:16] + b"\r\n%x\r\n" % len(body[16:]) + body[16:] + b"\r\n0\r\n\r\n"
        reply, answer = self.ask(chunked, headers=[FORM, ("Transfer-Encoding", "chunked")])
        self.assertEqual(reply.status, 200, answer)

    def test_the_endpoint_may_lie_elsewhere(self):
        self.features(**TOKEN_ON, **{"app_token.app_token_uri": "/my/token"})
        fields = {"grant_type": "client_credentials", "client_id": KEY, "client_secret": SECRET}
        self.assertEqual(self.ask(fields, target="/my/token")[0].status, 200)
        self.assertEqual(self.ask(fields)[0].status, 404)
        self.assertEqual(self.ask(fields, target="/my/token", host="unknown.test")[0].status, 404)
        self.assertEqual(self.ask(fields, target="/my/token", host=OWN)[0].status, 200)
        self.assertEqual(self.ask(fields, target="/my/token", host="192.0.2.7")[0].status, 404)


if __name__ == "__main__":
    unittest.main()
