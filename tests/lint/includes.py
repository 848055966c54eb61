#!/usr/bin/python3
"""Includes point one way: services -> common/{wire,db,crypto,runtime} -> common/base.

A service never includes another service; the nginx module takes base, crypto and runtime only; libpq-fe.h
stands in common/db alone. Prints each wrong arrow, exits 1.
"""
import re
import sys

from sources import ROOT, tracked

MIDDLE = {"wire", "db", "crypto", "runtime"}


def room(path):
    """("common", "wire") of common/wire/x.h."""
    parts = path.split("/")
    return (parts[0], parts[1]) if len(parts) > 2 else (parts[0], "")


def allowed(source, target):
    """Whether a file of room `source` may include one of room `target`."""
    if source == target or source[0] == "tests" or target[0] == "gen":
        return True
    if target[0] != "common" or source == ("common", "base"):
        return False
    if source[0] == "common":
        return target[1] == "base"
    if source == ("services", "nginx"):
        return target[1] in ("base", "crypto", "runtime")
    return source[0] in ("services", "deploy") and target[1] in MIDDLE | {"base"}


def main():
    faults = []
    for path in tracked(".c", ".h"):
        name = str(path.relative_to(ROOT))
        source = room(name)
        for number, line in enumerate(path.read_text().split("\n"), 1):
            match = re.match(r'#include ["<]([^">]+)[">]', line)
            if not match:
                continue
            target = match.group(1)
            if target.startswith("libpq") and source != ("common", "db") and source[0] != "tests":
                faults.append(f"{name}:{number}: libpq belongs to common/db")
            ours = target.startswith(("common/", "services/", "tests/", "gen/"))
            if ours and not allowed(source, room(target)):
                faults.append(f"{name}:{number}: {'/'.join(source)} may not include {target}")
    print("\n".join(faults) if faults else "includes: every arrow points down")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
