"""which group a call's Host leads to: case and port do not count, an own address is DEFAULT's, any other name nobody's"""
import urllib.parse

import client

SERVED = True
NOBODYS = "The API does not exist or has not been published in the environment."


def raw(world, node, lines):
    reply = client.raw(world.data_url(node), ("\r\n".join(lines) + "\r\nConnection: close\r\n\r\n").encode())
    assert reply, lines
    return reply


def story(world):
    world.group("g")
    world.names["d"] = next(group for group in world.want(200, "GET", "/api-groups?name=DEFAULT")["groups"]
                            if group["name"] == "DEFAULT")
    path = f"/h_{world.uid}"
    world.api("own", req_uri=path)
    world.api("fallen", group="d", req_uri=path)
    for name in ("own", "fallen"):
        world.publish(name)
    domain = world.names["g"]["sl_domain"]
    # Host, the backend's path that shows whose API it was; None: nobody's.
    rows = [(domain, "/back/own"), (domain.upper(), "/back/own"), (f"{domain}:8080", "/back/own"),
            (f"{domain.title()}:443", "/back/own"), (domain + ".", "/back/own"), ("127.0.0.1", "/back/fallen"),
            ("127.0.0.1:99", "/back/fallen"), ("192.0.2.8", None), ("[2001:db8::8]", None), ("x" + domain, None),
            ("sub." + domain, None), (domain.partition(".")[2], None), ("nowhere.example.com", None)]
    for node in (1, 2, "tls", "h2"):
        for host, wanted in rows:
            reply = world.call("GET", path, node, headers={"Host": host})
            told = (reply.status, reply.json.get("path"))
            assert told == (200, wanted) if wanted else told[0] == 404, f"{node} {host}: {reply}"
            if wanted is None:
                assert (reply.json["error_code"], reply.json["error_msg"]) == ("APIG.0101", NOBODYS), reply
    for node in (1, 2):
        netloc = urllib.parse.urlsplit(world.data_url(node)).netloc
        assert raw(world, node, [f"GET {path} HTTP/1.1", f"Host: {netloc}"]).json["path"] == "/back/fallen"
        assert raw(world, node, [f"GET {path} HTTP/1.0"]).json["path"] == "/back/fallen"
        assert raw(world, node, [f"GET {path} HTTP/1.0", f"Host: {domain}"]).json["path"] == "/back/own"
        assert raw(world, node, [f"GET {path} HTTP/1.1"]).status == 400
