"""Channels: who takes a call, what it is sent, what becomes of it when members fail: python3 channel_test.py BUILD.

A real nginx with the module and an image without a control plane; the image says which members are faulty.
"""
import collections
import contextlib
import pathlib
import re
import sys
import threading
import unittest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lib")]
from authority import Authority  # noqa: E402
from backend import RESET, Backend, mirror  # noqa: E402
from grpc_service import Service  # noqa: E402
from h2session import Session  # noqa: E402
from module_node import PATIENCE_S, TIMEOUT_MS, Node, free_ports, fresh, hex_id, until  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
GROUP = hex_id(1)
CHANNEL, ANOTHER = hex_id(50), hex_id(52)
TURN, LEAST, SOURCE, URI = 1, 2, 3, 4


def member(backend, weight=1, host="member.test", **more):
    """`backend`: a Backend or a port."""
    return {"host": host, "port": getattr(backend, "port", backend), "weight": weight, "backup": False, **more}


def api(number, path, **fields):
    http = {"path": path, "method": "ANY", "timeout_ms": TIMEOUT_MS, "retry_count": 0, "channel": CHANNEL, **fields.pop("http", {})}
    return {"publish_id": hex_id(1000 + number), "api_id": hex_id(2000 + number), "name": f"api-{number}", "group_id": GROUP,
            "path": path, "method": "ANY", "match_mode": "SWA", "schemes": 3, "auth": "NONE", "backend_type": "HTTP",
            "http": http, **fields}


def setUpModule():
    Told.node = Node(BUILD, fresh(BUILD / "tests/channel-node"), free_ports())
    Told.publish([], [])
    Told.node.start(echo=False)


def tearDownModule():
    status, logs = Told.node.stop(), Told.node.logs()
    logs = "".join(line for line in logs.splitlines(True) if "certificate verify failed" not in line)  # a test's doing
    assert status == 0 and not re.search(r"\[(alert|emerg|crit)\]|Sanitizer|runtime error", logs), logs[-6000:]


class Told(unittest.TestCase):
    """What the tests say often."""

    node = None

    @classmethod
    def publish(cls, apis, members, strategy=TURN, upstreams=None, features=None, another=()):
        cls.node.publish({
            "gateway": {"id": hex_id(9), "body_max_bytes": 1 << 20,
                        "features": [{"name": "real_ip_header_getter.enable", "value": "on"},
                                     {"name": "real_ip_header_getter.header_getter", "value": "header:X-Who"},
                                     *({"name": name, "value": value} for name, value in (features or {}).items())]},
            "groups": [{"id": GROUP, "name": "g", "sl_domain_enabled": True}],
            "hosts": [{"name": "h.example.com", "group_id": GROUP}], "apps": [], "throttles": [], "apis": apis,
            "channels": [{"id": CHANNEL, "name": "c", "strategy": strategy, "members": members},
                         {"id": ANOTHER, "name": "d", "strategy": TURN, "members": list(another)}],
            "upstreams": {"member.test": ["127.0.0.1"], "barred.test": "denied", **(upstreams or {})}})

    def refused(self, reply, status, code):
        self.assertEqual((reply.status, reply.json()["error_code"]), (status, code), reply.body)

    def got(self, path="/a", **more):
        reply = self.node.request("GET", path, **more)
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json()

    def backends(self, count, **more):
        """Backends whose answers say which of them it was."""
        with contextlib.ExitStack() as stack:
            made = [stack.enter_context(Backend(**more)) for _ in range(count)]
            self.addCleanup(stack.pop_all().close)
        return made

    def shares(self, backends, calls, path=lambda number: "/a", headers=lambda number: ()):
        """How many of these calls each backend got."""
        before = [len(backend.seen) for backend in backends]
        for number in range(calls):
            self.got(path(number), headers=headers(number))
        return [len(backend.seen) - count for backend, count in zip(backends, before)]


class Shares(Told):
    def test_in_turn_by_weight(self):
        first, second, idle = self.backends(3)
        self.publish([api(1, "/a")], [member(first, 3), member(second, 1), member(idle, 0)])
        self.assertEqual(self.shares([first, second, idle], 20), [15, 5, 0])

    def test_the_one_with_fewest_open_calls(self):
        go = threading.Event()

        def slow(seen):
            go.wait(PATIENCE_S)
            return mirror(seen)
        first, second = self.backends(1, take=slow) + self.backends(1)
        self.addCleanup(go.set)
        self.publish([api(1, "/a")], [member(first), member(second)], LEAST)
        held = threading.Thread(target=self.node.request, args=("GET", "/a"))
        held.start()
        until(lambda: first.seen, "a call that waits in the first")
        self.assertEqual(self.shares([first, second], 6), [0, 6])
        go.set()
        held.join()
        self.assertEqual(self.shares([first, second], 6), [3, 3])

    def test_by_the_client_s_address(self):
        backends = self.backends(4)
        self.publish([api(1, "/a")], [member(backend) for backend in backends], SOURCE)
        who = lambda number: [("X-Who", f"192.0.2.{number % 40}")]  # noqa: E731
        shares = self.shares(backends, 80, headers=who)
        self.assertTrue(all(share and share % 2 == 0 for share in shares), shares)  # each caller twice, where it was

    def test_by_the_path_without_the_query(self):
        backends = self.backends(4)
        self.publish([api(1, "/a")], [member(backend, weight) for backend, weight in zip(backends, (1, 1, 1, 10000))], URI)
        shares = self.shares(backends, 80, path=lambda number: f"/a/{number % 40}?n={number}")
        self.assertTrue(all(share and share % 2 == 0 for share in shares), shares)
        self.assertLess(shares[3], 40)  # its weight says nothing


class Faults(Told):
    def test_backups_are_called_while_all_others_are_faulty(self):
        first, second, spare = backends = self.backends(3)
        for faulty, shares in (((), [3, 3, 0]), ((0,), [0, 6, 0]), ((0, 1), [0, 0, 6]), ((), [3, 3, 0])):
            with self.subTest(faulty=faulty):
                self.publish([api(1, "/a")], [member(backend, backup=backend is spare, faulty=place in faulty)
                                              for place, backend in enumerate(backends)])
                self.assertEqual(self.shares(backends, 6), shares)

    def test_nobody_is_there(self):
        with Backend() as backend:
            for members in ([], [member(backend, faulty=True)], [member(backend, 0)]):
                self.publish([api(1, "/a")], members)
                self.refused(self.node.request("GET", "/a"), 502, "APIG.0610")
            self.assertEqual(backend.seen, [])

    def test_no_such_channel(self):
        self.publish([api(1, "/a", http={"channel": hex_id(51)})], [])
        self.refused(self.node.request("GET", "/a"), 500, "APIG.0609")  # GW_CHANNEL_GONE

    def test_members_without_an_address_are_passed_over(self):
        with Backend() as backend:
            gone, barred = member(backend, host="nowhere.test"), member(backend, host="barred.test")
            self.publish([api(1, "/a")], [gone, barred, member(backend)])
            self.assertEqual(self.shares([backend], 6), [6])
            self.publish([api(1, "/a")], [gone])
            self.refused(self.node.request("GET", "/a"), 500, "APIG.0605")
            self.publish([api(1, "/a")], [barred, gone])
            self.refused(self.node.request("GET", "/a"), 403, "APIG.0404")

    def test_a_retry_goes_to_another_member(self):
        for strategy in (TURN, LEAST, SOURCE, URI):
            with self.subTest(strategy=strategy), Backend(take=lambda seen: RESET) as broken, Backend() as sound:
                self.publish([api(1, "/a", http={"retry_count": 1}), api(2, "/once"), api(3, "/usual", http={"retry_count": -1})],
                             [member(broken), member(self.node.closed), member(sound)][::2], strategy)
                self.assertEqual(self.shares([sound], 6, path=lambda number: f"/a/{number}"), [6])
                self.assertEqual(self.shares([sound], 6, path=lambda number: f"/usual/{number}"), [6])
                statuses = collections.Counter(self.node.request("GET", f"/once/{number}").status for number in range(12))
                self.assertEqual(set(statuses), {200, 502} if strategy != SOURCE else set(statuses))

    def test_a_backup_is_no_retry_of_what_is_not_known_to_be_faulty(self):
        with Backend() as spare:
            self.publish([api(1, "/a", http={"retry_count": 3})], [member(self.node.closed), member(spare, backup=True)])
            self.refused(self.node.request("GET", "/a"), 502, "APIG.0201")
            self.assertEqual(spare.seen, [])

    def test_the_calls_of_a_dead_member_spread_over_all_others(self):
        backends = self.backends(3)
        for strategy in (TURN, SOURCE):
            self.publish([api(1, "/a", http={"retry_count": 1})],
                         [member(self.node.closed), *(member(backend) for backend in backends)], strategy)
            shares = self.shares(backends, 320, headers=lambda number: [("X-Who", f"192.0.{number % 2}.{number // 2}")])
            self.assertEqual(sum(shares), 320)
            if strategy == TURN:  # 80 each of their own
                self.assertGreater(min(shares), 80, shares)
            self.assertLess(max(shares), 150, shares)  # of 107; one that had all of the dead one's had 160

    def test_tries_go_round_no_further_than_members_and_retries_do(self):
        members = [member(self.node.closed) for _ in range(2)]
        with Backend() as sound:
            self.publish([api(1, "/a", http={"retry_count": 2})], [*members, member(sound)])
            self.assertEqual(self.shares([sound], 6), [6])
        self.publish([api(1, "/a", http={"retry_count": 10})], members[:1])
        self.refused(self.node.request("GET", "/a"), 502, "APIG.0201")


class Sent(Told):
    def test_the_host_is_the_client_s_unless_the_api_has_one(self):
        mapped = [{"name": "Host", "value": "mapped.example", "location": "HEADER", "origin": "CONSTANT"}]
        with Backend() as backend:
            self.publish([api(1, "/a"), api(2, "/b", http={"proxy_host": "shop.example"}),
                          api(3, "/c", http={"proxy_host": "shop.example"}, backend_params=mapped)], [member(backend)])
            host = lambda path, **more: self.got(path, **more)["headers"]["host"]  # noqa: E731
            self.assertEqual([host("/a"), host("/b"), host("/c")], ["h.example.com", "shop.example", "mapped.example"])
            self.assertEqual(host("/a", host="h.example.com:8080"), "h.example.com:8080")

    def test_tls_asks_for_the_host_that_is_sent(self):
        with Authority("the authority") as authority:
            pair = authority.issue("server", "DNS:shop.example")
            with Backend(tls=True, pair=pair) as first, Backend(tls=True, pair=pair) as second:
                self.publish([api(1, "/a", http={"tls": True, "proxy_host": "shop.example"})], [member(first), member(second)])
                self.assertEqual(self.shares([first, second], 4), [2, 2])
                self.assertEqual(first.seen[0].sni, "shop.example")

    def test_connections_are_kept_for_each_member(self):
        backends = self.backends(3)
        self.publish([api(1, "/a")], [member(backend) for backend in backends])
        self.assertEqual(self.shares(backends, 9), [3, 3, 3])
        self.assertEqual([{seen.connection.number for seen in backend.seen} for backend in backends], [{1}] * 3)

    def test_policies_call_channels_each_with_its_own_host(self):
        near, far = ([{"origin": "source", "value": block}] for block in ("127.0.0.0/8", "192.0.2.0/24"))
        first, second, third = self.backends(3)

        def policy(channel, path, conditions, **http):
            return {"name": f"p-{path[1:]}", "any": True, "conditions": conditions,
                    "http": {"channel": channel, "path": path, "method": "ANY", "timeout_ms": TIMEOUT_MS, "retry_count": 0, **http}}
        addressed = {"channel": "", "host": "member.test", "port": third.port}
        policies = [policy(CHANNEL, "/near", near, proxy_host="near.example"), policy(ANOTHER, "/far", far)]
        self.publish([api(1, "/a", http=addressed, policies=policies), api(2, "/b", http=addressed)],
                     [member(first)], another=[member(second)])
        sent = [self.got(*call) for call in (("/a",), ("/b",))]
        sent.append(self.got("/a", headers=[("X-Who", "192.0.2.7")]))
        self.assertEqual([len(backend.seen) for backend in (first, second, third)], [1, 1, 1])
        self.assertEqual([(one["target"], one["headers"]["host"]) for one in sent],
                         [("/near", "near.example"), ("/b", f"member.test:{third.port}"), ("/far", "h.example.com")])

    def test_a_policy_has_a_channel_of_its_own_or_none(self):
        near = [{"origin": "source", "value": "127.0.0.0/8"}]
        with Backend() as one, Backend() as other:
            policy = {"name": "p", "any": True, "conditions": near,
                      "http": {"host": "member.test", "port": other.port, "path": "/own", "method": "ANY", "timeout_ms": TIMEOUT_MS}}
            self.publish([api(1, "/a", policies=[policy]), api(2, "/b")], [member(one)])
            self.got("/a")
            self.got("/b")
            self.assertEqual([seen.target for seen in other.seen], ["/own"])
            self.assertEqual([seen.target for seen in one.seen], ["/b"])


def talk(sock):
    """A backend's end of a WebSocket: sends back what comes, in capitals, until nobody is there."""
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    while data := sock.recv(100):
        sock.sendall(data.upper())


def upgrade_or_mirror(seen):
    return talk if seen.header("upgrade") else mirror(seen)


class WebSockets(Told):
    def open(self):
        sock = self.node.connect()
        self.addCleanup(sock.close)
        sock.sendall(b"GET /a HTTP/1.1\r\nHost: h.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        head = sock.recv(4096)
        self.assertTrue(head.startswith(b"HTTP/1.1 101"), head)
        sock.sendall(b"hello")
        self.assertEqual(sock.recv(4096), b"HELLO")
        return sock

    def test_they_go_round_and_on_to_another_member(self):
        first, second = self.backends(2, take=upgrade_or_mirror)
        self.publish([api(1, "/a", http={"retry_count": 1})], [member(first, 2), member(self.node.closed), member(second)])
        for _ in range(8):
            self.open().close()
        shares = [len(backend.seen) for backend in (first, second)]
        self.assertEqual(sum(shares), 8)
        self.assertTrue(shares[0] >= 4 and shares[1] >= 2, shares)

    def test_one_that_is_open_counts_as_a_call(self):
        first, second = self.backends(2, take=upgrade_or_mirror)
        self.publish([api(1, "/a")], [member(first), member(second)], LEAST)
        sock = self.open()
        taken = [len(backend.seen) for backend in (first, second)]
        self.assertEqual(self.shares([first, second], 6), [6 * (1 - count) for count in taken])
        sock.close()
        until(lambda: self.shares([first, second], 2) == [1, 1], "two members without open calls")


class Secured(Told):
    def test_a_member_that_nobody_vouches_for_is_passed_over(self):
        with Authority("the authority") as authority, Authority("another") as other:
            own = authority.issue("node")
            features = {f"backend_client_certificate.{name}": text for name, text in
                        (("enable", "on"), ("content", own[0]), ("key", own[1]), ("ca", authority.certificate))}
            pairs = [one.issue("member", "DNS:shop.example") for one in (authority, authority, other)]
            with contextlib.ExitStack() as held:
                backends = [held.enter_context(Backend(tls=True, pair=pair, asks=authority.certificate, demands=True)) for pair in pairs]
                http = {"tls": True, "proxy_host": "shop.example", "client_certificate": True}
                self.publish([api(1, "/a", http={**http, "retry_count": 1}), api(2, "/once", http=http)],
                             [member(backend) for backend in backends], features=features)
                shares = self.shares(backends, 12)
                self.assertEqual((sum(shares), shares[2]), (12, 0))
                self.assertTrue(min(shares[:2]) >= 4, shares)
                self.assertEqual({seen.client for backend in backends for seen in backend.seen}, {"node"})
                statuses = collections.Counter(self.node.request("GET", "/once").status for _ in range(6))
                self.assertEqual(statuses, {200: 4, 502: 2})


class Grpc(Told):
    def call(self):
        with Session("127.0.0.1", self.node.https) as session:
            number = session.open("POST", "/pkg.Service/Echo", [("content-type", "application/grpc"), ("te", "trailers")])
            session.send(number, b"\0\0\0\0\1m", end=True)
            reply = session.reply(number)
        self.assertIsNotNone(reply, "the stream ended without an answer")
        return reply

    def calls(self, backends, count):
        """The statuses of so many calls, and how many of them each backend got."""
        before = [len(backend.seen) for backend in backends]
        replies = [self.call() for _ in range(count)]
        self.assertTrue(all(reply.body == b"\0\0\0\0\1x" for reply in replies if reply.status == 200), replies)
        return (collections.Counter(reply.status for reply in replies),
                [len(backend.seen) - was for backend, was in zip(backends, before)])

    def served(self, members, strategy=TURN, **http):
        grpc = {**api(1, "/pkg.Service", schemes=4, method="POST", backend_type="GRPC", http={"method": "POST", **http})}
        self.publish([{**grpc, "http": {**grpc["http"], "path": "/"}}], members, strategy)

    def test_members_take_turns_over_either_scheme(self):
        with Authority("the authority") as authority:
            for pair in (None, authority.issue("member", "DNS:shop.example")):
                with self.subTest(tls=bool(pair)), Service(pair) as first, Service(pair) as second:
                    self.served([member(first), member(second, 2)], tls=bool(pair), proxy_host="shop.example")
                    self.assertEqual(self.calls([first, second], 6), ({200: 6}, [2, 4]))
                    self.assertEqual(dict(first.seen[0])["host"], "shop.example")

    def test_a_dead_member_is_passed_over_where_retries_are_allowed(self):
        with Service() as sound:
            for strategy in (TURN, LEAST):
                for retries, statuses in ((1, {200: 4}), (0, {200: 2, 502: 2})):
                    with self.subTest(strategy=strategy, retries=retries):
                        self.served([member(self.node.closed), member(sound)], strategy, retry_count=retries)
                        self.assertEqual(self.calls([sound], 4), (statuses, [statuses[200]]))

    def test_backups_and_nobody(self):
        with Service() as spare:
            self.served([member(self.node.closed, faulty=True), member(spare, backup=True)])
            self.assertEqual(self.calls([spare], 2), ({200: 2}, [2]))
            self.served([member(spare, faulty=True)])
            reply = self.call()
            self.assertEqual((reply.status, reply.headers["grpc-status"]), (502, "14"))


if __name__ == "__main__":
    unittest.main()
