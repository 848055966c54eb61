"""key pairs sign for backends that fetch their public half from the gateway; a gateway may name its own header for signatures"""
import base64
import hashlib
import urllib.parse

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import signer
from backend import Backend

OWN_STACK = True  # the features of the served gateway concern every story beside it
SERVED = True
NODES = (1, 2, "tls", "h2")
PREFIX = "/apigw/authadv/v2/public-key/"


def holds(seen, public, name):
    """The signature over what arrived is the pair's."""
    path, _, query = seen.target.partition("?")
    host, date = seen.header("host"), seen.header("x-sdk-date")
    algorithm, rest = seen.header("authorization").split(" ", 1)
    parts = dict(part.split("=", 1) for part in rest.split(", "))
    assert (algorithm, parts["Access"], parts["SignedHeaders"]) == ("SDK-RSA-SHA256", name, "host;x-sdk-date"), parts
    canonical = f"{seen.method}\n{path}/\n{query}\nhost:{host}\nx-sdk-date:{date}\n\nhost;x-sdk-date\n{hashlib.sha256(seen.body).hexdigest()}"
    text = f"SDK-RSA-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    try:
        public.verify(base64.b64decode(parts["Signature"]), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def fetched(world, key, node=1, prefix=PREFIX):
    reply = world.call("GET", prefix + key, node)
    assert reply.status == 200 and reply.headers["content-type"] == "application/x-pem-file", reply
    return serialization.load_pem_public_key(reply.body)


def no_key(world, target, status=400):
    for node in (1, 2):
        reply = world.call("GET", target, node)
        assert reply.status == status, reply
        if status == 400:
            assert (reply.json["error_code"], reply.json["error_msg"]) == ("APIG.2102", "PublicKey is null"), reply


def signs(world, backend, name, public):
    for node in NODES:
        for method, body in (("GET", None), ("POST", '{"n":1}')):
            backend.seen.clear()
            reply = world.call(method, "/a?b=1", node, body=body, headers={"Authorization": "mine"})
            assert reply.status == 200 and holds(backend.seen[0], public, name), (reply, backend.seen)


def pairs(world, backend):
    no_key(world, PREFIX + "anything", 404)  # without the feature it is a path like any other
    world.feature("public_key", {"enable": "on"})
    world.sign("made", sign_type="public_key")
    own = rsa.generate_private_key(65537, 2048)
    text = base64.b64encode(own.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                              serialization.NoEncryption())).decode()
    key = "/+a//b=" + "c" * 8  # as base64 may be
    world.sign("given", sign_type="public_key", sign_key=key, sign_secret=text)
    world.sign_binding("a", "made")
    world.settle("other")
    made = world.names["made"]
    public = serialization.load_der_private_key(base64.b64decode(made["sign_secret"]), None).public_key()
    assert all(fetched(world, made["sign_key"], node).public_numbers() == public.public_numbers() for node in NODES)
    signs(world, backend, made["sign_key"], public)
    for spelled in (key, urllib.parse.quote(key, safe=""), urllib.parse.quote(key, safe="/")):
        assert fetched(world, spelled).public_numbers() == own.public_key().public_numbers(), spelled
    for nothing in ("nobody", made["sign_key"][:-1], "a" * 513, "a" * 2000):
        no_key(world, PREFIX + nothing)
    world.sign_binding("a", "given")
    world.settle("other")
    signs(world, backend, key, own.public_key())
    world.feature("public_key", {"enable": "on", "public_key_uri_prefix": "/keys/"})
    world.settle("other")
    assert fetched(world, made["sign_key"], prefix="/keys/").public_numbers() == public.public_numbers()
    no_key(world, PREFIX + made["sign_key"], 404)
    world.want(204, "DELETE", f"/signs/{made['id']}")
    world.settle("other")
    no_key(world, "/keys/" + made["sign_key"])
    world.feature("public_key")
    world.settle("other")
    for node in NODES:
        reply = world.call("GET", "/a", node)
        assert (reply.status, reply.json["error_code"]) == (500, "APIG.0705"), reply
        assert reply.json["error_msg"] == "Backend signature calculation failed.", reply


def own_header(world, backend):
    world.sign("hmac", sign_key="a-key-of-ours", sign_secret="a-secret-of-ours-0123456789")
    world.sign("aes", sign_type="aes", sign_algorithm="aes-256-cfb")
    world.sign_binding("a", "hmac")
    world.feature("custom_auth_header", {"app_auth_header": "", "backend_sign_header": "X-Proof"})
    world.settle("other")
    for node in NODES:
        backend.seen.clear()
        assert world.call("GET", "/a", node, headers={"Authorization": "mine", "X-Proof": "mine"}).status == 200
        seen = backend.seen[0]
        made = signer.sign("GET", seen.target, {"Host": seen.header("host"), "X-Sdk-Date": seen.header("x-sdk-date")}, b"",
                           "a-key-of-ours", "a-secret-of-ours-0123456789")
        assert seen.header("x-proof") == made["Authorization"] and seen.header("authorization") == "mine", seen.headers
    world.sign_binding("a", "aes")
    world.settle("other")
    backend.seen.clear()
    assert world.call("GET", "/a", headers={"X-Proof": "mine"}).status == 200
    assert backend.seen[0].header("authorization").startswith("AES ") and backend.seen[0].header("x-proof") == "mine"


def story(world):
    with Backend() as backend:
        world.group("g")
        world.api("a", req_method="ANY", backend={"url_domain": backend.address, "req_method": "ANY"})
        world.api("other")
        world.publish("a")
        world.publish("other")
        try:
            pairs(world, backend)
            own_header(world, backend)
        finally:
            world.feature("public_key")
            world.feature("custom_auth_header")
