"""a debugging call of an API whose backend is a channel goes to its servers, as the draft names one and as the publication does"""
from backend import Backend

SERVED = True


def channel(world, name, *servers):
    made = world.want(201, "POST", "/vpc-channels", {
        "name": f"{name}_{world.uid}", "port": 80, "balance_strategy": 1, "member_type": "ip",
        "members": [{"host": "127.0.0.1", "port": server.port} for server in servers]})
    world.made.append(f"/vpc-channels/{made['id']}")
    return made["id"]


def used(channel_id, **info):
    return {"vpc_channel_status": 1, "vpc_channel_info": {"vpc_channel_id": channel_id, **info}}


def debug(world, mode):
    told = world.want(200, "POST", f"/apis/debug/{world.names['a']['id']}",
                      {"mode": mode, "scheme": "HTTP", "method": "GET", "path": "/a", "query": {"q": [mode]}})
    return told["response"]


def reached(world, mode, server, host):
    """The call is answered by this server, which is sent that Host."""
    before = len(server.seen)
    assert debug(world, mode).startswith("HTTP/1.1 200 "), (mode, server.seen)
    seen = server.seen[before:]
    assert [(one.target, one.header("host")) for one in seen] == [(f"/back/a?q={mode}", host)], (mode, seen)


def story(world):
    world.group("g")
    domain = world.names["g"]["sl_domain"]
    with Backend() as first, Backend() as second:
        one, two = channel(world, "one", first), channel(world, "two", second)
        world.api("a", backend=used(one))
        reached(world, "DEVELOPER", first, domain)  # nothing is published: the draft's channel is the nodes' already
        world.publish("a")

        # Draft and publication may name one each.
        body = world.names["a"]["body"]
        draft = {**body, "backend_api": {**body["backend_api"], **used(two, vpc_channel_proxy_host="members.example.com")}}
        world.want(200, "PUT", f"/apis/{world.names['a']['id']}", draft)
        reached(world, "DEVELOPER", second, "members.example.com")
        reached(world, "CONSUMER", first, domain)
        assert world.call("GET", "/a").status == 200 and first.seen[-1].target == "/back/a"

        # What changes of the channel acts on debugging calls as on any other.
        path = f"/vpc-channels/{two}/members"
        world.want(200, "PUT", path, {"members": [{"host": "127.0.0.1", "port": first.port}]})
        world.settle("a")
        reached(world, "DEVELOPER", first, "members.example.com")
        world.want(200, "PUT", path, {"members": []})
        world.settle("a")
        told = debug(world, "DEVELOPER")
        assert told.startswith("HTTP/1.1 502 ") and "APIG.0610" in told, told
