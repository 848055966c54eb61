"""HTTPS backends are shown the gateway's certificate where the API says so, and verified where there is a CA"""
from authority import Authority
from backend import Backend

OWN_STACK = True  # a CA concerns every HTTPS backend of the served gateway
SERVED = True
TOLERATES = (r"\[crit\].*certificate verify failed",)  # wrong CAs and names are this story's doing
FEATURE = "backend_client_certificate"
NAME = "one.example.com"
NODES = (1, 2, "tls", "h2")


def sent_host(name):
    return [{"name": "Host", "value": name, "location": "HEADER", "origin": "CONSTANT"}]


def asked(world, name, times=3):
    """What the backend saw of calls through every node."""
    replies = [world.call("GET", f"/{name}", node) for node in NODES for _ in range(times)]
    assert all(reply.status == 200 for reply in replies), replies
    return [reply.json for reply in replies]


def fails(world, name, status, code):
    for node in NODES:
        reply = world.call("GET", f"/{name}", node)
        assert (reply.status, reply.json["error_code"]) == (status, code), reply


def clients(seen):
    return {one["client"] for one in seen}


def connections(seen):
    return {one["connection"] for one in seen}


class Gateway:
    """The feature of a story's gateway, set and waited for."""

    def __init__(self, world, pair):
        self.world, self.pair = world, pair

    def set(self, ca="", pair=None):
        chain, key = pair or self.pair
        self.world.feature(FEATURE, {"enable": "on", "ca": ca, "content": chain, "key": key})
        self.world.settle("hidden")

    def off(self):
        self.world.feature(FEATURE)
        self.world.settle("hidden")


def presented(world, gateway, first, issued):
    """Shown where the API says so, over connections and sessions of that kind alone; rotated."""
    shown, hidden = asked(world, "shown"), asked(world, "hidden")
    assert clients(shown) == {"first client"} and clients(hidden) == {None}, (shown, hidden)
    again = asked(world, "shown") + shown
    assert not connections(again) & connections(asked(world, "hidden") + hidden)
    assert clients(asked(world, "demanded", 1)) == {"first client"}
    gateway.set(first.certificate, issued)
    rotated = asked(world, "shown")
    assert clients(rotated) == {"second client"}, rotated
    assert not connections(rotated) & connections(again), "a connection outlived its certificate"
    gateway.set(first.certificate)
    assert clients(asked(world, "shown")) == {"first client"}


def verified(world, gateway, first, second):
    """A CA is asked of all, and names and addresses with it; without one nobody is verified."""
    fails(world, "misnamed", 502, "APIG.0202")
    fails(world, "stranger", 502, "APIG.0202")
    assert clients(asked(world, "bare", 1)) == {None}
    gateway.set(second.certificate)
    for name in ("shown", "hidden", "bare"):
        fails(world, name, 502, "APIG.0202")
    gateway.set(first.certificate + second.certificate)
    for name in ("shown", "stranger"):
        asked(world, name, 1)
    fails(world, "misnamed", 502, "APIG.0202")
    gateway.set("")
    for name in ("shown", "hidden", "bare", "misnamed", "stranger"):
        asked(world, name, 1)


def switched_off(world, gateway):
    gateway.off()
    fails(world, "shown", 500, "APIG.0105")
    assert clients(asked(world, "hidden", 1)) == {None}
    asked(world, "misnamed", 1)
    gateway.set("")
    assert clients(asked(world, "shown", 1)) == {"first client"}


def make_apis(world, backend, demanding, other):
    places = {"shown": (backend, NAME, True), "hidden": (backend, NAME, False),
              "demanded": (demanding, NAME, True), "misnamed": (backend, "three.example.com", False),
              "stranger": (other, NAME, False), "bare": (backend, None, False)}
    for name, (at, host, shows) in places.items():
        world.api(name, backend_params=sent_host(host) if host else [], backend={
            "url_domain": at.address, "req_protocol": "HTTPS", "enable_client_ssl": shows,
            "retry_count": "0"})
        world.publish(name)


def refused_without(world):
    """No certificate, or no TLS, is nothing to show."""
    base = dict(world.names["plain"]["body"], name=f"refused_{world.uid}", req_uri="/refused")
    for protocol, status, code in (("HTTPS", 404, "APIG.3087"), ("HTTP", 400, "APIG.3717")):
        backend = dict(base["backend_api"], req_protocol=protocol, enable_client_ssl=True)
        reply = world.manage("POST", "/apis", dict(base, backend_api=backend))
        assert (reply.status, reply.json["error_code"]) == (status, code), reply


def story(world):
    world.group("g")
    world.api("plain")
    refused_without(world)
    with Authority("first") as first, Authority("second") as second:
        names = f"DNS:{NAME},IP:127.0.0.1"
        server, strange = first.issue("server", names), second.issue("stranger", names)
        gateway = Gateway(world, first.issue("first client"))
        chain, key = gateway.pair
        made = world.feature(FEATURE, {"enable": "on", "ca": first.certificate, "content": chain,
                                       "key": key})
        assert "PRIVATE" not in made["config"] and chain.splitlines()[1] in made["config"], made
        listed = world.want(200, "GET", "/features")
        assert "PRIVATE" not in str(listed), listed
        with Backend(tls=True, pair=server, asks=first.certificate) as backend, \
                Backend(tls=True, pair=server, asks=first.certificate, demands=True) as demanding, \
                Backend(tls=True, pair=strange) as other:
            make_apis(world, backend, demanding, other)
            try:
                presented(world, gateway, first, first.issue("second client"))
                verified(world, gateway, first, second)
                switched_off(world, gateway)
            finally:
                world.feature(FEATURE)
