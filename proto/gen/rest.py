"""The contract as C: gen/rest_table.c, whose shape is services/front/table.h."""
import json

import schema
from errors import c_string

KINDS = {"string": "SCHEMA_STRING", "integer": "SCHEMA_INTEGER", "number": "SCHEMA_NUMBER",
         "boolean": "SCHEMA_BOOLEAN", "array": "SCHEMA_ARRAY", "object": "SCHEMA_OBJECT"}
BOUNDS = {"string": ("minLength", "maxLength"), "array": ("minItems", "maxItems"),
          "integer": ("minimum", "maximum"), "number": ("minimum", "maximum")}


def text_of(value):
    """A JSON scalar as front compares it: strings bare, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def c_bool(value):
    return "true" if value else "false"


class Writer:
    """Collects definitions; equal ones are written once."""

    def __init__(self, contract):
        self.contract = contract
        self.lines = []
        self.known = {}
        self.patterns = []

    def define(self, kind, prefix, body):
        """Writes `static const <kind> <name> = body` unless it stands already; answers the name."""
        key = (kind, body)
        if key not in self.known:
            name = f"{prefix}_{len(self.known)}"
            array = "[]" if kind.endswith("[]") else ""
            self.lines.append(f"static const {kind.removesuffix('[]')} {name}{array} = {body};")
            self.known[key] = name
        return self.known[key]

    def strings(self, values):
        """A NULL-terminated list of strings."""
        body = "{" + ", ".join([c_string(text_of(v)) for v in values] + ["NULL"]) + "}"
        return self.define("char *const[]", "list", body)

    def pattern(self, text):
        """The index of a pattern."""
        if text is None:
            return "SCHEMA_NO_PATTERN"
        if text not in self.patterns:
            self.patterns.append(text)
        return str(self.patterns.index(text))

    def schema(self, node):
        """The name of the schema's definition."""
        node = schema.merged(self.contract, node)
        kind = node["type"]
        low, high = BOUNDS.get(kind, (None, None))
        parts = [f".kind = {KINDS[kind]}", f".pattern = {self.pattern(node.get('pattern'))}",
                 f".min = {node.get(low, 'SCHEMA_NO_MIN')}", f".max = {node.get(high, 'SCHEMA_NO_MAX')}"]
        if node.get("x-clamp"):
            parts.append(".clamp = true")
        if node.get("x-zero-empties"):
            parts.append(".zero_empties = true")
        if "enum" in node and kind != "boolean":
            parts.append(f".values = {self.strings(node['enum'])}")
        if kind == "array":
            parts.append(f".items = &{self.schema(node['items'])}")
            if "x-too-many" in node:
                parts.append(f".too_many = SL_E_{node['x-too-many']}")
        if kind == "object":
            parts.append(f".open = {c_bool(node.get('additionalProperties') or not node.get('properties'))}")
            rows = [self.property(name, part, name in node.get("required", []))
                    for name, part in node.get("properties", {}).items()]
            parts += self.rows("properties", "property_count", rows)
        return self.define("struct schema", "schema", "{" + ", ".join(parts) + "}")

    def rows(self, member, count, rows):
        """Initialisers of a pointer to properties and their number."""
        if not rows:
            return []
        name = self.define("struct property[]", "properties", "{\n    " + ",\n    ".join(rows) + "}")
        return [f".{member} = {name}", f".{count} = {len(rows)}"]

    def property(self, name, node, required):
        """One struct property."""
        merged = schema.merged(self.contract, node)
        parts = [f".name = {c_string(name)}", f".schema = &{self.schema(node)}"]
        if required:
            parts.append(".required = true")
        if "default" in merged:
            parts.append(f".fallback = {c_string(json.dumps(merged['default']))}")
        for sibling, value in (merged.get("x-required-when") or {}).items():
            parts += [f".when_name = {c_string(sibling)}", f".when_value = {c_string(text_of(value))}"]
        if merged.get("x-unsupported-values"):
            parts += [".support = SUPPORT_SOME", f".refused = {self.strings(merged['x-unsupported-values'])}"]
        elif "x-unsupported" in merged:
            parts.append(".support = SUPPORT_DEFAULT")
        return "{" + ", ".join(parts) + "}"

    def action(self, operation):
        """The struct rest_action's initialiser."""
        action = operation.action
        if isinstance(action, str):
            return "{.name = " + c_string("" if action == "any" else action) + "}"
        place, _, name = action["by"].partition(".")
        values = self.strings(action["values"].keys())
        actions = self.strings(action["values"].values())
        return (f"{{.by = {c_string(name)}, .in_query = {c_bool(place == 'query')}, "
                f".by_values = {values}, .by_actions = {actions}}}")

    def operation(self, operation):
        """Defines one row; answers its name."""
        body = self.contract.resolve(operation.body.get("requestBody"))
        parts = [f".method = {c_string(operation.method)}", f".path = {c_string(operation.path)}",
                 f".service = {c_string(operation.service) if operation.service else 'NULL'}",
                 f".command = {c_string(operation.command or operation.body['operationId'])}",
                 f".status = {operation.status}", f".is_public = {c_bool(operation.action == 'public')}",
                 f".fill = {c_bool(operation.method != 'PUT')}", f".action = {self.action(operation)}"]
        if "x-patience-ms" in operation.body:
            parts.append(f".patience_ms = {int(operation.body['x-patience-ms'])}")
        if "x-body-bytes" in operation.body:
            parts.append(f".body_bytes = {int(operation.body['x-body-bytes'])}")
        if body:
            parts += [f".body = &{self.schema(self.contract.request_schema(operation))}",
                      f".body_required = {c_bool(body.get('required'))}"]
        for place in ("path", "query", "header"):
            rows = [self.property(p["name"], p["schema"], p.get("required"))
                    for p in self.contract.parameters(operation) if p["in"] == place]
            parts += self.rows(f"{place}_params", f"{place}_param_count", rows)
        return self.define("struct rest_row", "row", "{" + ",\n    ".join(parts) + "}")


class Node:
    """One step of the route trie."""

    def __init__(self):
        self.literals, self.parameter, self.rows = {}, None, []

    def step(self, segment):
        """The child for one segment of a template."""
        if segment.startswith("{"):
            self.parameter = self.parameter or Node()
            return self.parameter
        return self.literals.setdefault(segment, Node())


def node_body(writer, segment, node):
    """The initialiser of one trie node; children are defined first."""
    parts = [f".segment = {c_string(segment) if segment is not None else 'NULL'}"]
    if node.literals:
        children = [node_body(writer, name, node.literals[name]) for name in sorted(node.literals)]
        name = writer.define("struct rest_node[]", "nodes", "{\n    " + ",\n    ".join(children) + "}")
        parts += [f".children = {name}", f".child_count = {len(children)}"]
    if node.parameter:
        parts.append(".parameter = &"
                     + writer.define("struct rest_node", "node", node_body(writer, None, node.parameter)))
    if node.rows:
        rows = ", ".join("&" + row for _, row in sorted(node.rows))
        parts += [f".rows = {writer.define('struct rest_row *const[]', 'rows', '{' + rows + '}')}",
                  f".row_count = {len(node.rows)}"]
    return "{" + ", ".join(parts) + "}"


def c_source(contract):
    """The whole of gen/rest_table.c."""
    writer, root, names = Writer(contract), Node(), []
    for operation in contract.operations:
        name = writer.operation(operation)
        for path in filter(None, (operation.path, operation.alias)):
            node = root
            for segment in path.strip("/").split("/"):
                node = node.step(segment)
            node.rows.append((operation.method, name))
        names.append((operation.path, operation.method, name))
    body = node_body(writer, "", root)
    patterns = [f"    {c_string(p)}," for p in writer.patterns] or ["    NULL,"]
    return "\n".join(
        ["// Generated from proto/rest.", '#include "services/front/table.h"', ""] + writer.lines
        + ["", f"const struct rest_node rest_root = {body};", "",
           "const struct rest_row *const rest_rows[] = {"]
        + [f"    &{name}, // {method} {path}" for path, method, name in sorted(names)]
        + ["    NULL,", "};", f"const size_t rest_row_count = {len(names)};", "",
           "const char *const rest_patterns[] = {"] + patterns
        + ["};", f"const size_t rest_pattern_count = {len(writer.patterns)};", ""])
