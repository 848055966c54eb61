"""what backends are shown of each type of key holds for the request that arrives; a rotated key acts at once on all nodes"""
import base64
import hashlib
import hmac
import time

import signer
from backend import Backend

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SERVED = True
NODES = (1, 2, "tls", "h2")
KEY, SECRET = "a-key-of-ours", "a-secret-of-ours-0123456789"
BODY = '{"n":1}'
LARGE = "x" * 70000
WINDOW_S = 0.3  # that a change may take


def seen_after(world, backend, method, target, node=1, **more):
    backend.seen.clear()
    reply = world.call(method, target, node, **more)
    assert reply.status == 200 and len(backend.seen) == 1, (reply, backend.seen)
    return backend.seen[0]


def stock(seen, secret):
    """What the stock signer makes of what arrived."""
    headers = {"Host": seen.header("host"), "X-Sdk-Date": seen.header("x-sdk-date")}
    return signer.sign(seen.method, seen.target, headers, seen.body, KEY, secret)["Authorization"]


def judged(seen):
    date = seen.header("x-sdk-date")
    assert seen.header("authorization") == stock(seen, SECRET), seen.headers
    assert abs(time.time() - time.mktime(time.strptime(date, "%Y%m%dT%H%M%SZ")) + time.timezone) < 60, date


def by_hmac(world, backend):
    own = {"Authorization": "of the client", "X-Sdk-Date": "20200101T000000Z", "X-Sdk-Content-Sha256": "ab" * 32}
    for node in NODES:
        for method, target, body in (("GET", "/a?b=2&a=1&a=%20x", None), ("POST", "/a", BODY), ("POST", "/a?q=%C3%A4", BODY)):
            seen = seen_after(world, backend, method, target, node, headers=own, body=body)
            assert seen.method == method and (seen.body.decode() or None) == body, seen.body
            assert seen.header("x-sdk-content-sha256") is None, seen.headers
            judged(seen)
    # What was mapped is signed: path, query and Host are the backend's.
    seen = seen_after(world, backend, "GET", "/mapped/x%20y?name=z", headers={"X-Kept": "1"})
    assert seen.target.startswith("/back/x%20y/end?") and "to=z" in seen.target and seen.header("x-fixed") == "f", seen.target
    judged(seen)
    # What is streamed is not covered, and says so.
    seen = seen_after(world, backend, "POST", "/a", body=LARGE)
    assert seen.header("x-sdk-content-sha256") == "UNSIGNED-PAYLOAD" and seen.body.decode() == LARGE, seen.headers
    unsigned(seen)


def unsigned(seen):
    host, date = seen.header("host"), seen.header("x-sdk-date")
    canonical = f"{seen.method}\n{seen.target}/\n\nhost:{host}\nx-sdk-date:{date}\n\nhost;x-sdk-date\nUNSIGNED-PAYLOAD"
    text = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    wanted = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert seen.header("authorization").endswith(f"Signature={wanted}"), seen.headers


def after(world, bind, holds):
    """Acts; every node obeys within the window, of which the machine may make more."""
    bind()
    started = time.monotonic()
    while not all(holds(node) for node in (1, 2)):
        assert time.monotonic() < started + 10, "waited in vain for all nodes"
    return time.monotonic() - started


def by_basic(world, backend):
    wanted = "Basic " + base64.b64encode(b"user:password").decode()

    def shown(node):
        return seen_after(world, backend, "GET", "/a", node, headers={"Authorization": "of the client"}).header("authorization") == wanted
    took = [after(world, lambda: world.sign_binding("a", "basic"), shown)]
    seen = seen_after(world, backend, "GET", "/a", headers={"X-Sdk-Date": "20200101T000000Z"})
    assert seen.header("x-sdk-date") == "20200101T000000Z", seen.headers  # no affair of this type
    return took


def by_aes(world, backend):
    key, vector = b"0123456789abcdef", b"fedcba9876543210"

    def shown(node):
        seen = seen_after(world, backend, "POST", "/a", node, body=BODY)
        scheme, _, text = seen.header("authorization").partition(" ")
        if scheme != "AES":
            return False
        cipher = Cipher(algorithms.AES(key), modes.CFB(vector)).decryptor()
        plain = cipher.update(base64.b64decode(text)).decode()
        assert plain == f"{seen.header('x-sdk-date')}\n{seen.header('x-request-id')}", plain
        return True
    return [after(world, lambda: world.sign_binding("a", "aes"), shown)]


def rotated(world, backend):
    sign = world.names["hmac"]
    took = [after(world, lambda: world.sign_binding("a", "hmac"), lambda node: "SDK-HMAC" in seen_after(
        world, backend, "GET", "/a", node).header("authorization"))]
    for turn in range(5):
        secret = f"another-secret-{turn}"

        def holds(node):
            seen = seen_after(world, backend, "GET", "/a", node)
            return seen.header("authorization") == stock(seen, secret)
        took.append(after(world, lambda: world.want(200, "PUT", f"/signs/{sign['id']}", {"name": sign["name"], "sign_secret": secret}), holds))
    return took


def story(world):
    with Backend() as backend:
        world.group("g")
        world.api("a", req_method="ANY", backend={"url_domain": backend.address, "req_method": "ANY"})
        world.api("mapped", req_uri="/mapped/{part}", backend={"url_domain": backend.address, "req_uri": "/back/{part}/end"},
                  req_params=[{"name": "part", "type": "STRING", "location": "PATH", "required": 1},
                              {"name": "name", "type": "STRING", "location": "QUERY"}],
                  backend_params=[{"name": "part", "location": "PATH", "origin": "REQUEST", "value": "part"},
                                  {"name": "to", "location": "QUERY", "origin": "REQUEST", "value": "name"},
                                  {"name": "Authorization", "location": "HEADER", "origin": "CONSTANT", "value": "mapped"},
                                  {"name": "x-fixed", "location": "HEADER", "origin": "CONSTANT", "value": "f"}])
        world.api("m", backend_type="MOCK", mock_info={"result_content": "mock"})
        for name in ("a", "mapped", "m"):
            world.publish(name)
        world.sign("hmac", sign_key=KEY, sign_secret=SECRET)
        world.sign("basic", sign_type="basic", sign_key="user", sign_secret="password")
        world.sign("aes", sign_type="aes", sign_algorithm="aes-128-cfb", sign_key="0123456789abcdef", sign_secret="fedcba9876543210")
        assert seen_after(world, backend, "GET", "/a", headers={"Authorization": "mine"}).header("authorization") == "mine"
        for name in ("a", "mapped", "m"):
            world.sign_binding(name, "hmac")
        world.settle("m")
        assert world.call("GET", "/m").body == b"mock"  # there is no backend to prove anything to
        by_hmac(world, backend)
        took = by_basic(world, backend) + by_aes(world, backend) + rotated(world, backend)
        median = sorted(took)[len(took) // 2]
        print(f"a changed key or binding acts after {median:.3f} s (median of {len(took)})")
        assert median < WINDOW_S, took
        # Without its key an API calls as it did.
        world.want(204, "DELETE", f"/signs/{world.names['hmac']['id']}")
        world.settle("m")
        for node in NODES:
            assert seen_after(world, backend, "GET", "/a", node).header("authorization") is None
