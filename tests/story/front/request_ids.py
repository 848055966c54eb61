"""one id joins front's and worker's lines of a call, another the node's log and the backend; traces go on"""
import json
import pathlib
import uuid

import access_log
import client
from stack import wait_until

SERVED = True
TRACE = uuid.uuid4().hex


def lines(world, units, wanted):
    """Log lines of these units in which all of `wanted` holds."""
    found = []
    for unit in units:
        for line in (pathlib.Path(world.stack.var) / f"log/{unit}.log").read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if wanted.items() <= entry.items():
                found.append(entry)
    return found


def managed(world):
    """A management call: its id and trace in front's log, its id in the log of the worker that did it."""
    mine = uuid.uuid4().hex
    made = world.manage("POST", "/api-groups", {"name": f"ids_{world.uid}"}, {
        "X-Request-Id": mine, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    assert made.status == 201 and made.headers["x-request-id"] == mine, made
    wait_until(lambda: lines(world, ["front"], {"message": "request", "request_id": mine, "trace_id": TRACE, "status": 201}),
               10, "front's line of the call")
    workers = lines(world, ["registry-1", "registry-2"], {"message": "command", "request_id": mine})
    assert [(entry["command"], entry["outcome"]) for entry in workers] == [("group.create", "done")], workers
    world.want(204, "DELETE", f"/api-groups/{made.json['id']}")


def refused(world):
    """What a worker refuses stands there with its code; without a trace the request's id names one."""
    mine = uuid.uuid4().hex
    reply = world.manage("GET", f"/api-groups/{world.names['zero']}", headers={"X-Request-Id": mine})
    assert reply.status == 404, reply
    wait_until(lambda: lines(world, ["front"], {"request_id": mine, "trace_id": mine, "status": 404}), 10, "front's line")
    workers = lines(world, ["registry-1", "registry-2"], {"message": "command", "request_id": mine})
    assert [entry["outcome"] for entry in workers] == [reply.json["error_code"]], workers


def called(world):
    """A call through a node: what the backend got and what the access log says."""
    world.group("g")
    world.api("a")
    world.publish("a")
    parent = f"00-{TRACE}-00f067aa0ba902b7-00"
    for node, headers in ((1, {"traceparent": parent}), (2, {})):
        reply = world.call("GET", "/a", node, headers=headers)
        seen = {name.lower(): value for name, value in reply.json["headers"].items()}
        mine = reply.headers["x-request-id"]
        assert mine in seen["x-request-id"], seen
        wanted = parent if headers else f"00-{mine}-{mine[16:]}-01"
        assert wanted in seen["traceparent"], seen
        log = pathlib.Path(world.stack.var) / f"node-{node}/access.log"
        wait_until(lambda log=log, mine=mine: access_log.find(log, lambda row: row["request_id"] == mine), 10,
                   f"the line of node {node}")


def story(world):
    managed(world)
    refused(world)
    called(world)
    assert client.request(world.env["SLUICE_METRICS_FRONT"], "GET", "/healthz").status == 200
