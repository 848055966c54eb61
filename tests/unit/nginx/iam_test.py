"""APIs of authentication IAM in a real nginx, from outside: python3 iam_test.py BUILD.

Needs no control plane: image_fixture builds the image; tokens are made here, by openssl's Ed25519.
"""
import base64
import pathlib
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from module_node import TIMEOUT_MS, Node, Reply, free_ports, fresh, hex_id, pause, until  # noqa: E402
from signing import sign  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).absolute()
PORT = free_ports()
GROUP, USER, KEY_ID, THROTTLE = hex_id(1), hex_id(60), hex_id(70), hex_id(80)
ACCESS, SECRET = "AK-of-the-user", "sk-0123456789abcdef"
TEMPORARY, SESSION = "AK-temporary", "the-security-token"
PREFIX = "Incorrect IAM authentication information: "
HOST = ("Host", "h.example.com")


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """An Ed25519 key pair in a directory."""

    def __init__(self, place, name):
        self.key = place / f"{name}.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.key], check=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"], check=True,
                             capture_output=True).stdout
        self.public = der[-32:].hex()

    def token(self, key=KEY_ID, user=USER, project="p1", issued=-10, expires=3600, unique="n"):
        now = int(time.time())
        payload = f"{key}|{user}|d1|{project}|{now + issued}|{now + expires}|{unique}"
        head = "sl1." + part(payload.encode())
        message = self.key.with_suffix(".text")
        message.write_text(head)
        signature = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.key, "-in", message],
                                   check=True, capture_output=True).stdout
        return f"{head}.{part(signature)}"


def image(allow=None, **user):
    api = {"publish_id": hex_id(1001), "api_id": hex_id(2001), "name": "api", "group_id": GROUP, "path": "/mine",
           "method": "ANY", "match_mode": "SWA", "schemes": 3, "auth": "IAM", "backend_type": "HTTP",
           "http": {"host": "echo.test", "path": "/back", "port": PORT + 3, "method": "ANY", "timeout_ms": TIMEOUT_MS,
                    "retry_count": -1}}
    plain = {**api, "publish_id": hex_id(1002), "api_id": hex_id(2002), "path": "/open", "auth": "NONE"}
    features = [{"name": "backend_token_allow.backend_token_allow_users", "value": allow}] if allow else []
    return {
        "gateway": {"id": hex_id(9), "body_max_bytes": 1 << 20, "node_ids": [hex_id(77)], "features": features},
        "groups": [{"id": GROUP, "name": "g"}], "hosts": [{"name": "h.example.com", "group_id": GROUP}],
        "users": [{"id": USER, "name": "u", "domain_id": "d1", "domain_name": "my-account", "enabled": True, **user}],
        "access_keys": [
            {"access": ACCESS, "secret": SECRET, "user_id": USER, "project_id": "p1", "enabled": True},
            {"access": TEMPORARY, "secret": SECRET, "user_id": USER, "security_token": SESSION, "enabled": True,
             "expires_s": int(time.time()) + 600},
            {"access": "AK-over", "secret": SECRET, "user_id": USER, "enabled": True, "expires_s": 5},
            {"access": "AK-off", "secret": SECRET, "user_id": USER, "enabled": False},
            {"access": "AK-orphan", "secret": SECRET, "user_id": hex_id(61), "enabled": True}],
        "token_keys": [{"id": KEY_ID, "public_key": Case.signer.public}],
        "apis": [api, plain], "upstreams": {"echo.test": ["127.0.0.1"]},
    }


def setUpModule():
    place = fresh(BUILD / "tests/iam-node")
    Case.signer, Case.other = Signer(place, "one"), Signer(place, "two")
    Case.node = Node(BUILD, place, PORT)
    Case.node.publish(image())
    Case.node.start()


def tearDownModule():
    """Asserts, unasked, that nginx ended well, and that no log holds a secret."""
    status, logs = Case.node.stop(), Case.node.logs()
    assert status == 0 and not re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", logs), logs[-6000:]
    written = logs + (Case.node.place / "access.log").read_text() + (Case.node.place / "access.json.log").read_text()
    for secret in (SECRET, SESSION, "sl1."):
        assert secret not in written, f"a log holds {secret}"


class Case(unittest.TestCase):
    node = signer = other = None

    def setUp(self):
        self.node.publish(image())

    def passes(self, *headers, **kwargs):
        reply = self.node.request(kwargs.pop("method", "GET"), "/mine", headers, **kwargs)
        self.assertEqual(reply.status, 200, reply.body)
        return {name.lower(): value for name, value in reply.json()["headers"]}

    def refused(self, *headers, code="APIG.0301", message=None, **kwargs):
        reply = self.node.request("GET", "/mine", headers, **kwargs)
        self.assertEqual((reply.status, reply.json()["error_code"]), (401, code), reply.body)
        if message is not None:
            self.assertEqual(reply.json()["error_msg"], message)

    def signed(self, access=ACCESS, secret=SECRET, method="GET", body=b"", **kwargs):
        return sign(method, "/mine", [HOST], body, key=access, secret=secret, **kwargs)[1:]


class Tokens(Case):
    def token(self, **fields):
        return ("X-Auth-Token", (fields.pop("signer", None) or self.signer).token(**fields))

    def test_a_token_passes_again_and_again_and_stays_here(self):
        token = self.token()
        for _ in range(3):
            self.assertNotIn("x-auth-token", self.passes(token))

    def test_what_no_known_key_signed_is_refused(self):
        fails = PREFIX + "decrypt token fail"
        self.refused(self.token(signer=self.other), message=fails)
        self.refused(self.token(key=hex_id(71)), message=fails)
        name, text = self.token()
        self.refused((name, text[:-3] + ("AAA" if text[-3:] != "AAA" else "BBB")), message=fails)
        self.refused((name, text.replace("sl1.", "sl2.")), message=fails)
        self.refused((name, ""), message=fails)
        self.refused((name, "x" * 2000), message=fails)

    def test_a_withdrawn_key_takes_remembered_tokens_along(self):
        token = self.token(unique="w")
        self.passes(token)
        changed = image()
        changed["token_keys"] = []
        self.node.publish(changed)
        self.refused(token, message=PREFIX + "decrypt token fail")

    def test_an_expired_or_ended_token_must_be_updated(self):
        renew = {"code": "APIG.0307", "message": "The token must be updated."}
        self.refused(self.token(issued=-7200, expires=-1), **renew)
        token = self.token(unique="e")
        self.passes(token)
        self.node.publish(image(not_before_s=int(time.time())))
        self.refused(token, **renew)
        self.passes(self.token(issued=1, unique="f"))

    def test_the_user_decides_at_every_request(self):
        token = self.token(unique="u")
        self.passes(token)
        self.node.publish(image(enabled=False))
        self.refused(token, message=PREFIX + "get token error")
        self.refused(self.token(user=hex_id(61)), message=PREFIX + "get token error")
        self.refused(self.token(user="short"), message=PREFIX + "get token error")

    def test_the_token_decides_where_a_signature_stands_beside_it(self):
        self.refused(("X-Auth-Token", "x"), *self.signed())

    def test_an_account_that_is_allowed_shows_its_token_to_the_backend(self):
        token = self.token()
        self.node.publish(image(allow="(?:^other$)|(?:^my-.*)"))
        self.assertEqual(self.passes(token)["x-auth-token"], token[1])
        self.node.publish(image(allow="(?:^other$)"))
        self.assertNotIn("x-auth-token", self.passes(token))

    def test_an_open_api_passes_the_header_on(self):
        reply = self.node.request("GET", "/open", [("X-Auth-Token", "mine")])
        self.assertIn(["X-Auth-Token", "mine"], reply.json()["headers"])


class Keys(Case):
    def test_a_signature_passes_with_and_without_a_body(self):
        self.assertIn("authorization", self.passes(*self.signed()))
        self.passes(*self.signed(method="POST", body=b"hello"), method="POST", body=b"hello")

    def test_a_changed_body_is_refused(self):
        reply = self.node.request("POST", "/mine", self.signed(method="POST", body=b"one"), b"two")
        self.assertEqual(reply.json()["error_msg"], PREFIX + "verify aksk signature fail")

    def test_what_does_not_hold_is_refused(self):
        self.refused(message=PREFIX + "X-Auth-Token or Authorization header is missing")
        self.refused(*self.signed(secret="wrong"), message=PREFIX + "verify aksk signature fail")
        for access in ("nobody", "AK-over", "AK-off", "AK-orphan"):
            self.refused(*self.signed(access), message=f"{PREFIX}Get secretKey failed,ak:{access},err:ak not exist")
        self.refused(("Authorization", "Basic eDp5"), message=PREFIX + "signing algorithm is not supported")
        self.refused(*self.signed(date="20200101T000000Z"))

    def test_a_temporary_key_goes_with_its_token_alone(self):
        fails = PREFIX + "X-Security-Token is not the access key's"
        self.passes(*self.signed(TEMPORARY), ("X-Security-Token", SESSION))
        self.refused(*self.signed(TEMPORARY), message=fails)
        self.refused(*self.signed(TEMPORARY), ("X-Security-Token", SESSION[:-1]), message=fails)
        self.refused(*self.signed(), ("X-Security-Token", SESSION), message=fails)

    def test_the_sixth_failure_in_a_row_meets_a_shut_door(self):
        changed = image()
        changed["access_keys"][0]["secret"] = "only-of-this-test"
        self.node.publish(changed)
        for _ in range(4):
            self.refused(*self.signed(secret="wrong"), message=PREFIX + "verify aksk signature fail")
        self.passes(*self.signed(secret="only-of-this-test"))
        for _ in range(5):
            self.refused(*self.signed(secret="wrong"), message=PREFIX + "verify aksk signature fail")
        shut = PREFIX + "AK access failed to reach the limit,forbidden"
        self.refused(*self.signed(secret="only-of-this-test"), message=shut)
        self.refused(*self.signed(secret="wrong"), message=shut)
        self.passes(*self.signed(TEMPORARY), ("X-Security-Token", SESSION))

    def test_a_user_that_goes_while_the_body_comes_is_refused(self):
        head = "".join(f"{name}: {value}\r\n" for name, value in self.signed(method="POST", body=b"0123456789"))
        for gone, status in ((False, 200), (True, 401)):
            self.node.publish(image())
            with self.node.connect() as sock:
                sock.sendall(f"POST /mine HTTP/1.1\r\nHost: h.example.com\r\n{head}Content-Length: 10\r\n\r\n01234".encode())
                pause(0.05)
                self.node.publish(image(enabled=not gone))
                sock.sendall(b"56789")
                self.assertEqual(Reply(sock.recv(65536)).status, status)


class Log(Case):
    def test_the_line_names_the_project_and_the_means(self):
        reply = self.node.request("GET", "/mine", self.signed())
        wanted = reply.header("X-Request-Id")
        log = self.node.place / "access.log"
        line = until(lambda: next((line for line in log.read_text().splitlines(True) if wanted in line
                                   and line.endswith("\n")), None), "its line in the access log")
        self.assertEqual(line.split()[3], "p1")
        self.assertIn(" IAM aksk ", line)


if __name__ == "__main__":
    unittest.main()
