"""What the lint scripts share: which files are ours, and how to find functions in them."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tracked(*suffixes):
    """The files git tracks (and new ones it does not ignore) with one of the suffixes."""
    out = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], check=True,
                         capture_output=True, text=True).stdout
    return [ROOT / name for name in out.splitlines() if name.endswith(suffixes) and (ROOT / name).is_file()]


def strip_comments(text):
    """Blanks comments and the contents of strings, keeping every newline and column."""
    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] + re.sub(r"[^\n]", "_", found[1:-1]) + found[-1]
        return re.sub(r"[^\n]", " ", found)
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def functions(text):
    """(name, first line, last line, parameters) of each definition; the house style puts the name
    at column one and the braces of the body at column one."""
    lines = strip_comments(text).split("\n")
    start = None
    for number, line in enumerate(lines, 1):
        match = re.match(r"(\w+)\(", line)
        before = lines[number - 2][:1] if number > 1 else ""
        if match and not line.rstrip().endswith(";") and before not in ("", " ", "#", "}"):
            start = (match.group(1), number)
        elif line == "}" and start:
            head = "\n".join(lines[start[1] - 1:number])
            yield start[0], start[1], number, parameters(head[head.index("(") + 1:closing(head)])
            start = None


def closing(text):
    """Where the first parenthesis of `text` closes."""
    depth = 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == ")" and depth == 0:
            return at
    return len(text)


def parameters(inner):
    """How many parameters stand between the parentheses."""
    depth, count = 0, 1
    if inner.strip() in ("", "void"):
        return 0
    for char in inner:
        depth += (char in "([") - (char in ")]")
        count += char == "," and depth == 0
    return count
