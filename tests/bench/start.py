"""start: from a node's cold start to /readyz, by where its first image comes from; memory of worker and agent.

The node is a third one of a whole deployment, whose other two serve meanwhile; nothing of it is in memory before.
"""
import concurrent.futures
import contextlib
import re
import statistics
import time

import fleet  # first: it puts tests/lib on the path
import gateway
import local
import memory
import publish

READY_S = 3.0  # from its own store, whatever the number of APIs up to 100,000
KEPT_MB = 4  # what publishes may leave behind in a process
REPEATED = 10_000  # publishes before memory is looked at again
SMALL = 1000  # APIs below which it does not look beside others
REPUBLISHED = 1000  # APIs that these publishes turn to
NOBODY = "tcp://127.0.0.1:1"  # a bus that does not answer


def seconds(node):
    """From its start until nginx is ready, that is, serves an image."""
    started = time.monotonic()
    node.start()
    while not node.ready():
        if time.monotonic() - started > fleet.START_S:
            raise RuntimeError(f"{node.name} is not ready")
    return time.monotonic() - started


def from_store(node):
    node.stop()
    node.forget_image()
    return seconds(node)


def from_publisher(node):
    node.stop()
    node.forget_image()
    node.forget_store()
    return seconds(node)


def from_peer(node):
    """Its buses are away; node 1 gives it the image."""
    first, secrets = node.fleet.nodes[0], node.stack.var / "secrets"
    address = re.search(r"(?m)^peer_listen: (.*)$", first.config.read_text())[1]
    key = re.search(r"(?m)^public_key: (.*)$", (secrets / f"{first.name}.peer").read_text())[1].strip("'")
    file = secrets / f"{node.name}.peer"
    whole = file.read_text()
    node.configure(peers=f"'{address} {key}'")
    file.write_text(re.sub(r"tcp://[\d.]+:\d+", NOBODY, whole))
    try:
        return from_publisher(node)
    finally:
        file.write_text(whole)


SOURCES = {"own store": from_store, "living peer": from_peer, "publisher": from_publisher}


def starts(bed, node, count, rounds, lines, missed):
    """A row for each source, in turn. The store holds all that was published when its turn comes."""
    found = {name: [] for name in SOURCES}
    for _ in range(rounds):
        for name, start in SOURCES.items():
            found[name].append(start(node))
            if name != "living peer":
                bed.settle()
    for name, times in found.items():
        budget = f"<= {READY_S:g}" if name == "own store" else ""
        lines.append([count, name, f"{statistics.median(times):.2f}", f"{max(times):.2f}", budget])
        if budget and statistics.median(times) > READY_S * bed.options.slack:
            missed.append(f"start with {count} APIs")


def image_mb(node):
    return memory.image_bytes(f"{node.name}-{node.stack.id}") / 1e6


def stock(node, count):
    """RssAnon of the worker, then after it was called for every API, and of the agent."""
    def request(number):
        return local.raw("GET", f"/fleet/{number}", node.fleet.host(number))

    fresh = memory.anonymous_mb(node.workers[0])
    memory.call_all(int(node.address[1]), request, count)
    return fresh, memory.anonymous_mb(node.workers[0]), memory.anonymous_mb(node.agent_pid)


def publish_again(bed, publishes):
    """Single publishes of APIs that are online, by several clients; the first REPUBLISHED in turn."""
    ids = [fleet.hex_id("a", number) for number in range(min(bed.count, REPUBLISHED))]
    body = {"action": "online", "env_id": bed.world.env_id("RELEASE")}
    with concurrent.futures.ThreadPoolExecutor(publish.CLIENTS) as pool:
        list(pool.map(lambda turn: publish.want(bed.world, "POST", "/apis/action", body | {"api_id": ids[turn % len(ids)]}),
                      range(publishes)))
    bed.settle()


class Part:
    """What shared.py plays; its node is the last one."""

    nodes = 3

    def __init__(self, options):
        some = [count for count in options.apis if count >= SMALL or options.what == "start" or options.smoke]
        self.options, self.sizes = options, [0, *some]
        self.publishes = options.publishes or REPEATED
        self.lines, self.kept, self.missed, self.empty, self.rate = [], [], [], None, 0

    def around(self):
        return contextlib.nullcontext()

    def begin(self, bed):
        """Nothing more than the node."""

    def at(self, bed, count):
        """Starts, then memory; at the last size also after many publishes."""
        node = bed.nodes[-1]
        starts(bed, node, count, self.options.rounds, self.lines, self.missed)
        from_store(node)
        fresh, called, agent = stock(node, count)
        self.empty = self.empty or fresh
        self.kept.append([count, "started, then all called", f"{fresh:.1f}", f"{called:.1f}", f"{called - self.empty:+.1f}",
                          f"<= {memory.GROWTH_MB}", f"{agent:.1f}", f"{image_mb(node):.1f}"])
        if called - self.empty > memory.GROWTH_MB * self.options.slack:
            self.missed.append(f"a worker at {count} APIs")
        if count == self.sizes[-1]:
            self.after(bed, node, called, agent)

    def after(self, bed, node, called, agent):
        """What many publishes leave behind."""
        image, began = image_mb(node), time.monotonic()
        publish_again(bed, self.publishes)
        self.rate = self.publishes / (time.monotonic() - began)
        _, after, agent_after = stock(node, bed.count)
        self.kept.append([bed.count, f"after {self.publishes} publishes", "", f"{after:.1f}", f"{after - called:+.1f}", f"<= {KEPT_MB}",
                          f"{agent_after:.1f}", f"{image_mb(node):.1f}"])
        self.missed += [what for what, grown in (("worker", after - called), ("agent", agent_after - agent),
                                                 ("image", image_mb(node) - image))
                        if grown > KEPT_MB * self.options.slack]

    def end(self, bed):
        """Nothing of it is left."""

    def text(self):
        """Its two tables."""
        return "\n".join([
            f"run:       {self.options.rounds} starts of each kind, in turn; APIs with a MOCK backend; {self.rate:.0f} publishes a second\n",
            gateway.table(self.lines, ["APIs", "first image from", "median s", "max s", "budget s"]), "",
            gateway.table(self.kept, ["APIs", "when", "worker MB", "all called", "growth", "budget MB", "agent MB", "image MB"]), ""])
