"""A deployment of its own for the benches: the quickstart's, with its limits that protect people off."""
import pathlib
import subprocess
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests" / "lib"))

import contract  # noqa: E402
import stack as stacks  # noqa: E402
import world  # noqa: E402

SETTINGS = {"domain_call_limit": "0", "api_default_limit": "0", "quota_apis": "20000"}


def start(build, var):
    """Starts a fresh stack below `var`; answers (stack, world)."""
    stack = stacks.Stack(var, build, sanitized=False)
    try:
        stack.up()
        stack.admin("gateway", "set", stack.env["SLUICE_INSTANCE_ID"], *(f"{k}={v}" for k, v in SETTINGS.items()))
    except BaseException:  # SIGTERM, too, is one (bench.py)
        stack.quickstart("clean")
        raise
    made = world.World(stack, contract.Contract(pathlib.Path(build) / "openapi.json", TREE / "proto" / "errors.yaml"),
                       served=True)
    return stack, made


def heading(build):
    """What a reader needs to compare: versions, machine, commit, settings."""
    def say(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return (done.stdout + done.stderr).strip().split("\n")[0]
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return "\n".join([
        f"commit:    {say('git', '-C', str(TREE), 'rev-parse', '--short', 'HEAD')}",
        f"machine:   {cpu}, {say('nproc')} cores, {say('uname', '-sr')}",
        f"versions:  {say('nginx', '-v')}; {say('/usr/lib/postgresql/15/bin/postgres', '--version')}; "
        f"{say('wrk', '-v').split('Copyright')[0].strip()}",
        f"build:     {pathlib.Path(build).name}",
        f"settings:  {', '.join(f'{k}={v}' for k, v in SETTINGS.items())}",
    ])


def table(rows, titles):
    """Rows of text in columns."""
    rows = [titles] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(titles))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
