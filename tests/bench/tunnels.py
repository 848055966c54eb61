"""websockets: idle tunnels through both nodes while APIs are published; how many stay, and what one costs a worker."""
import concurrent.futures
import contextlib
import multiprocessing
import resource
import selectors
import socket

import fleet  # first: it puts tests/lib on the path
import changes
import gateway
import memory
import publish

WANTED = 5000  # a node
APIS = 100  # that are published again and again meanwhile
PUBLISHES = 1000  # meanwhile
SPARE = 200  # descriptors of a process for other things than tunnels
OPENED = 50  # at once: what a backlog holds
WAIT_S = 30
TIMEOUT_MS = 600_000  # of the backend: how long a tunnel may be idle
HANDSHAKE = ("GET /socket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
MESSAGE = b"\x81\x02ok"  # nobody here reads frames


def serve(listener):
    """The backend, a process of its own for its descriptors: accepts handshakes, then sends back what it gets."""
    poll = selectors.DefaultSelector()
    poll.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in poll.select():
            if key.fileobj is listener:
                poll.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            got = key.fileobj.recv(65536)
            if got:
                key.fileobj.sendall(ACCEPTED if got.startswith(b"GET ") else got)
            else:
                poll.unregister(key.fileobj)
                key.fileobj.close()


def read_head(sock):
    """An answer's head, byte for byte what comes before the empty line."""
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        more = sock.recv(4096)
        if not more:
            break
        got += more
    return got


def open_tunnels(node, host, count):
    """So many through a node; some at a time, each answered 101."""
    tunnels = []
    while len(tunnels) < count:
        some = [socket.create_connection((node.address[0], int(node.address[1])), WAIT_S)
                for _ in range(min(OPENED, count - len(tunnels)))]
        for sock in some:
            sock.sendall(HANDSHAKE.format(host=host).encode())
        for sock in some:
            head = read_head(sock)
            if not head.startswith(b"HTTP/1.1 101 "):
                raise RuntimeError(f"{node.name}, tunnel {len(tunnels)}: {head!r}")
        tunnels += some
    return tunnels


def answers(sock):
    """Whether the other end still gets what is said and answers it."""
    try:
        sock.sendall(MESSAGE)
        return sock.recv(len(MESSAGE)) == MESSAGE
    except OSError:
        return False


def publish_many(bed, count):
    with concurrent.futures.ThreadPoolExecutor(publish.CLIENTS) as pool:
        list(pool.map(lambda turn: changes.republish(bed, turn % APIS), range(count)))
    bed.settle()


class Part:
    """What shared.py plays, over the quickstart's two nodes."""

    nodes, sizes = 2, []

    def __init__(self, options):
        self.options, self.publishes = options, options.publishes or PUBLISHES
        self.lines, self.missed, self.listener, self.count, self.hard = [], [], None, 0, 0

    @contextlib.contextmanager
    def around(self):
        """As many descriptors as it may have, for whatever is started later as well; the backend."""
        soft, self.hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.hard, self.hard))
        self.count = min(self.options.tunnels, (self.hard - SPARE) // 2)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        backend = multiprocessing.get_context("fork").Process(target=serve, args=(self.listener,), daemon=True)
        backend.start()
        try:
            yield
        finally:
            backend.terminate()
            backend.join()
            self.listener.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, self.hard))

    def begin(self, bed):
        """Nothing."""

    def at(self, bed, count):
        """It has no sizes."""

    def end(self, bed):
        """Opens, publishes, looks which are left."""
        world = bed.world
        bed.fill(max(APIS, bed.count))
        bed.stack.admin("gateway", "set", world.instance, f"backend_timeout={TIMEOUT_MS}")
        world.api("socket", group="pattern", backend={"url_domain": "%s:%d" % self.listener.getsockname(), "timeout": TIMEOUT_MS})
        world.publish("socket")
        bed.settle()
        host, held = world.names["pattern"]["sl_domain"], []
        for node in bed.nodes[:self.nodes]:
            open_tunnels(node, host, 1)[0].close()  # what the first one costs once
            before = memory.anonymous_mb(node.workers[0])
            tunnels = open_tunnels(node, host, self.count)
            held.append((node, tunnels, before, memory.anonymous_mb(node.workers[0])))
        publish_many(bed, self.publishes)
        for node, tunnels, before, after in held:
            self.judge(node, tunnels, before, after)

    def judge(self, node, tunnels, before, after):
        dropped = sum(not answers(sock) for sock in tunnels)
        self.lines.append([node.name, self.count, dropped, "<= 0", f"{before:.1f}", f"{after:.1f}",
                           f"{(after - before) * 1024 / self.count:.1f}"])
        self.missed += [node.name] if dropped else []
        for sock in tunnels:
            sock.close()

    def text(self):
        """Its table."""
        return "\n".join([
            f"run:       {self.count} tunnels a node of {self.options.tunnels} wanted ({self.hard} descriptors a process), "
            f"{self.publishes} publishes; one worker a node\n",
            gateway.table(self.lines, ["node", "tunnels", "dropped", "budget", "worker MB", "with tunnels", "KB a tunnel"]), ""])
