"""Generated targets through a real nginx to an echo: python3 path_test.py BUILD [TARGETS].

What routing saw (the access log says it), which API it chose, and what the backend received are one
path, or the request was refused. TARGETS is 100,000 unless told otherwise; tests/fuzz/run.sh paths
sends a million. The targets are the same in every run.
"""
import contextlib
import json
import os
import random
import re
import signal
import socket
import sys
import threading
import time
import urllib.parse

TARGETS = int(sys.argv.pop(2)) if len(sys.argv) > 2 else 100_000

import module_test as module  # noqa: E402
from module_node import PATIENCE_S, Node, begin, fresh, pause  # noqa: E402

SEED = 20231
ROUND = 2_000  # targets a connection's share of a round; then the log is read
PIPELINE = 50  # requests sent ahead of their answers
CONNECTIONS = 2
LOGGED = 4000  # bytes of a path that the log shows for sure
PIECES = ["/"] * 9 + ["a", "b", "admin", "admin", "admin", "%61dmin", "x;v=1", "%2F", "%2f", ".", "..", "%2e", "%2E%2e",
                      ".%2e", "..;", "..%3B", "\\", "%5C", "%252F", "%25", "%3F", "%23", "%20", "%E4%B8%AD", "~", "...",
                      ".b", "{x}", "+", "//", "/./", "/../", "/a/../", "?", "?q=/../admin", "%00", "%0a", "%7F", "#", "%zz",
                      "\x01", "\x7f", "\t"]
WEIGHTS = [6 if piece.startswith("/") else 0.15 if piece in ("%00", "%0a", "%7F", "#", "%zz", "\x01", "\x7f", "\t") else 2
           for piece in PIECES]
PLAIN = re.compile(r"(/(\.?[a-z~+{}]{1,200}|\.|\.\.\.)?)+", re.A)  # what nobody may refuse
APIS = [
    module.api(1, "/", method="ANY", match_mode="SWA", http={"path": "/root", "timeout_ms": 20000}),
    module.api(2, "/admin", method="ANY", match_mode="SWA", http={"path": "/guarded", "timeout_ms": 20000}),
]


def targets(count):
    """The targets, the same in every run."""
    draw = random.Random(SEED)
    for _ in range(count):
        made = "/" + "".join(draw.choices(PIECES, WEIGHTS, k=draw.randint(1, 9)))
        if draw.random() < 0.0005:
            made += "/" + "l" * draw.choice((4000, 31000, 33000))
        if draw.random() < 0.02:
            made = draw.choice(("http://h.example.com", "http://H.example.com", "http://other.test",
                                "http://h.example.com:81", "https://h.example.com")) + made
        yield made


def request(target):
    return f"GET {target} HTTP/1.1\r\nHost: h.example.com\r\n\r\n".encode("latin-1")


class Pipe:
    """A connection that asks ahead and goes on with another one where the node closes it."""

    def __init__(self, node, asked):
        self.node, self.asked, self.answers = node, asked, []
        self.socket, self.sent, self.buffer = None, 0, b""

    def ask(self):
        wanted = min(len(self.asked), len(self.answers) + PIPELINE)
        if self.socket is None:
            self.socket, self.sent, self.buffer = self.node.connect(), len(self.answers), b""
            self.socket.settimeout(60)
        elif self.sent > len(self.answers) + PIPELINE // 2:
            return
        batch, self.sent = self.asked[self.sent:wanted], wanted
        if batch:
            with contextlib.suppress(ConnectionError):  # what was answered before is still there
                self.socket.sendall(b"".join(request(target) for target in batch))

    def fill(self):
        part = b""
        with contextlib.suppress(ConnectionError):
            part = self.socket.recv(1 << 18)
        self.buffer += part
        return part

    def answer(self):
        """One answer; None: the connection ended before it."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if not self.fill():
                return None
        head = self.buffer[:end]
        size = end + 4 + int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head)[1])
        while len(self.buffer) < size:
            if not self.fill():
                return None
        body, self.buffer = self.buffer[end + 4:size], self.buffer[size:]
        number = re.search(rb"(?i)\r\nx-request-id: ([0-9a-f]+)", head)[1].decode()
        return int(head[9:12]), number, json.loads(body), b"onnection: close" in head

    def run(self):
        fresh_one = False
        while len(self.answers) < len(self.asked):
            self.ask()
            came = self.answer()
            if came is None and fresh_one:
                raise AssertionError(f"no answer to {self.asked[len(self.answers)]!r}")
            if came is not None:
                self.answers.append(came)
            fresh_one = came is None or came[3]
            if fresh_one:
                self.socket.close()
                self.socket = None
        if self.socket is not None:
            self.socket.close()


def guarded(path):
    """Whether a path is the guarded API's."""
    return path == "/admin" or path.startswith("/admin/")


def fault_of(target, status, reply, routed):
    """What is wrong with an answer; None: nothing. `routed`: the path of the access log."""
    if status in (400, 414):
        return f"refused with {reply}" if PLAIN.fullmatch(target) or reply["error_code"] != "APIG.0201" else None
    if status != 200:
        return f"status {status}: {reply}"
    received = reply["path"]
    if re.search(r"(?i)%2f|//|[\x00-\x20\x7f#\\]", received):
        return f"the backend can read {received} in two ways"
    decoded = urllib.parse.unquote(received, encoding="utf-8")
    below = "/guarded" if decoded.startswith("/guarded") else "/root"
    path = decoded[len(below):] or "/"
    if below == "/guarded":
        path = "/admin" + decoded[len(below):]
    if any(part.split(";")[0] in (".", "..") for part in re.split(r"[/\\]", path)):
        return f"the backend finds dots in {received}"
    if guarded(path) != (below == "/guarded"):
        return f"{received} went past the guarded API"
    if routed.encode()[:LOGGED] != path.encode()[:LOGGED]:
        return f"routed as {routed!r}, received as {path!r}"
    asked = target.partition("?")[2]
    if "?" in target and reply["query"] != asked or not decoded.startswith(below):
        return f"received {received}, {reply.get('query')}"
    return None


class Paths:
    """The node, its log and its backend."""

    def __init__(self):
        self.node = Node(module.BUILD, fresh(module.BUILD / "tests/path-node"), module.free_ports())
        self.log = self.node.place / "access.json.log"
        self.passed = self.refused = 0
        image = dict(module.image(), apis=[dict(row, http=dict(row["http"], port=self.node.closed)) for row in APIS])
        self.node.publish(image)
        soon = ("sluice_json buffer=64k flush=1s", "sluice_json buffer=64k flush=100ms")
        self.node.start(workers=CONNECTIONS, replaced=[soon])
        self.echo = begin([module.BUILD / "bin/sluice-echo", f"127.0.0.1:{self.node.closed}"])
        self._await_echo()

    def _await_echo(self):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.node.closed), 1).close()
                return
            pause(0.05)
        raise AssertionError("the echo does not listen")

    def logged(self, wanted):
        """The paths that the log shows, by request id, once all wanted ones are there."""
        end, paths = time.monotonic() + PATIENCE_S, {}
        while time.monotonic() < end:
            text = self.log.read_bytes()
            whole = text[:text.rfind(b"\n") + 1]
            paths = {row["request_id"]: row.get("router_uri") for row in map(json.loads, whole.splitlines())}
            if wanted <= set(paths):
                os.truncate(self.log, 0)
                return paths
            pause(0.05)
        raise AssertionError(f"{len(wanted - set(paths))} requests are not in the log")

    def round(self, asked):
        pipes = [Pipe(self.node, asked[i::CONNECTIONS]) for i in range(CONNECTIONS)]
        threads = [threading.Thread(target=pipe.run) for pipe in pipes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows = [(target, *answer) for pipe in pipes for target, answer in zip(pipe.asked, pipe.answers, strict=True)]
        paths = self.logged({number for _, status, number, _, _ in rows if status == 200})
        for target, status, number, reply, _ in rows:
            fault = fault_of(target, status, reply, paths.get(number))
            assert fault is None, f"{target[:200]!r}: {fault[:500]}"
            self.passed += status == 200
            self.refused += status != 200

    def close(self):
        self.echo.send_signal(signal.SIGTERM)
        self.echo.wait(PATIENCE_S)
        status, logs = self.node.stop(), self.node.logs()
        bad = re.findall(r".*(?:\[(?:alert|emerg|crit)\]|Sanitizer|runtime error|exited on signal).*", logs)
        assert not bad and status == 0, bad or f"nginx ended with {status}"


def main():
    paths, began, batch = Paths(), time.monotonic(), []
    try:
        for target in targets(TARGETS):
            batch.append(target)
            if len(batch) == ROUND * CONNECTIONS:
                paths.round(batch)
                batch = []
        paths.round(batch)
    finally:
        paths.close()
    total = paths.passed + paths.refused
    print(f"{total} targets, {paths.passed} passed on, {paths.refused} refused, {time.monotonic() - began:.0f} s")
    assert total == TARGETS and paths.passed > total / 4 and paths.refused > total / 20


if __name__ == "__main__":
    main()
