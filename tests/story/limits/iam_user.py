"""a limit per user counts the calls of IAM too, on all nodes together"""
import signer

from stack import wait_until

SERVED = True


def story(world):
    world.group("g")
    world.api("a", auth_type="IAM")
    world.publish("a")
    key = {"access": world.env["SLUICE_AK"], "secret": world.env["SLUICE_SK"]}

    def call(node):
        headers = signer.sign("GET", "/a", {"Host": world.names["g"]["sl_domain"]}, b"", key["access"], key["secret"])
        return world.call("GET", "/a", node, headers={**headers, "X-Apig-Mode": "debug"})

    def passes(node):
        wait_until(lambda: call(node).status == 200, 30, f"a unit on node {node}")

    wait_until(lambda: [call(node).status for node in (1, 2)] == [200, 200], 10, "the administrator's key on both nodes")
    world.throttle("t", api_call_limits=100, user_call_limits=2)
    world.binding("a", "t")
    world.settle("a")
    for node in (1, 2):
        passes(node)

    def names_the_user(node):
        """A call that waits in vain for a unit of the API names that limit."""
        reply = call(node)
        assert (reply.status, reply.json["error_code"]) == (429, "APIG.0308"), reply
        return reply.json["error_msg"].endswith("policy user over ratelimit,limit:2,time:1 day")
    for node in (1, 2):
        wait_until(lambda: names_the_user(node), 30, f"the user's limit on node {node}")  # pylint: disable=cell-var-from-loop
