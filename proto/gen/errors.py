"""errors.yaml -> gen/error_code.h (enum sl_code) and gen/error_table.c (the rows)."""
import pathlib
import re
import sys

import yaml


def load(path):
    """The rows of errors.yaml, checked: names unique, statuses and codes well formed."""
    rows = yaml.safe_load(pathlib.Path(path).read_text())["errors"]
    seen = set()
    for row in rows:
        if set(row) != {"name", "code", "status", "message"}:
            sys.exit(f"errors.yaml: {row.get('name')}: keys must be name, code, status, message")
        if row["name"] in seen or not re.fullmatch(r"[A-Z][A-Z0-9_]*", row["name"]):
            sys.exit(f"errors.yaml: {row['name']}: malformed or used twice")
        if not re.fullmatch(r"(APIG|APIC|SLUICE)\.\d{4}", row["code"]) or not 100 <= row["status"] <= 599:
            sys.exit(f"errors.yaml: {row['name']}: malformed code or status")
        seen.add(row["name"])
    return rows


def c_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def emit(rows, out):
    """Writes the header and the table into directory `out`."""
    header = ["// Generated from proto/errors.yaml.", "#ifndef GEN_ERROR_CODE_H", "#define GEN_ERROR_CODE_H",
              "enum sl_code {"]
    header += [f"    SL_E_{row['name']}, // {row['code']} {row['status']}" for row in rows]
    header += ["    SL_E_COUNT,", "};", "#endif", ""]
    table = ["// Generated from proto/errors.yaml.", '#include "common/base/error_row.h"', "",
             "const struct sl_error_row sl_error_rows[SL_E_COUNT] = {"]
    table += [f"    [SL_E_{row['name']}] = {{.name = {c_string(row['name'])}, .wire = {c_string(row['code'])}, "
              f".status = {row['status']}, .message = {c_string(row['message'])}}}," for row in rows]
    table += ["};", ""]
    (out / "error_code.h").write_text("\n".join(header))
    (out / "error_table.c").write_text("\n".join(table))


if __name__ == "__main__":
    emit(load(sys.argv[1]), pathlib.Path(sys.argv[2]))
