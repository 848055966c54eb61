"""a debugging domain takes so many calls a day and says so then; neither another group's nor an address is counted with it"""
from stack import clear_of_midnight

OWN_STACK = True  # the limit concerns every group of the served gateway
SERVED = True
NODES = (1, 2)
LIMIT = 5
REFUSAL = f"The throttling threshold has been reached: policy domain over ratelimit,limit:{LIMIT},time:1 day"


def limit(world, text):
    """Sets the gateway's limit, or with "" its default; what is published next is judged by it."""
    world.stack.admin("gateway", "set", world.instance, f"domain_call_limit={text}")
    world.settle("a")


def admitted(world, api, group):
    """How many of many calls over both nodes."""
    replies = world.admitted(LIMIT, lambda number: world.call("GET", f"/{api}", NODES[number % 2], group=group), more=20)
    refused = [reply for reply in replies if reply.status != 200]
    assert all((reply.status, reply.json["error_code"], reply.json["error_msg"]) == (429, "APIG.0308", REFUSAL)
               for reply in refused), refused
    return len(replies) - len(refused)


def story(world):
    world.group("g")
    world.group("h")
    world.names["default"] = world.want(200, "GET", "/api-groups?name=DEFAULT")["groups"][0]
    for name, group in (("a", "g"), ("b", "h"), ("d", "default")):
        world.api(name, group=group)
        world.publish(name)
    try:
        limit(world, LIMIT)
        clear_of_midnight()
        taken = [admitted(world, "a", "g"), admitted(world, "b", "h")]
        # While accounting is slower than 20 ms each node takes its share besides (services/throttle/README.md).
        assert all(LIMIT <= number <= 2 * LIMIT for number in taken), taken
        for node in NODES:
            assert world.call("GET", "/a", node).status == 429
            # An address is no debugging domain.
            replies = [world.call("GET", "/d", node, headers={"Host": "127.0.0.1"}) for _ in range(2 * LIMIT)]
            assert {reply.status for reply in replies} == {200}, replies
        limit(world, 0)
        assert admitted(world, "a", "g") == LIMIT + 20
    finally:
        limit(world, "")
