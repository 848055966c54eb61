"""constants and system parameters reach the backend where they are mapped to, variable by variable"""
import re
import socket

from backend import Backend

SERVED = True
VARIABLES = ("sourceIp", "stage", "apiId", "apiName", "appId", "appName", "requestId", "serverAddr", "serverName",
             "handleTime", "providerAppId", "nothing")


def expected(world, reply):
    """What each variable says of a call by the app p; None: it is not sent."""
    api, app = world.names["v"], world.names["p"]
    return {"sourceIp": "127.0.0.1", "stage": "RELEASE", "apiId": api["id"], "apiName": api["name"], "appId": app["id"],
            "appName": app["name"], "requestId": reply.headers["x-request-id"], "serverAddr": "127.0.0.1",
            "serverName": socket.gethostname().lower(), "providerAppId": None, "nothing": None}


def story(world):
    world.group("g")
    world.app("p")
    mapped = [{"name": f"X-{name}", "value": f"$context.{name}", "location": "HEADER", "origin": "SYSTEM"}
              for name in VARIABLES]
    mapped += [{"name": "fixed", "value": "a b&c", "location": "QUERY", "origin": "CONSTANT"},
               {"name": "part", "value": "x y", "location": "PATH", "origin": "CONSTANT"},
               {"name": "stage", "value": "$context.stage", "location": "QUERY", "origin": "SYSTEM"}]
    with Backend() as backend:
        world.api("v", auth_type="APP", backend_params=mapped,
                  backend={"url_domain": backend.address, "req_uri": "/s/{part}/end"})
        world.publish("v")
        world.auth("p", "v")
        world.settle("v")
        for node in (1, 2, "tls"):
            reply = world.call("GET", "/v?fixed=mine", node, app="p")
            assert reply.status == 200, reply
            assert reply.json["target"] == "/s/x%20y/end?fixed=a%20b%26c&stage=RELEASE", reply
            headers = reply.json["headers"]
            for name, value in expected(world, reply).items():
                assert headers.get(f"x-{name.lower()}") == value, f"{name}: {headers}"
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", headers["x-handletime"]), headers
