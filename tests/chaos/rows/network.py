"""Links that are cut, both ways or one, that lose packets, or are slow."""
import load
from databases import isolated
from row import AFTER_S, Row
from stack import wait_until

CUT_S = 12
EVENTS_ASTRAY = 33  # per cent of events that are lost; as many doubled, and late
PUBLICATIONS = 30
FEW_CALLS_PER_S = 12  # over four nodes: the usual 50 alone make a node send 130 kbit/s


def control(scene):
    return [host for name, host in scene.cluster.hosts.items() if name.startswith("control-")]


def for_a_while(damage):
    """The strike that damages a host's link and heals it again; damage(scene) answers the host."""
    def strike(scene):
        host = damage(scene)
        scene.lasts(CUT_S)
        host.filter()
        host.slow()
        scene.healed()
    return strike


def bus_cut(scene):
    """One bus and half of the workers do not reach each other."""
    host, *others = control(scene)
    rules = [f"{hook} {way} {other.address} tcp {port} 7001-7003" for other in others
             for hook, way, port in (("input", "ip saddr", "dport"),
                                     ("output", "ip daddr", "sport"))]
    host.filter(*rules)
    return host


def events_lost(scene):
    """No event reaches a node, commands do: it learns from its reports that it is behind."""
    node = scene.cluster.hosts["node-1"]
    node.filter("input tcp sport 7003")
    wait_until(scene.api.live, 5, "a publication live on every node without events")
    scene.lasts(3)  # until it knows that none will come
    late = [number for number in range(8) if not scene.api.live()]
    scene.check(not late, f"of eight publications {late} were not live within a second")
    return node


def events_astray(scene):
    """A third of the events for a node is lost, a third doubled, a third overtaken: what it serves is
    new within a second all the same, and never old again."""
    end = scene.astray("node-1", EVENTS_ASTRAY, "--events")
    wait_until(scene.api.live, 20, "a publication live on every node")
    nodes = [unit.host.address for unit in scene.cluster.kind("node")]
    for number in range(PUBLICATIONS):
        behind = scene.api.serve(number, nodes)
        scene.check(behind == [], f"publication {number}: " + (
            "not live within a second" if behind is None else f"not what {behind} serve"))
    end()


def node_cut(*ways):
    """The damage that cuts a node off from the control hosts."""
    def damage(scene):
        node = scene.cluster.hosts["node-1"]
        node.cut(*control(scene), ways=ways)
        return node
    return damage


def host_cut(name):
    """The damage that takes a host off the network."""
    def damage(scene):
        host = scene.cluster.hosts[name]
        host.cut(*(one for one in scene.cluster.hosts.values() if one is not host))
        return host
    return damage


def each_control_host(scene):
    """One after another, each whole again before the next: one of them accounts for our limit."""
    for host in control(scene):
        for_a_while(host_cut(host.name))(scene)
        wait_until(scene.cluster.balanced, 20, "the balancers to use every server")
        scene.lasts(AFTER_S)
    scene.healed()


def lossy(name, percent):
    def damage(scene):
        host = scene.cluster.hosts[name]
        host.lose(percent)
        return host
    return damage


def slow(scene):
    """All that a node sends, answers to callers included, shares a slow link."""
    host = scene.cluster.hosts["node-1"]
    scene.load.calls_per_s = FEW_CALLS_PER_S
    scene.lasts(1)
    host.slow("128kbit")
    return host


def slow_link(scene):
    try:
        for_a_while(slow)(scene)
    finally:
        scene.load.calls_per_s = load.CALLS_PER_S


def far_node(scene):
    """A node 200 ms away from every bus: what it counts and follows goes that way."""
    unit = scene.unit("node-1")
    end = scene.far_away([unit.host], [(host.address, port) for host in control(scene)
                                       for port in (7001, 7003)], 0.1)
    unit.restart()
    scene.lasts(CUT_S)
    wait_until(scene.api.live, 5, "a publication live on the far node too")
    end()
    scene.healed()


ROWS = [
    Row("a node is 200 ms away from every bus", far_node, refused_calls=20),
    Row("a bus is cut off from the workers of other hosts", for_a_while(bus_cut)),
    Row("no event reaches a node", for_a_while(events_lost)),
    Row("events for a node are lost, doubled and overtaken", events_astray, refused_calls=10),
    Row("a node is cut off from the control plane", for_a_while(node_cut("in", "out")),
        refused_calls=12),
    Row("a node hears nothing from the control plane", for_a_while(node_cut("in")),
        refused_calls=12),
    Row("a node is not heard by the control plane", for_a_while(node_cut("out")),
        refused_calls=12),
    # Three cuts, three returns: a window of a second that begins in the 0.3 s after the lease of its
    # owner and before the next may lack its first unit.
    Row("each control host loses its network in turn", each_control_host, refused_calls=3,
        least_units=90),
    # Until two checks failed, a quarter of the calls goes there: 3 s of them.
    Row("a node loses its network", for_a_while(host_cut("node-1")), failed_calls=50,
        refused_calls=12, least_units=60),
    Row("a control host loses a packet in ten", for_a_while(lossy("control-1", 10))),
    # An exchange that takes longer than 0.3 s is none: the node divides what it does not hold.
    Row("a node's link carries 128 kbit/s", slow_link, refused_calls=20, least_units=50),
]
for _row in ROWS:
    _row.needs = isolated
