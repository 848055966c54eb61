"""The contract as one OpenAPI 3 document, and as a C string that front serves."""
from errors import c_string

HTTP_METHODS = ("get", "post", "put", "delete", "patch")
FAILURE = "Failure"  # the component that all operations have as their `default` response
CHUNK = 4000  # characters of one literal; concatenated by the compiler


def typed(node):
    """OpenAPI 3.0 wants `type` beside `nullable`; allOf alone does not count."""
    if isinstance(node, list):
        return [typed(part) for part in node]
    if not isinstance(node, dict):
        return node
    node = {name: typed(part) for name, part in node.items()}
    if node.get("nullable") is True and "allOf" in node:
        node.setdefault("type", "object")
    return node


def document(contract, error_rows):
    """The whole document; areas keep their order, paths are merged."""
    paths = {}
    for operation in contract.operations:
        body = dict(operation.body)
        body["tags"] = [operation.area.name]
        if operation.action == "public":
            body["security"] = []
        if FAILURE in contract.components["responses"]:
            # What any operation may say: a wrong method, type or size, a gateway that is busy.
            body["responses"] = {**body["responses"],
                                 "default": {"$ref": f"#/components/responses/{FAILURE}"}}
        paths.setdefault(operation.path, {})[operation.method.lower()] = body
    return {
        "openapi": "3.0.3",
        "info": {"title": "Sluice management API", "version": "2",
                 "description": "The management API of a Sluice gateway.",
                 "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}},
        "servers": [{"url": "/", "description": "The front that serves this document."}],
        "security": [{"token": []}, {"signature": []}],
        "paths": paths,
        "components": {kind: typed(members) for kind, members in contract.components.items() if members},
        "x-error-codes": sorted({row["code"] for row in error_rows}),
    }


def c_source(text):
    """gen/openapi_json.c: the document as bytes."""
    lines = ["// Generated from proto/rest.", '#include "services/front/table.h"', "",
             "const char rest_openapi_json[] ="]
    raw = text.encode("ascii").decode("ascii")
    for start in range(0, len(raw), CHUNK):
        lines.append("    " + c_string(raw[start:start + CHUNK]))
    lines[-1] += ";"
    lines += ["", "const size_t rest_openapi_size = sizeof(rest_openapi_json) - 1;", ""]
    return "\n".join(lines)
