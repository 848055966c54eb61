"""two clients at the same moment: one makes, renames, deletes, or takes the last place; the other is told so by its documented code"""
import concurrent.futures
import threading

from authority import Authority
from invariants import broken

ROUNDS, PATIENCE_S = 3, 30
CHANNEL = {"port": 80, "balance_strategy": 1, "member_type": "ip"}


class Ring:
    """Where two requests start together."""

    def __init__(self, world, pool):
        self.world, self.pool = world, pool

    def replies(self, *asks):
        """Of two (method, path, body) sent at once, in their order."""
        start = threading.Barrier(len(asks), timeout=PATIENCE_S)

        def ask(what):
            start.wait()
            return self.world.manage(*what)
        return list(self.pool.map(ask, asks))

    def one_wins(self, status, loss, *asks):
        """Exactly one ends with `status`, the other with `loss`; the winner's reply."""
        won, lost = sorted(self.replies(*asks), key=lambda reply: reply.status != status)
        assert won.status == status and (lost.status, lost.json["error_code"]) == loss, (asks[0][:2], won, lost)
        return won

    def either(self, *ends, asks):
        """They end as one of the orders says that they may: for each ask its status, or its status and code."""
        replies = self.replies(*asks)
        told = tuple(reply.status if reply.status < 400 else (reply.status, reply.json["error_code"]) for reply in replies)
        assert told in ends, (asks, replies)
        return ends.index(told)


class Kind:
    """One kind of things: where they are made, of what, how one is changed (None: not by name), and what its codes are."""

    def __init__(self, path, change, make=None, **told):
        self.path, self.change, self.make = path, change, make or change
        self.setting, self.exists, self.unknown, self.full = (told[name] for name in ("setting", "exists", "unknown", "full"))
        self.made, self.others = told.get("made", 201), told.get("others", 0)

    def place(self, made):
        part = made.get("member_groups", [made])[-1] if "member-groups" in self.path else made
        return f"{self.path}/{part.get('member_group_id') or made['id']}"


def kinds(world, pair):
    channel = world.want(201, "POST", "/vpc-channels", {**CHANNEL, "name": "of_groups"})["id"]
    certificate = {"cert_content": pair[0], "private_key": pair[1]}
    return [
        Kind(f"/api-groups/{world.names['g']['id']}/domains", None, lambda name: {"url_domain": f"{name}.example.com"},
             setting="quota_domains", exists="APIG.3305", unknown="APIG.3020", full="APIG.3108"),
        Kind("/vpc-channels", lambda name: {**CHANNEL, "name": f"channel_{name}"}, setting="quota_channels", others=1,
             exists="APIG.3208", unknown="APIG.3023", full="APIG.3109"),
        Kind(f"/vpc-channels/{channel}/member-groups", lambda name: {"member_group_name": f"part_{name}"},
             lambda name: {"member_groups": [{"member_group_name": f"part_{name}"}]}, setting="quota_channel_groups",
             exists="SLUICE.0331", unknown="SLUICE.0330", full="APIG.3100"),
        Kind("/signs", lambda name: {"name": f"sign_{name}"}, setting="quota_signs",
             exists="APIG.3207", unknown="APIG.3017", full="APIG.3105"),
        Kind(f"/v2/{world.project}/apigw/certificates", lambda name: {**certificate, "name": f"cert_{name}"}, made=200,
             setting="project_certificates", exists="APIG.3325", unknown="APIG.3021", full="APIG.3100"),
    ]


def made_once(ring, kind):
    """The name is one thing's. Groups of servers are put, not made: both clients are told the one that there is."""
    asks = [("POST", kind.path, kind.make("a"))] * 2
    if "member-groups" not in kind.path:
        return kind.place(ring.one_wins(kind.made, (400, kind.exists), *asks).json)
    first, second = ring.replies(*asks)
    assert first.status == second.status == 201 and first.json["total"] == second.json["total"] == 1, (first, second)
    assert kind.place(first.json) == kind.place(second.json), (first, second)
    return kind.place(first.json)


def of_one_name(ring, kind):
    """Made once, given to one of two, and gone once."""
    world = ring.world
    first = made_once(ring, kind)
    if kind.change:
        second = kind.place(world.want(kind.made, "POST", kind.path, kind.make("b")))
        ring.one_wins(200, (400, kind.exists), *[("PUT", path, kind.change("c")) for path in (first, second)])
        world.want(204, "DELETE", second)
    ring.one_wins(204, (404, kind.unknown), *[("DELETE", first, None)] * 2)


def of_last_places(ring, kind):
    """One place is left: one of two has it, and the place of what goes is free."""
    world = ring.world
    world.stack.admin("gateway", "set", world.instance, f"{kind.setting}={kind.others + 1}")
    for turn in range(ROUNDS):
        won = ring.one_wins(kind.made, (403, kind.full), *[("POST", kind.path, kind.make(f"{side}{turn}")) for side in "xy"])
        world.want(204, "DELETE", kind.place(won.json))
    world.stack.admin("gateway", "set", world.instance, f"{kind.setting}=")


def of_keys(ring):
    """Two keys for one publication: it has one of them. A key that goes while it is bound leaves no binding."""
    world, publication = ring.world, ring.world.names["a"]["publish_id"]
    bound = f"/sign-bindings/binded-signs?api_id={world.names['a']['id']}"
    first, second = (world.want(201, "POST", "/signs", {"name": f"key_{name}"})["id"] for name in ("one", "two"))

    def bind(key):
        return "POST", "/sign-bindings", {"sign_id": key, "publish_ids": [publication]}
    told = [reply.json["bindings"][0]["id"] for reply in ring.replies(bind(first), bind(second))]
    left = world.want(200, "GET", bound)
    assert told[0] == told[1] and left["total"] == 1 and left["bindings"][0]["sign_id"] in (first, second), (told, left)
    ring.one_wins(204, (404, "APIG.3018"), *[("DELETE", f"/sign-bindings/{told[0]}", None)] * 2)
    ring.either((201, 204), ((404, "APIG.3017"), 204), asks=[bind(first), ("DELETE", f"/signs/{first}", None)])
    assert world.want(200, "GET", bound)["total"] == 0
    world.want(204, "DELETE", f"/signs/{second}")


def of_channels(ring):
    """A channel that goes while an API begins to name it: one of both."""
    world, used = ring.world, ring.world.names["u"]
    channel = world.want(201, "POST", "/vpc-channels", {**CHANNEL, "name": "wanted"})["id"]
    backend = {key: value for key, value in used["body"]["backend_api"].items() if key != "url_domain"}
    body = {**used["body"], "backend_api": {**backend, "vpc_channel_status": 1, "vpc_channel_info": {"vpc_channel_id": channel}}}
    api, path = f"/apis/{used['id']}", f"/vpc-channels/{channel}"
    ring.either((200, (403, "APIG.3414")), ((404, "APIG.3023"), 204), asks=[("PUT", api, body), ("DELETE", path, None)])
    named = world.want(200, "GET", api)["backend_api"].get("vpc_channel_info", {}).get("vpc_channel_id") == channel
    assert (world.manage("GET", path).status == 200) == named, channel
    if named:
        world.want(200, "PUT", api, used["body"])
        world.want(204, "DELETE", path)


def of_servers(ring):
    """One set of servers or the other, never a mixture; ten at most, and the same server once."""
    world = ring.world
    channel = world.want(201, "POST", "/vpc-channels", {**CHANNEL, "name": "served"})["id"]
    path = f"/vpc-channels/{channel}/members"
    sets = [[{"host": f"10.0.{side}.{number}"} for number in range(6)] for side in range(2)]

    def there():
        return [one["host"] for one in world.want(200, "GET", path)["members"]]
    for method, status in (("PUT", 200), ("POST", 201)):
        replies = ring.replies(*[(method, path, {"members": sets[0]})] * 2)
        assert [reply.status for reply in replies] == [status] * 2 and len(there()) == 6, replies
    replies = ring.replies(*[("PUT", path, {"members": one}) for one in sets])
    assert [reply.status for reply in replies] == [200] * 2, replies
    assert sorted(there()) in [[member["host"] for member in one] for one in sets], there()
    world.want(200, "PUT", path, {"members": []})
    ring.one_wins(201, (403, "APIG.3110"), *[("POST", path, {"members": one}) for one in sets])
    assert len(there()) == 6, there()
    one = world.want(200, "GET", path)["members"][0]["id"]
    ring.one_wins(204, (404, "APIG.3024"), *[("DELETE", f"{path}/{one}", None)] * 2)
    # A group that goes is there for its servers, and leaves them, or it is none that they can have.
    parts, server = f"/vpc-channels/{channel}/member-groups", {"host": "10.0.2.1", "member_group_name": "part"}
    for method, status in (("PUT", 200), ("POST", 201)):
        made = world.want(201, "POST", parts, {"member_groups": [{"member_group_name": "part"}]})
        end = ring.either((status, 204), ((400, "APIG.2011"), 204), asks=[
            (method, path, {"members": [server]}), ("DELETE", f"{parts}/{made['member_groups'][0]['member_group_id']}", None)])
        assert end == 1 or server["host"] in there(), there()
        assert {one["member_group_name"] for one in world.want(200, "GET", path)["members"]} == {""}
    added = ("POST", path, {"members": [{"host": "10.0.3.1"}]})
    ring.either((201, 204), ((404, "APIG.3023"), 204), asks=[added, ("DELETE", f"/vpc-channels/{channel}", None)])
    assert world.manage("GET", path).status == 404


def of_certificates(ring, pair):
    """Two for one domain: it has one. One that goes, or a domain, while they are bound: one of both, and no binding of nothing."""
    world, top = ring.world, f"/v2/{ring.world.project}/apigw/certificates"
    at = f"/api-groups/{world.names['g']['id']}/domains"
    domain = f"{at}/{world.want(201, 'POST', at, {'url_domain': 'd.example.com'})['id']}"
    body = {"cert_content": pair[0], "private_key": pair[1]}
    held = [world.want(200, "POST", top, {**body, "name": f"held_{name}"})["id"] for name in ("one", "two")]

    def bind(certificate, verb="attach"):
        return "POST", f"{domain}/certificates/{verb}", {"certificate_ids": [certificate]}

    def bound(certificate):
        return world.want(200, "GET", f"{top}/{certificate}/attached-domains")["total"]
    ring.one_wins(204, (400, "APIG.2051"), *[bind(certificate) for certificate in held])
    assert sorted(bound(certificate) for certificate in held) == [0, 1], held
    held.sort(key=bound)
    ring.one_wins(204, (404, "APIG.3097"), *[bind(held[1], "detach")] * 2)
    end = ring.either((204, (409, "SLUICE.0315")), ((404, "APIG.3021"), 204), asks=[bind(held[0]), ("DELETE", f"{top}/{held[0]}", None)])
    assert bound(held[0]) == 1 - end, end
    if end == 0:
        world.want(204, *bind(held[0], "detach"))
        world.want(204, "DELETE", f"{top}/{held[0]}")
    ring.either((204, 204), ((404, "APIG.3020"), 204), asks=[bind(held[1]), ("DELETE", domain, None)])
    assert bound(held[1]) == 0
    world.want(204, "DELETE", f"{top}/{held[1]}")


def story(world):
    world.group("g")
    for api in ("a", "u"):
        world.api(api)
    world.publish("a")
    with Authority("duels") as authority:
        pair = authority.issue("one", names="DNS:*.example.com")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        ring = Ring(world, pool)
        for kind in kinds(world, pair):
            for _ in range(ROUNDS):
                of_one_name(ring, kind)
            of_last_places(ring, kind)
        for _ in range(ROUNDS):
            of_keys(ring)
            of_channels(ring)
            of_servers(ring)
            of_certificates(ring, pair)
    assert not broken(world), broken(world)
