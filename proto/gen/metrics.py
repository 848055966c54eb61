"""metrics.yaml -> gen/metric.h: the name and the head lines of every metric, written once."""
import re

import yaml

import areas
from errors import c_string

KEYS = {"name", "of", "type", "labels", "help"}
TYPES = {"counter", "gauge", "histogram", "summary"}


def load(path):
    """The rows, checked."""
    rows = yaml.safe_load(path.read_text())["metrics"]
    seen = set()
    for row in rows:
        name = row.get("name", "?")
        if set(row) != KEYS or row["type"] not in TYPES or name in seen:
            raise areas.Refused(f"metrics.yaml: {name}: keys are {', '.join(sorted(KEYS))}, names unique")
        if not re.fullmatch(r"sluice_[a-z_]+", name) or (row["type"] == "counter") != name.endswith("_total"):
            raise areas.Refused(f"metrics.yaml: {name}: sluice_<words>, and a counter ends in _total")
        seen.add(name)
    return rows


def c_header(rows):
    """gen/metric.h."""
    lines = ["// Generated from proto/metrics.yaml.", "#ifndef GEN_METRIC_H", "#define GEN_METRIC_H",
             "// A metric's head lines and its name, as two arguments.",
             "#define SL_METRIC(metric) SL_METRIC_##metric##_HEAD, SL_METRIC_##metric"]
    for row in rows:
        word = "SL_METRIC_" + row["name"].removeprefix("sluice_").upper()
        head = f"# HELP {row['name']} {row['help']}\n# TYPE {row['name']} {row['type']}\n"
        lines += [f"#define {word} {c_string(row['name'])}", f"#define {word}_HEAD {c_string(head)}"]
    return "\n".join(lines + ["#endif", ""])
