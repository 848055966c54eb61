"""What a /metrics answer must be: valid text for Prometheus, and what proto/metrics.yaml declares."""
import pathlib
import re
import subprocess

import yaml
from prometheus_client.parser import text_string_to_metric_families

DECLARED = pathlib.Path(__file__).resolve().parents[2] / "proto/metrics.yaml"
# What samples of a type are called behind the metric's name, and the labels that come on top.
SUFFIXES = {"counter": {"": ()}, "gauge": {"": ()}, "summary": {"_sum": (), "_count": ()},
            "histogram": {"_bucket": (), "_sum": (), "_count": ()}}
LINE = re.compile(r"([a-z_]+)(\{[^}]*\})? (\d+(?:\.\d+)?|\+Inf)")


def declared(process):
    """The rows of one process by name."""
    return {row["name"]: row for row in yaml.safe_load(DECLARED.read_text())["metrics"] if row["of"] == process}


def _samples(text, rows):
    """Checks syntax and grouping; answers {(sample, labels): value} and the families in order."""
    families, samples, current = [], {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split()[2]
            assert current not in families, f"{current} stands twice"
            families.append(current)
            assert line == f"# HELP {current} {rows[current]['help']}", line
            continue
        if line.startswith("# TYPE "):
            assert line == f"# TYPE {current} {rows[current]['type']}", line
            continue
        match = LINE.fullmatch(line)
        assert match and current, f"no sample: {line!r}"
        name, labels = match[1], match[2] or ""
        assert name.removeprefix(current) in SUFFIXES[rows[current]["type"]], f"{name} below {current}"
        assert (name, labels) not in samples, f"{line} stands twice"
        wanted = set(rows[current]["labels"])
        if rows[current]["type"] == "histogram" and not name.endswith("_bucket"):
            wanted.discard("le")
        assert set(re.findall(r'(\w+)="', labels)) == wanted, f"labels of {line}"
        samples[name, labels] = float(match[3])
    return families, samples


def check(text, process):
    """Asserts that the text is whole and valid; answers {'name{label="x"}': value}."""
    rows = declared(process)
    assert text.endswith("\n")
    families, samples = _samples(text, rows)
    assert set(families) == set(rows), f"missing or undeclared: {set(families) ^ set(rows)}"
    parsed = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    assert parsed == {name for name, _ in samples}, "Prometheus' own parser reads something else"
    judged = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, check=False, timeout=60,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert judged.returncode == 0 and not judged.stdout, f"promtool: {judged.stdout}"
    for name, row in rows.items():
        if row["type"] == "histogram":
            counts = [value for (sample, _), value in samples.items() if sample == name + "_bucket"]
            assert counts == sorted(counts) and counts[-1] == samples[name + "_count", ""], f"{name} is not cumulative"
    return {name + labels: value for (name, labels), value in samples.items()}
