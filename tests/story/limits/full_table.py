"""a node counts as many addresses as limit_keys says; the others share one count of their policy, and none goes uncounted"""
from stack import wait_until

OWN_STACK = True
SERVED = True
TOLERATES = (r"limits", r"stale", r"worker")  # the agent is restarted
KEYS, CALLERS, EACH = 256, 330, 2
TURNS = 50  # calls of one address at most


def patient(call, caller):
    """The reply that admits the caller, or the last of many; what is refused because its unit is late uses nothing up."""
    for _ in range(TURNS):
        reply = call(caller)
        if reply.status == 200:
            break
    return reply


def story(world):
    world.group("g")
    world.api("a")
    world.publish("a")
    world.throttle("t", api_call_limits=100000, ip_call_limits=EACH, time_unit="DAY")
    world.binding("a", "t")
    world.settle("a")

    def call(caller):
        return world.call("GET", "/a", 1, source=f"127.9.{caller // 250}.{caller % 250 + 1}")

    config = world.stack.var / "config/node-1.yaml"
    text = config.read_text()
    assert "limit_keys: 32768\n" in text
    try:
        config.write_text(text.replace("limit_keys: 32768", f"limit_keys: {KEYS}"))
        world.stack.sv("restart", "node-1")
        # The table is the smaller one once nginx's new workers are there: calls to the old ones get no more units.
        wait_until(lambda: call(CALLERS).status == 200, 20, "units in the smaller table")
        # Those that must have a counter of their own are asked for until their unit has come: it may take over 20 ms.
        replies = [patient(call, caller) for caller in range(KEYS * 3 // 4)]
        replies += [call(caller) for caller in range(len(replies), CALLERS)]
        admitted = [caller for caller, reply in enumerate(replies) if reply.status == 200]
        assert KEYS * 3 // 4 <= len(admitted) <= KEYS + EACH, len(admitted)
        assert sum(caller < 100 for caller in admitted) >= 90, admitted[:100]
        late = replies[-20:]  # their addresses are new, but their policy's common count is used up
        assert {reply.status for reply in late} == {429}, [reply.status for reply in late]
        assert late[0].json["error_code"] == "APIG.0308", late[0]
        assert late[0].json["error_msg"].endswith(f"policy ip over ratelimit,limit:{EACH},time:1 day"), late[0]
        again = [reply.status for reply in world.admitted(1, lambda _: call(admitted[0]), more=2)]
        assert again.count(200) == 1 and again[-2:] == [429, 429], again  # who has a counter keeps it
    finally:
        config.write_text(text)
        world.stack.sv("restart", "node-1")
    wait_until(lambda: call(CALLERS - 1).status == 200, 20, "units in the former table")
