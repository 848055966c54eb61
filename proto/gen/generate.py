"""The generator: proto/*.yaml in, C tables and openapi.json out, into the build tree only.

    generate.py <proto directory> <gen directory> <openapi.json>

Writes gen/rest_table.c (front's routes, actions, validators), gen/openapi_json.c (the document as
front serves it), gen/metric.h, the openapi.json, and, through resources.py, what the registry needs.
"""
import importlib.util
import json
import pathlib
import sys

import areas
import errors
import metrics
import openapi
import rest
import unsupported


def plug_in(proto_dir):
    """resources.py beside this file; it turns the x-resource descriptors into the engine's tables."""
    path = proto_dir / "gen" / "resources.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location("resources", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(path, text):
    """Replaces a file only when its text changed, so that nothing is compiled for nothing."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main(proto_dir, out_dir, openapi_path):
    error_rows = errors.load(proto_dir / "errors.yaml")
    contract = areas.load(proto_dir / "rest")
    areas.check(contract, error_rows)
    unsupported.check(contract, proto_dir / "rest" / "README.md")
    document = openapi.document(contract, error_rows)
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    write(openapi_path, text)
    write(out_dir / "openapi_json.c", openapi.c_source(json.dumps(document, separators=(",", ":"))))
    write(out_dir / "rest_table.c", rest.c_source(contract))
    write(out_dir / "metric.h", metrics.c_header(metrics.load(proto_dir / "metrics.yaml")))
    module = plug_in(proto_dir)
    if module:
        module.emit(contract.areas, error_rows, out_dir)


if __name__ == "__main__":
    try:
        main(*(pathlib.Path(argument).resolve() for argument in sys.argv[1:4]))
    except areas.Refused as refusal:
        sys.exit(f"contract refused: {refusal}")
