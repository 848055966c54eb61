"""The documented fields without effect: proto/rest/README.md lists exactly those that are marked.

A property says `x-unsupported: <reason>`; all its values but the default and the empty ones are then
refused with 501, or, with `x-unsupported-values`, only those.
"""
import re

import schema
from areas import Refused

HEADING = "## Fields without effect"


def rows(contract):
    """One (field, values, reason) a marked property, sorted, each once."""
    found = set()
    for operation in contract.operations:
        request = contract.request_schema(operation)
        if request is not None:
            walk(contract, request, "", found, ())
        for parameter in contract.parameters(operation):
            note(found, parameter["name"], parameter.get("schema", {}))
    return sorted(found)


def note(found, name, node):
    """Adds a row when the schema is marked."""
    if "x-unsupported" in node:
        values = node.get("x-unsupported-values")
        found.add((name, ", ".join(str(v) for v in values or ()), node["x-unsupported"]))


def walk(contract, node, where, found, seen):
    """Visits the properties; what is refused whole is not entered."""
    if "$ref" in node:
        if node["$ref"] in seen:
            return
        seen += (node["$ref"],)
    node = schema.merged(contract, node)
    if node.get("type") == "array":
        walk(contract, node.get("items", {}), where + "[]", found, seen)
    for name, part in node.get("properties", {}).items():
        here = f"{where}.{name}" if where else name
        note(found, here, schema.merged(contract, part))
        if "x-unsupported" not in schema.merged(contract, part):
            walk(contract, part, here, found, seen)


def table(contract):
    """The README's table: one row a reason."""
    by_reason = {}
    for field, values, reason in rows(contract):
        text = f"`{field}`" + (f" ({values})" if values else "")
        by_reason.setdefault(reason, []).append(text)
    lines = ["| what is missing | fields (only these values) |", "|---|---|"]
    return "\n".join(lines + [f"| {reason} | {', '.join(found)} |" for reason, found in sorted(by_reason.items())])


def check(contract, readme):
    """Refuses a README whose list is not the contract's; the message holds the right one."""
    if not readme.exists():
        return
    text = readme.read_text()
    found = re.search(re.escape(HEADING) + r"\n(.*?)(?=\n## |\Z)", text, re.S)
    if not found or table(contract) not in found.group(1):
        raise Refused(f"{readme}: the table below '{HEADING}' must be\n{table(contract)}")
