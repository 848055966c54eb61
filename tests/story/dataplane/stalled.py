"""a body that stalls is answered with 408 in the gateway's words, signed or streamed, on every wire"""
import urllib.parse

import signer
from exchange import Exchange
from h2session import Session

SERVED = True
KB = 1024


def story(world):
    world.group("g")
    for name, auth in (("open", "NONE"), ("signed", "APP")):
        world.api(name, req_method="POST", auth_type=auth, backend={"req_method": "POST"})
        world.publish(name)
    world.app("p")
    world.auth("p", "signed")
    world.settle("signed")
    held, host = world.names["p"], world.names["g"]["sl_domain"]
    body = b"x" * (100 * KB)
    signed = signer.sign("POST", "/signed", {"Host": host}, body, held["app_key"], held["app_secret"])
    length = {"Content-Length": str(len(body))}

    def told(reply):
        assert reply and reply.status == 408, reply
        assert reply.json["error_code"] == "APIG.0201", reply
        assert reply.json["request_id"] == reply.headers["x-request-id"], reply
        world.contract.meet(reply)

    # All of them at once: each waits for client_body_timeout.
    waiting = [Exchange(world.data_url(node), "POST", path, {"Host": host, **length, **headers})
               for node in (1, 2, "tls") for path, headers in (("/open", {}), ("/signed", signed))]
    tls = urllib.parse.urlsplit(world.data_url("h2"))
    with Session(tls.hostname, tls.port) as session:
        headers = [(name, value) for name, value in signed.items() if name.lower() != "host"]
        streams = [session.open("POST", "/open", length.items(), host),
                   session.open("POST", "/signed", [*length.items(), *headers], host)]
        for stream in streams:
            session.send(stream, body[:KB])
        for exchange in waiting:
            exchange.send(body[:KB])
        for exchange in waiting:
            with exchange:
                told(exchange.reply())
        for stream in streams:
            told(session.reply(stream))
