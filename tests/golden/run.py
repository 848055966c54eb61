#!/usr/bin/python3
"""run.py PROGRAM DIRECTORY [--write]: every x.in.yaml through the program must give x.out.yaml.

The program reads JSON on standard input and prints JSON. --write stores what it gives, for a reader to judge.
"""
import difflib
import json
import pathlib
import subprocess
import sys

import yaml


def load(case):
    """The case; an entry with `file: compile/x` is what compile/x.out.yaml says."""
    given = yaml.safe_load(case.read_text())
    for item in given.get("entries", []):
        if "file" in item:
            item["entry"] = yaml.safe_load((case.parent.parent / (item.pop("file") + ".out.yaml")).read_text())
    return given


def main():
    program, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    cases = sorted(directory.glob("*.in.yaml"))
    failed = 0
    for case in cases:
        given = json.dumps(load(case))
        done = subprocess.run([program], input=given, capture_output=True, text=True, timeout=20)
        if done.returncode != 0 and not done.stdout:
            print(f"{case.name}: exit {done.returncode}\n{done.stderr}")
            failed += 1
            continue
        got = yaml.safe_dump(json.loads(done.stdout), sort_keys=True, allow_unicode=True)
        expected = case.with_name(case.name.replace(".in.", ".out."))
        if "--write" in sys.argv:
            expected.write_text(got)
        want = yaml.safe_dump(yaml.safe_load(expected.read_text()), sort_keys=True, allow_unicode=True)
        if got != want:
            print("".join(difflib.unified_diff(want.splitlines(True), got.splitlines(True), str(expected), "what came")))
            failed += 1
    print(f"golden: {len(cases) - failed} of {len(cases)} agree")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
