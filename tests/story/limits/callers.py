"""whom a limit concerns: app limits no call without an app, address limits every call, an excluded app or user nothing else"""
import signer

from stack import wait_until

SERVED = True
NODES = (1, 2)


def story(world):
    world.group("g")
    for app in ("p", "q"):
        world.app(app)
    for name, auth in (("open", "NONE"), ("iam", "IAM"), ("of_app", "APP"), ("of_ip", "IAM"), ("narrow", "APP"),
                       ("of_domain", "APP"), ("of_user", "APP")):
        world.api(name, auth_type=auth)
        world.publish(name)
        if auth == "APP":
            for app in ("p", "q"):
                world.auth(app, name)
    key = {"access": world.env["SLUICE_AK"], "secret": world.env["SLUICE_SK"]}

    def call(name, node, app=None, source=None):
        iam = name in ("iam", "of_ip")
        signed = signer.sign("GET", f"/{name}", {"Host": world.names["g"]["sl_domain"]}, b"", key["access"], key["secret"])
        return world.call("GET", f"/{name}", node, app=app, source=source, headers=signed if iam else None)

    def passes(name, count, **who):
        """`count` calls are admitted; one that waits too long for its unit uses nothing up."""
        for number in range(count):
            wait_until(lambda: call(name, NODES[number % 2], **who).status == 200, 30, f"call {number} of {name}")

    def stops(name, text, **who):
        """No call is admitted; one that waits too long for a unit of another limit names that one."""
        def names_it(node):
            reply = call(name, node, **who)
            assert (reply.status, reply.json["error_code"]) == (429, "APIG.0308"), (name, reply)
            return reply.json["error_msg"].endswith(f"policy {text},time:1 day")
        for node in NODES:
            wait_until(lambda: names_it(node), 10, f"{text} of {name}")  # pylint: disable=cell-var-from-loop

    def policy(name, specials=(), **limits):
        world.throttle(f"t_{name}", **{"api_call_limits": 100, "time_unit": "DAY", **limits})
        for kind, one, limit in specials:
            world.want(201, "POST", f"/throttles/{world.names[f't_{name}']['id']}/throttle-specials",
                       {"object_type": kind, "object_id": one, "call_limits": limit})
        world.binding(name, f"t_{name}")

    p = world.names["p"]["id"]
    domain = next(one["id"] for one in world.stack.admin("domain", "list")["domains"]
                  if one["name"] == world.env["SLUICE_DOMAIN_NAME"])
    for name in ("open", "iam", "of_app"):
        policy(name, app_call_limits=1)
    policy("of_ip", ip_call_limits=2)
    policy("narrow", [("APP", p, 9)], api_call_limits=9, user_call_limits=2, app_call_limits=1, ip_call_limits=9)
    policy("of_domain", [("USER", domain, 2)], user_call_limits=1)
    policy("of_user", [("USER", world.project, 2)])
    world.settle("open")

    passes("open", 4)  # nobody is known
    passes("iam", 4)  # a user, but no app
    passes("of_app", 1, app="p")
    stops("of_app", "app over ratelimit,limit:1", app="p")
    passes("of_ip", 2, source="127.0.0.11")  # whoever signs
    stops("of_ip", "ip over ratelimit,limit:2", source="127.0.0.11")
    passes("of_ip", 1, source="127.0.0.12")
    passes("narrow", 2, app="p")  # nine for the app, but its user has two
    stops("narrow", "user over ratelimit,limit:2", app="p")
    for name in ("of_domain", "of_user"):  # a user's own limit, by the account or by the project; with and without a general one
        passes(name, 2, app="p")
        stops(name, "user over ratelimit,limit:2", app="p")
        stops(name, "user over ratelimit,limit:2", app="q")
