"""all: every bench after the other as RESULTS.md has them; what it prints is that page, but for what is said of the figures.

Standard error tells which one runs, how long it took and how long the rest takes. A bench that breaks, or takes three times its time, counts
as missed and does not keep the next ones from running. At the end stands what was not run.
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import time

BENCH = pathlib.Path(__file__).with_name("bench.py")
# What runs, in the order of RESULTS.md, and the minutes that it takes on a quiet machine. More and shorter rounds tell as much as
# fewer long ones; `fleet` has changes, start and websockets on one deployment of 100,000 APIs, and the budget of `publish`.
RUNS = [
    (3, ["proxy", "--rounds", "7", "--seconds", "1"]),
    (3, ["peers", "--rounds", "7", "--seconds", "1"]),
    (4, ["scale", "--rounds", "11", "--seconds", "1"]),
    (3, ["shapes", "--rounds", "7", "--seconds", "1"]),
    (2, ["rates", "--rounds", "3", "--seconds", "2"]),
    (1, ["cold", "--rounds", "2"]),
    (1, ["handshakes", "--rounds", "25"]),
    (1, ["instructions"]),
    (2, ["memory"]),
    (4, ["keys", "--rounds", "1", "--seconds", "5"]),
    (7, ["fleet", "--apis", "10", "10000", "100000", "--rounds", "3"]),
    (3, ["management", "--rounds", "3", "--seconds", "1"]),
    (2, ["limits", "--real", "--units", "second", "minute", "--nodes", "2"]),
    (1, ["accounting", "--nodes", "1", "4"]),
]
ELSEWHERE = {"publish"}  # what `smoke` has and this has not: within another one
# Rows of the budgets that no bench has, and why; and what of the benches is left out here.
MISSING = [
    "publish: its row of the budgets, on two nodes among 10,000 APIs, is in fleet; a gateway that was filled through the API is not",
    "limits: 1 and 4 nodes, and simulated ones by the hour and day (no row of the budgets; RESULTS-limits.md)",
]
PAGE = """# Results

Absolute figures belong to one machine on one evening; only the ratios within a run mean anything. A quiet machine, the
benches alone on it. Each table names its budgets (performance.md, section 2); what misses one is told below the table.
"""
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
    print(PAGE, flush=True)
    for number, (minutes, words) in enumerate(wanted, 1):
        print(f"{number} of {len(wanted)}, {words[0]}: about {minutes} minutes of {left} that are left", file=sys.stderr)
        apisix = ["--apisix", options.apisix] if words[0] == "peers" and options.apisix else []
        began = time.monotonic()
        over, more = play(words, ["--build", options.build, *apisix], minutes)
        print(f"{words[0]} took {(time.monotonic() - began) / 60:.1f} minutes", file=sys.stderr)
        missed, absent, left = missed + over, absent + more, left - minutes
    print("## Not run\n\n" + "\n".join(f"- {line}" for line in [*absent, *MISSING]))
    return missed
