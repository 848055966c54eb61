"""a secret that was reset stops on both nodes, and what was given or made in its place passes"""
import signer

from stack import wait_until

SERVED = True
SECONDS = 5  # the wait is bounded; the promise is 300 ms
NODES = (1, 2)


def story(world):
    world.group("g")
    world.api("a", auth_type="APP")
    world.publish("a")
    world.app("p")
    world.auth("p", "a")
    world.settle("a")
    app = world.names["p"]

    def replies(secret):
        headers = signer.sign("GET", "/a", {"Host": world.names["g"]["sl_domain"]}, b"", app["app_key"], secret)
        return [world.call("GET", "/a", node, headers=headers) for node in NODES]

    def statuses(secret):
        return [reply.status for reply in replies(secret)]

    held = app["app_secret"]
    assert statuses(held) == [200, 200]
    for body in ({}, {"app_secret": f"given-secret-{world.uid}"}):
        made = world.want(200, "PUT", f"/apps/secret/{app['id']}", body)["app_secret"]
        assert made != held and made == body.get("app_secret", made), made
        wait_until(lambda: statuses(made) == [200, 200], SECONDS, "the new secret on both nodes")
        for reply in replies(held):
            assert (reply.status, reply.json["error_code"]) == (401, "APIG.0303"), reply
            assert held not in reply.json["error_msg"] and made not in reply.json["error_msg"], reply
        held = made
    world.want(204, "DELETE", f"/apps/{app['id']}")
    wait_until(lambda: statuses(held) == [401, 401], SECONDS, "the app's end on both nodes")
    assert replies(held)[0].json["error_msg"].endswith(f"app not found, appkey {app['app_key']}")
