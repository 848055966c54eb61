"""Loses, doubles and delays messages between a node and its buses:
strayer.py [--events] ADDRESS PORT PERCENT NODE BUS…

NODE and BUS are peer files. What TCP carries cannot be lost, so this stands in the middle with the keys
of both: a bus for the node, the node for each bus. Of its buses the n-th (from 0) is served on PORT + 2n
(commands) and PORT + 2n + 1 (events). Of all messages either way, PERCENT are lost, as many doubled and
as many late by up to a quarter of a second, so that others overtake them; subscriptions arrive. With
--events only events go astray, and what becomes of one is the same on every bus: no other brings it.
"""
import heapq
import itertools
import random
import sys
import time

LATE_S = 0.25
TELL = 100  # messages between lines in the log


def fates(dice, percent):
    """When copies of a message go on, in seconds from now: none when it is lost."""
    cast = dice.uniform(0, 100)
    if cast < percent:
        return []
    if cast < 2 * percent:
        return [0.0, dice.uniform(0, LATE_S)]
    return [dice.uniform(0, LATE_S)] if cast < 3 * percent else [0.0]


def same_fate(parts):
    """Dice that fall the same for the same message."""
    return random.Random(b"".join(parts))


def open_ways(context, address, port, node, bus, commands_stray):
    """Sockets that belong together: [(from, to, whether messages may go astray)]."""
    import zmq  # pylint: disable=import-outside-toplevel # not where this file is only judged

    def listen(kind, number):
        socket = context.socket(kind)
        socket.curve_server = True
        socket.curve_secretkey = bus["secret_key"].encode()
        socket.bind(f"tcp://{address}:{number}")
        return socket

    def join(kind, endpoint):
        socket = context.socket(kind)
        socket.curve_serverkey = bus["public_key"].encode()
        socket.curve_publickey = node["public_key"].encode()
        socket.curve_secretkey = node["secret_key"].encode()
        socket.connect(endpoint)
        return socket

    own = bus["buses"][0]
    near, far = listen(zmq.DEALER, port), join(zmq.DEALER, own["commands"])
    followers, source = listen(zmq.XPUB, port + 1), join(zmq.XSUB, own["events"])
    return [(near, far, commands_stray), (far, near, commands_stray), (source, followers, True),
            (followers, source, False)]


def carry(ways, percent, dice_of):
    """Passes messages on until ended; dice_of(parts) decides what becomes of one."""
    import zmq  # pylint: disable=import-outside-toplevel
    poller = zmq.Poller()
    for source, _, _ in ways:
        poller.register(source, zmq.POLLIN)
    numbers = itertools.count()
    late = []  # heap of (when, number, to, parts)
    told = 0
    while True:
        wait_ms = max(0, (late[0][0] - time.monotonic()) * 1000) if late else None
        readable = dict(poller.poll(wait_ms))
        for source, sink, may_stray in ways:
            while source in readable:
                try:
                    parts = source.recv_multipart(zmq.DONTWAIT)
                except zmq.Again:
                    break
                told += may_stray
                if told % TELL == 1 and may_stray:
                    print(f"{told} messages", flush=True)
                for delay in fates(dice_of(parts), percent) if may_stray else [0.0]:
                    heapq.heappush(late, (time.monotonic() + delay, next(numbers), sink, parts))
        while late and late[0][0] <= time.monotonic():
            _, _, sink, parts = heapq.heappop(late)
            try:
                sink.send_multipart(parts, zmq.DONTWAIT)
            except zmq.Again:
                pass  # nobody is there


def main():
    import yaml  # pylint: disable=import-outside-toplevel
    import zmq  # pylint: disable=import-outside-toplevel
    only_events = sys.argv[1] == "--events"
    address, port, percent, *files = sys.argv[1 + only_events:]
    node, *buses = [yaml.safe_load(open(name, encoding="utf-8")) for name in files]
    context = zmq.Context()
    ways = [way for at, bus in enumerate(buses)
            for way in open_ways(context, address, int(port) + 2 * at, node, bus, not only_events)]
    dice = random.Random()
    carry(ways, float(percent), same_fate if only_events else lambda parts: dice)


if __name__ == "__main__":
    main()
