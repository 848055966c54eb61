"""which API a call's stage, path and method lead to, row by row"""
import client
from backend import Backend, mirror

SERVED = True
NODES = (1, 2, "h2")
UNPUBLISHED = "The API does not exist or has not been published in the environment."
NO_METHOD = "The API does not exist."
# name, what is declared, the backend's path.
APIS = [
    ("exact", {"req_uri": "/test"}, "/exact"),
    ("slash", {"req_uri": "/test/"}, "/slash"),
    ("prefix", {"req_uri": "/pre/AA", "match_mode": "SWA"}, "/prefix"),
    ("joined", {"req_uri": "/join/", "match_mode": "SWA"}, "/test2/"),
    ("longer", {"req_uri": "/pre/AA/long", "match_mode": "SWA"}, "/longer"),
    ("rest", {"req_uri": "/w/{all+}"}, "/rest/{all+}"),
    ("one", {"req_uri": "/w/{one}"}, "/one/{one}"),
    ("two", {"req_uri": "/w/{one}/b"}, "/two/{one}"),
    ("word", {"req_uri": "/w/me"}, "/word"),
    ("left", {"req_uri": "/l/a/{one}"}, "/left/{one}"),
    ("right", {"req_uri": "/l/{one}/b"}, "/right/{one}"),
    ("any", {"req_uri": "/m", "req_method": "ANY"}, "/any"),
    ("put", {"req_uri": "/m", "req_method": "PUT"}, "/put"),
    ("poster", {"req_uri": "/fall/b", "req_method": "POST"}, "/poster"),
    ("caught", {"req_uri": "/fall", "match_mode": "SWA"}, "/caught"),
    ("getter", {"req_uri": "/only"}, "/getter"),
]
# method, target, the target that the backend sees; UNPUBLISHED or NO_METHOD: refused with these words.
ROWS = [
    ("GET", "/test", "/exact"), ("GET", "/test/", "/slash"), ("GET", "/test//", "/slash"), ("GET", "/test/x", UNPUBLISHED),
    ("GET", "/Test", UNPUBLISHED), ("GET", "/test?a=/x", "/exact?a=/x"),
    ("GET", "/pre/AA", "/prefix"), ("GET", "/pre/AA/BB", "/prefix/BB"), ("GET", "/pre/AACC", UNPUBLISHED),
    ("GET", "/pre/AA/", "/prefix/"), ("GET", "/pre/AA/longer", "/prefix/longer"), ("GET", "/pre/AA/long/er", "/longer/er"),
    ("GET", "/join/AA/CC", "/test2/AA/CC"), ("GET", "/join/", "/test2/"), ("GET", "/join", "/test2/"),
    ("GET", "/w/me", "/word"), ("GET", "/w/you", "/one/you"), ("GET", "/w/you/b", "/two/you"), ("GET", "/w/me/b", "/two/me"),
    ("GET", "/w/you/c", "/rest/you/c"), ("GET", "/w/a/b/c", "/rest/a/b/c"), ("GET", "/w/", UNPUBLISHED), ("GET", "/w", UNPUBLISHED),
    ("GET", "/l/a/b", "/left/b"), ("GET", "/l/c/b", "/right/c"), ("GET", "/l/c/d", UNPUBLISHED),
    ("PUT", "/m", "/put"), ("GET", "/m", "/any"), ("DELETE", "/m", "/any"), ("OPTIONS", "/m", "/any"), ("PATCH", "/m", "/any"),
    ("POST", "/fall/b", "/poster"), ("GET", "/fall/b", "/caught/b"), ("POST", "/fall/c", NO_METHOD),
    ("GET", "/only", "/getter"), ("OPTIONS", "/only", NO_METHOD), ("POST", "/only", NO_METHOD),
]
PARAMS = {"{one}": "one", "{all}": "all", "{all+}": "all"}


def add(world, backend, name, declared, uri):
    held = sorted({param for hole, param in PARAMS.items() if hole in declared["req_uri"]})
    world.api(name, **{"req_method": "GET", **declared}, backend={
        "url_domain": backend.address, "req_method": "ANY", "req_uri": uri},
        req_params=[{"name": param, "type": "STRING", "location": "PATH", "required": 1} for param in held],
        backend_params=[{"name": param, "value": param, "location": "PATH", "origin": "REQUEST"} for param in held])
    world.publish(name)


def paths_and_methods(world):
    faults = []
    for number, (method, target, wanted) in enumerate(ROWS):
        for node in (1 + number % 2, "tls") if number % 6 else NODES:
            reply = world.call(method, target, node)
            told = reply.json["error_msg"] if "error_msg" in (reply.json or {}) else (reply.json or {}).get("target")
            right = told == wanted and reply.status == (200 if wanted.startswith("/") else 404)
            if not right or (reply.status == 404 and reply.json["error_code"] != "APIG.0101"):
                faults.append(f"{node} {method} {target}: wanted {wanted}, got {reply}")
    assert not faults, "\n".join(faults)
    # HEAD is not implied by GET, and is one of any.
    for node in (1, 2):
        assert world.call("HEAD", "/only", node).status == 404
        assert world.call("HEAD", "/m", node).status == 200


def stages(world, backend):
    """A name is compared as it is; the first header counts; the backend gets what came."""
    world.environment("e")
    name = world.names["e"]["name"]
    world.publish("exact", "e")
    world.api("staged", req_uri="/test", backend={"url_domain": backend.address, "req_uri": "/staged"}, req_method="POST")
    for node in NODES:
        for stage, wanted in ((name, 200), ("RELEASE", 200), ("release", 404), (name.upper(), 404), (name + "x", 404)):
            reply = world.call("GET", "/test", node, headers={"X-Stage": stage})
            assert reply.status == wanted, f"{node} {stage}: {reply}"
            assert wanted != 200 or backend.seen[-1].header("x-stage") == stage, backend.seen[-1].headers
            assert wanted != 404 or reply.json["error_msg"] == UNPUBLISHED, reply
        assert world.call("GET", "/only", node, headers={"X-Stage": name}).status == 404
    host = world.names["g"]["sl_domain"]
    for first, second, wanted in ((name, "nowhere", 200), ("nowhere", name, 404)):
        sent = f"GET /test HTTP/1.1\r\nHost: {host}\r\nX-Stage: {first}\r\nX-Stage: {second}\r\nConnection: close\r\n\r\n"
        assert client.raw(world.data_url(1), sent.encode()).status == wanted, (first, second)
    world.offline("exact", "e")


def story(world):
    world.group("g")
    with Backend(take=mirror) as backend:
        for row in APIS:
            add(world, backend, *row)
        paths_and_methods(world)
        stages(world, backend)
