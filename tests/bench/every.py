"""all: every bench after the other as RESULTS.md has them, their raw output as sections of that page.

Standard error tells which one runs and how long the rest takes. A bench that breaks, or takes three times its time, counts
as missed and does not keep the next ones from running. At the end stands what was not run.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

BENCH = pathlib.Path(__file__).with_name("bench.py")
# What runs, in the order of RESULTS.md, and the minutes that it takes on a quiet machine.
RUNS = [
    (3, ["proxy"]),
    (3, ["peers"]),
    (4, ["scale", "--seconds", "2"]),
    (4, ["shapes"]),
    (4, ["rates"]),
    (2, ["cold", "--rounds", "3"]),
    (1, ["instructions"]),
    (2, ["memory"]),
    (8, ["keys", "--rounds", "1", "--seconds", "10"]),
    (4, ["publish", "--sizes", "1000", "10000"]),
    (12, ["changes", "--apis", "10", "10000", "100000"]),
    (3, ["start", "--apis", "10000", "100000", "--rounds", "1"]),
    (1, ["websockets"]),
    (5, ["management", "--rounds", "3", "--seconds", "2"]),
    (8, ["limits"]),
    (2, ["accounting"]),
]
# Rows of the budgets that no bench has, and why.
MISSING = [
    "proxy: the channel of 10 members and the signature to the backend of its last row: not in the product",
    "a handshake with one of 5,000 certificates: the operations on domains and certificates are not in the product",
]
SLACK, SETUP_MIN = 3, 5  # a bench may take so many times its minutes, and these
CLEAN_S = 120  # until a bench that was told to end has removed what it started
OVER = re.compile(r"^over budget .*?: (.*)$", re.M)
NOT_RUN = re.compile(r"^not run: (.*)$", re.M)


def end(process):
    """Ends it in a way that lets it clean up."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(CLEAN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def outcome(command, limit_s):
    """What it prints, and how it ended: a status, or words."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out)
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            status = f"nothing after {limit_s / 60:.0f} minutes"
        finally:
            end(process)
        out.seek(0)
        return out.read(), status


def play(words, more, minutes):
    """Runs one bench and prints its section; answers (what it missed, what of it was not run)."""
    print(f"## `tests/bench/run.sh {' '.join(words)}`\n\n```", flush=True)
    text, status = outcome([sys.executable, BENCH, *words, *more, "--gate"], (minutes * SLACK + SETUP_MIN) * 60)
    print(f"{text.rstrip()}\n```\n", flush=True)
    over = OVER.search(text)
    absent = [f"{words[0]}: {line}" for line in NOT_RUN.findall(text)]
    if status == 1 and over:
        return [f"{words[0]}: {over.group(1)}"], absent
    if status == 0:
        return [], absent
    return [f"{words[0]}: ended with {status}"], [*absent, f"{words[0]}: not to its end"]


def run(options):
    """Plays them, or those of `--only`; answers what any missed."""
    wanted = [row for row in RUNS if not options.only or row[1][0] in options.only]
    missed, absent = [], [words[0] for _, words in RUNS if options.only and words[0] not in options.only]
    left = sum(minutes for minutes, _ in wanted)
    for number, (minutes, words) in enumerate(wanted, 1):
        print(f"{number} of {len(wanted)}, {words[0]}: about {minutes} minutes of {left} that are left", file=sys.stderr)
        apisix = ["--apisix", options.apisix] if words[0] == "peers" and options.apisix else []
        over, more = play(words, ["--build", options.build, *apisix], minutes)
        missed, absent, left = missed + over, absent + more, left - minutes
    print("## Not run\n\n" + "\n".join(f"- {line}" for line in [*absent, *MISSING]))
    return missed
