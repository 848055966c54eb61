"""bench.py WHAT: see run.sh --help."""
import argparse
import pathlib
import signal
import sys
import tempfile

import gateway  # first: it puts tests/lib on the path
import accounting
import cold
import every
import handshakes
import instructions
import keys
import limits
import management
import measure
import memory
import peers
import proxy
import publish
import rates
import rows
import shared
import smoke
import tunnels

BENCHES = {"proxy": proxy, "peers": peers, "scale": rows, "shapes": rows, "rates": rates, "cold": cold, "handshakes": handshakes, "memory": memory, "publish": publish,
           "instructions": instructions, "keys": keys, "limits": limits, "accounting": accounting, "management": management,
           "start": shared, "changes": shared, "websockets": shared, "fleet": shared, "smoke": smoke, "all": every}


def main():
    args = argparse.ArgumentParser(prog="tests/bench/run.sh", description="Measures; prints a table with the budgets.")
    args.add_argument("what", choices=sorted(BENCHES))
    args.add_argument("--build", type=lambda path: pathlib.Path(path).resolve(), default=gateway.TREE / "build",
                      help="a plain build (default build)")
    args.add_argument("--rounds", type=int, default=5, help="of time; each runs every candidate (default 5)")
    args.add_argument("--seconds", type=int, default=3, help="a candidate and round (default 3)")
    args.add_argument("--apis", type=int, nargs="+", default=[100, 10_000, 100_000], help="scale, memory, cold: APIs; management takes the last")
    args.add_argument("--publishes", type=int, help="publish, changes: how many a size (default 200); start: before memory is looked at again (10000)")
    args.add_argument("--sizes", type=int, nargs="+", default=[10, 1000], help="publish: APIs of the gateway")
    args.add_argument("--keys", type=int, default=1_000_000, help="keys: live limits (default 1,000,000)")
    args.add_argument("--certificates", type=int, default=5000, help="handshakes: domains with one each (default 5000)")
    args.add_argument("--tunnels", type=int, default=tunnels.WANTED, help="websockets: a node (default 5000)")
    args.add_argument("--rate", type=int, default=10_000, help="changes: requests a second (default 10000)")
    args.add_argument("--keep", type=pathlib.Path, help="instructions: a folder for callgrind's files")
    args.add_argument("--apisix", type=lambda path: pathlib.Path(path).resolve(),
                      help="peers: a folder that apisix_folder.py made (default: makes one where git reaches the sources)")
    args.add_argument("--units", nargs="+", help="limits: second, minute, hour, day (default all)")
    args.add_argument("--nodes", type=int, nargs="+", help="limits, accounting: real nodes (default 1 2 4; 1 2 3 4)")
    args.add_argument("--simulated", action="store_true", help="limits: leave the real processes out")
    args.add_argument("--real", action="store_true", help="limits: leave the simulated part out")
    args.add_argument("--only", nargs="+", choices=sorted(BENCHES.keys() - {"all", "smoke"}), help="all: these benches")
    args.add_argument("--gate", action="store_true", help="exit 1 when a budget is missed by more than 10 %%")
    args.add_argument("--smoke", action="store_true", help="no warm-up, any answer will do: does the bench work?")
    options = args.parse_args()
    measure.TOLERANT = options.smoke
    options.slack = 1.10
    # Whoever ends the run early still wants its processes gone: `finally` clauses see to it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="sluice-bench-", dir="/var/tmp") as place:
        options.var = pathlib.Path(place)
        missed = BENCHES[options.what].run(options)
    if options.what == "smoke":
        return 1 if missed else 0
    if missed:
        print(f"\nover budget (with 10 % slack): {', '.join(missed)}")
    return 1 if missed and options.gate else 0


if __name__ == "__main__":
    sys.exit(main())
