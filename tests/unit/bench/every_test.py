"""All benches after the other: python3 every_test.py TESTS [unittest arguments].

A gate that passes what missed, broke or was left out is none: each is given to it by benches of words.
"""
import contextlib
import io
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import types
import unittest

TESTS = pathlib.Path(sys.argv.pop(1))
sys.path.insert(0, str(TESTS / "bench"))

import every  # pylint: disable=wrong-import-position

# Does what its first word says; where it is told to end it leaves a note, as real ones remove what they started.
BENCH = r"""
import pathlib, signal, sys
what = sys.argv[1]
assert sys.argv[-1] == "--gate"
print("what  ratio  budget")
if what == "over":
    print("a row  1.4  <= 1.2\n\nover budget (with 10 % slack): a row over plain")
    sys.exit(1)
if what == "partly":
    print("\nnot run: Kong: no such thing here")
if what == "broken":
    raise RuntimeError("no stack")
if what == "late":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if pathlib.Path(__file__).with_name("started").exists():
            pathlib.Path(__file__).with_name("started").write_text("")
        signal.pause()
    finally:
        pathlib.Path(__file__).with_name("cleaned").touch()
"""


class EveryTest(unittest.TestCase):
    """Each test plays a few of the benches above."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = pathlib.Path(place.name)
        for name, value in (("BENCH", self.place / "bench.py"), ("SETUP_MIN", 0), ("RUNS", every.RUNS)):
            self.addCleanup(setattr, every, name, getattr(every, name))
            setattr(every, name, value)
        every.BENCH.write_text(BENCH)
        self.out, self.told = io.StringIO(), io.StringIO()

    def play(self, *names, only=None, minutes=1):
        """What `all` answers of these."""
        every.RUNS = [(minutes, [name]) for name in names]
        options = types.SimpleNamespace(only=only, apisix=None, build="build")
        with contextlib.redirect_stdout(self.out), contextlib.redirect_stderr(self.told):
            return every.run(options)

    def not_run(self):
        return self.out.getvalue().split("## Not run\n")[1]

    def test_what_it_prints_is_the_page(self):
        self.play("fine")
        self.assertTrue(self.out.getvalue().startswith("# Results\n"))

    def test_a_gate_fits_forty_minutes(self):
        self.assertLessEqual(sum(minutes for minutes, _ in every.RUNS), 40)

    def test_what_holds_its_budgets_misses_nothing(self):
        self.assertEqual(self.play("fine"), [])
        self.assertIn("## `tests/bench/run.sh fine`", self.out.getvalue())

    def test_a_missed_row_is_named_and_the_next_benches_run(self):
        self.assertEqual(self.play("over", "fine"), ["over: a row over plain"])
        self.assertIn("## `tests/bench/run.sh fine`", self.out.getvalue())

    def test_a_bench_that_breaks_is_missed_and_not_run(self):
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(self.play("broken", "fine"), ["broken: ended with 1"])
        self.assertIn("- broken: not to its end", self.not_run())

    def test_a_bench_that_does_not_end_is_ended_and_cleans_up(self):
        missed = self.play("late", "fine", minutes=0.01)
        self.assertEqual(missed, ["late: ended with nothing after 0 minutes"])
        self.assertTrue((self.place / "cleaned").exists())

    def test_what_a_bench_left_out_and_what_none_has_is_not_run(self):
        self.assertEqual(self.play("partly"), [])
        self.assertIn("- partly: Kong: no such thing here", self.not_run())
        for line in every.MISSING:
            self.assertIn(line, self.not_run())

    def test_benches_that_nobody_asked_for_are_not_run(self):
        self.assertEqual(self.play("fine", "over", only=["fine"]), [])
        self.assertIn("- over\n", self.not_run())
        self.assertNotIn("run.sh over", self.out.getvalue())

    def test_it_says_how_long_it_will_take(self):
        self.play("fine", "over", minutes=4)
        self.assertEqual(self.told.getvalue().splitlines(),
                         ["1 of 2, fine: about 4 minutes of 8 that are left", "fine took 0.0 minutes",
                          "2 of 2, over: about 4 minutes of 4 that are left", "over took 0.0 minutes"])

    def test_who_ends_all_ends_the_bench_in_hand(self):
        # In a process of its own, which gets the signal once the bench runs: then it has opened the pipe.
        script, started = self.place / "all.py", self.place / "started"
        os.mkfifo(started)
        script.write_text(f"""
import signal, sys, types
sys.path.insert(0, {str(TESTS / 'bench')!r})
import every
every.BENCH, every.RUNS = {str(every.BENCH)!r}, [(1, ["late"])]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
every.run(types.SimpleNamespace(only=None, apisix=None, build="build"))
""")
        with subprocess.Popen([sys.executable, script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            started.read_text()
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(30), 143)
        self.assertTrue((self.place / "cleaned").exists())


if __name__ == "__main__":
    unittest.main()
