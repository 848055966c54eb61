#!/usr/bin/python3
"""clang-tidy 14 over every C file of ours in a build's compile_commands.json, in parallel.

    tidy.py BUILD [FILE…]

A file that passed is not run again until it, a header it includes, .clang-tidy or its command changes: the
proof is a stamp below BUILD/lint. Prints findings and exits 1 when there are any.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

from sources import ROOT

BUILD = pathlib.Path(sys.argv[1])  # not resolved: clang cannot take every name
ONLY = {pathlib.Path(name).resolve() for name in sys.argv[2:]}
STAMPS = BUILD / "lint"
NOT_FOR_LISTING = re.compile(r"-fsanitize=\S+|-fno-sanitize-recover=\S+|^\S*ccache\s+| -M[TF] \S+| -MM?D| -o \S+| -c ")


def digest(command):
    """Hash of the command and of every file of the tree that the compiler reads for it."""
    argv = NOT_FOR_LISTING.sub(" ", command["command"])
    listed = subprocess.run(argv + " -MM", shell=True, cwd=command["directory"], capture_output=True,
                            text=True).stdout
    total = hashlib.sha256(((ROOT / ".clang-tidy").read_text() + argv).encode())
    for name in listed.replace("\\\n", " ").split()[1:]:
        path = (pathlib.Path(command["directory"]) / name).resolve()
        if path.is_file() and ROOT in path.parents:
            total.update(path.read_bytes())
    return total.hexdigest()


def run(command):
    """(file, findings) of one file; no findings when its stamp is current."""
    name = pathlib.Path(command["file"])
    stamp = STAMPS / hashlib.sha256(str(name).encode()).hexdigest()[:24]
    want = digest(command)
    if stamp.is_file() and stamp.read_text() == want:
        return name, ""
    done = subprocess.run(["clang-tidy-14", "--quiet", "-p", BUILD, name], capture_output=True, text=True)
    if done.returncode == 0:
        stamp.write_text(want)
        return name, ""
    return name, done.stdout.strip() or done.stderr


def main():
    STAMPS.mkdir(parents=True, exist_ok=True)
    commands = {}
    for command in json.loads((BUILD / "compile_commands.json").read_text()):
        path = pathlib.Path(command["file"]).resolve()
        ours = ROOT in path.parents and BUILD.resolve() not in path.parents
        if ours and path.relative_to(ROOT).parts[0] in ("common", "services", "deploy") and (not ONLY or path in ONLY):
            commands[path] = command
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for _, text in pool.map(run, commands.values()):
            if text:
                bad += 1
                print(text)
    print(f"tidy: {len(commands) - bad} of {len(commands)} files clean")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
