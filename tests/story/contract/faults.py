"""every field of every live operation: what breaks its schema is refused, with the code and the field's name"""
import copy
import json
import re

MISSING, RANGE, BODY, QUERY = "APIG.2001", "APIG.2004", "APIG.2011", "APIG.2012"
NO_NUMBERS = {"string": 7, "integer": "seven", "number": "seven", "boolean": "true", "array": {}, "object": []}


UNSUPPORTED = "SLUICE.0501"
# What x-too-many names: refused with 403 and words of their own.
TOO_MANY = {"REQ_PARAM_QUOTA": "APIG.3111", "POLICY_QUOTA": "APIG.3113", "CONDITION_QUOTA": "APIG.3114", "TAG_QUOTA": "APIG.3133"}
# Where the document's first example needs what this gateway lacks, a body that it has.
API = {"group_id": "0" * 32, "name": "Api_one", "type": 1, "req_protocol": "HTTP", "req_method": "GET", "req_uri": "/one",
       "auth_type": "NONE", "backend_type": "MOCK", "mock_info": {"result_content": "x"}}
BODIES = {"createApi": API, "updateApi": API}


class Document:
    """The contract as the front serves it, examples included."""

    def __init__(self, document):
        self.document = document

    def plain(self, schema):
        """A schema without references, its parts of allOf in one."""
        while "$ref" in schema:
            schema = self.look_up(schema["$ref"])
        if "allOf" in schema:
            merged = {"type": "object", "properties": {}, "required": []}
            for part in map(self.plain, schema["allOf"]):
                merged["properties"].update(part.get("properties", {}))
                merged["required"] += part.get("required", [])
            return merged
        return schema

    def look_up(self, reference):
        node = self.document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
        return node

    def operations(self):
        """(method, path, operation) of what is live below a gateway."""
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                if isinstance(operation, dict) and "x-action" in operation and \
                        not operation.get("x-unavailable") and "{instance_id}" in path:
                    yield method.upper(), path, operation

    def query(self, operation):
        """What a valid query must hold: the required parameters, each with its first word."""
        parameters = [self.look_up(one["$ref"]) if "$ref" in one else one for one in operation.get("parameters", [])]
        needed = [(one["name"], self.plain(one["schema"])) for one in parameters
                  if one.get("in") == "query" and one.get("required")]
        return "&".join(f"{name}={schema.get('enum', ['x'])[0]}" for name, schema in needed)

    def body(self, operation):
        """(schema, a valid body) of an operation; (None, None) without a body or an example."""
        content = operation.get("requestBody", {})
        content = self.look_up(content["$ref"]) if "$ref" in content else content
        content = content.get("content", {}).get("application/json")
        if content is None:
            return None, None
        given = [content["example"]] if "example" in content else \
            [example["value"] for example in content.get("examples", {}).values()]
        return self.plain(content["schema"]), given[0] if given else None


def faults_of(schema):
    """(broken value, code) for each way in which a value can break its schema."""
    kind = schema.get("type")
    if kind in NO_NUMBERS:
        yield NO_NUMBERS[kind], BODY
    if kind == "string":
        if schema.get("maxLength", 10 ** 6) < 5000:
            yield "x" * (schema["maxLength"] + 1), BODY
        if schema.get("minLength", 0) > 0 and "x-unsupported" not in schema:  # there the empty value passes
            yield "", BODY
        if schema.get("enum"):
            yield "no such word", BODY
    if kind in ("integer", "number"):
        if "minimum" in schema:
            yield -1 if schema.get("x-zero-empties") else schema["minimum"] - 1, RANGE
        if "maximum" in schema:
            yield schema["maximum"] + 1, RANGE
        if kind == "integer":
            yield 1.5, BODY
    if kind == "array" and schema.get("maxItems", 10 ** 6) < 2000:
        yield ["x"] * (schema["maxItems"] + 1), TOO_MANY.get(schema.get("x-too-many"), BODY)


def break_body(document, operation):
    """(what, body, code, name) of every broken body of an operation, top level and one below."""
    schema, valid = document.body(operation)
    valid = BODIES.get(operation["operationId"], valid)
    if not isinstance(valid, dict):
        return
    for name, field in schema.get("properties", {}).items():
        field = document.plain(field)
        for value, code in faults_of(field):
            yield f"{name}={value!r:.30}", {**valid, name: value}, code, name
        if name in schema.get("required", []) and name in valid:
            yield f"without {name}", {k: v for k, v in valid.items() if k != name}, MISSING, name
        inner = valid.get(name)
        if field.get("type") == "object" and isinstance(inner, dict):
            for below, part in field.get("properties", {}).items():
                for value, code in faults_of(document.plain(part)):
                    body = copy.deepcopy(valid)
                    body[name][below] = value
                    yield f"{name}.{below}={value!r:.30}", body, code, f"{name}.{below}"


def break_query(document, operation):
    """(query, name) of every query that breaks a declared parameter."""
    for parameter in operation.get("parameters", []):
        parameter = document.look_up(parameter["$ref"]) if "$ref" in parameter else parameter
        schema = document.plain(parameter.get("schema", {}))
        if parameter.get("in") != "query":
            continue
        name = parameter["name"]
        if schema.get("type") == "integer":
            yield f"{name}=seven", name
        if schema.get("type") == "string" and schema.get("maxLength", 10 ** 6) < 2000:
            yield f"{name}={'x' * (schema['maxLength'] + 1)}", name
        if schema.get("enum"):
            yield f"{name}=no-such-word", name


def story(world):
    document = Document(json.loads(world.manage("GET", "/openapi.json", caller="none").body))
    known = {"project_id": world.project, "instance_id": world.instance}
    tried, wrong = 0, []
    for method, path, operation in document.operations():
        target = re.sub(r"\{(\w+)\}", lambda m: known.get(m.group(1), "0" * 32), path)
        query = document.query(operation)
        whole = f"{target}?{query}" if query else target
        cases = [(what, whole, body, code, name) for what, body, code, name in break_body(document, operation)]
        cases += [(broken, f"{target}?{broken}", None, QUERY, name) for broken, name in break_query(document, operation)
                  if method == "GET"]
        for what, where, body, code, name in cases:
            reply = world.manage(method, where, body)
            tried += 1
            told = reply.json if isinstance(reply.json, dict) else {}
            own = code in TOO_MANY.values()
            named = own or name.split(".")[-1] in told.get("error_msg", "")
            refused = (reply.status, told.get("error_code")) in ((403 if own else 400, code), (501, UNSUPPORTED))
            if not refused or not named:
                wrong.append(f"{operation['operationId']} {what}: wants {code}, got {reply.status} {told}")
    assert not wrong, f"{len(wrong)} of {tried}:\n" + "\n".join(wrong[:40])
    assert tried > 300, tried
