"""a long header, query or cookie reaches the backend as it was sent, on every wire, and maps and decides as a short one does"""
from backend import Backend, mirror

SERVED = True
# Around the sizes of buffers on the way: HTTP/2's fields, a header's line, nginx's buffers.
SIZES = (126, 127, 1023, 2047, 2048, 2049, 4096, 8191, 16384)
LARGEST = 30000  # alone in its request
# Letters that HPACK packs into 5 bits, and bytes that it lets grow.
KINDS = ("a", "~", "\\")


def value(kind, size):
    """A value whose every part differs from its neighbours, so that a lost or doubled piece shows."""
    text = "".join(f"{kind}{number:x}." for number in range(size // 2 + 1))
    return text[:size]


def story(world):
    world.group("g")
    mapped = [{"name": "X-Copy", "value": "X-Long", "location": "HEADER", "origin": "REQUEST"}]
    with Backend(take=mirror) as backend:
        world.api("a", backend={"url_domain": backend.address, "req_uri": "/own"}, backend_params=mapped,
                  req_params=[{"name": "X-Long", "type": "STRING", "location": "HEADER", "required": 2, "pass_through": 1}],
                  policy_https=[{"name": "ends", "effect_mode": "ALL", "url_domain": backend.address, "req_protocol": "HTTP",
                                 "req_method": "GET", "req_uri": "/ends", "timeout": 5000, "backend_params": mapped, "conditions": [
                                     {"condition_origin": "param", "req_param_name": "X-Long", "condition_type": "pattern",
                                      "condition_value": "END$"}]}])
        world.api("sized", backend={"url_domain": backend.address, "req_uri": "/own"}, req_params=[
            {"name": "X-Long", "type": "STRING", "location": "HEADER", "required": 1, "valid_enable": 1, "min_size": 1, "max_size": 2048}])
        for name in ("a", "sized"):
            world.publish(name)
        for node, sizes in ((1, SIZES[::3]), (2, SIZES[1::3]), ("tls", SIZES[2::3]), ("h2", SIZES)):
            for size in sizes:
                sent, letters = value(KINDS[size % len(KINDS)], size), value("a", size)
                reply = world.call("GET", f"/a?q={letters}", node, headers={"X-Long": sent, "Cookie": f"c={sent}"})
                assert reply.status == 200 and reply.json["target"] == f"/own?q={letters}", f"{node} {size}: {reply}"
                heard = reply.json["headers"]
                assert (heard["x-long"], heard["x-copy"], heard["cookie"]) == (sent, sent, f"c={sent}"), f"{node} {size}"
                reply = world.call("GET", "/a", node, headers={"X-Long": sent + "END"})
                assert reply.json["target"] == "/ends" and reply.json["headers"]["x-copy"] == sent + "END", f"{node} {size}"
                reply = world.call("GET", "/sized", node, headers={"X-Long": sent})
                assert reply.status == (200 if size <= 2048 else 400), f"{node} {size}: {reply}"
            for kind in KINDS:
                sent = value(kind, LARGEST)
                heard = world.call("GET", "/a", node, headers={"X-Long": sent}).json["headers"]
                assert heard["x-long"] == heard["x-copy"] == sent, f"{node} {kind}"
