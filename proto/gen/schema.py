"""Schemas of the contract: what is bounded, what passes, what an example may be.

A subset of OpenAPI 3's schema objects, all that our areas use: type, enum, pattern, minLength,
maxLength, minimum, maximum, items, minItems, maxItems, properties, required, additionalProperties,
default, nullable, allOf, and our extensions x-unsupported, x-unsupported-values, x-required-when,
x-clamp, x-zero-empties, x-too-many. An unknown word is refused: what the generator does not know, front would not check.
"""
import re

WORDS = {"type", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "items", "minItems",
         "maxItems", "properties", "required", "additionalProperties", "default", "nullable", "allOf",
         "description", "title", "example", "format", "deprecated", "readOnly", "$ref", "x-unsupported",
         "x-unsupported-values", "x-required-when", "x-clamp", "x-zero-empties", "x-too-many", "x-note"}
TYPES = {"string", "integer", "number", "boolean", "array", "object"}


def refuse(text):
    # Imported late: areas imports this module.
    from areas import Refused
    raise Refused(text)


def merged(contract, node):
    """The schema with its $ref followed and its allOf folded in."""
    node = contract.resolve(node) or {}
    if "allOf" not in node:
        return node
    result = {"type": "object", "properties": {}, "required": []}
    for part in node["allOf"] + [{k: v for k, v in node.items() if k != "allOf"}]:
        part = merged(contract, part)
        result["properties"].update(part.get("properties", {}))
        result["required"] = result["required"] + part.get("required", [])
        result.update({k: v for k, v in part.items() if k not in ("properties", "required")})
    return result


def properties(contract, node):
    """The properties of an object schema, in the order of the file."""
    return merged(contract, node).get("properties", {}) if node else {}


def check_words(node, where):
    """Refuses a schema word that nothing obeys."""
    unknown = set(node) - WORDS
    if unknown:
        refuse(f"{where}: {', '.join(sorted(unknown))}: no such schema word")
    if "type" in node and node["type"] not in TYPES:
        refuse(f"{where}: type {node['type']} is not one of {', '.join(sorted(TYPES))}")


def check_all_words(node, where):
    """check_words() through a whole component, answers included; nothing is followed."""
    check_words(node, where)
    for name, part in node.get("properties", {}).items():
        check_all_words(part, f"{where}.{name}")
    for part in [node.get("items"), node.get("additionalProperties"), *node.get("allOf", [])]:
        if isinstance(part, dict):
            check_all_words(part, where)


def too_many(node):
    """The errors that a component names for lists beyond their maximum; nothing is followed."""
    if "x-too-many" in node:
        yield node["x-too-many"]
    for part in [*node.get("properties", {}).values(), node.get("items"), *node.get("allOf", [])]:
        if isinstance(part, dict):
            yield from too_many(part)


def check_bounds(contract, node, where, seen=()):
    """Refuses what a client may send without a maximum."""
    if isinstance(node, dict) and "$ref" in node:
        if node["$ref"] in seen:
            return
        seen += (node["$ref"],)
    node = merged(contract, node)
    check_words(node, where)
    kind = node.get("type")
    if kind is None:
        refuse(f"{where}: no type")
    if kind == "string" and "maxLength" not in node and "enum" not in node:
        refuse(f"{where}: a string without a maximum (maxLength or enum)")
    if kind == "array":
        if "maxItems" not in node:
            refuse(f"{where}: an array without a maximum (maxItems)")
        check_bounds(contract, node.get("items", {}), where + "[]", seen)
    if "pattern" in node:
        try:
            re.compile(node["pattern"])
        except re.error as error:
            refuse(f"{where}: pattern {node['pattern']}: {error}")
    if kind == "object":
        for name in node.get("required", []):
            if name not in node.get("properties", {}):
                refuse(f"{where}: required {name} is not a property")
        for name, part in node.get("properties", {}).items():
            check_bounds(contract, part, f"{where}.{name}", seen)
    if "default" in node:
        fault = reject(contract, node, node["default"], where)
        if fault:
            refuse(f"{where}: the default is rejected by its own schema: {fault}")


def check_examples(contract, holder, node, where):
    """Refuses an example (of a media type or parameter) that its schema rejects."""
    examples = [value.get("value") for value in holder.get("examples", {}).values()]
    if "example" in holder:
        examples.append(holder["example"])
    for example in examples:
        fault = reject(contract, node, example, "")
        if fault:
            refuse(f"{where}: rejected by its schema: {fault}")


def is_of_type(kind, value):
    """Whether a JSON value is of the schema's type."""
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, {"string": str, "array": list, "object": dict}.get(kind, object))


def reject(contract, node, value, where):
    """Why the schema rejects the value, or None."""
    node = merged(contract, node)
    if value is None and node.get("nullable"):
        return None
    kind = node.get("type")
    if not is_of_type(kind, value):
        return f"{where or 'it'} is not of type {kind}"
    if "enum" in node and value not in node["enum"]:
        return f"{where or 'it'}: {value!r} is not one of {node['enum']}"
    if value == 0 and kind == "integer" and node.get("x-zero-empties"):
        return None
    size, low, high = measure(node, value)
    if size is not None and not low <= size <= high:
        return f"{where or 'it'}: {size} is outside {low}..{high}"
    if kind == "string" and "pattern" in node and not re.search(node["pattern"], value):
        return f"{where or 'it'}: {value!r} does not match {node['pattern']}"
    if kind == "array":
        return next(filter(None, (reject(contract, node.get("items", {}), item, f"{where}[{i}]")
                                  for i, item in enumerate(value))), None)
    if kind == "object":
        return reject_object(contract, node, value, where)
    return None


def measure(node, value):
    """What a bound applies to, and the bounds; (None, …) where there are none."""
    words = {str: ("minLength", "maxLength"), list: ("minItems", "maxItems"), int: ("minimum", "maximum"),
             float: ("minimum", "maximum")}.get(type(value))
    if words is None:
        return None, 0, 0
    size = len(value) if isinstance(value, (str, list)) else value
    return size, node.get(words[0], float("-inf")), node.get(words[1], float("inf"))


def reject_object(contract, node, value, where):
    """The object's part of reject()."""
    known = node.get("properties", {})
    for name in node.get("required", []):
        if name not in value:
            return f"{where}.{name} is missing"
    for name, part in value.items():
        if name in known:
            fault = reject(contract, known[name], part, f"{where}.{name}")
        elif isinstance(node.get("additionalProperties"), dict):
            fault = reject(contract, node["additionalProperties"], part, f"{where}.{name}")
        else:
            fault = None if node.get("additionalProperties") or not known else f"{where}.{name} is unknown"
        if fault:
            return fault
    return None
