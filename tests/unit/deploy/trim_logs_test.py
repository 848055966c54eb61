"""deploy/lib/trim-logs.sh: logs of services are bounded, and writers go on writing."""
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "deploy/lib/trim-logs.sh"
MAX = 1000
KEEP = 2


class TrimLogs(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory(prefix="sluice trim ")
        self.addCleanup(self.place.cleanup)
        self.dir = pathlib.Path(self.place.name)

    def write(self, name, letter, count=MAX):
        with (self.dir / name).open("a", encoding="ascii") as file:
            file.write(letter * count)

    def trim(self):
        subprocess.run([SCRIPT, self.dir, str(MAX), str(KEEP), "once"], check=True, timeout=30)

    def letters(self):
        """First letter and size of every file that is there."""
        return {path.name: (path.read_text()[:1], path.stat().st_size) for path in self.dir.iterdir()}

    def test_a_small_log_stays(self):
        self.write("a.log", "a", MAX - 1)
        self.trim()
        self.assertEqual(self.letters(), {"a.log": ("a", MAX - 1)})

    def test_a_large_log_is_kept_beside_and_emptied(self):
        self.write("a.log", "a")
        self.write("with blank.log", "b", MAX + 1)
        self.trim()
        self.assertEqual(self.letters(), {"a.log": ("", 0), "a.log.1": ("a", MAX),
                                          "with blank.log": ("", 0), "with blank.log.1": ("b", MAX + 1)})

    def test_only_so_many_are_kept(self):
        for letter in "abcd":
            self.write("a.log", letter)
            self.trim()
        self.assertEqual(self.letters(), {"a.log": ("", 0), "a.log.1": ("d", MAX), "a.log.2": ("c", MAX)})

    def test_what_is_no_log_is_left_alone(self):
        for name in ("notes.txt", "a.log.1", "sanitizer.77"):
            self.write(name, "n", 3 * MAX)
        before = self.letters()
        self.trim()
        self.assertEqual(self.letters(), before)

    def test_no_log_at_all_is_no_fault(self):
        self.trim()
        self.assertEqual(self.letters(), {})

    def test_a_writer_that_has_it_open_goes_on_at_its_start(self):
        with (self.dir / "a.log").open("a", encoding="ascii") as held:
            held.write("a" * MAX)
            held.flush()
            self.trim()
            held.write("b")
            held.flush()
            self.assertEqual(self.letters()["a.log"], ("b", 1))

    def test_a_log_that_cannot_be_kept_is_emptied_all_the_same(self):
        self.write("a.log", "a")
        (self.dir / "a.log.1").mkdir()
        (self.dir / "a.log.2").mkdir()
        (self.dir / "a.log.1/full").touch()
        (self.dir / "a.log.1/a.log").mkdir()
        self.trim()
        self.assertEqual((self.dir / "a.log").stat().st_size, 0)

    def test_it_looks_again_until_it_is_told_to_end(self):
        with subprocess.Popen([SCRIPT, self.dir, str(MAX), str(KEEP)]) as process:
            self.write("a.log", "a")
            end = time.monotonic() + 30
            while not (self.dir / "a.log.1").exists() and time.monotonic() < end:
                signal.sigtimedwait([], 0.05)
            process.terminate()
            self.assertEqual(process.wait(5), -signal.SIGTERM)
        self.assertTrue((self.dir / "a.log.1").exists())
        self.assertFalse([entry for entry in os.listdir("/proc") if entry == str(process.pid)])


if __name__ == "__main__":
    unittest.main()
