"""Plays the failure table: run.py --build DIR [--sanitized] [--long] [--only WORD] [--results FILE]

The short form is architecture §9 row by row on one machine; --long has hosts in network namespaces,
cut and slow links, stopped processes, failovers, rolling restarts. Prints a line a row and
`chaos: N passed, N failed`.
"""
import argparse
import importlib
import os
import pathlib
import signal
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "lib"), str(HERE / "rows"), str(HERE.parent / "lib")]

# pylint: disable=wrong-import-position
import previous
import rolling
from cluster import Cluster
from contract import Contract
from hosts import go_ahead, may_have_namespaces, run
from logs import SANITIZER
from row import Api, Table
from stack import TREE

SHORT = ("killed", "gone", "nodes")
LONG = SHORT + ("rolling", "databases", "network", "limits", "stopped", "starved", "longer")


def play(cluster, contract, rows):
    """Starts the cluster, plays the rows, stops it; answers the table."""
    print(f"starting {len(cluster.control_numbers)} control hosts, {cluster.node_count} nodes "
          f"in {cluster.home}", flush=True)
    cluster.up()
    api = Api(cluster, contract)
    api.publish()
    table = Table(cluster, api)
    table.play(rows)
    return table


def write_results(path, table, args):
    """The table as a page, with what it was measured on."""
    build = "sanitized" if args.sanitized else "plain"
    shape = (f"{table.cluster.control} control hosts, {table.cluster.node_count} nodes, "
             f"{table.cluster.databases} PostgreSQL, in network namespaces" if args.long else
             "the short form, on addresses of loopback")
    versions = ", ".join(
        run(*words, check=False).stdout.splitlines()[0] for words in
        (["haproxy", "-v"], ["/usr/lib/postgresql/15/bin/postgres", "--version"], ["uname", "-r"]))
    lines = ["# What outages cost", "",
             f"`tests/chaos/run.sh{' --long' if args.long else ''}`, {build} build; {shape}; "
             f"{os.cpu_count()} cores shared with other work. {versions}.",
             "`measured <= expected` where a row expects a number. The columns: `README.md`.", "",
             "| ok | " + " | ".join(table.HEAD) + " |", "|---" * (len(table.HEAD) + 1) + "|"]
    lines += [f"| {'yes' if not faults else '**no**'} | " + " | ".join(map(str, cells)) + " |"
              for cells, faults, _ in table.lines]
    lines += ["", "## What rows had to say", ""]
    lines += [f"- {cells[0]}: {text}" for cells, faults, notes in table.lines
              for text in notes + faults]
    lines += [f"- not run: {text}" for text in table.skips]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def sanitizer_reports(directory):
    """Reports and lines of the sanitizers in the logs."""
    found = []
    for path in sorted(directory.glob("*")):
        text = path.read_text(errors="replace")
        if path.name.startswith("sanitizer.") or SANITIZER.search(text):
            found.append(f"{path.name}: " + text[:3000])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=TREE / "build", type=pathlib.Path)
    parser.add_argument("--sanitized", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--results", type=pathlib.Path, help="writes the table there")
    parser.add_argument("--other", type=pathlib.Path, help="a build to change to and back, instead of the one before this")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD",
                        help="rows of the file, or with the word in their name")
    parser.add_argument("--keep", action="store_true", help="copies the logs to build/chaos-logs")
    args = parser.parse_args()
    go_ahead()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if args.long and may_have_namespaces():
        print(f"--long: {may_have_namespaces()}")
        sys.exit(1)
    rows = [row for name in (LONG if args.long else SHORT)
            for row in importlib.import_module(name).ROWS
            if any(word == name or word in row.name for word in args.only)]
    if not args.other and any(row.needs is rolling.has_other for row in rows):
        args.other = previous.make(args.build.resolve(), args.sanitized)
    shape = {"control": 3, "nodes": 4, "databases": 2, "isolated": True} if args.long else {}
    cluster = Cluster(args.build, sanitized=args.sanitized,
                      other=args.other and args.other.resolve(), **shape)
    table = None
    try:
        table = play(cluster, Contract(cluster.build / "openapi.json", TREE / "proto/errors.yaml"),
                     rows)
    finally:
        reports = sanitizer_reports(cluster.log)
        if args.keep or table is None or table.failed or reports:
            keep_logs(cluster)
        cluster.down()
    print("\n".join(reports))
    if args.results:
        write_results(args.results, table, args)
    failed = table.failed + bool(reports)
    print(f"chaos: {table.passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def keep_logs(cluster):
    place = cluster.build / "chaos-logs"
    place.mkdir(exist_ok=True)
    for path in cluster.log.glob("*"):
        (place / path.name).write_bytes(path.read_bytes())
    for path in cluster.home.glob("node-*/state/access.log"):
        (place / f"{path.parts[-3]}-access.log").write_bytes(path.read_bytes())
    print(f"logs: {place}")


if __name__ == "__main__":
    main()
