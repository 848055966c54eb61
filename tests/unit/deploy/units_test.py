"""deploy/lib/units.sh: whose port it is that is taken."""
import pathlib
import subprocess
import tempfile
import unittest

LIB = pathlib.Path(__file__).resolve().parents[3] / "deploy/lib"
# All ports are open, all units live, but for nginx-2, which does from a look on.
CHECK = r"""
set -eu
for part in env ui units; do source "$LIB/$part.sh"; done
looks=0
unit_alive() { [[ $1 != nginx-2 ]] || ((++looks >= LIVES_AT)); }
pids_in() { :; }
port_open() { :; }
ports_check
"""


class Ports(unittest.TestCase):
    def check(self, lives_at):
        """How the check of a port ends whose unit lives from that look on."""
        with tempfile.TemporaryDirectory(prefix="sluice-units-") as var:
            return subprocess.run(["bash", "-c", CHECK], text=True, capture_output=True, timeout=30, check=False, env={
                "PATH": "/usr/bin:/bin", "LIB": str(LIB), "SLUICE_VAR": var, "LIVES_AT": str(lives_at)})

    def test_a_port_of_the_unit_is_its_own(self):
        self.assertEqual(self.check(1).returncode, 0)

    def test_a_port_of_a_unit_that_starts_meanwhile_is_its_own(self):
        done = self.check(2)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_port_of_somebody_else_ends_the_run(self):
        done = self.check(9)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"port \d+ \(nginx-2\) is taken by another program")


if __name__ == "__main__":
    unittest.main()
