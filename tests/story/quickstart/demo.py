"""the demo does what it says, twice, and no nginx process changes meanwhile"""
OWN_STACK = True


def processes(stack):
    return {unit: (stack.pid(unit), stack.children(unit)) for unit in ("nginx-1", "nginx-2")}


def story(world):
    stack = world.stack
    before = processes(stack)
    for _ in range(2):
        told = stack.quickstart("demo", timeout=120).stdout
        assert "admitted: 3\n" in told, told
    assert processes(stack) == before, "nginx reloaded or restarted"
