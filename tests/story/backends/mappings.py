"""request parameters reach the backend as declared and mapped, row by row: first value, default, pass-through, place, encoding"""
from backend import Backend, answer, mirror

SERVED = True
HOST = {"name": "Host", "value": "inner.example.com", "location": "HEADER", "origin": "CONSTANT"}


def param(name, location="QUERY", **fields):
    return {"name": name, "type": "STRING", "location": location, "required": 2, **fields}


def mapped(name, value, location="QUERY", origin="REQUEST"):
    return {"name": name, "value": value, "location": location, "origin": origin}


# name, declared, mapped, the backend's path, what is called below /name, with which headers, the target that the backend
# sees, the headers that it must have (None: not sent).
ROWS = [
    ("asis", [], [], "/b", "?b=2&a=%31&b=&c", {"X-A": "1"}, "/b?b=2&a=%31&b=&c", {"x-a": "1"}),
    ("first", [param("a", pass_through=2)], [mapped("z", "a")], "/b", "?a=1&a=2", {}, "/b?z=1", {}),
    ("kept", [param("a", pass_through=1)], [mapped("z", "a")], "/b", "?a=1", {}, "/b?a=1&z=1", {}),
    ("held", [param("a", pass_through=2)], [], "/b", "?a=1&c=2", {}, "/b?c=2", {}),
    ("given", [param("a", default_value="d e")], [], "/b", "", {}, "/b?a=d%20e", {}),
    ("empty", [param("a", default_value="d", required=1)], [], "/b", "?a=", {}, "/b?a=", {}),
    ("absent", [param("a", pass_through=2)], [mapped("z", "a")], "/b", "?c=1", {}, "/b?c=1", {}),
    ("both", [param("a", default_value="d", pass_through=1)], [mapped("z", "a")], "/b", "", {}, "/b?z=d&a=d", {}),
    ("only", [param("a", default_value="d", pass_through=2)], [mapped("z", "a")], "/b", "", {}, "/b?z=d", {}),
    ("self", [param("a", default_value="d", pass_through=1)], [mapped("a", "a")], "/b", "", {}, "/b?a=d", {}),
    ("shadow", [], [mapped("z", "one", origin="CONSTANT")], "/b", "?z=mine&y=1", {}, "/b?y=1&z=one", {}),
    ("header", [param("X-In", "HEADER", pass_through=2)], [mapped("X-Out", "x-in", "HEADER")], "/b", "",
     {"x-iN": "v"}, "/b", {"x-out": "v", "x-in": None}),
    ("across", [param("a", pass_through=2)], [mapped("X-Out", "a", "HEADER")], "/b", "?a=%41+b", {}, "/b", {"x-out": "A b"}),
    ("place", [param("a", pass_through=2)], [mapped("p", "a", "PATH")], "/b/{p}/c", "?a=x%2Fy%20z", {}, "/b/x%2Fy%20z/c", {}),
    ("query", [], [mapped("z", " \"#%&+<=>[\\]^`{|}\u00e9", origin="CONSTANT")], "/b", "", {},
     "/b?z=%20%22%23%25%26%2B%3C%3D%3E%5B%5C%5D%5E%60%7B%7C%7D%C3%A9", {}),
    ("path", [], [mapped("p", " ?>\u00e9", "PATH", "CONSTANT")], "/b/{p}", "", {}, "/b/%20%3F%3E%C3%A9", {}),
    # A query's name is the caller's to the letter, a header's is not; both are there when they are empty.
    ("letter", [param("a", default_value="d")], [mapped("z", "a")], "/b", "?A=1", {}, "/b?A=1&z=d&a=d", {}),
    ("hollow", [param("X-In", "HEADER", default_value="d")], [], "/b", "", {"x-in": ""}, "/b", {"x-in": ""}),
    ("filled", [param("X-In", "HEADER", default_value="d")], [], "/b", "", {}, "/b", {"x-in": "d"}),
    ("cover", [], [mapped("x-own", "ours", "HEADER", "CONSTANT")], "/b", "", {"X-Own": "theirs"}, "/b", {"x-own": "ours"}),
    ("host", [], [HOST], "/b", "", {}, "/b", {"host": "inner.example.com"}),
]


def story(world):
    world.group("g")
    with Backend(take=mirror) as backend:
        for name, declared, sent, uri, query, *_ in ROWS:
            world.api(name, req_params=declared, backend_params=sent, backend={"url_domain": backend.address, "req_uri": uri})
            world.publish(name)
        for node in (1, 2, "tls"):
            for name, _, _, _, query, headers, target, wanted in ROWS:
                reply = world.call("GET", f"/{name}{query}", node, headers=headers)
                assert reply.status == 200 and reply.json["target"] == target, f"{name}: {reply}"
                seen = reply.json["headers"]
                assert {key: seen.get(key) for key in wanted} == wanted, f"{name}: {seen}"
                assert name == "host" or seen["host"] == backend.address, seen
        for bad in ("..", "a%0Ab"):
            reply = world.call("GET", f"/place?a={bad}")
            assert reply.status == 400 and reply.json["error_code"] == "APIG.0201", reply
        # The backend's method, and its redirects, which are the caller's affair.
        world.api("any", req_method="ANY", backend={"url_domain": backend.address, "req_method": "ANY", "req_uri": "/b"})
        world.api("put", req_method="ANY", backend={"url_domain": backend.address, "req_method": "PUT", "req_uri": "/b"})
        for name in ("any", "put"):
            world.publish(name)
        for method in ("GET", "POST", "DELETE", "PATCH"):
            assert world.call(method, "/any").json["method"] == method
            assert world.call(method, "/put").json["method"] == "PUT"
        backend.answer = lambda seen: answer(302, "", [("Location", "/elsewhere")])
        moved = world.call("GET", "/asis")
        assert moved.status == 302 and moved.headers["location"].endswith("/elsewhere"), moved
        assert len([one for one in backend.seen if one.target == "/elsewhere"]) == 0
