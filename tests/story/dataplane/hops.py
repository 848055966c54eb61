"""what is between the client and the gateway stays there, and cannot take away what mappings add"""
import client

SERVED = True
FIELD_MAX = 32768
HANDSHAKE = "GET /p HTTP/1.1\r\nHost: {host}\r\nConnection: close{token}\r\nUpgrade: {to}\r\n\r\n"


def seen(world, node, headers):
    reply = world.call("GET", "/p", node, headers=headers)
    assert reply.status == 200, reply
    return {name.lower(): value for name, value in reply.json["headers"].items()}


def upgrade(world, node, token, protocol):
    sent = HANDSHAKE.format(host=world.names["g"]["sl_domain"], token=token, to=protocol)
    reply = client.raw(world.data_url(node), sent.encode())
    assert reply and reply.status == 200, reply
    return {name.lower(): value for name, value in reply.json["headers"].items()}.get("upgrade")


def story(world):
    world.group("g")
    constant = {"name": "X-Backend-Key", "value": "constant", "location": "HEADER",
                "origin": "CONSTANT"}
    world.api("p", backend_params=[constant])
    world.publish("p")
    for node in (1, 2):
        headers = seen(world, node, {"Connection": "close, X-Hop, X-Backend-Key, Host",
                                     "X-Hop": "1", "X-End": "2"})
        assert "x-hop" not in headers and headers["x-end"] == ["2"], headers
        assert headers["x-backend-key"] == ["constant"], headers
        assert upgrade(world, node, ", Upgrade", "websocket") == ["websocket"]
        assert upgrade(world, node, ", Upgrade", "h2c") is None
        assert upgrade(world, node, "", "websocket") is None
    long = world.call("GET", "/p", "h2", headers={"X-Long": "a" * FIELD_MAX})
    assert long.status == 494 and long.json["error_code"] == "APIG.0201", long
    long = world.call("GET", "/p?" + "a" * FIELD_MAX, "h2")
    assert long.status == 414 and long.json["error_code"] == "APIG.0201", long
