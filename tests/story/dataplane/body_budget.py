"""signed bodies wait under the node's budget, which its configuration sets; beyond it they are 503"""
import os

import signer
from exchange import Exchange
from stack import wait_until

OWN_STACK = True
SERVED = True
TOLERATES = (r"limits", r"stale", r"worker")  # the agent is restarted
PART = 700 * 1024  # of two bodies one fits into the smallest budget


def story(world):
    world.group("g")
    world.api("a", req_method="POST", auth_type="APP", backend={"req_method": "POST"})
    world.publish("a")
    world.app("p")
    world.auth("p", "a")
    world.settle("a")
    held, host, body = world.names["p"], world.names["g"]["sl_domain"], os.urandom(PART + 1)

    def upload():
        signed = signer.sign("POST", "/a", {"Host": host}, body, held["app_key"], held["app_secret"])
        exchange = Exchange(world.data_url(1), "POST", "/a",
                            {"Host": host, "X-Echo-Size": "3", "Content-Length": str(len(body)), **signed})
        exchange.send(body[:PART])
        return exchange

    def second():
        """What a body is told while another one waits; both are sent whole if they may be."""
        with upload() as first, upload() as other:
            replies = []
            for exchange in (first, other):
                try:
                    exchange.send(body[PART:])
                except ConnectionError:
                    pass  # refused: the answer says why
                replies.append(exchange.reply())
                world.contract.meet(replies[-1])
            return sorted(reply.status for reply in replies), replies

    assert second()[0] == [200, 200]
    config = world.stack.var / "config/node-1.yaml"
    text = config.read_text()
    try:
        config.write_text(text + "body_budget_mb: 1\n")
        world.stack.sv("restart", "node-1")
        tried = []  # nginx may read one body whole before it reads the other

        def is_refused():
            tried.append(second())
            return tried[-1][0] == [200, 503]

        wait_until(is_refused, 20, "the smaller budget")
        refused = max(tried[-1][1], key=lambda reply: reply.status)
        assert refused.json["error_code"] == "APIG.0201", refused
        assert "too many request bodies" in refused.json["error_msg"], refused
    finally:
        config.write_text(text)
        world.stack.sv("restart", "node-1")
    wait_until(lambda: second()[0] == [200, 200], 20, "the former budget")
