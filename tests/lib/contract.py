"""Checks every reply against openapi.json and keeps the record: operations live, codes met."""
import json
import pathlib
import re
import threading

import jsonschema

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
        if isinstance(node.get("type"), str):
            node["type"] = [node["type"], "null"]
            if "enum" in node and None not in node["enum"]:
                node["enum"] = node["enum"] + [None]
        elif "$ref" in node:
            node = {"anyOf": [{"$ref": node["$ref"]}, {"type": "null"}]}
        elif "allOf" in node:
            node = {"anyOf": [{"allOf": node["allOf"]}, {"type": "null"}]}
    return node


class Contract:
    """The contract of a build and what a run saw of it; safe from any thread."""

    def __init__(self, openapi_path, errors_path):
        self.document = _from_openapi(json.loads(pathlib.Path(openapi_path).read_text()))
        self.codes = set(re.findall(r"\b(?:APIG|SLUICE|IAM|APIGW|Keystone)\.\d+\b",
                                    pathlib.Path(errors_path).read_text()))
        self.lock = threading.Lock()
        self.live, self.called, self.met = set(), set(), set()
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
            with self.lock:
                self.met.add(body["error_code"])

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
