"""Runs the stories: run_stories.py --build DIR [--sanitized] [--jobs N] [--lanes N] [STORY…]

Prints a line a story, what the run saw of the contract, and `stories: N passed, N failed`.
"""
import argparse
import collections
import concurrent.futures
import pathlib
import shutil
import sys
import tempfile
import threading
import time
import traceback

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent))

# pylint: disable=wrong-import-position
from contract import Contract
from logs import Watch
from stack import TREE, Stack
from story import Story
from world import World

STORIES = TREE / "tests/story"
UNPRODUCED = STORIES / "unproduced.yaml"


class Run:
    """Outcomes so far; printing is serialised.

    `damaged`: what stories see that kill or configure processes; it may differ from run to run.
    """

    def __init__(self, contract, damaged):
        self.contract, self.damaged = contract, damaged
        self.lock = threading.Lock()
        self.passed = self.failed = 0

    def tell(self, ok, name, seconds, detail=""):
        with self.lock:
            self.passed += ok
            self.failed += not ok
            print(f"{'ok  ' if ok else 'FAIL'} {name} ({seconds:.1f} s)", flush=True)
            if detail:
                print("     " + detail.rstrip().replace("\n", "\n     "), flush=True)

    def play(self, story, stack):
        """Runs one story against a stack and records how it went."""
        started = time.monotonic()
        name = f"{story.path.relative_to(STORIES)}: {story.name}"
        world = None
        try:
            world = World(stack, self.damaged if story.own_stack else self.contract, story.served)
            story.run(world)
            self.tell(True, name, time.monotonic() - started)
            return True
        except Exception as fault:  # pylint: disable=broad-except
            detail = str(fault) if isinstance(fault, AssertionError) else traceback.format_exc()
            self.tell(False, name, time.monotonic() - started, detail or traceback.format_exc())
            return False
        finally:
            if world and not story.own_stack:
                _close(world)

    def judge(self, name, faults):
        self.tell(not faults, name, 0.0, "\n".join(faults[:20]))


def _close(world):
    try:
        world.close()
    except Exception:  # pylint: disable=broad-except
        traceback.print_exc()


def play_shared(run, stories, make_stack, jobs):
    """All stories that leave the deployment whole, a few at a time."""
    stack = make_stack("shared")
    try:
        stack.up()
    except RuntimeError as fault:
        run.tell(False, "the shared deployment starts", 0.0, str(fault))
        stack.keep_logs(stack.build / "story-logs/shared")
        stack.quickstart("clean", check=False)
        return
    watch = Watch(stack.var / "log")
    nginx = [(unit, stack.pid(unit), stack.children(unit)) for unit in ("nginx-1", "nginx-2")]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda story: run.play(story, stack), stories))
    after = [(unit, stack.pid(unit), stack.children(unit)) for unit in ("nginx-1", "nginx-2")]
    run.judge("no story made nginx reload or restart", [] if nginx == after else
              [f"before {nginx}", f"after {after}"])
    finish(run, stack, watch, "shared", [p for s in stories for p in s.tolerates])


def next_of(stories):
    """The next that nobody has taken, or None."""
    try:
        return stories.popleft()
    except IndexError:
        return None


def play_alone(run, stories, make_stack, lane):
    """Stories that kill or configure processes, until none waits: one deployment, whole again before each."""
    stack = tolerated = watch = None
    try:
        while (story := next_of(stories)) is not None:
            if stack is None:
                stack, tolerated = make_stack(f"own-{lane}"), []
                stack.up()
                watch = Watch(stack.var / "log")
            run.play(story, stack)
            stack.up()
            tolerated.extend(story.tolerates)
            run.judge(f"logs of {story.path.stem}", watch.faults(story.tolerates))
            if story.spoils:
                finish(run, stack, watch, f"own, {story.path.stem}", tolerated)
                stack = None
        if stack:
            finish(run, stack, watch, f"own, {lane}", tolerated)
    except RuntimeError as fault:
        run.tell(False, "the deployment for damage starts", 0.0, str(fault))
        stack.keep_logs(stack.build / f"story-logs/own-{lane}")
        stack.quickstart("clean", check=False)


def finish(run, stack, watch, name, tolerated):
    """Stops a deployment and judges what it leaves: logs, reports, processes."""
    down = stack.quickstart("down", check=False)
    run.judge(f"everything stops ({name})", [down.stdout] if down.returncode else [])
    faults = watch.faults(tolerated)
    run.judge(f"no unexpected line in the logs, no sanitizer report ({name})", faults)
    stack.keep_logs(stack.build / "story-logs" / name)
    run.judge(f"no process is left ({name})", stack.leftovers())
    stack.quickstart("clean", check=False)
    left = [str(p) for p in pathlib.Path("/dev/shm").glob(f"*{stack.id}*")]
    run.judge(f"nothing is left outside the tree ({name})",
              left + [str(p) for p in (stack.var, pathlib.Path(f"/var/tmp/sluice-{stack.id}"))
                      if p.exists()])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=TREE / "build", type=pathlib.Path)
    parser.add_argument("--sanitized", action="store_true")
    parser.add_argument("--jobs", type=int, default=3, help="stories at a time of the deployment that they share")
    parser.add_argument("--lanes", type=int, default=2, help="deployments of stories that do damage, beside it")
    parser.add_argument("--keep", action="store_true", help="leave the deployments' files")
    parser.add_argument("stories", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    paths = [p.resolve() for p in args.stories] or sorted(
        p for p in STORIES.rglob("*") if p.suffix in (".yaml", ".py") and p != UNPRODUCED)
    stories = [Story(path) for path in paths]
    contract = Contract(args.build / "openapi.json", TREE / "proto/errors.yaml")
    damaged = Contract(args.build / "openapi.json", TREE / "proto/errors.yaml")
    run = Run(contract, damaged)
    home = pathlib.Path(tempfile.mkdtemp(prefix="sluice-stories-"))

    def make_stack(name):
        return Stack(home / name, args.build.resolve(), args.sanitized)

    try:
        shared = [story for story in stories if not story.own_stack]
        # From the last one on: the longest is among the last, and would be played after all others.
        alone = collections.deque(story for story in reversed(stories) if story.own_stack)
        with concurrent.futures.ThreadPoolExecutor(1 + args.lanes) as lanes:
            played = [lanes.submit(play_alone, run, alone, make_stack, lane) for lane in range(1, args.lanes + 1)]
            if shared:
                play_shared(run, shared, make_stack, args.jobs)
            for lane in played:
                lane.result()
    finally:
        if not args.keep:
            shutil.rmtree(home, ignore_errors=True)
    if not args.stories:
        unproduced = yaml.safe_load(UNPRODUCED.read_text()) or {}
        surely = contract.errors_met()
        contract.absorb(damaged)
        summary, faults = contract.judge_errors(unproduced, surely)
        run.judge("every documented error is produced, or excused in unproduced.yaml", faults)
        print(summary)
        print("\n".join(contract.report()))
    print(f"stories: {run.passed} passed, {run.failed} failed")
    sys.exit(1 if run.failed else 0)


if __name__ == "__main__":
    main()
