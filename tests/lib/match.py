"""Filling `{name.field}` into a story's values and comparing replies with what it expects."""
import re

REFERENCE = re.compile(r"(?<!\{)\{([A-Za-z_]\w*(?:\.\w+)*)\}")


def _find(names, path):
    value = names
    for part in path.split("."):
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return None, False
    return value, True


def fill(value, names):
    """Replaces references; one that is a whole string keeps its type, unknown ones stay.

    `{{name}}` stands for `{name}` itself, as API paths have it.
    """
    if isinstance(value, list):
        return [fill(item, names) for item in value]
    if isinstance(value, dict):
        return {fill(key, names): fill(item, names) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    whole = REFERENCE.fullmatch(value)
    if whole:
        found, known = _find(names, whole.group(1))
        return found if known else value

    def text(reference):
        found, known = _find(names, reference.group(1))
        return str(found) if known else reference.group(0)
    return REFERENCE.sub(text, value).replace("{{", "{").replace("}}", "}")


def differences(expected, actual, where="body"):
    """What is not as expected, as lines. Objects may hold more than expected; lists may not.

    `~pattern` is a regular expression, `*` anything that is not empty, `absent` no such field,
    `{any: X}` a list with an element like X.
    """
    if expected == "*":
        return [] if actual not in (None, "", [], {}) else [f"{where}: empty or absent"]
    if isinstance(expected, str) and expected.startswith("~"):
        ok = isinstance(actual, str) and re.search(expected[1:], actual)
        return [] if ok else [f"{where}: {actual!r} does not match {expected[1:]!r}"]
    if isinstance(expected, dict):
        return _object_differences(expected, actual, where)
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            return [f"{where}: {actual!r} instead of {len(expected)} elements"]
        pairs = enumerate(zip(expected, actual))
        return [line for i, (e, a) in pairs for line in differences(e, a, f"{where}[{i}]")]
    same = expected == actual and isinstance(expected, bool) == isinstance(actual, bool)
    return [] if same else [f"{where}: {actual!r} instead of {expected!r}"]


def _object_differences(expected, actual, where):
    if set(expected) == {"any"}:
        if any(not differences(expected["any"], item) for item in actual or []):
            return []
        return [f"{where}: no element like {expected['any']!r} in {actual!r}"]
    if not isinstance(actual, dict):
        return [f"{where}: {actual!r} instead of an object"]
    lines = []
    for key, value in expected.items():
        if value == "absent":
            if key in actual:
                lines.append(f"{where}.{key}: present")
        else:
            lines += differences(value, actual.get(key), f"{where}.{key}")
    return lines
