"""calls go to the servers of a channel, in turn by weight; what changes of it acts at once; one that is used stays"""
import collections
import contextlib

from backend import Backend, answer, mirror
from stack import wait_until

SERVED = True
SOON_S = 20


class Servers:
    """Backends that are a channel's servers, by their numbers."""

    def __init__(self, held, count):
        self.backends = [held.enter_context(Backend()) for _ in range(count)]

    def member(self, number, **fields):
        return {"host": "127.0.0.1", "port": self.backends[number].port, **fields}

    def seen(self):
        return [len(backend.seen) for backend in self.backends]

    def shares(self, world, calls, **more):
        """How many of so many calls each server got; all of them are answered."""
        before = self.seen()
        for _ in range(calls):
            reply = world.call("GET", "/a", **more)
            assert reply.status == 200, reply
        return [after - was for after, was in zip(self.seen(), before)]

    def settled(self, world, wanted, calls):
        """Waits until so many calls are shared like this: node 1 serves what was changed."""
        got = []
        wait_until(lambda: (got.append(self.shares(world, calls)), got[-1] == wanted)[1], SOON_S, f"{wanted} of {got}")


def channel(world, name, **fields):
    made = world.want(201, "POST", "/vpc-channels", {
        "name": f"{name}_{world.uid}", "port": 80, "balance_strategy": 1, "member_type": "ip", **fields})
    world.made.append(f"/vpc-channels/{made['id']}")
    return made["id"]


def used(channel_id, **info):
    return {"vpc_channel_status": 1, "vpc_channel_info": {"vpc_channel_id": channel_id, **info}}


def weights_and_membership(world, servers, path):
    servers.settled(world, [2, 1, 0], 3)
    ids = [one["id"] for one in world.want(200, "GET", path + "/members")["members"]]
    world.want(204, "POST", path + "/members/batch-disable", {"member_ids": ids[:1]})
    servers.settled(world, [0, 3, 0], 3)
    world.want(204, "POST", path + "/members/batch-enable", {"member_ids": ids[:1]})
    servers.settled(world, [2, 1, 0], 3)
    # A group's weight goes before its servers' own.
    world.want(201, "POST", path + "/member-groups", {"member_groups": [{"member_group_name": "new", "member_group_weight": 3}]})
    world.want(201, "POST", path + "/members", {"members": [servers.member(2, member_group_name="new")]})
    servers.settled(world, [2, 1, 3], 6)
    # One that is gone gets nothing.
    world.want(204, "DELETE", f"{path}/members/{ids[0]}")
    servers.settled(world, [0, 1, 3], 4)


def hashes(world, servers, path, name):
    for strategy in (3, 4):
        world.want(200, "PUT", path, {"name": name, "port": 80, "balance_strategy": strategy, "member_type": "ip"})
        wait_until(lambda: collections.Counter(servers.shares(world, 4))[4] == 1, SOON_S, f"one server by strategy {strategy}")


def hosts(world, servers, channel_id):
    """Members are sent the client's own Host, or the one that the API says."""
    assert servers.backends[2].seen or servers.backends[1].seen
    world.api("h", backend=used(channel_id, vpc_channel_proxy_host="members.example.com"))
    world.publish("h")
    sent = [world.call("GET", target).json["headers"]["host"] for target in ("/a", "/h")]
    assert sent == [world.names["g"]["sl_domain"], "members.example.com"], sent


def health(world, servers, path):
    """A server that fails its probes gets no calls; when all do, none is called; then both come back."""
    check = {"protocol": "HTTP", "path": "/alive", "http_code": "200-299", "threshold_normal": 1, "threshold_abnormal": 1,
             "time_interval": 2, "timeout": 1}

    def alive(backend):
        return lambda seen: mirror(seen) if seen.target != "/alive" or backend in living else answer(503)
    living = list(servers.backends)
    for backend in servers.backends:
        backend.answer = alive(backend)
    world.want(200, "PUT", path, {"name": f"c_{world.uid}", "port": 80, "balance_strategy": 1, "member_type": "ip", "members": [
        servers.member(number) for number in (0, 1)]})
    world.want(200, "PUT", path + "/health-config", check)

    def called(number):
        before = len([seen for seen in servers.backends[number].seen if seen.target != "/alive"])
        replies = [world.call("GET", "/a").status for _ in range(4)]
        return len([seen for seen in servers.backends[number].seen if seen.target != "/alive"]) - before, replies
    wait_until(lambda: any(seen.target == "/alive" for seen in servers.backends[1].seen), SOON_S, "a probe")
    living.remove(servers.backends[1])
    wait_until(lambda: called(1) == (0, [200] * 4), SOON_S, "one server out")
    living.remove(servers.backends[0])
    wait_until(lambda: called(0) == (0, [502] * 4), SOON_S, "none left")
    living.extend(servers.backends[:2])
    wait_until(lambda: called(1) == (2, [200] * 4), SOON_S, "both back")


def empty(world, path):
    world.want(200, "PUT", path + "/members", {"members": []})
    wait_until(lambda: world.call("GET", "/a").status == 502, SOON_S, "a channel without servers")
    assert world.call("GET", "/a").json["error_code"] == "APIG.0610"


def story(world):
    world.group("g")
    with contextlib.ExitStack() as held:
        servers = Servers(held, 3)
        name = f"c_{world.uid}"
        channel_id = channel(world, "c", members=[servers.member(0, weight=2), servers.member(1, weight=1)])
        path = f"/vpc-channels/{channel_id}"
        world.api("a", backend=used(channel_id))
        world.publish("a")
        weights_and_membership(world, servers, path)
        hashes(world, servers, path, name)
        hosts(world, servers, channel_id)
        refused = world.manage("DELETE", path)
        assert (refused.status, refused.json["error_code"]) == (403, "APIG.3414"), refused
        health(world, servers, path)
        empty(world, path)
        # Draft and publication hold it each for itself.
        address = {"url_domain": servers.backends[0].address, "vpc_channel_status": 2}
        for api in "ah":
            body = {**world.names[api]["body"]}
            body["backend_api"] = {**body["backend_api"], **address}
            world.want(200, "PUT", f"/apis/{world.names[api]['id']}", body)
        assert world.manage("DELETE", path).status == 403
        for api in "ah":
            world.publish(api)
        world.want(204, "DELETE", path)
        assert world.call("GET", "/a").status == 200
        again = world.manage("PUT", f"/apis/publish/{world.names['a']['id']}",
                             {"version_id": world.want(200, "GET", f"/apis/publish/{world.names['a']['id']}")
                              ["api_versions"][-1]["version_id"]})
        assert (again.status, again.json["error_code"]) == (404, "APIG.3023"), again
