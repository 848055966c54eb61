"""the names and values that a debugging call may send: what the document forbids is refused by name, the rest is sent"""
from backend import Backend, mirror

SERVED = True
LONGEST = "a" * 32
# In a header and in a query; the modes in which the name is refused.
BOTH, CONSUMER, NONE = ("DEVELOPER", "CONSUMER"), ("CONSUMER",), ()
HEADERS = [("X-Apig-Mode", BOTH), ("x-sdk-date", BOTH), ("X-STAGE", BOTH), ("X-Auth-Token", CONSUMER), ("authorization", CONSUMER),
           ("1a", BOTH), ("a_b", BOTH), ("a b", BOTH), (LONGEST + "a", BOTH), ("Content-Length", BOTH),
           ("a.b-C1", NONE), (LONGEST, NONE), ("X-Apigee", NONE)]
QUERIES = [("x-apig-a", BOTH), ("X-Sdk-A", BOTH), ("X-Stage", BOTH), ("1a", BOTH), ("a b", BOTH), (LONGEST + "a", BOTH), ("a&b", BOTH),
           ("a_b", NONE), ("a.b-C1", NONE), ("Authorization", NONE), (LONGEST, NONE)]


def story(world):
    world.group("g")
    with Backend(take=mirror) as backend:
        world.api("a", backend={"url_domain": backend.address, "req_uri": "/own"})
        world.publish("a")
        path = f"/apis/debug/{world.names['a']['id']}"
        for place, names in (("header", HEADERS), ("query", QUERIES)):
            for name, refused_in in names:
                for mode in BOTH:
                    if not refused_in and mode == "CONSUMER":
                        continue  # one call shows that it is sent
                    body = {"mode": mode, "scheme": "HTTP", "method": "GET", "path": "/a", place: {name: ["v"]}}
                    reply = world.manage("POST", path, body)
                    row = f"{mode} {place} {name!r}: {reply}"
                    if mode in refused_in:
                        assert (reply.status, reply.json["error_code"]) == (400, "APIG.2011"), row
                        assert f"{place}.{name}" in reply.json["error_msg"], row
                        continue
                    assert reply.status == 200, row
                    if not refused_in:
                        seen = backend.seen[-1]
                        assert seen.header(name) == "v" if place == "header" else f"{name}=v" in seen.target, row
