"""Checks every reply against openapi.json and keeps the record: operations live, codes met."""
import json
import pathlib
import re
import threading

import jsonschema
import yaml

TREE = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTED_OPERATIONS = 197  # of APIG v2, as published
ERROR_FIELDS = {"error_code", "error_msg", "request_id"}


def _from_openapi(node):
    """OpenAPI 3.0 writes nullable where JSON Schema has a type list."""
    if isinstance(node, list):
        return [_from_openapi(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _from_openapi(value) for key, value in node.items()
            if key not in ("example", "examples")}
    if node.pop("nullable", False):
        if "allOf" in node:
            node = {"anyOf": [{"allOf": node["allOf"]}, {"type": "null"}]}
        elif isinstance(node.get("type"), str):
            node["type"] = [node["type"], "null"]
            if "enum" in node and None not in node["enum"]:
                node["enum"] = node["enum"] + [None]
        elif "$ref" in node:
            node = {"anyOf": [{"$ref": node["$ref"]}, {"type": "null"}]}
    return node


def _example_codes(node):
    """Every error_code below a node that is an example, in batch results too."""
    if isinstance(node, list):
        return set().union(*map(_example_codes, node))
    if not isinstance(node, dict):
        return set()
    own = {node["error_code"]} if isinstance(node.get("error_code"), str) else set()
    return own.union(*map(_example_codes, node.values()))


def _documented_codes(document):
    """The codes in the examples of all responses of the operations that there are."""
    answers = list(document.get("components", {}).get("responses", {}).values())
    for methods in document["paths"].values():
        for operation in methods.values():
            if isinstance(operation, dict) and not operation.get("x-unavailable"):
                answers += operation.get("responses", {}).values()
    return set().union(*(_example_codes(content.get(key, {})) for answer in answers
                         for content in answer.get("content", {}).values()
                         for key in ("example", "examples")))


def _pattern(message):
    """What a row's message looks like with its arguments filled in; a detail may follow."""
    parts = re.split(r"\{\d+\}", message)
    return re.compile(".*".join(map(re.escape, parts)) + r"(?:: .*)?$", re.DOTALL)


class Contract:
    """The contract of a build and what a run saw of it; safe from any thread."""

    def __init__(self, openapi_path, errors_path):
        document = json.loads(pathlib.Path(openapi_path).read_text())
        self.documented = _documented_codes(document)
        self.document = _from_openapi(document)
        rows = yaml.safe_load(pathlib.Path(errors_path).read_text())["errors"]
        self.codes = {row["code"] for row in rows}
        self.names = [(row["name"], row["code"], row["message"]) for row in rows]
        # Rows of the data plane share codes: a reply is told by its status and message, too.
        self.rows = [(row["name"], row["code"], row["status"], _pattern(row["message"]))
                     for row in rows if row["name"].startswith("GW_")]
        self.lock = threading.Lock()
        self.live, self.called, self.met, self.met_rows = set(), set(), set(), set()
        self.operations = []
        for path, methods in self.document["paths"].items():
            pattern = re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path)) + "$")
            for method, operation in methods.items():
                if method in ("get", "post", "put", "delete", "patch"):
                    self.operations.append((method.upper(), pattern, path, operation))
        # Literal paths before templates: /apis/action is not /apis/{api_id}.
        self.operations.sort(key=lambda row: row[2].count("{"))

    def find(self, method, path):
        for verb, pattern, template, operation in self.operations:
            if verb == method and pattern.match(path):
                return template, operation
        return None, None

    def check(self, method, target, reply):
        """Raises AssertionError when the reply is not what the contract says."""
        template, operation = self.find(method, target.partition("?")[0])
        if operation is None:
            self.meet(reply)
            return
        name = f"{method} {template}"
        with self.lock:
            self.called.add(name)
        if reply.status >= 400:
            self._check_error(name, reply)
            return
        stated = operation["responses"].get(str(reply.status))
        assert stated, f"{name}: status {reply.status} is not in the contract"
        schema = stated.get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            assert not reply.body, f"{name}: a body where the contract has none: {reply}"
        else:
            self._validate(name, reply.json, schema)
        with self.lock:
            self.live.add(name)

    def _validate(self, name, body, schema):
        resolver = jsonschema.RefResolver("", self.document)
        validator = jsonschema.Draft4Validator(schema, resolver=resolver)
        faults = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}"
                  for e in validator.iter_errors(body)]
        assert not faults, f"{name}: reply against its schema: {faults[:5]}"

    def _check_error(self, name, reply):
        body = reply.json
        assert isinstance(body, dict), f"{name}: an error without a JSON body: {reply}"
        if "error" in body:  # Keystone's form
            return
        assert set(body) >= ERROR_FIELDS, f"{name}: an error body lacks fields: {reply}"
        with self.lock:
            self.met.add(body["error_code"])

    def meet(self, reply):
        """Records the code of a data-plane answer."""
        body = reply.json
        if isinstance(body, dict) and "error_code" in body:
            message = str(body.get("error_msg", ""))
            with self.lock:
                self.met.add(body["error_code"])
                self.met_rows.update(
                    name for name, code, status, pattern in self.rows
                    if (code, status) == (body["error_code"], reply.status)
                    and pattern.match(message))

    def absorb(self, other):
        """Adds what another run saw."""
        with self.lock:
            for mine, others in ((self.live, other.live), (self.called, other.called), (self.met, other.met),
                                 (self.met_rows, other.met_rows)):
                mine |= others

    def errors_met(self):
        with self.lock:
            return self.met | self.met_rows

    def judge_errors(self, unproduced, surely):
        """(summary, faults): each documented error is produced, or excused in `unproduced`.

        `surely`: the errors met without damage; those of an outage may differ from run to run.
        An excuse is a reason, or a reason and the test that shows the error, which must name it;
        a story may meet such an error besides.
        """
        rows = {row[0] for row in self.rows}
        others = {code for name, code, _ in self.names if name not in rows} | self.documented
        wanted = others | rows
        produced = wanted & self.errors_met()
        faults = [f"{name}: no story produced it and it has no reason in unproduced.yaml"
                  for name in sorted(wanted - produced - set(unproduced))]
        faults += [f"{name}: in unproduced.yaml although a story produced it"
                   for name in sorted(surely & set(unproduced))
                   if not isinstance(unproduced[name], dict)]
        faults += [f"{name}: in unproduced.yaml although there is none, or without a reason"
                   for name, reason in sorted(unproduced.items())
                   if name not in wanted or not reason]
        faults += [f"{name}: {excuse['shown']} does not name it"
                   for name, excuse in sorted(unproduced.items())
                   if isinstance(excuse, dict) and not self._is_shown(name, excuse)]
        summary = (f"errors produced: {len(others & produced)} of {len(others)} codes, "
                   f"{len(rows & produced)} of {len(rows)} rows of the data plane; "
                   f"excused: {len(wanted & set(unproduced))}")
        return summary, faults

    def _is_shown(self, code, excuse):
        """Whether the test names the code, a row of it, or a row's words."""
        path = TREE / excuse["shown"]
        text = path.read_text() if path.is_file() else ""
        signs = [rf"\b{re.escape(code)}\b"]
        for name, own, message in self.names:
            if own == code:
                words = re.split(r"\{\d+\}", message.removeprefix("The "))
                signs += [rf"\bSL_E_{name}\b"]
                signs += [".*".join(map(re.escape, words))] if any(words) else []
        return bool(excuse.get("reason")) and any(re.search(sign, text) for sign in signs)

    def documented_live(self):
        return sorted(name for name in self.live if "/apigw/" in name)

    def never_called(self):
        return sorted(f"{verb} {template}" for verb, _, template, _ in self.operations
                      if f"{verb} {template}" not in self.called)

    def report(self):
        """Lines for the end of a run."""
        live = self.documented_live()
        lines = [f"live operations: {len(live)}/{DOCUMENTED_OPERATIONS}"]
        lines += [f"codes met: {len(self.met)} of {len(self.codes)}; never met: "
                  + (", ".join(sorted(self.codes - self.met)) or "none")]
        never = self.never_called()
        lines += [f"operations never called: {', '.join(never) or 'none'}"]
        return lines
