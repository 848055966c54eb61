"""deploy/lib/env.sh and links.sh: which names are plain, and who makes and removes the links."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

TREE = pathlib.Path(__file__).resolve().parents[3]
ODD = "a 'clone' \"of\" \\ ;{}$HOME#%@UNIT@\t*?[x]\n\u00e9~&|<>(),:!`id` -e"


class Links(unittest.TestCase):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="sluice-links-"))
        self.addCleanup(shutil.rmtree, self.home)
        self.outside = set()
        self.addCleanup(self.sweep)

    def sweep(self):
        for path in self.outside:
            shutil.rmtree(path, ignore_errors=True)

    def tree(self, name):
        """A tree with nothing but the two files."""
        tree = self.home / name
        (tree / "deploy/lib").mkdir(parents=True)
        for part in ("env", "links"):
            shutil.copy(TREE / f"deploy/lib/{part}.sh", tree / "deploy/lib")
        return tree

    def ask(self, tree, script, **environ):
        """What a script says after it sourced both files; its words end with a NUL."""
        prelude = 'set -eu; for part in env links; do source "$1/deploy/lib/$part.sh"; done; '
        done = subprocess.run(["bash", "-c", prelude + script, "bash", tree], check=True, timeout=30,
                              stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"], **environ})
        words = done.stdout.decode().split("\0")[:-1]
        self.outside.update(w for w in words if w.startswith("/var/tmp/sluice-") and w.count("/") == 3)
        return words

    def test_a_plain_name_is_used_as_it_is(self):
        tree = self.tree("plain-1.0_b+c,d=e")
        names = self.ask(tree, r"printf '%s\0' "
                               '"$TREE" "$VAR" "$BUILD" "$MAKING_TREE" "$MAKING_BUILD"')
        self.assertEqual(names, [f"{tree}", f"{tree}/var", f"{tree}/build", f"{tree}", f"{tree}/build"])

    def test_a_plain_tree_has_no_links(self):
        tree = self.tree("plain")
        short, making = self.ask(tree, 'links_make; making_begin; making_end; '
                                       r"""printf '%s\0' "$SHORT" "$MAKING" """)
        self.assertEqual(os.listdir(short), [])
        self.assertFalse(os.path.lexists(making))

    def test_every_odd_character_makes_a_name_odd(self):
        for odd in set(ODD) - set(" clone'of"):
            if not (odd.isascii() and odd.isalnum()) and odd not in ",-":
                tree = self.tree(f"x{odd}y")
                self.assertNotIn(odd, self.ask(tree, r"""printf '%s\0' "$TREE" """)[0], repr(odd))

    def test_links_lead_to_the_directories(self):
        tree = self.tree(ODD)
        short, *names = self.ask(tree, r"""links_make; printf '%s\0' "$SHORT" "$TREE" "$VAR" "$BUILD" """)
        for name, real in zip(names, (tree, tree / "var", tree / "build")):
            self.assertEqual(os.path.realpath(name), str(real))
            self.assertRegex(name, r"^/var/tmp/sluice-[0-9a-f]{10}/[a-z]+$")
        self.assertEqual(os.stat(short).st_mode & 0o777, 0o711)

    def test_a_name_that_ends_with_a_line_end_is_kept_whole(self):
        tree = self.tree("ends\n")
        self.assertEqual(self.ask(tree, r"""printf '%s\0' "$REAL_TREE" "$REAL_VAR" """),
                         [str(tree), f"{tree}/var"])

    def test_a_deployment_reached_by_another_way_is_the_same(self):
        tree = self.tree(ODD)
        (self.home / "way").symlink_to(tree)
        identity = r"""printf '%s\0' "$ID" "$REAL_VAR" """
        self.assertEqual(self.ask(tree, identity), self.ask(self.home / "way", identity))
        # A service's own environment names the link.
        short, var = self.ask(tree, r"""links_make; printf '%s\0' "$SHORT" "$VAR" """)
        self.assertEqual(self.ask(tree, r"""printf '%s\0' "$SHORT" """, SLUICE_VAR=var), [short])

    def test_the_last_one_that_builds_removes_the_links(self):
        tree = self.tree(ODD)
        there = r"""[[ -e $MAKING_TREE ]] && printf 'there\0' || printf 'gone\0'; """
        other = ('bash -c \'set -eu; for part in env links; do source "$1/deploy/lib/$part.sh"; done; '
                 'making_begin; making_end\' bash "$1"; ')
        self.assertEqual(self.ask(tree, "making_begin; " + other + there + "making_end; " + there),
                         ["there", "gone"])

    def test_a_directory_of_someone_else_is_not_taken(self):
        tree = self.tree("plain")
        short = self.ask(tree, r"""printf '%s\0' "$SHORT" """)[0]
        os.symlink("/etc", short)
        self.addCleanup(os.unlink, short)
        with self.assertRaises(subprocess.CalledProcessError):
            self.ask(tree, "links_make")


if __name__ == "__main__":
    unittest.main()
