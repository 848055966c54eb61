"""a function of a gRPC API is called by gRPC: it is named in a header, its messages, trailers and statuses go through"""
import grpc
from grpc_backend import GrpcBackend, GrpcCaller
from huaweicloudsdkapig.v2 import ApigClient, ShowDetailsOfApiV2Request
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig

SERVED = True
OWN_STACK = True  # the function service is the gateway's, which other stories set too
URN = "urn:fss:region01:73d69ae0cfcf460190522d06b60f05ad:function:default:hello"
OURS = ("x-cff-func-urn", "x-apig-request-id", "x-apig-api-id", "x-apig-source-stage", "x-apig-source-ip")


def function(**fields):
    return {"function_urn": URN, "invocation_type": "sync", "network_type": "V2", "timeout": 3000, "req_protocol": "GRPCS", **fields}


def refused(caller, method, code, **more):
    try:
        caller.unary(method, **more)
    except grpc.RpcError as fault:
        assert fault.code() == code, fault
        return fault
    raise AssertionError(f"{method} was answered")


def heard(world, service, call, urn, name="fun"):
    """Whether the last call came as it was made, and told the function what it is to know, once."""
    method, metadata = service.seen[-1]
    told = {"x-cff-func-urn": urn, "x-apig-api-id": world.names[name]["id"], "x-apig-source-stage": "RELEASE",
            "x-apig-source-ip": "127.0.0.1", "x-apig-request-id": dict(call.initial_metadata())["x-request-id"]}
    assert sorted((key, value) for key, value in metadata if key in OURS) == sorted(told.items()), metadata
    return method, dict(metadata)


def calls(world, service, caller):
    forged = tuple((name, f"theirs {number}") for name in OURS for number in (1, 2))
    message = b"\x00\xff" * 70000
    answer, call = caller.unary("/pkg.Fun/Echo", message, metadata=(("x-mine", "7"), *forged))
    method, metadata = heard(world, service, call, f"{URN}:v2")
    assert (answer, method, metadata["x-mine"]) == (message, "/pkg.Fun/Echo", "7"), metadata
    assert metadata["x-real-ip"] == "127.0.0.1" and metadata["x-sluice-hops"] == f"1 {world.instance}", metadata
    # The policy that its path chooses is another function, by its alias.
    _, call = caller.unary("/pkg.Fun/Trail")
    first, last = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert heard(world, service, call, f"{URN}:!a1")[0] == "/pkg.Fun/Trail" and (first["x-first"], last["x-last"]) == ("1", "2")
    fault = refused(caller, "/pkg.Fun/Fail", grpc.StatusCode.FAILED_PRECONDITION)
    assert fault.details() == "not now: 100 %", fault
    refused(caller, "/pkg.Fun/None", grpc.StatusCode.UNIMPLEMENTED)
    refused(caller, "/pkg.Fun/Slow", grpc.StatusCode.DEADLINE_EXCEEDED, timeout=30)
    counted = list(caller.channel.unary_stream("/pkg.Fun/Count")(b"300", timeout=20))
    assert counted == [b"%d" % i for i in range(300)], len(counted)
    chat = caller.channel.stream_stream("/pkg.Fun/Chat")(iter([b"a", b"b"]), timeout=20)
    assert list(chat) == [b"<a>", b"<b>"] and chat.code() == grpc.StatusCode.OK


def shown(world):
    """What the stock SDK reads of the API."""
    credentials = BasicCredentials(world.env["SLUICE_AK"], world.env["SLUICE_SK"], world.project)
    client = (ApigClient.new_builder().with_credentials(credentials).with_endpoints([world.env["SLUICE_ENDPOINT"]])
              .with_http_config(HttpConfig()).build())
    api = client.show_details_of_api_v2(ShowDetailsOfApiV2Request(instance_id=world.instance, api_id=world.names["fun"]["id"]))
    backends = (api.func_info, *api.policy_functions)
    assert (api.req_protocol, api.backend_type) == ("GRPCS", "FUNCTION") and len(backends) == 2, api
    for backend in backends:
        assert (backend.req_protocol, backend.network_type, backend.invocation_type) == ("GRPCS", "V2", "sync"), backend


def story(world):
    world.group("g")
    with GrpcBackend(tls=False) as service, GrpcBackend() as other, GrpcCaller(world) as caller:
        def serve(url):
            world.stack.admin("gateway", "set", world.instance, f"function_endpoint={url}")
        serve(f"http://{service.address}/base")
        chosen = {"name": "chosen", "effect_mode": "ALL", **function(version="v1", alias_urn=f"{URN}:!a1"), "conditions": [
            {"condition_origin": "system", "sys_param_name": "req_path", "condition_type": "pattern", "condition_value": "Trail$"}]}
        world.api("fun", req_protocol="GRPCS", req_method="POST", req_uri="/pkg.Fun", match_mode="SWA", backend_type="FUNCTION",
                  func_info=function(version="v2"), policy_functions=[chosen])
        world.publish("fun")
        calls(world, service, caller)
        shown(world)
        # Another service counts at once, for what is published already; over TLS too.
        serve(f"https://{other.address}")
        world.settle("fun")
        answer, call = caller.unary("/pkg.Fun/Echo", b"tls")
        assert answer == b"tls" and heard(world, other, call, f"{URN}:v2")[0] == "/pkg.Fun/Echo"
        serve("http://127.0.0.1:1")
        world.settle("fun")
        refused(caller, "/pkg.Fun/Echo", grpc.StatusCode.UNAVAILABLE)
        serve("")
        world.settle("fun")
        fault = refused(caller, "/pkg.Fun/Echo", grpc.StatusCode.INTERNAL)
        assert "backend" in fault.details().lower(), fault
