"""a WebSocket is judged once, at its handshake; then both sides talk until they are idle too long"""
import asyncio
import contextlib
import http
import json
import os
import threading
import time
import urllib.parse

import signer
from client import TIMEOUT_S, Reply, _tls
from stack import clear_of_midnight
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.server import serve

SERVED = True
LIMIT = 6  # handshakes a day
LARGE = os.urandom(200_000)
PATIENCE_S = 5  # for a unit to arrive on a machine that does much else
IDLE_S = 2.0  # the backend timeout of /idle, more than a busy machine keeps a talk waiting
LAZY_S = 0.4  # nginx moves a timer only by more than 0.3 s


def talk(peer):
    """The backend: says what it got, and who asks when it is asked."""
    with contextlib.suppress(ConnectionClosed):  # the gateway ends an idle one without a word
        for message in peer:
            headers = json.dumps(dict(peer.request.headers.raw_items()))
            peer.send(headers if message == "headers" else message)


def deny(peer, request):
    """A backend may refuse the handshake itself."""
    if request.path.startswith("/denied"):
        return peer.respond(http.HTTPStatus.IM_A_TEAPOT, "not here")
    return None


@contextlib.contextmanager
def backend():
    with serve(talk, "127.0.0.1", 0, process_request=deny) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield "%s:%d" % server.socket.getsockname()
        server.shutdown()


class Caller:
    """Who opens WebSockets through the nodes.

    In one thread: where one reads from a TLS connection and another writes (websockets.sync), Python
    3.11 takes no lock, and a ticket of TLS 1.3 that comes meanwhile makes the writer wait for ever.
    """

    def __init__(self, world):
        self.world, self.host = world, world.names["g"]["sl_domain"]

    def signed(self, path):
        app = self.world.names["p"]
        headers = signer.sign("GET", path, {"Host": self.host}, b"", app["app_key"], app["app_secret"])
        return {name: value for name, value in headers.items() if name.lower() != "host"}

    def open(self, path, node, headers=None):
        url = urllib.parse.urlsplit(self.world.data_url(node))
        secure = url.scheme == "https"
        return connect(f"{'wss' if secure else 'ws'}://{self.host}{path}", host=url.hostname, port=url.port,
                       ssl=_tls() if secure else None, additional_headers=headers, compression=None, proxy=None,
                       open_timeout=TIMEOUT_S, ping_interval=None)

    async def admitted(self, path, node, headers):
        """Opens while units are left: one that takes over 20 ms to arrive is a refusal (architecture 7)."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await self.open(path, node, headers)
            except InvalidStatus as answer:
                if answer.response.status_code != 429 or time.monotonic() > until:
                    raise

    async def refused(self, path, node, status, code, headers=None):
        try:
            await (await self.open(path, node, headers)).close()
        except InvalidStatus as answer:
            response = answer.response
            reply = Reply(response.status_code, {k.lower(): v for k, v in response.headers.raw_items()},
                          response.body)
            self.world.contract.meet(reply)
            assert reply.status == status and reply.json["error_code"] == code, reply
            assert reply.json["request_id"] == reply.headers["x-request-id"], reply
            return
        raise AssertionError(f"{path} was not refused")


async def heard(peer):
    """The next message."""
    return await asyncio.wait_for(peer.recv(), TIMEOUT_S)


async def exchange(peer):
    """Far more messages than the limit lets handshakes through."""
    for number in range(4 * LIMIT):
        await peer.send(f"message {number}")
        assert await heard(peer) == f"message {number}"
    await peer.send(LARGE)
    assert await heard(peer) == LARGE


async def judged_once(caller):
    """As many handshakes as the policy admits, signed and by AppCode, on every listener."""
    clear_of_midnight()
    await caller.refused("/talk", 1, 401, "APIG.0303")
    await caller.refused("/nowhere", 2, 404, "APIG.0101")
    code = {"X-Apig-AppCode": caller.world.names["c"]["app_code"]}
    opened = 0
    for node, headers in [(1, None), (2, None), ("tls", None), ("tls", code)] * 2:
        headers = headers or caller.signed("/talk")
        if opened == LIMIT:
            await caller.refused("/talk", node, 429, "APIG.0308", headers)
            continue
        opened += 1
        async with await caller.admitted("/talk", node, headers) as peer:
            await exchange(peer)
            await peer.send("headers")
            seen = {name.lower(): value for name, value in json.loads(await heard(peer)).items()}
            assert seen["x-forwarded-proto"] == ("https" if node == "tls" else "http"), seen
            assert "x-apig-appcode" not in seen and seen["x-request-id"], seen
    assert opened == LIMIT


async def idle(caller):
    """Talking keeps it open beyond the backend timeout; silence for that long ends it."""
    async with caller.open("/idle", 1) as peer:
        until = time.monotonic() + 1.5 * IDLE_S
        while time.monotonic() < until:
            said = time.monotonic()
            await peer.send("x")
            assert await heard(peer) == "x"
        with contextlib.suppress(ConnectionClosed):
            await heard(peer)  # a TimeoutError fails the story
        assert time.monotonic() - said > IDLE_S - LAZY_S, "cut too early"


async def denied(caller):
    """The backend's own refusal is the answer."""
    try:
        await (await caller.open("/denied", 1)).close()
        raise AssertionError("opened")
    except InvalidStatus as answer:
        assert answer.response.status_code == 418, answer


async def told(caller):
    await judged_once(caller)
    await idle(caller)
    await denied(caller)


def story(world):
    with backend() as address:
        world.group("g")
        open_to_app = {"auth_type": "APP", "auth_opt": {"app_code_auth_type": "HEADER"}}
        for name, fields in (("talk", open_to_app), ("idle", {}), ("denied", {})):
            timeout = int(IDLE_S * 1000) if name == "idle" else 30000
            world.api(name, **fields, backend={"url_domain": address, "req_uri": f"/{name}", "timeout": timeout})
            world.publish(name)
        world.app("p")
        world.app_code("c", "p")
        world.auth("p", "talk")
        world.throttle("t", api_call_limits=LIMIT)
        world.binding("talk", "t")
        world.settle("talk")
        asyncio.run(told(Caller(world)))
