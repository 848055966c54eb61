"""lines, headers and bodies beyond their limits get their documented answers"""
import urllib.parse

from h2session import Session

SERVED = True
KB = 1024


def story(world):
    world.group("g")
    world.api("a", req_method="POST", match_mode="SWA", backend={"req_method": "POST"})
    world.publish("a")

    def answered(status, message, target="/a", headers=None, body=b""):
        for node in (1, 2):
            reply = world.call("POST", target, node, headers=headers, body=body)
            assert reply.status == status, (node, target[:20], reply)
            if message:
                assert reply.json["error_code"] == "APIG.0201", reply
                assert reply.json["error_msg"] == message, reply

    answered(414, "Request URI too large.", target="/a/" + "x" * 33 * KB)
    answered(494, "Request headers too large.", headers={"X-Long": "x" * 33 * KB})
    answered(494, "Request headers too large.",
             headers={f"X-Many-{i}": "x" * 30 * KB for i in range(5)})
    tls = urllib.parse.urlsplit(world.data_url("h2"))
    with Session(tls.hostname, tls.port) as session:
        many = [(f"x-many-{i}", "x" * 30 * KB) for i in range(5)]
        host = world.names["g"]["sl_domain"]
        reply = session.reply(session.open("POST", "/a", many, host, end=True))
        assert reply and reply.status == 494 and reply.json["error_code"] == "APIG.0201", reply
        reply = session.reply(session.open("POST", "/a", many[:1], host, end=True))
        assert reply and reply.status == 200, reply
    body = b"x" * (12 * KB * KB)
    answered(413, "Request entity too large.", body=body + b"x")
    for node in (1, 2):
        reply = world.call("POST", "/a", node, headers={"X-Echo-Size": "3"}, body=body)
        assert reply.status == 200 and reply.body == b"xxx", reply
