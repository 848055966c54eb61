"""every operation of the document has an answer: those that this gateway lacks say so by their names"""
import re


def story(world):
    absent = [(method, template, operation) for method, _, template, operation in world.contract.operations
              if operation.get("x-unavailable")]
    assert absent
    known = {"project_id": world.project, "instance_id": world.instance}
    for method, template, operation in absent:
        for path in filter(None, (template, operation.get("x-alias"))):
            target = re.sub(r"\{(\w+)\}", lambda m: known.get(m.group(1), "0" * 32), path)
            reply = world.manage(method, target, None if method in ("GET", "DELETE") else {})
            assert reply.status == 501, (method, target, reply)
            assert reply.json["error_code"] == "SLUICE.0502", (method, target, reply)
            assert operation["operationId"] in reply.json["error_msg"], (method, target, reply)

    documented = {operation["x-section"] for _, _, _, operation in world.contract.operations
                  if "x-section" in operation}
    missing = [section for section in SECTIONS if section not in documented]
    assert not missing, f"operations of the document that the contract lacks: {missing}"


# How many operations each section of the document has.
COUNTS = {"3.1": 6, "3.2": 4, "3.3": 5, "3.4": 5, "3.5": 14, "3.6": 4, "3.7": 5, "3.10": 5, "3.11": 3, "3.12": 7,
          "3.13": 6, "3.14": 6, "3.15": 5, "3.16": 2, "3.17": 17, "3.18": 3, "3.19": 8, "3.20": 1, "3.21": 3, "3.22": 2,
          "3.23": 17, "3.24": 5, "3.25": 3, "3.26": 10, "3.27": 13, "3.28": 16, "3.29": 9, "3.30": 3}
SECTIONS = [f"{chapter}.{number}" for chapter, count in COUNTS.items() for number in range(1, count + 1)]
