"""an API may call others of its gateway ten levels deep; a call that goes round for ever ends with 500"""
import urllib.parse

from backend import Backend

SERVED = True
ELSEWHERE = "f" * 32
HOPS = "X-Sluice-Hops"


def to_itself(world, name, node):
    """An API whose backend is a node of the gateway, at its own path."""
    address = urllib.parse.urlsplit(world.data_url(node)).netloc
    host = {"name": "Host", "value": world.names["g"]["sl_domain"], "location": "HEADER", "origin": "CONSTANT"}
    world.api(name, backend_params=[host], backend={"url_domain": address, "req_uri": f"/{name}"})
    world.publish(name)


def story(world):
    world.group("g")
    own = world.instance
    for node in (1, 2):
        to_itself(world, f"round{node}", node)
        reply = world.call("GET", f"/round{node}", 1)
        assert reply.status == 500 and reply.json["error_code"] == "APIG.0612", reply
        assert reply.json["error_msg"] == "An API cannot call itself.", reply
    with Backend() as backend:
        world.api("last", backend={"url_domain": backend.address})
        world.publish("last")
        for node in (1, 2, "tls", "h2"):
            # What was said, what the backend hears; None: refused.
            for said, heard in (((), f"1 {own}"), ((f"10 {own}",), f"11 {own}"), ((f"11 {own}",), None),
                                ((f"99 {ELSEWHERE}",), f"99 {ELSEWHERE}, 1 {own}"), (("many",), f"many, 1 {own}")):
                before = len(backend.seen)
                reply = world.call("GET", "/last", node, headers={HOPS: said[0]} if said else None)
                if heard is None:
                    assert reply.status == 500 and reply.json["error_code"] == "APIG.0612", reply
                    assert len(backend.seen) == before
                    continue
                assert reply.status == 200, reply
                told = sorted(backend.seen[-1].header(HOPS).split(", "), reverse=True)
                assert told == sorted(heard.split(", "), reverse=True), told
