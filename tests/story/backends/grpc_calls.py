"""gRPC goes through: unary and streaming calls, metadata, trailers and statuses; refusals say their grpc-status"""
import queue

import client
import grpc
from grpc_backend import GrpcBackend, GrpcCaller
from stack import wait_until

SERVED = True
UNIT_S = 20


def add(world, name, backend, **fields):
    own = {"url_domain": backend, "req_protocol": "GRPCS", "req_method": "POST", "req_uri": "/",
           "timeout": fields.pop("timeout", 5000)}
    world.api(name, req_protocol="GRPCS", req_method="POST", backend_type="GRPC",
              **{"req_uri": f"/pkg.{name.title()}", "match_mode": "SWA", "backend_api": own, **fields})
    world.publish(name)


def refused(caller, method, code, **more):
    try:
        caller.unary(method, **more)
    except grpc.RpcError as fault:
        assert fault.code() == code, fault
        return fault
    raise AssertionError(f"{method} was answered")


def calls(world, backend, caller):
    answer, call = caller.unary("/pkg.Open/Echo", b"\x00\xff" * 70000, metadata=(("x-mine", "7"), ("x-forwarded-for", "192.0.2.9"),
                                                                                ("x-request-id", "theirs")))
    assert answer == b"\x00\xff" * 70000 and call.code() == grpc.StatusCode.OK
    method, metadata = backend.seen[-1]
    heard = {}
    for name, value in metadata:
        heard.setdefault(name, []).append(value)
    assert method == "/pkg.Open/Echo" and heard["x-mine"] == ["7"], heard
    assert heard["x-forwarded-for"] == ["192.0.2.9, 127.0.0.1"] and heard["x-real-ip"] == ["127.0.0.1"], heard
    assert heard["x-forwarded-proto"] == ["https"] and heard["x-sluice-hops"] == [f"1 {world.instance}"], heard
    assert len(heard["x-request-id"]) == 1 and len(heard["x-request-id"][0]) == 32, heard
    assert dict(call.initial_metadata())["x-request-id"] == heard["x-request-id"][0], call.initial_metadata()
    assert len(heard["traceparent"]) == 1, heard
    _, call = caller.unary("/pkg.Open/Trail")
    first, last = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert first["x-first"] == "1" and len(first["x-request-id"]) == 32 and last["x-last"] == "2", (first, last)
    fault = refused(caller, "/pkg.Open/Fail", grpc.StatusCode.FAILED_PRECONDITION)
    assert fault.details() == "not now: 100 %", fault
    refused(caller, "/pkg.Open/None", grpc.StatusCode.UNIMPLEMENTED)
    counted = list(caller.channel.unary_stream("/pkg.Open/Count")(b"500", timeout=20))
    assert counted == [b"%d" % i for i in range(500)], len(counted)
    # Both ways at once: each message is answered before the next is sent.
    said = queue.Queue()
    chat = caller.channel.stream_stream("/pkg.Open/Chat")(iter(said.get, None), timeout=20)
    for number in range(20):
        said.put(b"m%d" % number)
        assert next(chat) == b"<m%d>" % number
    said.put(None)
    assert list(chat) == [] and chat.code() == grpc.StatusCode.OK


def refusals(world, caller):
    assert "APIG" not in (refused(caller, "/pkg.Kept/Echo", grpc.StatusCode.UNAUTHENTICATED).details() or "")
    refused(caller, "/no.Such/Echo", grpc.StatusCode.UNIMPLEMENTED)
    refused(caller, "/pkg.Gone/Echo", grpc.StatusCode.UNAVAILABLE)
    refused(caller, "/pkg.Brief/Slow", grpc.StatusCode.DEADLINE_EXCEEDED, timeout=30)
    limited = refused(caller, "/pkg.Few/Echo", grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert limited.details().startswith("The throttling threshold has been reached"), limited
    host = {"Host": world.names["g"]["sl_domain"], "Content-Type": "application/grpc"}
    # The statuses of HTTP that no call above has: what is malformed, who may not, what the gateway itself lacks.
    hops = {**host, "X-Sluice-Hops": f"11 {world.instance}"}
    for headers, target, status, code in ((host, "/pkg.Open/..%2fEcho", 400, "3"), (hops, "/pkg.Open/Echo", 500, "13")):
        reply = client.request_h2(world.data_url("h2"), "POST", target, headers, b"")
        assert (reply.status, reply.headers["grpc-status"]) == (status, code), f"{target}: {reply} {reply.headers}"
    reply = world.call("POST", "/pkg.Kept/Echo", "h2", headers=host, body=b"", app="stranger")
    assert (reply.status, reply.headers["grpc-status"], reply.body) == (403, "7", b""), f"{reply} {reply.headers}"
    for node in (1, 2, "tls"):
        reply = world.call("POST", "/pkg.Open/Echo", node, headers=host)
        assert reply.status == 400 and reply.json["error_code"] == "APIG.0607", reply
        assert reply.json["error_msg"] == "The following protocol is supported: GRPCS", reply
    # Who speaks gRPC gets no body; who does not reads it in JSON.
    reply = client.request_h2(world.data_url("h2"), "POST", "/pkg.Kept/Echo", host, b"")
    assert (reply.status, reply.headers["grpc-status"], reply.body) == (401, "16", b""), reply
    told = client.request_h2(world.data_url("h2"), "POST", "/pkg.Kept/Echo", {"Host": host["Host"]}, b"")
    assert (told.status, told.headers["grpc-status"], told.json["error_code"]) == (401, "16", "APIG.0303"), told
    assert told.headers["grpc-message"] == told.json["error_msg"] == reply.headers["grpc-message"], told.headers


def coded(world, backend, caller):
    """An AppCode passes over gRPC, which is always TLS, and stays with the gateway."""
    world.app("member")
    world.app_code("code", "member")
    world.auth("member", "kept")
    world.settle("kept")
    code = (("x-apig-appcode", world.names["code"]["app_code"]),)
    assert caller.unary("/pkg.Kept/Echo", b"k", metadata=code)[0] == b"k"
    method, metadata = backend.seen[-1]
    assert method == "/pkg.Kept/Echo" and "x-apig-appcode" not in dict(metadata), metadata
    refused(caller, "/pkg.Kept/Echo", grpc.StatusCode.UNAUTHENTICATED, metadata=(("x-apig-appcode", "0" * 64),))


def the_only_unit(caller):
    """The answer of the call that gets it; one that waits 20 ms in vain for it is refused and uses nothing up (architecture 7)."""
    def answered():
        try:
            return caller.unary("/pkg.Few/Echo")[0]
        except grpc.RpcError as fault:
            assert fault.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, fault
            return None
    return wait_until(answered, UNIT_S, "a call to be admitted")


def story(world):
    world.group("g")
    with GrpcBackend() as backend, GrpcCaller(world) as caller:
        world.app("stranger")
        add(world, "open", backend.address, timeout=20000)
        add(world, "brief", backend.address, timeout=1500)
        add(world, "kept", backend.address, auth_type="APP", auth_opt={"app_code_auth_type": "HEADER"})
        add(world, "gone", "127.0.0.1:1")
        add(world, "few", backend.address, req_uri="/pkg.Few/Echo", match_mode="NORMAL")
        world.throttle("t", api_call_limits=1)
        world.binding("few", "t")
        add(world, "chosen", "127.0.0.1:1", policy_https=[
            {"name": "all", "effect_mode": "ALL", "url_domain": backend.address, "req_protocol": "GRPCS", "req_method": "POST",
             "req_uri": "/", "conditions": [{"condition_origin": "source", "condition_value": "127.0.0.0/8"}]}])
        calls(world, backend, caller)
        assert caller.unary("/pkg.Chosen/Echo", b"c")[0] == b"c"
        assert the_only_unit(caller) == b"x"
        refusals(world, caller)
        coded(world, backend, caller)
