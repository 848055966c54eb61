"""websockets: idle tunnels through both nodes while APIs are published; how many stay, and what one costs a worker."""
import concurrent.futures
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


def run(options):
    """Prints the table; answers the nodes that lost tunnels."""
    lines, missed, publishes = [], [], options.publishes or 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(options.tunnels, (hard - SPARE) // 2)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    backend = multiprocessing.get_context("fork").Process(target=serve, args=(listener,), daemon=True)
    backend.start()
    try:
        with fleet.Fleet(options) as bed:
            measure_tunnels(bed, listener, count, publishes, lines, missed)
    finally:
        backend.terminate()
        backend.join()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(gateway.heading(options.build))
    print(f"run:       {count} tunnels a node of {options.tunnels} wanted ({hard} descriptors a process), {publishes} publishes; "
          "one worker a node\n")
    print(gateway.table(lines, ["node", "tunnels", "dropped", "budget", "worker MB", "with tunnels", "KB a tunnel"]))
    return missed


def measure_tunnels(bed, listener, count, publishes, lines, missed):
    world = bed.world
    bed.fill(APIS)
    bed.stack.admin("gateway", "set", world.instance, f"backend_timeout={TIMEOUT_MS}")
    world.api("socket", group="pattern", backend={"url_domain": "%s:%d" % listener.getsockname(), "timeout": TIMEOUT_MS})
    world.publish("socket")
    host, held = world.names["pattern"]["sl_domain"], []
    for node in bed.nodes:
        open_tunnels(node, host, 1)[0].close()  # what the first one costs once
        before = memory.anonymous_mb(node.workers[0])
        tunnels = open_tunnels(node, host, count)
        held.append((node, tunnels, before, memory.anonymous_mb(node.workers[0])))
    publish_many(bed, publishes)
    for node, tunnels, before, after in held:
        dropped = sum(not answers(sock) for sock in tunnels)
        lines.append([node.name, count, dropped, "<= 0", f"{before:.1f}", f"{after:.1f}", f"{(after - before) * 1024 / count:.1f}"])
        missed += [node.name] if dropped else []
    for _, tunnels, _, _ in held:
        for sock in tunnels:
            sock.close()
