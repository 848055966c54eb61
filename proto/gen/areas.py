"""Reads proto/rest/<product>/<area>.yaml and refuses what is not a complete contract.

Every refusal is a Refused whose text says file, operation or schema, and what to do. The rules are
style.md's: an operation has an action, an error has a code, a string, an array and a number that
comes in has a maximum, an example passes its own schema.
"""
import pathlib
import re

import yaml

import schema

METHODS = ("get", "post", "put", "delete", "patch")
OPERATION_KEYS = ("x-service", "x-command", "x-action")
PUBLIC = "public"  # an x-action: no credential needed
ANY = "any"  # an x-action: any valid credential
UNAVAILABLE = "x-unavailable"  # true: documented, and answered with 501
ALIAS = "x-alias"  # a second path of the same shape, for clients that spell it so


class Refused(Exception):
    """The contract is not acceptable; the message says where and why."""


class Area:
    """One YAML file: its operations, schemas and resource descriptors."""

    def __init__(self, path, product, document):
        self.path = path
        self.product = product
        self.name = pathlib.Path(path).stem
        self.document = document
        self.resources = document.get("x-resource") or {}
        self.operations = []


class Operation:
    """One method on one path, with its references resolved by `Contract.resolve`."""

    def __init__(self, area, path, method, body):
        self.area = area
        self.path = path
        self.method = method.upper()
        self.body = body
        self.where = f"{area.product}/{area.name}.yaml: {self.method} {path}"
        self.service = body.get("x-service")
        self.command = body.get("x-command")
        self.action = body.get("x-action")
        self.unavailable = body.get(UNAVAILABLE) is True
        self.alias = body.get(ALIAS)

    @property
    def status(self):
        """The documented success status."""
        return next(int(s) for s in self.body["responses"] if str(s).startswith("2"))


class Contract:
    """All areas together; `components` is the union of theirs, names unique."""

    def __init__(self):
        self.areas = []
        self.components = {"schemas": {}, "parameters": {}, "responses": {}, "securitySchemes": {}}

    @property
    def operations(self):
        return [operation for area in self.areas for operation in area.operations]

    def resolve(self, node):
        """Follows `$ref`s of the form #/components/<kind>/<name>."""
        while isinstance(node, dict) and "$ref" in node:
            parts = node["$ref"].split("/")
            if len(parts) != 4 or parts[:2] != ["#", "components"]:
                raise Refused(f"{node['$ref']}: a reference must be #/components/<kind>/<name>")
            target = self.components.get(parts[2], {}).get(parts[3])
            if target is None:
                raise Refused(f"{node['$ref']}: nothing has this name")
            node = target
        return node

    def parameters(self, operation):
        """The operation's parameters, resolved."""
        return [self.resolve(p) for p in operation.body.get("parameters", [])]

    def request_schema(self, operation):
        """The body's schema (maybe a $ref), or None where the operation takes no body."""
        body = self.resolve(operation.body.get("requestBody"))
        if not body:
            return None
        return self.request_media(operation)["schema"]

    def request_media(self, operation):
        """The media object of a request that has a body: JSON, or else the only one."""
        content = self.resolve(operation.body["requestBody"])["content"]
        return content.get("application/json") or next(iter(content.values()))

    def response_schema(self, operation):
        """The success response's schema, or None."""
        answer = self.resolve(operation.body["responses"][str(operation.status)])
        for media in answer.get("content", {}).values():
            return media.get("schema")
        return None


class UniqueKeys(yaml.SafeLoader):
    """A loader that refuses a key that stands twice."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise Refused(f"{self.name}: line {key.start_mark.line + 1}: {key.value} stands twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(path):
    """One YAML document with unique keys."""
    with open(path, encoding="utf-8") as stream:
        loader = UniqueKeys(stream)
        loader.name = str(path)
        try:
            return loader.get_single_data() or {}
        finally:
            loader.dispose()


def load(rest_dir):
    """The contract below `rest_dir`, read but not yet checked."""
    contract = Contract()
    for path in sorted(pathlib.Path(rest_dir).rglob("*.yaml")):
        add(contract, Area(path, path.parent.name, read(path)))
    return contract


def add(contract, area):
    """Joins one area to the contract."""
    contract.areas.append(area)
    for kind, members in (area.document.get("components") or {}).items():
        for name, node in members.items():
            if name in contract.components.setdefault(kind, {}):
                raise Refused(f"{area.product}/{area.name}.yaml: {kind}.{name} stands in another area too")
            contract.components[kind][name] = node
    for path, item in (area.document.get("paths") or {}).items():
        for method, body in item.items():
            if method not in METHODS:
                raise Refused(f"{area.name}.yaml: {path}: {method} is not a method")
            area.operations.append(Operation(area, path, method, body))


def check(contract, error_rows):
    """Refuses the contract (Refused) at the first fault."""
    seen = {}
    for name, node in contract.components["schemas"].items():
        schema.check_all_words(node, f"components.schemas.{name}")
        for error in schema.too_many(node):
            if error not in {row["name"] for row in error_rows}:
                raise Refused(f"components.schemas.{name}: x-too-many {error} is no row of errors.yaml")
    for operation in contract.operations:
        check_operation(contract, operation)
        name = operation.body.get("operationId")
        if not name or name in seen:
            raise Refused(f"{operation.where}: operationId is missing or used by {seen.get(name)}")
        seen[name] = operation.where
    for area in contract.areas:
        for name, descriptor in area.resources.items():
            check_codes(f"{area.product}/{area.name}.yaml: x-resource {name}", descriptor, error_rows)


def check_operation(contract, operation):
    """One operation: actions, parameters, bodies, responses, examples."""
    check_words(operation)
    check_action(contract, operation)
    successes = [s for s in operation.body.get("responses", {}) if str(s).startswith("2")]
    if len(successes) != 1:
        raise Refused(f"{operation.where}: one success response is needed, there are {len(successes)}")
    in_path = set(re.findall(r"{([^}]+)}", operation.path))
    parameters = contract.parameters(operation)
    if in_path != {p["name"] for p in parameters if p["in"] == "path"}:
        raise Refused(f"{operation.where}: path parameters and the path's braces differ")
    for parameter in parameters:
        where = f"{operation.where}: {parameter['in']} parameter {parameter['name']}"
        schema.check_bounds(contract, parameter.get("schema", {}), where)
        schema.check_examples(contract, parameter, parameter.get("schema", {}), where)
    request = contract.request_schema(operation)
    if request is not None:
        schema.check_bounds(contract, request, f"{operation.where}: body")
        schema.check_examples(contract, contract.request_media(operation), request, f"{operation.where}: request example")
    for status, answer in operation.body["responses"].items():
        for media in contract.resolve(answer).get("content", {}).values():
            schema.check_examples(contract, media, media.get("schema", {}),
                                  f"{operation.where}: response {status} example")


def check_words(operation):
    """The words of ours: who answers, who may ask, and how else the path is spelled."""
    for key in OPERATION_KEYS:
        if operation.unavailable and key in ("x-service", "x-command"):
            if key in operation.body:
                raise Refused(f"{operation.where}: {UNAVAILABLE} and {key} contradict each other")
        elif not operation.body.get(key):
            raise Refused(f"{operation.where}: no {key}; `x-action: public` opens an operation to all")
    names = re.compile(r"{[^}]+}")
    if operation.alias and names.findall(operation.alias) != names.findall(operation.path):
        raise Refused(f"{operation.where}: {ALIAS} must have the path's parameters in the path's order")


def check_action(contract, operation):
    """`x-action` is a name, `public`, `any` (whoever is authenticated), or depends on one value."""
    action = operation.action
    if isinstance(action, str):
        if action not in (PUBLIC, ANY) and not re.fullmatch(r"[a-z]+:[A-Za-z-]+:[A-Za-z-]+", action):
            raise Refused(f"{operation.where}: x-action {action} is not product:resource:verb")
        return
    if not isinstance(action, dict) or set(action) != {"by", "values"}:
        raise Refused(f"{operation.where}: x-action must be a name or {{by, values}}")
    place, _, name = action["by"].partition(".")
    if place == "body":
        found = contract.resolve(schema.properties(contract, contract.request_schema(operation)).get(name))
    else:
        found = next((p.get("schema") for p in contract.parameters(operation)
                      if (p["in"], p["name"]) == (place, name)), None)
    if not found or set(found.get("enum", [])) != set(action["values"]):
        raise Refused(f"{operation.where}: x-action must name an action for each value of {action['by']}")


def check_codes(where, descriptor, error_rows):
    """Every constraint that a descriptor names has a code that errors.yaml knows."""
    known = {row["code"] for row in error_rows} | {row["name"] for row in error_rows}
    for constraint, code in (descriptor.get("errors") or {}).items():
        if not code:
            raise Refused(f"{where}: constraint {constraint} has no code")
        if code not in known:
            raise Refused(f"{where}: constraint {constraint}: {code} is not in errors.yaml")
