"""How APISIX's folder is made of repositories: python3 apisix_folder_test.py TESTS [unittest arguments]."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

TESTS = pathlib.Path(sys.argv.pop(1))
sys.path.insert(0, str(TESTS / "bench"))

import apisix_folder  # pylint: disable=wrong-import-position


class FolderTest(unittest.TestCase):
    """Two repositories stand for the many: one with a library in C."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = pathlib.Path(place.name)
        self.repository("apache/apisix", apisix_folder.APISIX, {"apisix/init.lua": "new", "conf/a.yaml": "a", "t/x": "left"})
        self.repository("other/library", "v1", {"lib/resty/a.lua": "a", "src/a.c": "int answer(void) { return 1; }\n"})
        for name, value in (("HOST", f"file://{self.place}/"),
                            ("SOURCES", [("apache/apisix", apisix_folder.APISIX, "", ["apisix", "conf"]),
                                         ("other/library", "v1", "lib", ["resty"])]),
                            ("LIBRARIES", [("other/library", "v1", "liba.so", ["src/a.c"])])):
            self.addCleanup(setattr, apisix_folder, name, getattr(apisix_folder, name))
            setattr(apisix_folder, name, value)

    def repository(self, name, tag, files):
        where = self.place / name
        for path, text in files.items():
            (where / path).parent.mkdir(parents=True, exist_ok=True)
            (where / path).write_text(text)
        for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"], ["tag", tag]):
            subprocess.run(["git", "-C", where, *words], check=True)

    def made(self):
        folder, reason = apisix_folder.found(None, self.place, True)
        self.assertEqual(reason, "")
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    def test_the_folder_has_what_require_finds_and_nothing_else(self):
        self.assertEqual(self.made(), {"apisix/init.lua", "conf/a.yaml", "resty/a.lua", "liba.so"})

    def test_a_tag_that_is_missing_is_told_and_leaves_nothing(self):
        apisix_folder.SOURCES[1] = ("other/library", "v2", "lib", ["resty"])
        folder, reason = apisix_folder.found(None, self.place, True)
        self.assertIsNone(folder)
        self.assertIn("v2", reason)
        self.assertFalse((self.place / "apisix-modules").exists())

    def test_sources_out_of_reach_are_told(self):
        apisix_folder.HOST = f"file://{self.place}/nowhere/"
        self.assertIn("out of reach", apisix_folder.found(None, self.place, True)[1])

    def test_code_that_does_not_compile_is_told(self):
        apisix_folder.LIBRARIES[0] = ("other/library", "v1", "liba.so", ["lib/resty/a.lua"])
        self.assertIn("liba.so", apisix_folder.found(None, self.place, True)[1])

    def test_a_folder_that_is_given_is_taken(self):
        self.assertEqual(apisix_folder.found(self.place, self.place, True)[0], self.place)

    def test_nothing_is_brought_where_nobody_wants_it(self):
        apisix_folder.HOST = "no address"
        self.assertEqual(apisix_folder.found(None, self.place, False), (None, "no --apisix DIR"))


if __name__ == "__main__":
    unittest.main()
