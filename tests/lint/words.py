#!/usr/bin/python3
"""Words that may not appear in certain places.

Banned calls; HTTP statuses in C outside the error table; resource names in the engine; PQ calls outside
common/db; waiting by sleeping in tests and deploy. Prints each, exits 1.
"""
import re
import sys

from sources import ROOT, strip_comments, tracked

BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|system|popen|tmpnam|mktemp)\s*\(")
STATUS = re.compile(r"(?<![\w.\"'-])(40[0-9]|41[0-9]|42[0-9]|494|50[0-4])(?![\w.])")
RESOURCES = re.compile(r"\"(group|api_group|api|env|environment|app|app_code|app_auth|throttle|throttle_binding|instance)\"")
SLEEP = re.compile(r"(^|[^\w.])(time\.sleep|sleep|usleep)[ (]+[0-9.]")


def check_c(name, text, fault):
    for number, line in enumerate(strip_comments(text).split("\n"), 1):
        match = BANNED.search(line)
        if match:
            fault(name, number, f"{match.group(1)}() is banned")
        if not name.startswith(("services/", "common/")):
            continue
        if re.search(r"\bPQ[a-z]\w+\s*\(", line) and not name.startswith("common/db/"):
            fault(name, number, "libpq is called in common/db only")
        if STATUS.search(line) and "status" in line.lower() and not name.startswith("services/nginx/"):
            fault(name, number, "a status literal; take it from the error table")
    if re.match(r"services/registry/engine\w*\.c", name):
        for number, line in enumerate(text.split("\n"), 1):
            if RESOURCES.search(line):
                fault(name, number, "the engine names a resource")


def main():
    faults = []

    def fault(name, number, text):
        faults.append(f"{name}:{number}: {text}")

    for path in tracked(".c", ".h", ".py", ".sh", ".yaml", ".json"):
        name = str(path.relative_to(ROOT))
        if name.startswith("tests/lint/"):
            continue
        text = path.read_text(errors="replace")
        if name.endswith((".c", ".h")):
            check_c(name, text, fault)
        elif name.startswith(("tests/", "deploy/")):
            for number, line in enumerate(text.split("\n"), 1):
                if SLEEP.search(line):
                    fault(name, number, "waits by sleeping; wait for the event")
    print("\n".join(faults) if faults else "words: nothing out of place")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
