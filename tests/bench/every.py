"""all: every bench after the other as RESULTS.md has them, their raw output as sections of that page."""
import pathlib
import re
import subprocess
import sys

# What runs, in the order of RESULTS.md.
RUNS = [
    ["proxy"],
    ["peers"],
    ["scale", "--seconds", "2"],
    ["shapes"],
    ["cold", "--rounds", "3"],
    ["instructions"],
    ["memory"],
    ["keys", "--rounds", "1", "--seconds", "10"],
    ["publish", "--sizes", "1000", "10000"],
    ["changes", "--apis", "10", "10000", "100000"],
    ["start", "--apis", "10000", "100000", "--rounds", "1"],
    ["websockets"],
    ["management", "--rounds", "3", "--seconds", "2"],
    ["limits"],
    ["accounting"],
]
OVER = re.compile(r"^over budget .*?: (.*)$", re.M)


def play(words, more):
    """Runs one bench and prints its section; answers what it missed, or that it did not end well."""
    print(f"## `tests/bench/run.sh {' '.join(words)}`\n\n```", flush=True)
    done = subprocess.run([sys.executable, pathlib.Path(__file__).with_name("bench.py"), *words, *more, "--gate"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    print(f"{done.stdout.rstrip()}\n```\n", flush=True)
    over = OVER.search(done.stdout)
    if done.returncode == 0 or over:
        return [f"{words[0]}: {over.group(1)}"] if over else []
    return [f"{words[0]}: ended with {done.returncode}"]


def run(options):
    """Plays them; answers what any missed. A bench that breaks does not keep the next ones from running."""
    missed = []
    for words in RUNS:
        apisix = ["--apisix", options.apisix] if words[0] == "peers" and options.apisix else []
        missed += play(words, ["--build", options.build, *apisix])
    return missed
