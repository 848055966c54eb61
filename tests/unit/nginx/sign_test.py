"""Signature keys: what backends are shown of each type, what cannot be signed, and what logs never hold: python3 sign_test.py BUILD.

A real nginx with the module and an image without a control plane; backends remember what they saw.
"""
import base64
import contextlib
import hashlib
import hmac
import pathlib
import re
import secrets
import sys
import unittest

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lib")]
from backend import RESET, Backend, mirror  # noqa: E402
from module_node import TIMEOUT_MS, Node, free_ports, fresh, hex_id  # noqa: E402
import signing  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
GROUP, CHANNEL, SIGN = hex_id(1), hex_id(50), hex_id(80)
COVERED_MAX = 65536  # bytes of a body that a signature covers
KEPT = 256  # keys that a worker keeps something of
HEADER_MAX = 64  # characters of a header of the gateway's own
MARK = "TOLD-TO-NOBODY"  # what secrets of this test begin with
PAIRS_ON = {"public_key.enable": "on"}
LOGGED = {MARK, base64.b64encode(f"user:{MARK}".encode()).decode()[:24]}  # what no log may hold


def der(key):
    """A private key as management has it."""
    text = base64.b64encode(key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                              serialization.NoEncryption())).decode()
    LOGGED.add(text[-100:-50])
    return text


def secret(length):
    """As many characters, known by their beginning; no two are alike."""
    return (MARK + secrets.token_hex(length))[:length]


def sign(kind="hmac", key="a-key-of-ours", text=None, number=SIGN):
    return {"id": number, "type": kind, "key": key, "secret": secret(32) if text is None else text}


def api(number, path, **fields):
    backend = {"path": path, "host": "member.test", "method": "ANY", "timeout_ms": TIMEOUT_MS, "retry_count": 0}
    return {"publish_id": hex_id(1000 + number), "api_id": hex_id(2000 + number), "name": f"api-{number}", "group_id": GROUP,
            "path": path, "method": "ANY", "match_mode": "SWA", "schemes": 3, "auth": "NONE", "backend_type": "HTTP",
            "sign_id": SIGN, **fields, "http": {**backend, **fields.get("http", {})}}


def setUpModule():
    Told.node = Node(BUILD, fresh(BUILD / "tests/sign-node"), free_ports())
    Told.node.publish({**Told.image([], []), "apis": []})
    Told.node.start(echo=False)


def tearDownModule():
    status, logs = Told.node.stop(), Told.node.logs()
    assert status == 0 and not re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", logs), logs[-6000:]
    written = {path.name: path.read_text(errors="replace") for path in Told.node.place.glob("*.log")}
    assert "/a" in written["access.log"] and "/a" in written["access.json.log"], sorted(written)
    for name, text in written.items():
        assert not any(word in text for word in LOGGED), f"{name} tells a secret"


def canonical(seen, payload):
    path, _, query = seen.target.partition("?")
    return (f"{seen.method}\n{path}/\n{query}\nhost:{seen.header('host')}\nx-sdk-date:{seen.header('x-sdk-date')}\n\n"
            f"host;x-sdk-date\n{payload}")


def covered(seen, algorithm, payload=None):
    """The text that a signature covers; `payload`: what stands for the hash of the body."""
    whole = canonical(seen, payload or hashlib.sha256(seen.body).hexdigest())
    return f"{algorithm}\n{seen.header('x-sdk-date')}\n{hashlib.sha256(whole.encode()).hexdigest()}".encode()


def parts(seen, name="authorization"):
    """Algorithm, Access, SignedHeaders, Signature."""
    return re.fullmatch(r"(\S+) Access=(.*), SignedHeaders=(\S+), Signature=(\S+)", seen.header(name)).groups()


class Told(unittest.TestCase):
    """What the tests say often."""

    node = None

    def setUp(self):
        self.backend = Backend()
        self.backend.__enter__()
        self.addCleanup(self.backend.__exit__)

    @staticmethod
    def image(apis, signs, features=None, members=()):
        return {"gateway": {"id": hex_id(9), "body_max_bytes": 1 << 20,
                            "features": [{"name": name, "value": value} for name, value in (features or {}).items()]},
                "groups": [{"id": GROUP, "name": "g", "sl_domain_enabled": True}],
                "hosts": [{"name": "h.example.com", "group_id": GROUP}], "apps": [], "throttles": [], "apis": apis, "signs": signs,
                "channels": [{"id": CHANNEL, "name": "c", "strategy": 1, "members": list(members)}],
                "upstreams": {"member.test": ["127.0.0.1"]}}

    def publish(self, *signs, apis=None, **more):
        apis = apis or [api(1, "/a")]
        for row in apis:
            row["http"].setdefault("port", self.backend.port)
        self.node.publish(self.image(apis, signs, **more))

    def seen(self, method="GET", target="/a", **more):
        """What the backend saw of one call."""
        self.backend.seen.clear()
        reply = self.node.request(method, target, **more)
        self.assertEqual((reply.status, len(self.backend.seen)), (200, 1), reply.body[:300])
        return self.backend.seen[0]

    def refused(self, status=500, code="APIG.0705", target="/a", **more):
        self.backend.seen.clear()
        reply = self.node.request("GET", target, **more)
        self.assertEqual((reply.status, reply.json()["error_code"]), (status, code), reply.body)
        self.assertEqual(self.backend.seen, [])

    def by_hmac(self, seen, made, name="authorization"):
        """What is shown is what a signer makes of what arrived."""
        wanted = signing.sign(seen.method, seen.target, [("Host", seen.header("host"))], seen.body, key=made["key"],
                              secret=made["secret"], date=seen.header("x-sdk-date"))
        self.assertEqual(seen.header(name), wanted[-1][1])

    def by_basic(self, seen, made, name="authorization"):
        wanted = base64.b64encode(f"{made['key']}:{made['secret']}".encode()).decode()
        self.assertEqual(seen.header(name), f"Basic {wanted}")

    def by_aes(self, seen, made):
        scheme, sealed = seen.header("authorization").split(" ")
        plain = Cipher(algorithms.AES(made["key"].encode()), modes.CFB(made["secret"].encode())).decryptor()
        self.assertEqual((scheme, plain.update(base64.b64decode(sealed)).decode()),
                         ("AES", f"{seen.header('x-sdk-date')}\n{seen.header('x-request-id')}"))

    def by_pair(self, seen, made, private, payload=None):
        algorithm, access, names, signature = parts(seen)
        self.assertEqual((algorithm, access, names), ("SDK-RSA-SHA256", made["key"], "host;x-sdk-date"))
        private.public_key().verify(base64.b64decode(signature), covered(seen, algorithm, payload), padding.PKCS1v15(),
                                    hashes.SHA256())


class Types(Told):
    own = [("Authorization", "mine"), ("X-Sdk-Date", "20200101T000000Z"), ("X-Sdk-Content-Sha256", "ab" * 32)]

    def test_hmac(self):
        made = sign()
        self.publish(made)
        for method, target, body in (("GET", "/a", b""), ("GET", "/a?b=2&a=1&a=%20x", b""), ("POST", "/a/x%20y", b"{}"),
                                     ("HEAD", "/a", b""), ("PUT", "/a?q=%C3%A4", b"\0\r\n")):
            with self.subTest(method=method, target=target):
                seen = self.seen(method, target, body=body, headers=self.own)
                self.by_hmac(seen, made)
                self.assertNotEqual(seen.header("x-sdk-date"), "20200101T000000Z")
                self.assertIsNone(seen.header("x-sdk-content-sha256"))

    def test_basic(self):
        made = sign("basic", "user", secret(20))
        self.publish(made)
        seen = self.seen(headers=self.own)
        self.by_basic(seen, made)
        self.assertEqual(seen.header("x-sdk-date"), "20200101T000000Z")  # no affair of this type
        self.assertEqual(seen.header("x-sdk-content-sha256"), "ab" * 32)

    def test_aes(self):
        for size in (16, 32):
            made = sign("aes", "k" * size, secret(16))
            self.publish(made)
            for _ in range(2):
                seen = self.seen(headers=self.own)
                self.by_aes(seen, made)
                self.assertNotEqual(seen.header("x-sdk-date"), "20200101T000000Z")

    def test_public_key(self):
        for bits in (2048, 3072):
            private = rsa.generate_private_key(65537, bits)
            made = sign("public_key", "name-of-it", der(private))
            self.publish(made, features=PAIRS_ON)
            self.by_pair(self.seen(headers=self.own), made, private)
            self.by_pair(self.seen("POST", body=b"{}"), made, private)
            reply = self.node.request("GET", "/apigw/authadv/v2/public-key/name-of-it")
            self.assertEqual(serialization.load_pem_public_key(reply.body).public_numbers(), private.public_key().public_numbers())

    def test_a_mapped_header_gives_way(self):
        mapped = [{"name": "Authorization", "value": "mapped", "location": "HEADER", "origin": "CONSTANT"}]
        made = sign()
        self.publish(made, apis=[api(1, "/a", backend_params=mapped)])
        self.by_hmac(self.seen(), made)

    def test_the_gateway_s_own_header(self):
        for name, by in (("X-Proof", "x-proof"), ("X" * HEADER_MAX, "x" * HEADER_MAX), ("X" * (HEADER_MAX + 1), "authorization")):
            feature = {"custom_auth_header.backend_sign_header": name}
            for made, judge in ((sign(), self.by_hmac), (sign("basic", "user", secret(20)), self.by_basic)):
                with self.subTest(name=name, kind=made["type"]):
                    self.publish(made, features=feature)
                    judge(self.seen(headers=[(by, "mine")]), made, by)
            made = sign("aes", "k" * 16, secret(16))
            self.publish(made, features=feature)
            self.by_aes(self.seen(), made)


class Refused(Told):
    def test_no_such_key(self):
        self.publish(sign(number=hex_id(81)))
        self.refused()
        self.publish()
        self.refused()
        self.publish(sign())
        self.seen()

    def test_key_pairs_of_a_gateway_without_them(self):
        self.publish(sign("public_key", "name", der(rsa.generate_private_key(65537, 2048))))
        self.refused()
        self.refused(404, "APIG.0101", "/apigw/authadv/v2/public-key/name")

    def test_a_pair_that_is_none(self):
        for text in ("!", secret(64), "A" * 1024, "A" * 6000, der(ec.generate_private_key(ec.SECP256R1())),
                     der(rsa.generate_private_key(65537, 1024))):
            with self.subTest(text=text[:8]):
                self.publish(sign("public_key", "name", text), features=PAIRS_ON)
                for _ in range(2):  # nothing was kept of it
                    self.refused()
                    self.refused(400, "APIG.2102", "/apigw/authadv/v2/public-key/name")

    def test_lengths_that_are_none(self):
        for made in (sign("aes", "k" * 15, secret(16)), sign("aes", "k" * 24, secret(16)), sign("aes", "k" * 16, secret(15)),
                     sign("basic", "u" * (HEADER_MAX + 1), secret(16)), sign("basic", "user", secret(HEADER_MAX + 1))):
            with self.subTest(kind=made["type"], key=made["key"]):
                self.publish(made)
                self.refused()


class Changes(Told):
    def test_a_key_that_changes_acts_with_the_next_call(self):
        private = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
        pair = lambda one: sign("public_key", "name", der(one))  # noqa: E731
        turns = [(sign(), self.by_hmac), (sign(), self.by_hmac), (sign("aes", "k" * 16, secret(16)), self.by_aes),
                 (sign("aes", "l" * 32, secret(16)), self.by_aes), (sign("aes", "l" * 32, secret(16)), self.by_aes),
                 *((pair(one), lambda seen, made, one=one: self.by_pair(seen, made, one)) for one in private),
                 (sign("basic", "user", secret(20)), self.by_basic), (sign("basic", "user", secret(20)), self.by_basic),
                 (sign("aes", "l" * 32, secret(16)), self.by_aes), (sign(), self.by_hmac)]
        for made, judge in turns:  # one key, by its id
            with self.subTest(kind=made["type"]):
                self.publish(made, features=PAIRS_ON)
                for _ in range(2):
                    judge(self.seen(), made)

    def test_more_keys_than_a_worker_keeps(self):
        made = [sign("aes", f"{n:016}", secret(16), hex_id(5000 + n)) for n in range(KEPT + 44)]
        self.publish(*made, apis=[api(n, f"/a/{n}", sign_id=row["id"]) for n, row in enumerate(made)])
        client = self.node.client()
        with contextlib.closing(client):
            for n in [*range(len(made)), *range(len(made))]:
                client.request("GET", f"/a/{n}", headers={"Host": "h.example.com"})
                self.assertEqual(client.getresponse().read()[:1], b"{")
                self.by_aes(self.backend.seen[-1], made[n])


class Bodies(Told):
    def streamed(self, **more):
        seen = self.seen("POST", **more)
        self.assertEqual(seen.header("x-sdk-content-sha256"), "UNSIGNED-PAYLOAD")
        return seen

    def test_a_body_is_covered_up_to_a_size(self):
        private = rsa.generate_private_key(65537, 2048)
        mac, pair = sign(), sign("public_key", "name", der(private), hex_id(81))
        self.publish(mac, pair, apis=[api(1, "/a"), api(2, "/b", sign_id=pair["id"])], features=PAIRS_ON)
        whole, larger = b"x" * COVERED_MAX, b"x" * (COVERED_MAX + 1)
        self.by_hmac(self.seen("POST", body=whole), mac)
        self.by_pair(self.seen("POST", "/b", body=whole), pair, private)
        own = [("X-Sdk-Content-Sha256", "ab" * 32)]
        seen = self.streamed(body=larger, headers=own)
        self.assertEqual(seen.body, larger)
        self.unsigned(seen, mac)
        self.by_pair(self.streamed(target="/b", body=larger, headers=own), pair, private, "UNSIGNED-PAYLOAD")
        chunked = b"5\r\nhello\r\n0\r\n\r\n"
        seen = self.streamed(body=chunked, headers=[("Transfer-Encoding", "chunked")])
        self.assertEqual(seen.body, b"hello")
        self.unsigned(seen, mac)

    def unsigned(self, seen, made):
        wanted = hmac.new(made["secret"].encode(), covered(seen, "SDK-HMAC-SHA256", "UNSIGNED-PAYLOAD"), hashlib.sha256).hexdigest()
        self.assertEqual(parts(seen)[3], wanted)

    def test_other_types_wait_for_no_body(self):
        for made, judge in ((sign("basic", "user", secret(20)), self.by_basic), (sign("aes", "k" * 16, secret(16)), self.by_aes)):
            self.publish(made)
            for body in (b"x", b"x" * (COVERED_MAX + 1)):
                seen = self.seen("POST", body=body)
                judge(seen, made)
                self.assertEqual((seen.body, seen.header("x-sdk-content-sha256")), (body, None))


class Bounds(Told):
    def test_the_longest_of_all(self):
        """Keys as long as entries take them, under the longest header."""
        private = rsa.generate_private_key(65537, 4096)
        feature = {"custom_auth_header.backend_sign_header": "X" * HEADER_MAX, **PAIRS_ON}
        for length in (1, 32, 512, 8000):
            made = sign(key="k" * length)
            self.publish(made, features=feature)
            self.by_hmac(self.seen(), made, "x" * HEADER_MAX)
            self.assertEqual(self.seen("POST", body=b"x" * (COVERED_MAX + 1)).header("x-sdk-content-sha256"), "UNSIGNED-PAYLOAD")
            made = sign("public_key", "k" * length, der(private))
            self.publish(made, features=feature)
            self.by_pair(self.seen(), made, private)
            self.by_pair(self.seen("POST", body=b"x" * (COVERED_MAX + 1)), made, private, "UNSIGNED-PAYLOAD")
        made = sign("basic", "u" * HEADER_MAX, secret(HEADER_MAX))
        self.publish(made, features=feature)
        self.by_basic(self.seen(), made, "x" * HEADER_MAX)

    def test_long_requests(self):
        made = sign()
        self.publish(made)
        query = "&".join(f"name_{n}={n:0100}" for n in range(250))
        self.by_hmac(self.seen("GET", f"/a/{'p' * 4000}?{query}", headers=[(f"X-{n}", "v" * 4000) for n in range(10)]), made)

    def test_headers_of_a_name_come_many_times(self):
        made = sign()
        self.publish(made)
        seen = self.seen(headers=[("authorization", "mine"), ("X-Sdk-Date", "1"), ("x-sdk-date", "2")])
        self.by_hmac(seen, made)

    def test_a_public_half_is_asked_for_by_its_whole_name(self):
        private = rsa.generate_private_key(65537, 2048)
        name = "/+=" + "n" * 509
        self.publish(sign("public_key", name, der(private)), features=PAIRS_ON)
        prefix = "/apigw/authadv/v2/public-key/"
        every = "".join(f"%{ord(letter):02x}" for letter in name)
        for spelled in (name, every):
            self.assertEqual(self.node.request("GET", prefix + spelled).body[:10], b"-----BEGIN")
        for spelled in (every + "%6e", every[:-3], name + "n" * 1500, "nobody"):
            self.refused(400, "APIG.2102", prefix + spelled)


class Retries(Told):
    def shown(self, made, judge, **more):
        """A call whose first try was reset: every try is shown the same."""
        tries = []

        def take(seen):
            tries.append(seen)
            return RESET if len(tries) == 1 else mirror(seen)
        self.backend.answer = take
        self.publish(made, apis=[api(1, "/a", http={"retry_count": 1, **more.pop("http", {})})], **more)
        reply = self.node.request("GET", "/a")
        self.assertEqual((reply.status, len(tries)), (200, 2), reply.body)
        first, second = ([(key, value) for key, value in seen.headers if key in ("authorization", "x-sdk-date")] for seen in tries)
        self.assertEqual(first, second)
        judge(tries[1], made)

    def test_a_retry_shows_the_same(self):
        self.shown(sign(), self.by_hmac)
        self.shown(sign("aes", "k" * 16, secret(16)), self.by_aes)
        self.shown(sign("basic", "user", secret(20)), self.by_basic)

    def test_so_does_another_member_of_a_channel(self):
        member = {"host": "member.test", "port": self.backend.port, "weight": 1, "backup": False}
        made = sign()
        self.publish(made, apis=[api(1, "/a", http={"channel": CHANNEL, "host": "", "retry_count": 1})],
                     members=[{**member, "port": self.node.closed}, member])
        for _ in range(4):
            seen = self.seen()
            self.by_hmac(seen, made)
            self.assertEqual(seen.header("host"), "h.example.com")


if __name__ == "__main__":
    unittest.main()
