"""requests made from the contract: no fault of ours, no answer that the contract does not describe"""
import json
import os
import pathlib
import subprocess
import sys

EXAMPLES = "4"  # for each operation, beside those of the contract itself
CHECKS = "not_a_server_error,response_schema_conformance,status_code_conformance,content_type_conformance"


def available(document):
    """The contract without what answers 501 and what throttles by address."""
    paths = {}
    for path, methods in document["paths"].items():
        kept = {method: operation for method, operation in methods.items()
                if not operation.get("x-unavailable") and "/v3/" not in path}
        if kept:
            paths[path] = kept
    return {**document, "paths": paths}


def failures(text):
    """What was found, without the advice that follows it."""
    return text.partition("= FAILURES =")[2].partition("= WARNINGS =")[0] or text[-4000:]


def story(world):
    made = world.token()
    folder = pathlib.Path(world.stack.var) / f"properties-{world.uid}"
    folder.mkdir()
    (folder / "openapi.json").write_text(json.dumps(available(
        json.loads((pathlib.Path(world.stack.build) / "openapi.json").read_text()))))
    (folder / "schemathesis.toml").write_text(
        f'[parameters]\n"path.project_id" = "{world.project}"\n"path.instance_id" = "{world.instance}"\n'
        # 501 names what a field or an operation lacks here; it is no fault.
        '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", "501"]\n')
    done = subprocess.run(
        [pathlib.Path(sys.executable).parent / "schemathesis", "run", "openapi.json",
         "--url", world.env["SLUICE_ENDPOINT"], "-H", f"X-Auth-Token: {made.headers['x-subject-token']}",
         "--checks", CHECKS, "--phases", "examples,fuzzing", "-n", EXAMPLES, "--seed", "7", "--no-color",
         "--warnings", "off", "--generation-database", "none", "--suppress-health-check", "all", "--continue-on-failure"],
        cwd=folder, env={**os.environ, "SCHEMATHESIS_HOOKS": ""}, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, failures(done.stdout) + done.stderr[-2000:]
