"""a function gets the request as an event and its answer becomes the response; what is no answer is the gateway's error"""
import base64
import json
import pathlib

import access_log
import client
from backend import CLOSE, RESET, SILENCE, Backend, answer
from stack import wait_until

SERVED = True
PROJECT = "73d69ae0cfcf460190522d06b60f05ad"
URN = f"urn:fss:region01:{PROJECT}:function:default:hello"
PARAMS = [{"name": "id", "type": "STRING", "location": "PATH", "required": 1},
          {"name": "kind", "type": "STRING", "location": "QUERY", "required": 2, "pass_through": 2},
          {"name": "x-plan", "type": "STRING", "location": "HEADER", "required": 2, "default_value": "basic"}]
MAPPED = [{"name": "X-Kind", "value": "kind", "location": "HEADER", "origin": "REQUEST"},
          {"name": "app", "value": "$context.apiName", "location": "QUERY", "origin": "SYSTEM"},
          {"name": "place", "value": "a b", "location": "PATH", "origin": "CONSTANT"}]
LARGE = "0123456789abcdef" * 20_000


def function(**fields):
    return {"function_urn": URN, "invocation_type": "sync", "network_type": "V2", "timeout": 5000, **fields}


def add(world, name, fields=None, **more):
    world.api(name, req_method="ANY", backend_type="FUNCTION", func_info=function(**(fields or {})), **more)
    world.publish(name)


def told(status=200, body="", **fields):
    return answer(200, json.dumps({"statusCode": status, "body": body, "isBase64Encoded": False, **fields}))


def event_of(seen):
    """The event of an invocation, its body decoded; what the gateway itself says beside it."""
    assert seen.method == "POST" and seen.header("content-type") == "application/json", seen.headers
    assert seen.header("cookie") is None and seen.header("x-forwarded-for") is None, seen.headers
    event = json.loads(seen.body)
    assert event["isBase64Encoded"] is True
    return {**event, "body": base64.b64decode(event["body"])}


def logged(world, reply, urn):
    path = pathlib.Path(world.stack.var) / "node-1/access.log"
    row = wait_until(lambda: access_log.find(path, lambda row: row["request_id"] == reply.headers["x-request-id"]), 10,
                     "the line of the call")
    assert row["function_urn"] == urn, row


def requests(world, service):
    add(world, "e", req_uri="/e/{id}", req_params=PARAMS, backend_params=MAPPED)
    for node in (1, 2, "tls", "h2"):
        reply = world.call("PUT", "/e/a%20b?kind=gold&x=1&x=2&y=%C3%A9+1&z=%ff", node, body="\x00\u20ac\n", headers={
            "X-Twice": "one", "Cookie": "a=1", "X-Forwarded-For": "192.0.2.9", "X-Bytes": "q\"\\", "X-Apig-Source-Ip": "192.0.2.9"})
        assert reply.status == 200, reply
        seen = service.seen[-1]
        assert seen.target == f"/v2/{PROJECT}/fgs/functions/{URN}/invocations", seen.target
        event = event_of(seen)
        assert (event["httpMethod"], event["path"]) == ("PUT", "/e/a b"), event
        if node == 1:
            logged(world, reply, URN)
        assert event["body"] == "\x00\u20ac\n".encode(), event
        assert event["queryStringParameters"] == {"x": "1", "y": "\u00e9 1", "z": "\ufffd",
                                                  "app": world.names["e"]["name"]}, event
        assert event["pathParameters"] == {"id": "a b", "place": "a b"}, event
        assert event["requestContext"] == {"requestId": reply.headers["x-request-id"], "stage": "RELEASE",
                                           "apiId": world.names["e"]["id"]}, event
        headers = event["headers"]
        wanted = {"host": world.names["g"]["sl_domain"], "x-kind": "gold", "x-plan": "basic", "x-twice": "one",
                  "cookie": "a=1", "x-bytes": "q\"\\", "x-forwarded-for": "192.0.2.9, 127.0.0.1",
                  "x-apig-request-id": reply.headers["x-request-id"], "x-apig-api-id": world.names["e"]["id"],
                  "x-apig-source-stage": "RELEASE", "x-apig-source-ip": "127.0.0.1",
                  "x-real-ip": "127.0.0.1", "x-forwarded-proto": "http" if node in (1, 2) else "https"}
        assert {name: headers.get(name) for name in wanted} == wanted, headers
        assert "connection" not in headers and headers["x-request-id"] == reply.headers["x-request-id"], headers
    raw = f"GET /e/1 HTTP/1.1\r\nHost: {world.names['g']['sl_domain']}\r\nX-A: 1\r\nx-a: 2\r\nConnection: close\r\n\r\n"
    assert client.raw(world.data_url(1), raw.encode()).status == 200
    event = event_of(service.seen[-1])
    assert event["headers"]["x-a"] == "1,2" and event["body"] == b"" and event["queryStringParameters"] == {
        "app": world.names["e"]["name"]}, event
    for size in (1, 2, 3, 65536, len(LARGE)):
        assert world.call("POST", "/e/1", body=LARGE[:size]).status == 200
        assert event_of(service.seen[-1])["body"] == LARGE[:size].encode(), size
    missing = world.call("GET", "/e/1/2")
    assert missing.status == 404, missing


def answers(world, service):
    add(world, "r")

    def served(said, node=1, method="GET"):
        service.answer = lambda seen: said
        return world.call(method, "/r", node)
    for node in (1, 2, "tls", "h2"):
        reply = served(told(201, "h\u00e9", headers={"Content-Type": "text/html", "X-One": "1", "Server": "me", "Connection":
                                                     "close", "X-Request-Id": "mine", "Content-Length": "99"}), node)
        assert (reply.status, reply.body.decode(), reply.headers["content-type"]) == (201, "h\u00e9", "text/html"), reply
        assert reply.headers["x-one"] == "1" and reply.headers["server"] == "api-gateway", reply.headers
        assert len(reply.headers["x-request-id"]) == 32 and reply.headers["content-length"] == "3", reply.headers
        reply = served(told(200, base64.b64encode(b"\x00\xff").decode(), isBase64Encoded=True), node)
        assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"\x00\xff", "text/plain"), reply
        assert served(told(404, '{"a":1}'), node).headers["content-type"] == "application/json"
        assert served(told(204), node).status == 204
        head = served(told(200, "twelve bytes", headers={"X-A": "1"}), 1 if node == "h2" else node, "HEAD")
        assert (head.status, head.body, head.headers["x-a"]) == (200, b"", "1"), head
        assert served(told(200, LARGE), node).body == LARGE.encode()
    assert served(answer(200, '{"statusCode": 200}')).body == b""
    raw = f"GET /r HTTP/1.1\r\nHost: {world.names['g']['sl_domain']}\r\nConnection: close\r\n\r\n"
    service.answer = lambda seen: told(200, "x", headers={"Set-Cookie": ["a=1", "b=2"]})
    kept = client.raw(world.data_url(1), raw.encode())
    assert kept.status == 200, kept
    # What is no answer: 500; what comes from a service that cannot run the function: 502.
    good = {"statusCode": 200, "body": "x"}
    for said in ("", "nothing", "[]", "{}", '"x"', json.dumps({**good, "statusCode": "200"}),
                 json.dumps({**good, "statusCode": 199}), json.dumps({**good, "statusCode": 600}),
                 json.dumps({**good, "body": {"a": 1}}), json.dumps({**good, "headers": {"X-A": 1}}),
                 json.dumps({**good, "headers": {"X A": "1"}}), json.dumps({**good, "headers": {"X-A": "1\r\nX-B: 2"}}),
                 json.dumps({**good, "isBase64Encoded": True, "body": "?"}), json.dumps(good) + "}"):
        for node in (1, "h2"):
            reply = served(answer(200, said), node)
            assert reply.status == 500 and reply.json["error_code"] == "APIG.0601", f"{said!r}: {reply}"
            assert reply.headers["x-request-id"] == reply.json["request_id"], reply
    for said in (answer(404, "no such function"), answer(500, json.dumps(good)), RESET, CLOSE, b"SSH-2.0-x\r\n\r\n"):
        reply = served(said)
        assert reply.status == 502 and reply.json["error_code"] == "APIG.0202", f"{said!r}: {reply}"
    cut = served(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{"statusCode":200', "tls")
    assert cut.status in (500, 504), cut


def slow_and_async(world, service):
    add(world, "slow", {"timeout": 300})
    service.answer = lambda seen: SILENCE
    before = len(service.seen)
    for node in (1, "h2"):
        reply = world.call("GET", "/slow", node)
        assert reply.status == 504 and reply.json["error_code"] == "APIG.0203", reply
    # What the gateway gave up is read all the same, a moment later.
    wait_until(lambda: len(service.seen) == before + 2, 20, "both calls to be seen")
    add(world, "later", {"invocation_type": "async", "version": "v3"})
    service.answer = lambda seen: answer(202, '{"request_id": "17"}')
    before = len(service.seen)
    for node in (1, 2, "h2"):
        reply = world.call("POST", "/later", node, body="job")
        assert reply.status == 202 and reply.body == b"", reply
        assert service.seen[-1].target == f"/v2/{PROJECT}/fgs/functions/{URN}:v3/invocations-async"
        assert event_of(service.seen[-1])["body"] == b"job"
    assert len(service.seen) == before + 3
    service.answer = lambda seen: answer(503, "full")
    reply = world.call("POST", "/later", body="job")
    assert reply.status == 502 and reply.json["error_code"] == "APIG.0202", reply


def policies(world, service):
    gold = {"condition_origin": "param", "req_param_name": "kind", "condition_type": "exact", "condition_value": "gold"}
    chosen = {"name": "gold", "effect_mode": "ALL", "conditions": [gold], "backend_params": MAPPED[:1],
              **function(version="latest", alias_urn=f"{URN}:!a1")}
    add(world, "p", req_params=[{**PARAMS[1], "pass_through": 1}], policy_functions=[chosen])
    stored = world.want(200, "GET", f"/apis/{world.names['p']['id']}")
    assert stored["func_info"]["function_urn"] == URN and stored["policy_functions"][0]["alias_urn"] == f"{URN}:!a1", stored
    service.answer = lambda seen: told(200, seen.target)
    for query, tail in (("?kind=gold", ":!a1/invocations"), ("", "/invocations")):
        for node in (1, 2):
            reply = world.call("GET", f"/p{query}", node)
            assert reply.body.decode() == f"/v2/{PROJECT}/fgs/functions/{URN}{tail}", reply
            assert ("x-kind" in event_of(service.seen[-1])["headers"]) == bool(query)


def story(world):
    world.group("g")
    with Backend(take=lambda seen: told()) as service, Backend(take=lambda seen: told(200, seen.target), tls=True) as other:
        set_service = lambda url: world.stack.admin("gateway", "set", world.instance, f"function_endpoint={url}")
        set_service(f"http://{service.address}/")
        requests(world, service)
        answers(world, service)
        slow_and_async(world, service)
        policies(world, service)
        # Another service counts at once, for what is published already.
        set_service(f"https://{other.address}/base")
        world.settle("r")
        assert world.call("GET", "/r").body.decode() == f"/base/v2/{PROJECT}/fgs/functions/{URN}/invocations"
        set_service("")
        world.settle("r")
        reply = world.call("GET", "/r")
        assert reply.status == 500 and reply.json["error_code"] == "APIG.0105", reply
