#!/usr/bin/python3
"""The house's budget that needs no compiler: lengths, parameters, columns, macros, #if, goto, documented
prototypes, SPDX lines, tests for the code. Complexity and nesting are clang-tidy's.

    budget.py [FILE…]     default: every tracked .c and .h

Prints one line a fault and exits 1 when there is one. `// long because …` above a function exempts it from
length and parameters; nginx's table macros and generated files do not come here.
"""
import pathlib
import re
import sys

from sources import ROOT, functions, strip_comments, tracked

FILE_LINES, FUNCTION_LINES, PARAMETERS, COLUMNS = 600, 80, 6, 100
TESTS_PER_CODE = 0.8  # lines of tests (C, Python, shell, YAML) for each line of C, blank ones and comments apart
PER_THOUSAND = 2  # function-like macros, and #if (guards apart), over the whole tree

faults = []


def fault(path, line, text):
    faults.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def exempt(lines, start):
    """Whether `// long because` stands in the comment above line `start` (the name's line)."""
    at = start - 2
    while at >= 0 and lines[at].strip() and not lines[at].startswith("}"):
        if "// long because" in lines[at]:
            return True
        at -= 1
    return False


def check_lengths(path, text, lines):
    if len(lines) - 1 > FILE_LINES and not re.search(r"^// long because", text, re.M):
        fault(path, 1, f"{len(lines) - 1} lines, at most {FILE_LINES}")
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS:
            fault(path, number, f"{len(line)} columns, at most {COLUMNS}")
    for name, first, last, count in functions(text):
        if last - first + 1 > FUNCTION_LINES and not exempt(lines, first):
            fault(path, first, f"{name}() has {last - first + 1} lines, at most {FUNCTION_LINES}")
        if count > PARAMETERS and not exempt(lines, first):
            fault(path, first, f"{name}() has {count} parameters, at most {PARAMETERS}")


def check_words(path, text, lines):
    if "SPDX-License-Identifier: Apache-2.0" not in text:
        fault(path, 1, "no SPDX line")
    if not re.match(r"// [\w./]*" + re.escape(path.name), text):
        fault(path, 1, "does not open with its name and a sentence")
    bare = strip_comments(text).split("\n")
    for number, line in enumerate(bare, 1):
        if re.search(r"\bgoto\b", line):
            fault(path, number, "goto: cleanup is an attribute")
        if re.match(r"\s*typedef\s+(struct|union|enum)\b(?!.*\()", line) and "nginx" not in path.parts:
            fault(path, number, "typedef of a struct")
    for number, line in enumerate(lines, 1):
        if re.search(r"//.*\b(TODO|FIXME|XXX|HACK)\b", line):
            fault(path, number, "unfinished business in a comment")


PROTOTYPE = re.compile(r"^(?!static|typedef|#|extern|enum|union|\}|return)[A-Za-z_][\w\s\*]*?[\s\*](\w+)\(")


def check_prototypes(path, lines):
    """Every prototype in a header has a comment above it, or belongs to a group that has one: lines of
    prototypes with no blank line between share the comment."""
    bare = strip_comments("\n".join(lines)).split("\n")
    for number, line in enumerate(bare, 1):
        match = PROTOTYPE.match(line)
        if not match or "__attribute__" in line[:14] or "//" in lines[number - 1]:
            continue
        at = number - 2
        while at >= 0 and lines[at].strip() and not lines[at].lstrip().startswith("//") and lines[at] != "}":
            at -= 1
        if at < 0 or not lines[at].lstrip().startswith("//"):
            fault(path, number, f"{match.group(1)}() is not documented")


def check_density(paths):
    """Function-like macros and conditionals per 1,000 lines of the whole tree."""
    total = macros = conditionals = 0
    for path in paths:
        text = path.read_text()
        total += text.count("\n")
        macros += len(re.findall(r"^#define \w+\(", text, re.M))
        conditionals += len([m for m in re.findall(r"^#if\w*\s+(.*)", text, re.M) if not m.rstrip().endswith("_H")])
    for what, count in (("function-like macros", macros), ("#if", conditionals)):
        if total > 5000 and count * 1000 > PER_THOUSAND * total:
            faults.append(f"tree: {count} {what} in {total} lines, at most {PER_THOUSAND} per 1,000")


def told(path):
    """Lines of a file that say something: neither blank nor a comment."""
    text = path.read_text()
    text = strip_comments(text) if path.suffix in (".c", ".h") else re.sub(r"^\s*#.*$", "", text, flags=re.M)
    return sum(1 for line in text.split("\n") if line.strip())


def check_tests():
    """Enough tests for the code, over the whole tree."""
    def total(folders, *suffixes):
        return sum(told(path) for path in tracked(*suffixes) if path.relative_to(ROOT).parts[0] in folders)
    code = total(("common", "services"), ".c", ".h")
    tests = total(("tests",), ".c", ".h", ".py", ".sh", ".yaml")
    if code > 5000 and tests < TESTS_PER_CODE * code:
        faults.append(f"tree: {tests} lines of tests for {code} of code, at least {TESTS_PER_CODE} each")
    return f"{tests / max(code, 1):.2f} lines of tests for each of code"


def main():
    named = [pathlib.Path(arg).resolve() for arg in sys.argv[1:]]
    paths = named or tracked(".c", ".h")
    for path in paths:
        text = path.read_text()
        lines = text.split("\n")
        check_lengths(path, text, lines)
        check_words(path, text, lines)
        if path.suffix == ".h":
            check_prototypes(path, lines)
    ratio = "" if named else ", " + check_tests()
    if not named:
        check_density([p for p in paths if "tests" not in p.relative_to(ROOT).parts])
    print("\n".join(faults) if faults else f"budget: {len(paths)} files hold it{ratio}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
