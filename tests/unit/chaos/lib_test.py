"""The library of the outage rows: python3 lib_test.py TESTS [unittest arguments].

A harness that cannot see a lost write proves nothing: each judgement is given what it must find.
"""
import asyncio
import contextlib
import io
import os
import pathlib
import random
import signal
import socket
import sys
import tempfile
import threading
import time
import types
import unittest
import unittest.mock

TESTS = pathlib.Path(sys.argv.pop(1))
sys.path[:0] = [str(TESTS / "chaos/lib"), str(TESTS / "chaos/rows"), str(TESTS / "lib")]
# The stock SDK signs in real runs; here nobody verifies.
sys.modules["signer"] = types.SimpleNamespace(sign=lambda m, t, headers, b, k, s: headers)

# pylint: disable=wrong-import-position
import audit
import hosts
import load
import relay
import rolling
import row
import strayer
from hosts import Flat
from stack import wait_until
from unit import Unit


def write(kind, name, value, attempts, **more):
    made = load.Write(more.get("due", 0.0), kind, name, value)
    made.attempts, made.id, made.done = attempts, more.get("id"), more.get("done", 1.0)
    return made


class Tables:
    """A cluster whose database holds what the test says."""

    def __init__(self, stored, repeated=()):
        self.env = {"gateway": "g"}
        self.answers = [list(stored), list(repeated)]
        self.database = types.SimpleNamespace(sql=lambda *_: self.answers.pop(0))


class LedgerTest(unittest.TestCase):
    def test_an_acknowledged_create_that_is_not_there_is_lost(self):
        ledger = audit.Ledger(Tables(["a|1|5"]))
        there, gone, other = (write("create", name, 5, [201], id="1") for name in "abc")
        other.name, other.id = "a", "2"
        self.assertEqual(ledger.lost([there]), [])
        self.assertEqual(ledger.lost([there, gone]), ["b"])
        self.assertEqual(ledger.lost([other]), ["a"], "another resource of the same name")

    def test_a_refused_create_is_not_lost(self):
        self.assertEqual(audit.Ledger(Tables([])).lost([write("create", "a", 1, [503, 500])]), [])

    def test_a_change_that_was_overtaken_by_an_older_one_is_lost(self):
        old = write("change", "c", 1, [200], due=0.0, done=1.0)
        new = write("change", "c", 2, [200], due=2.0, done=3.0)
        self.assertEqual(audit.Ledger(Tables(["c|9|2"])).lost([old, new]), [])
        self.assertEqual(audit.Ledger(Tables(["c|9|1"])).lost([old, new]), ["c"])

    def test_of_changes_that_overlap_either_may_be_last(self):
        pair = [write("change", "c", 1, [200], due=0.0, done=3.0),
                write("change", "c", 2, [200], due=2.0, done=4.0)]
        for last in (1, 2):
            self.assertEqual(audit.Ledger(Tables([f"c|9|{last}"])).lost(pair), [])

    def test_a_create_refused_as_a_duplicate_at_once_was_done_twice(self):
        ledger = audit.Ledger(Tables(["a|1|5"]))
        self.assertEqual(ledger.twice([write("create", "a", 5, [400])]), ["a"])
        self.assertEqual(ledger.twice([write("create", "a", 5, [0, 400])]), [])

    def test_more_records_than_attempts_are_done_twice(self):
        ledger = audit.Ledger(Tables(["c|1|5"], ["c|5|2"]))
        self.assertEqual(ledger.twice([write("change", "c", 5, [200])]), ["c=5"])
        self.assertEqual(ledger.twice([write("change", "c", 5, [0, 200])]), [])


class StrayerTest(unittest.TestCase):
    def test_messages_are_lost_doubled_and_late_as_often_as_asked(self):
        cast = [strayer.fates(random.Random(n), 20) for n in range(5000)]
        kinds = {"lost": lambda f: not f, "doubled": lambda f: len(f) == 2,
                 "late": lambda f: len(f) == 1 and f[0] > 0, "prompt": lambda f: f == [0.0]}
        shares = {name: sum(map(is_it, cast)) / len(cast) for name, is_it in kinds.items()}
        for name, expected in {"lost": 0.2, "doubled": 0.2, "late": 0.2, "prompt": 0.4}.items():
            self.assertAlmostEqual(shares[name], expected, delta=0.03, msg=name)
        self.assertLessEqual(max(max(fate, default=0) for fate in cast), strayer.LATE_S)

    def test_what_becomes_of_an_event_is_the_same_on_every_bus(self):
        events = [[b"rt/g", str(n).encode()] for n in range(200)]
        once, again = ([strayer.fates(strayer.same_fate(parts), 33) for parts in events]
                       for _ in range(2))
        self.assertEqual(once, again)
        self.assertGreater(len(set(map(tuple, once))), 3)

    def test_without_faults_every_message_goes_on_at_once(self):
        self.assertEqual({tuple(strayer.fates(random.Random(n), 0)) for n in range(100)}, {(0.0,)})


class RowTest(unittest.TestCase):
    def judge(self, calls, writes=None, **expected):
        """The faults of a row that saw these calls and writes."""
        table = row.Table.__new__(row.Table)
        table.cluster = Tables(["w|1|1"])
        table.api = types.SimpleNamespace(limits={"narrow": (30, 60), "tight": (5, 1)})
        table.load = types.SimpleNamespace(calls=calls, writes=writes or [
            write("create", "w", 1, [201], id="1", due=0.5)])
        table.lines, table.passed, table.failed = [], 0, 0
        scene = types.SimpleNamespace(notes=[], faults=[], started=0.0)
        scene.check = lambda true, text: true or scene.faults.append(text)
        scene.note = scene.notes.append
        with contextlib.redirect_stdout(io.StringIO()):
            table._judge(row.Row("r", None, **expected), scene, 0.0, 1.0)
        return scene.faults

    @staticmethod
    def calls(*statuses, kind="open", step=0.1):
        return [load.Call(i * step, i * step, i * step + 0.01, kind, status)
                for i, status in enumerate(statuses)]

    def test_good_calls_have_no_fault(self):
        self.assertEqual(self.judge(self.calls(*[200] * 20)), [])

    def test_one_failed_call_fails_the_row(self):
        faults = self.judge(self.calls(*[200] * 10, 0, *[200] * 10))
        self.assertEqual(len(faults), 1)
        self.assertIn("1 calls failed", faults[0])
        self.assertEqual(self.judge(self.calls(*[200] * 10, 0, *[200] * 10), failed_calls=1), [])

    def test_a_gap_fails_the_row(self):
        late = [call._replace(done=call.done + 2.0) for call in self.calls(*[200] * 10)]
        faults = self.judge(self.calls(200, 200) + late)
        self.assertIn("without a good call", faults[0])

    def test_a_limited_call_counts_only_where_limits_may_refuse(self):
        calls = self.calls(*[200] * 10) + self.calls(429, kind="signed")
        self.assertIn("1 calls were limited", self.judge(calls)[0])
        self.assertEqual(self.judge(calls, refused_calls=1), [])

    def test_the_narrow_limit_may_refuse_but_not_be_exceeded(self):
        good = self.calls(*[200] * 20)
        self.assertEqual(self.judge(good + self.calls(429, kind="narrow")), [])
        base = 61 - (time.time() - time.monotonic()) % 60  # early in a minute, on our clock
        over = [load.Call(base + i * 0.1, base, base + i * 0.1, "narrow", 200) for i in range(31)]
        end = time.monotonic()
        self.assertLess(base + 4, end, "this machine runs for longer than a minute")
        self.assertIn("a limit was exceeded", " ".join(self.judge(good + over)))
        self.assertEqual(self.judge(good + over[1:]), [])

    def tight(self, per_s, seconds=6):
        """Calls of the tight limit that are admitted, each in the middle of a second of our clock."""
        base = 0.4 - (time.time() - time.monotonic()) % 1
        return [load.Call(at, at, at + 0.01, "tight", 200 if i < per_s else 429)
                for second in range(1, 1 + seconds) for i in range(12)
                for at in [base + second + i * 0.02]]

    def test_a_second_with_more_than_its_limit_fails_the_row(self):
        good = self.calls(*[200] * 80)
        self.assertEqual(self.judge(good + self.tight(5)), [])
        self.assertIn("a limit was exceeded", " ".join(self.judge(good + self.tight(6))))
        self.assertEqual(self.judge(good + self.tight(6), loose=True), [])

    def test_what_is_missed_of_a_limit_is_told(self):
        good = self.calls(*[200] * 80)
        self.assertEqual(self.judge(good + self.tight(5), least_units=100), [])
        self.assertEqual(self.judge(good + self.tight(4), least_units=80), [])
        self.assertIn("80 % of the tight limit was admitted",
                      self.judge(good + self.tight(4), least_units=81)[0])

    def test_a_write_that_never_ends_well_fails_the_row(self):
        faults = self.judge(self.calls(*[200] * 20), [write("create", "w", 1, [503, 0], due=0.5)])
        self.assertIn("never acknowledged", faults[0])

    def test_a_repeat_that_finds_its_own_work_is_acknowledged(self):
        mine = write("create", "w", 1, [0, 400], due=0.5)
        self.assertEqual(self.judge(self.calls(*[200] * 20), [mine]), [])


class UnitTest(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.host = Flat().host("h", pathlib.Path(self.home.name) / "h")

    def tearDown(self):
        self.home.cleanup()

    def unit(self, *command):
        made = Unit("u", self.host, command, log=os.path.join(self.home.name, "log"))
        self.addCleanup(made.stop)
        made.start()
        made.wait(10)
        return made

    def test_what_is_killed_starts_again_and_what_is_stopped_does_not(self):
        unit = self.unit("cat", "/dev/zero")
        first = unit.process.pid
        unit.kill()
        wait_until(lambda: unit.starts == 2 and unit.alive(), 10, "the second start")
        self.assertNotEqual(unit.process.pid, first)
        unit.stop()
        self.assertFalse(unit.alive())
        self.assertEqual((unit.starts, unit.ends), (2, [-signal.SIGKILL, -signal.SIGTERM]))

    def test_children_of_a_killed_parent_go_with_it(self):
        unit = self.unit("bash", "-c", "tail -f /dev/null & wait")
        child = wait_until(unit.children, 10, "a child")[0]
        unit.kill()
        wait_until(lambda: not os.path.exists(f"/proc/{child}") or "\nState:\tZ" in pathlib.Path(
            f"/proc/{child}/status").read_text(), 10, "the child's end")

    def test_what_is_stopped_by_signal_ends_all_the_same(self):
        unit = self.unit("cat", "/dev/zero")
        unit.kill(signal.SIGSTOP)
        begun = time.monotonic()
        unit.stop()
        self.assertLess(time.monotonic() - begun, 10)


class PrivilegesTest(unittest.TestCase):
    def lacking(self, user, has=lambda tool: True, may=True):
        """What is said to who may not make hosts; None to who may."""
        def run(*words, **_):
            good = has(words[1]) if words[0] == "which" else may
            return types.SimpleNamespace(returncode=int(not good), stderr="unshare failed: no\n")
        with unittest.mock.patch.object(hosts, "run", run), unittest.mock.patch("os.geteuid", lambda: user):
            return hosts.may_have_namespaces()

    def test_who_lacks_privileges_is_told_what(self):
        self.assertEqual(self.lacking(1000), "hosts in namespaces need root")
        self.assertEqual(self.lacking(0, lambda tool: tool != "nft"), "hosts in namespaces need nft")
        self.assertEqual(self.lacking(0, may=False), "no network namespaces here: unshare failed: no")
        self.assertIsNone(self.lacking(0))


class RollingTest(unittest.TestCase):
    def test_only_who_ended_by_itself_in_this_row_fell(self):
        killed_before, cannot_start, asked = ([-9, 1, -9], [0, 1], [0, -15])
        units = {name: types.SimpleNamespace(ends=ends) for name, ends in
                 (("postgres-1", killed_before), ("front-1", cannot_start), ("bus-1", asked))}
        self.assertEqual(rolling.fallen(units, {"postgres-1": 3, "front-1": 0, "bus-1": 0}), ["front-1"])
        self.assertEqual(rolling.fallen(units, {"postgres-1": 1}), ["postgres-1", "front-1"])


class LoadTest(unittest.TestCase):
    """Against a server that answers as it is told."""

    def serve(self, answers):
        """Runs one writer's POST against `answers` in turn: a status, or None to hang up."""
        async def answer(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            status = answers.pop(0)
            if status is not None:
                body = b'{"id": "7"}'
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
                             + body)
                await writer.drain()
            writer.close()

        async def go():
            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            made = load.Load.__new__(load.Load)
            made.cluster = types.SimpleNamespace(env={"project": "p", "gateway": "g", "ak": "",
                                                      "sk": ""})
            made._manage, made._tls = server.sockets[0].getsockname(), None
            made._data, made.calls, made.writes = made._manage, [], []
            made.quiet, made._names = threading.Event(), iter(range(1, 9))
            made.targets = {"open": load.Target("/x", "h")}
            await made._write(time.monotonic(), 0)
            answers.append(None)
            await made._call(time.monotonic(), 0)
            server.close()
            return made
        load.PAUSE_S = 0.01
        return asyncio.run(go())

    def test_a_writer_asks_again_until_it_is_answered(self):
        made = self.serve([None, 503, 201])
        self.assertEqual((made.writes[0].attempts, made.writes[0].id), ([0, 503, 201], "7"))
        self.assertTrue(made.writes[0].acknowledged)

    def test_a_final_refusal_ends_a_write(self):
        made = self.serve([400])
        self.assertEqual(made.writes[0].attempts, [400])
        self.assertFalse(made.writes[0].acknowledged)
        self.assertTrue(made.writes[0].doubled)

    def test_a_call_that_is_hung_up_on_has_failed(self):
        self.assertEqual(self.serve([201]).calls[0].status, 0)


class RelayTest(unittest.TestCase):
    def test_what_goes_through_arrives_in_order_and_late_both_ways(self):
        async def echo(reader, writer):
            while data := await reader.read(100):
                writer.write(data.upper())
            writer.close()

        async def go():
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            target = server.sockets[0].getsockname()[1]
            relaying = asyncio.ensure_future(
                relay.relay(0.2, "127.0.0.1", [(port, "127.0.0.1", target)]))
            await asyncio.sleep(0)
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    await asyncio.sleep(0)
            begun = time.monotonic()
            for part in (b"ab", b"cd", b"ef"):
                writer.write(part)
                await writer.drain()
            writer.write_eof()
            got = await reader.read()
            passed = time.monotonic() - begun
            writer.close()
            relaying.cancel()
            server.close()
            return got, passed
        got, passed = asyncio.run(asyncio.wait_for(go(), 20))
        self.assertEqual(got, b"ABCDEF")
        self.assertGreaterEqual(passed, 0.4)


if __name__ == "__main__":
    unittest.main()
