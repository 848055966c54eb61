"""a signature holds for its body, its date and its headers, on both nodes"""
import datetime
import hashlib

import client
import signer

SERVED = True


def story(world):
    world.group("g")
    world.api("a", req_method="POST", auth_type="APP", backend={"req_method": "POST"})
    world.publish("a")
    world.app("p")
    world.auth("p", "a")
    world.settle("a")
    held = world.names["p"]
    host = world.names["g"]["sl_domain"]

    def call(node, body, sent=None, extra=None, secret=None):
        headers = {"Host": host, **(extra or {})}
        signed = signer.sign("POST", "/a", headers, body, held["app_key"],
                             secret or held["app_secret"])
        return client.request(world.data_url(node), "POST", "/a", signed,
                              body if sent is None else sent)

    def refused(reply, reason):
        assert reply.status == 401 and reply.json["error_code"] == "APIG.0303", reply
        assert reason in reply.json["error_msg"], reply

    for node in (1, 2, "tls"):
        from_now = datetime.datetime.now(datetime.timezone.utc)
        world_reply = world.call("POST", "/a", node, body="{}", app="p")
        assert world_reply.status == 200, world_reply
        reply = call(node, b"x" * 200000)
        assert reply.status == 200 and len(reply.json["body"]) == 200000, reply
        refused(call(node, b"one", sent=b"two"), "verify signature fail")
        refused(call(node, b"one", secret="wrong"), "verify signature fail")
        for minutes in (-20, 20):
            date = (from_now + datetime.timedelta(minutes=minutes)).strftime("%Y%m%dT%H%M%SZ")
            refused(call(node, b"one", extra={"X-Sdk-Date": date}), "signature expired")
        digest = hashlib.sha256(b"one").hexdigest()
        assert call(node, b"one", extra={"X-Sdk-Content-Sha256": digest}).status == 200
        reply = call(node, b"one", sent=b"two", extra={"X-Sdk-Content-Sha256": digest})
        assert reply.status == 401, reply
        reply = call(node, b"one", sent=b"two", extra={"X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD"})
        assert reply.status == 200, reply
