"""Domains and their certificates: python3 domain_test.py BUILD.

A real nginx with the module and an image without a control plane. Clients are Python's ssl, and openssl where the
signature algorithms of a hello are the point.
"""
import contextlib
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lib")]
import h2session  # noqa: E402
from module_node import PATIENCE_S, Node, Reply, free_ports, fresh, hex_id, until  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
GROUP = hex_id(1)
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
RSA = ["-newkey", "rsa:2048"]
V12 = ssl.TLSVersion.TLSv1_2


class Pair:
    """A certificate and its key, as files and as the image's entry has them."""

    def __init__(self, name, kind=EC, signer=None, subject="/CN=shop.example.com"):
        self.cert, self.key = Domains.place / f"{name}.pem", Domains.place / f"{name}.key"
        by = ["-CA", signer.cert, "-CAkey", signer.key] if signer else []
        if signer:
            request = Domains.place / f"{name}.csr"
            run("req", "-new", *kind, "-nodes", "-subj", subject, "-keyout", self.key, "-out", request)
            run("x509", "-req", "-in", request, "-days", "2", "-CAcreateserial", *by, "-out", self.cert,
                *(["-extfile", Domains.place / "ca.cnf"] if "CA" in subject else []))
        else:
            run("req", "-x509", *kind, "-nodes", "-days", "2", "-subj", subject, "-keyout", self.key, "-out", self.cert)

    @property
    def der(self):
        return ssl.PEM_cert_to_DER_cert(self.cert.read_text())

    def entry(self, number, chain=(), ca=(), **fields):
        key = run("pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", self.key)
        return {"id": hex_id(number), "chain": [self.der.hex(), *(one.der.hex() for one in chain)], "key": key.hex(),
                "ca": [one.der.hex() for one in ca], **fields}


def run(*words):
    return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout


def setUpModule():
    Domains.place = fresh(BUILD / "tests/domain-node")
    Domains.node = Node(BUILD, Domains.place, free_ports())
    (Domains.place / "ca.cnf").write_text("basicConstraints=critical,CA:TRUE\n")
    Domains.one, Domains.two, Domains.rsa = Pair("one"), Pair("two"), Pair("rsa", RSA)
    Domains.ca, Domains.other_ca = Pair("ca", subject="/CN=CA"), Pair("other-ca", subject="/CN=other CA")
    Domains.middle = Pair("middle", signer=Domains.ca, subject="/CN=middle CA")
    Domains.client = Pair("client", signer=Domains.ca, subject="/CN=client")
    Domains.stranger = Pair("stranger", signer=Domains.other_ca, subject="/CN=stranger")
    Domains.below = Pair("below", signer=Domains.middle, subject="/CN=below")
    publish()
    Domains.node.start(echo=False)


def tearDownModule():
    status, logs = Domains.node.stop(), Domains.node.logs()
    assert status == 0 and not re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", logs), logs[-6000:]


def host(name, *certificates, **fields):
    return {"name": name, "group_id": GROUP, "certificates": [hex_id(number) for number in certificates], **fields}


def publish(hosts=(), certificates=(), **fields):
    """An image with these domains; /any takes both schemes, /http and /https one."""
    Domains.node.publish({
        "gateway": {"id": hex_id(9), "addresses": ["127.0.0.1"]}, "apps": [], "throttles": [], "upstreams": {},
        "groups": [{"id": GROUP, "name": "g", "sl_domain_enabled": True, "is_default": True}],
        "hosts": [*hosts, host("plain.test")], "certificates": list(certificates),
        "apis": [{"publish_id": hex_id(1000 + schemes), "api_id": hex_id(2000 + schemes), "name": path, "group_id": GROUP,
                  "path": f"/{path}", "method": "ANY", "match_mode": "SWA", "schemes": schemes, "auth": "NONE",
                  "backend_type": "MOCK", "mock": {"body": path, "status": 200}}
                 for schemes, path in ((3, "any"), (1, "http"), (2, "https"))], **fields})


def context(cert=None, version=None, ciphers=None):
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if version:
        made.maximum_version = version
    if ciphers:
        made.set_ciphers(ciphers)
    if cert:
        made.load_cert_chain(cert.cert, cert.key)
    return made


class Session:
    """A connection over TLS that is kept."""

    def __init__(self, name, cert=None, session=None, using=None, **more):
        self.context = using or context(cert, **more)
        sock = socket.create_connection(("127.0.0.1", Domains.node.https), PATIENCE_S)
        self.sock = self.context.wrap_socket(sock, server_hostname=name, session=session)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def get(self, name, path="/any"):
        """What a call says: status, error code or body."""
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        received = b""
        while (head := received.find(b"\r\n\r\n")) < 0 or len(received) < head + 4 + int(
                Reply(received).header("Content-Length")):
            part = self.sock.recv(65536)
            assert part, received
            received += part
        return said(Reply(received))


def said(reply):
    text = reply.body.decode()
    return reply.status, reply.json()["error_code"] if text.startswith("{") else text


class Domains(unittest.TestCase):
    node = place = None
    REFUSED = (400, "APIG.0205")  # GW_CLIENT_CERTIFICATE
    TAKEN = (200, "any")

    def shown(self, name, **more):
        """The certificate that a handshake with this name is shown."""
        with Session(name, **more) as session:
            return session.sock.getpeercert(binary_form=True)

    @property
    def default(self):
        return ssl.PEM_cert_to_DER_cert((self.place / "cert.pem").read_text())


class Choice(Domains):
    def test_by_name_exact_then_the_longest_wildcard_then_the_nodes_own(self):
        publish([host("a.shop.test", 1), host("*.shop.test", 2), host("*.deep.shop.test", 3), host("bare.test")],
                [self.one.entry(1), self.two.entry(2), self.rsa.entry(3)])
        for name, pair in (("a.shop.test", self.one), ("A.Shop.TEST", self.one), ("b.shop.test", self.two),
                           ("x.y.shop.test", self.two), ("x.deep.shop.test", self.rsa), ("deep.shop.test", self.two)):
            self.assertEqual(self.shown(name), pair.der, name)
        for name in (None, "shop.test", "unknown.test", "bare.test", "x" * 60 + ".test"):
            self.assertEqual(self.shown(name), self.default, name)

    def test_rsa_or_ecc_by_what_the_client_can_check(self):
        publish([host("shop.test", 1, 2)], [self.one.entry(1), self.rsa.entry(2)])
        for ciphers, pair in (("ECDHE-RSA-AES128-GCM-SHA256", self.rsa), ("ECDHE-ECDSA-AES128-GCM-SHA256", self.one)):
            self.assertEqual(self.shown("shop.test", version=V12, ciphers=ciphers), pair.der)
        for algorithms, pair in (("RSA-PSS+SHA256", self.rsa), ("ECDSA+SHA256", self.one)):
            out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.node.https}", "-servername", "shop.test",
                                  "-tls1_3", "-sigalgs", algorithms], input=b"", capture_output=True, timeout=PATIENCE_S).stdout
            pem = re.search(r"-----BEGIN.*END CERTIFICATE-----\n", out.decode(), re.S)[0]
            self.assertEqual(ssl.PEM_cert_to_DER_cert(pem), pair.der)

    def test_the_whole_chain_is_shown(self):
        publish([host("shop.test", 1)], [self.below.entry(1, chain=[self.middle])])
        out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.node.https}", "-servername", "shop.test",
                              "-CAfile", self.ca.cert, "-showcerts"], input=b"", capture_output=True, timeout=PATIENCE_S).stdout
        self.assertEqual(out.count(b"BEGIN CERTIFICATE"), 2)
        self.assertIn(b"Verify return code: 0 (ok)", out)

    def test_a_renewal_and_a_removal_act_from_the_next_handshake_on(self):
        publish([host("shop.test", 1)], [self.one.entry(1)])
        using = context()
        with Session("shop.test", using=using) as session:
            session.get("shop.test")
            kept = session.sock.session
            publish([host("shop.test", 1)], [self.two.entry(1)])
            self.assertEqual(session.get("shop.test"), self.TAKEN)
        with Session("shop.test", using=using, session=kept) as session:
            self.assertEqual((session.sock.session_reused, session.sock.getpeercert(binary_form=True)), (False, self.two.der))
        publish([host("shop.test", 1)])
        self.assertEqual(self.shown("shop.test"), self.default)
        publish([host("shop.test", 1)], [self.one.entry(1)])
        self.assertEqual(self.shown("shop.test"), self.one.der)
        publish([], [self.one.entry(1)])
        self.assertEqual(self.shown("shop.test"), self.default)

    def test_what_cannot_be_used_leaves_the_domain_what_remains(self):
        broken = [self.one.entry(1, key="3000"), self.one.entry(1, chain=()), self.two.entry(1)]
        broken[1]["chain"] = [self.one.der[:-1].hex()]
        broken[2]["key"] = self.one.entry(1)["key"]
        broken.append(self.one.entry(1, chain=[self.ca]))
        broken[3]["chain"][1] = "30"
        broken.append(self.one.entry(1))
        broken[4]["ca"] = ["ff"]
        for entry in broken:
            before = self.node.logs().count("cannot be used")
            publish([host("shop.test", 1), host("both.test", 1, 2)], [entry, self.rsa.entry(2)])
            self.assertEqual(self.shown("shop.test"), self.default)
            self.assertEqual(self.shown("shop.test"), self.default)
            self.assertEqual(self.shown("both.test"), self.rsa.der)
            until(lambda: self.node.logs().count("cannot be used") > before, "a word in the error log")
            self.assertEqual(self.node.logs().count("cannot be used"), before + 1)

    def test_versions_below_tls_1_2_are_refused(self):
        publish([host("shop.test", 1)], [self.one.entry(1)])
        old = context(ciphers="ALL:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.shown("shop.test", using=old)


class Resumption(Domains):
    def test_within_a_domain_not_across(self):
        publish([host("a.test", 1), host("b.test", 1), host("plain.a.test")], [self.one.entry(1)])
        for version in (V12, ssl.TLSVersion.TLSv1_3):
            using = context(version=version)
            for name in ("a.test", "plain.a.test"):
                with Session(name, using=using) as session:
                    session.get(name)
                    kept = session.sock.session
                for other in ("a.test", "b.test", "plain.a.test"):
                    with Session(other, using=using, session=kept) as session:
                        self.assertEqual(session.sock.session_reused, other == name, (version, name, other))


class ClientCertificates(Domains):
    def setUp(self):
        self.ask()

    def ask(self, ca=None, **fields):
        publish([host("shop.test", 1, verify_client=True, **fields), host("other.test", 1, verify_client=True), host("open.test", 1)],
                [self.one.entry(1, ca=ca or [self.ca])])

    def said(self, name, cert=None, call=None, **more):
        with Session(name, cert, **more) as session:
            return session.get(call or name)

    def test_one_of_the_authority_is_taken_others_and_none_are_not(self):
        for version in (V12, None):
            for cert, wanted in ((self.client, self.TAKEN), (self.stranger, self.REFUSED), (None, self.REFUSED)):
                self.assertEqual(self.said("shop.test", cert, version=version), wanted)
        self.assertEqual(self.said("open.test"), self.TAKEN)

    def test_an_authority_in_the_middle_will_do(self):
        self.ask(ca=[self.middle])
        self.assertEqual(self.said("shop.test", self.below), self.TAKEN)
        self.assertEqual(self.said("shop.test", self.client), self.REFUSED)

    def test_who_is_verified_for_one_domain_is_not_for_another(self):
        for name, call in (("open.test", "shop.test"), ("other.test", "shop.test"), ("shop.test", "open.test"), (None, "shop.test"),
                           ("shop.test", "plain.test"), ("shop.test", "127.0.0.1"), ("shop.test", "nobody.test")):
            self.assertEqual(self.said(name, self.client, call), self.REFUSED, (name, call))
        self.assertEqual(self.said("open.test", None, "plain.test"), self.TAKEN)
        self.assertEqual(self.said("shop.test", self.client, "SHOP.test:8443"), self.TAKEN)

    def test_streams_of_one_connection_are_judged_each(self):
        for verifies, wanted in ((False, (200, 200, 400)), (True, (400, 400, 400))):
            publish([host("sluice.test", 1, verify_client=verifies), host("open.test", 1), host("shop.test", 1, verify_client=True)],
                    [self.one.entry(1, ca=[self.ca])])
            with h2session.Session("127.0.0.1", self.node.https, PATIENCE_S) as session:  # names sluice.test
                streams = [session.open("GET", "/any", authority=name, end=True) for name in ("sluice.test", "open.test", "shop.test")]
                self.assertEqual(tuple(session.reply(number).status for number in streams), wanted)

    def test_not_by_http_either(self):
        for path in ("/any", "/http"):
            self.assertEqual(said(self.node.request("GET", path, host="shop.test")), self.REFUSED)
        self.assertEqual(said(self.node.request("GET", "/any", host="open.test")), self.TAKEN)

    def test_without_an_authority_nobody_is_taken(self):
        publish([host("shop.test", 1, verify_client=True)], [self.one.entry(1)])
        self.assertEqual(self.said("shop.test", self.client), self.REFUSED)
        publish([host("shop.test", verify_client=True)])
        self.assertEqual(self.said("shop.test", self.client), self.REFUSED)

    def test_a_kept_connection_proves_what_it_did(self):
        with Session("shop.test", self.client) as session:
            self.assertEqual(session.get("shop.test"), self.TAKEN)
            publish([host("shop.test", 1, verify_client=True)], [self.two.entry(1, ca=[self.ca])])
            self.assertEqual(session.get("shop.test"), self.TAKEN)  # renewed, the authority is the same
            self.ask(ca=[self.other_ca])
            self.assertEqual(session.get("shop.test"), self.REFUSED)
        self.assertEqual(self.said("shop.test", self.stranger), self.TAKEN)
        with Session("open.test") as session:
            self.assertEqual(session.get("open.test"), self.TAKEN)
            publish([host("open.test", 1, verify_client=True)], [self.one.entry(1, ca=[self.ca])])
            self.assertEqual(session.get("open.test"), self.REFUSED)

    def test_a_session_brings_the_proof_back_and_no_other(self):
        for version in (V12, ssl.TLSVersion.TLSv1_3):
            for cert, wanted in ((self.client, self.TAKEN), (self.stranger, self.REFUSED)):
                self.ask()
                using = context(cert, version)
                with Session("shop.test", using=using) as session:
                    self.assertEqual(session.get("shop.test"), wanted)
                    kept = session.sock.session
                with Session("shop.test", using=using, session=kept) as session:
                    self.assertTrue(session.sock.session_reused)
                    self.assertEqual(session.get("shop.test"), wanted)
                self.ask(ca=[self.other_ca])
                with Session("shop.test", using=using, session=kept) as session:
                    self.assertFalse(session.sock.session_reused)
                    self.assertEqual(session.get("shop.test"), self.TAKEN if cert is self.stranger else self.REFUSED)


class Schemes(Domains):
    def moved(self, path="/any", method="GET", **more):
        reply = self.node.request(method, path, host=more.pop("name", "shop.test"), **more)
        return reply.status, reply.header("Location")

    def test_http_is_sent_to_https(self):
        publish([host("shop.test", 1, redirect_https=True), host("bare.test", redirect_https=True),
                 host("*.port.test", 1, redirect_https=True, https_port=8443)], [self.one.entry(1)])
        for method in ("GET", "POST"):
            for path in ("/any", "/any/a%20b//c?x=%2F&y", "/https"):
                self.assertEqual(self.moved(path, method, body=b"x" if method == "POST" else b""),
                                 (301, f"https://shop.test{path}"))
        self.assertEqual(self.moved(name="SHOP.test:80"), (301, "https://shop.test/any"))
        self.assertEqual(self.moved("http://shop.test/any?q"), (301, "https://shop.test/any?q"))
        self.assertEqual(self.moved(name="a.port.test"), (301, "https://a.port.test:8443/any"))
        self.assertEqual(self.moved("/http"), (200, None))
        self.assertEqual(self.moved("/none")[0], 404)
        for _ in range(2):  # the second time by memory, if it were remembered
            self.assertEqual(self.moved(name="bare.test"), (200, None))
            self.assertEqual(self.moved(), (301, "https://shop.test/any"))
        with Session("shop.test") as session:
            self.assertEqual(session.get("shop.test"), self.TAKEN)
        reply = self.node.request("GET", "/any", host="shop.test")
        self.assertRegex(reply.header("X-Request-Id"), "^[0-9a-f]{32}$")

    def test_a_domain_that_asks_for_certificates_sends_there_too(self):
        publish([host("shop.test", 1, redirect_https=True, verify_client=True)], [self.one.entry(1, ca=[self.ca])])
        self.assertEqual(self.moved(), (301, "https://shop.test/any"))
        self.assertEqual(said(self.node.request("GET", "/http", host="shop.test")), self.REFUSED)

    def test_a_scheme_that_is_off_does_not_lead_there(self):
        publish([host("shop.test", 1, http_port=-1), host("http.test", 1, https_port=-1, redirect_https=True)], [self.one.entry(1)])
        for _ in range(2):
            self.assertEqual(said(self.node.request("GET", "/any", host="shop.test")), (404, "APIG.0101"))
            self.assertEqual(said(self.node.request("GET", "/any", host="http.test")), self.TAKEN)
            with contextlib.ExitStack() as held:
                for name, wanted in (("shop.test", self.TAKEN), ("http.test", (404, "APIG.0101"))):
                    self.assertEqual(held.enter_context(Session(name)).get(name), wanted)


if __name__ == "__main__":
    unittest.main(verbosity=1)
