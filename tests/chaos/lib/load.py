"""Constant load on a cluster: calls of published APIs and management writes, and what became of them.

Open loop: each call and each write has a scheduled time and is counted from there, however long
the ones before it take. Writers repeat a command as the stock client would (connection broken, 429,
502, 503, 504) until their patience ends.
"""
import asyncio
import collections
import itertools
import json
import threading
import time
import urllib.parse

import pki
import signer

CALLS_PER_S = 50
WRITES_PER_S = 10
CALL_TIMEOUT_S = 5
WRITE_TIMEOUT_S = 15
PATIENCE_S = 60  # of a writer, over all attempts
PAUSE_S, PAUSE_MAX_S = 0.25, 8.0  # before a writer's next attempt; doubles each time
REPEAT = (429, 502, 503, 504)
COUNTERS = 4  # throttles that are changed again and again

Call = collections.namedtuple("Call", "due begun done kind status why", defaults=(None,))  # why: no status
Target = collections.namedtuple("Target", "path host key", defaults=(None,))


class Write:
    """One management write: what it made or changed, and how its attempts ended."""

    def __init__(self, due, kind, name, value=None):
        self.due = due
        self.kind = kind
        self.name = name
        self.value = value
        self.attempts = []  # statuses; 0 for a broken connection
        self.id = None
        self.done = None

    @property
    def acknowledged(self):
        return bool(self.attempts) and self.attempts[-1] in (200, 201, 204)

    @property
    def doubled(self):
        """Refused as a duplicate without anything before it that could have made it."""
        return self.attempts[:1] in ([400], [409])


async def exchange(address, request, tls, timeout):
    """One HTTP/1.1 exchange on a connection of its own; answers (status, body)."""
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(*address, ssl=tls)
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
            if "content-length" in fields:
                body = await reader.readexactly(int(fields["content-length"]))
            else:
                body = await reader.read()
            return int(lines[0].split()[1]), body
        finally:
            writer.close()


class Load:
    """Runs in a thread of its own from start() to stop()."""

    def __init__(self, cluster, targets):
        self.cluster = cluster
        self.targets = targets  # {kind: Target} of calls, taken in turn
        self.calls = []
        self.writes = []
        self.counters = [None] * COUNTERS  # ids
        self.calls_per_s, self.writes_per_s = CALLS_PER_S, WRITES_PER_S
        self.quiet = threading.Event()  # while set, no write begins
        self._names = itertools.count(1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        manage, data = (urllib.parse.urlsplit(u) for u in (cluster.endpoint, cluster.data_url))
        self._manage, self._data = (manage.hostname, manage.port), (data.hostname, data.port)
        self._tls = pki.context(cluster.secrets)

    def start(self):
        self._thread.start()

    def stop(self):
        """No more is begun; what was is waited for."""
        self._stop.set()
        self._thread.join()

    async def _run(self):
        await self._make_counters()
        pending = set()
        await asyncio.gather(self._pace(self._call, lambda: self.calls_per_s, pending),
                             self._pace(self._write, lambda: self.writes_per_s, pending))
        if pending:
            await asyncio.wait(pending)

    async def _pace(self, begin, rate, pending):
        due = time.monotonic()
        for number in itertools.count():
            if self._stop.is_set():
                return
            task = asyncio.ensure_future(begin(due, number))
            pending.add(task)
            task.add_done_callback(pending.discard)
            due += 1 / rate()
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    # ---- calls ----

    async def _call(self, due, number):
        begun = time.monotonic()
        kinds = list(self.targets)
        # Balancers take their servers in turn too: each kind is to reach each of them.
        kind = kinds[(number + number // len(kinds)) % len(kinds)]
        target = self.targets[kind]
        headers = {"Host": target.host}
        if target.key:
            headers = signer.sign("GET", target.path, headers, b"", *target.key)
        lines = [f"GET {target.path} HTTP/1.1", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = ("\r\n".join(lines) + "\r\n\r\n").encode()
        status, why = 0, None
        try:
            status, _ = await exchange(self._data, request, None, CALL_TIMEOUT_S)
        except (OSError, ValueError, IndexError, EOFError, asyncio.TimeoutError) as fault:
            why = repr(fault)
        self.calls.append(Call(due, begun, time.monotonic(), kind, status, why))

    # ---- writes ----

    async def manage(self, method, path, body=None, timeout=WRITE_TIMEOUT_S):
        """One signed management request below the gateway; answers (status, JSON or None)."""
        env = self.cluster.env
        target = f"/v2/{env['project']}/apigw/instances/{env['gateway']}{path}"
        content = json.dumps(body).encode() if body is not None else b""
        headers = {"Host": "%s:%d" % self._manage, "X-Project-Id": env["project"]}
        headers = signer.sign(method, target, headers, content, env["ak"], env["sk"])
        lines = [f"{method} {target} HTTP/1.1", "Connection: close",
                 f"Content-Length: {len(content)}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers.items()
                  if name not in ("Content-Type", "Content-Length")]
        request = ("\r\n".join(lines) + "\r\n\r\n").encode() + content
        try:
            status, reply = await exchange(self._manage, request, self._tls, timeout)
            return status, json.loads(reply) if reply else None
        except (OSError, ValueError, IndexError, EOFError, asyncio.TimeoutError):
            return 0, None

    async def _make_counters(self):
        for index in range(COUNTERS):
            _, made = await self.manage("POST", "/throttles", self._throttle(f"counter{index}", 1))
            self.counters[index] = made["id"]

    @staticmethod
    def _throttle(name, value):
        return {"name": name, "type": 1, "time_interval": 1, "time_unit": "HOUR",
                "api_call_limits": value}

    async def _write(self, due, number):
        if self.quiet.is_set():
            return
        value = next(self._names)
        if number % 2 == 0:
            write = Write(due, "create", f"chaos_{value}", 1)
            method, path = "POST", "/throttles"
        else:
            index = number // 2 % COUNTERS
            write = Write(due, "change", f"counter{index}", value)
            method, path = "PUT", f"/throttles/{self.counters[index]}"
        self.writes.append(write)
        pause = PAUSE_S
        while time.monotonic() < due + PATIENCE_S:
            status, reply = await self.manage(method, path, self._throttle(write.name, write.value))
            write.attempts.append(status)
            if status and status not in REPEAT:
                write.id = (reply or {}).get("id")
                break
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_MAX_S)
        write.done = time.monotonic()
