"""deploy/config: a commented file for every process that names all of its settings: config_test.py BUILD.

The programs are asked: what --help lists is what there is, and a file with every key in force is read.
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(sys.argv.pop(1))
TREE = pathlib.Path(__file__).resolve().parents[3]
ROLES = ("bus", "front", "registry", "identity", "publisher", "throttle", "node")
KEY = re.compile(r"^(#?)([a-z_]+): *(.*)$")
NUMBERS = {"HTTP_PORT", "TLS_PORT", "HEALTH_PORT", "PEER_PORT", "PORT_FRONT", "PORT_FRONT_HEALTH", "NGINX_WORKERS"}


def run(role, *words, status):
    """What a program prints when it ends with this status."""
    done = subprocess.run([BUILD / f"bin/sluice-{role}", *words], stdin=subprocess.DEVNULL, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == status, f"sluice-{role}: {done.returncode}: {done.stdout}"
    return done.stdout


def lines(role):
    return (TREE / f"deploy/config/{role}.yaml").read_text().splitlines()


def keys(text):
    """{key: (whether it is in force, value)} of a file's lines."""
    return {found[2]: (not found[1], found[3]) for found in map(KEY.match, text) if found}


def uncommented(text):
    """The keys that no sentence stands above: keys below one another share theirs."""
    told, missing = False, []
    for line in text:
        found = KEY.match(line)
        if found:
            missing += [] if told else [found[2]]
        else:
            told = line.startswith("# ")
    return missing


def settings(role):
    """{key: default or ""} as the program lists them."""
    listed = re.findall(r"^  ([a-z_]+) +(.*)$", run(role, "--help", status=0), re.M)
    return {key: (re.findall(r"\(default (.*)\)$", text) or [""])[0] for key, text in listed}


class Config(unittest.TestCase):
    def test_a_key_without_a_sentence_is_found(self):
        self.assertEqual(uncommented(["# words", "a: 1", "#b: 2", "", "c: 3", "# more", "d: 4"]), ["c"])

    def test_every_process_has_a_file_and_every_file_a_process(self):
        files = {path.stem for path in (TREE / "deploy/config").iterdir()}
        self.assertEqual(files, set(ROLES))
        daemons = {path.name[7:] for path in (BUILD / "bin").glob("sluice-*")} - {"admin", "sign", "echo"}
        self.assertEqual(daemons & set(ROLES), set(ROLES))

    def test_every_setting_stands_in_its_file_with_a_comment(self):
        for role in ROLES:
            with self.subTest(role=role):
                self.assertEqual(set(keys(lines(role))), set(settings(role)))
                self.assertEqual(uncommented(lines(role)), [])

    def test_a_file_is_read_as_it_stands_and_with_every_key_in_force(self):
        for role in ROLES:
            for shown, pattern in (("as it stands", r"^(?!)"), ("every key", r"^#(?=[a-z_]+: )")):
                with self.subTest(role=role, file=shown):
                    self.read([re.sub(pattern, "", line) for line in lines(role)], role)

    def read(self, text, role):
        """A process reads its file and stumbles over nothing but its peer file, which is not there."""
        with tempfile.TemporaryDirectory(prefix="sluice-config-") as place:
            file = pathlib.Path(place) / f"{role}.yaml"
            file.write_text(re.sub(r"@([A-Z_]+)@", lambda name: "1" if name[1] in NUMBERS else place, "\n".join(text)))
            self.assertIn(f"{place}/{place}.peer", run(role, "--config", file, status=1))


if __name__ == "__main__":
    unittest.main()
