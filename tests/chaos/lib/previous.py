"""The build before this one, from the repository's own history."""
import shutil
import subprocess
import tarfile

from cluster import MODULE, WORKERS
from hosts import run
from stack import TREE

COMMIT = "814dd0a26a1529502e72952768702992f54c0858"  # the build with which an issue was last closed
TARGETS = [f"bin/sluice-{name}" for name in ("bus", "front", "node", *WORKERS)] + [MODULE]


def make(build, sanitized):
    """Builds it beside `build` unless it is there; answers its directory, or None where the history
    does not reach back so far (a shallow clone, a tree without git)."""
    place = build / f"previous-{COMMIT[:7]}"
    source, made = place / "source", place / "build"
    if run("git", "-C", TREE, "cat-file", "-e", f"{COMMIT}^{{commit}}", check=False).returncode != 0:
        return None
    if not (made / "build.ninja").exists():
        print(f"building {COMMIT[:7]} in {place}", flush=True)
        shutil.rmtree(place, ignore_errors=True)
        with subprocess.Popen(["git", "-C", str(TREE), "archive", COMMIT],
                              stdout=subprocess.PIPE) as packed:
            with tarfile.open(fileobj=packed.stdout, mode="r|") as archive:
                archive.extractall(source)
        run("cmake", "-S", source, "-B", made, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
            *(["-DSLUICE_SANITIZE=address,undefined"] if sanitized else []))
    run("nice", "ninja", "-C", made, *TARGETS)
    return made
