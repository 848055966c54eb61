"""A gRPC server of a test's own, over TLS unless it says otherwise, whose methods take and give bytes, and a client through a node.

    with GrpcBackend() as backend:
        call = GrpcCaller(world, "h").unary("/pkg.Service/Echo", b"x")

Methods of every service: Echo (unary), Count (a stream comes), Chat (both ways), Fail (a status in the trailers), Trail
(trailers of its own), Slow (answers after the caller has gone).
"""
import concurrent.futures
import pathlib
import ssl
import subprocess
import tempfile
import threading
import urllib.parse

import grpc

GONE_S = 30


class _Methods(grpc.GenericRpcHandler):
    def __init__(self, backend):
        self.backend = backend

    def service(self, details):
        name = details.method.rsplit("/", 1)[1]
        self.backend.seen.append((details.method, list(details.invocation_metadata)))
        return {"Echo": grpc.unary_unary_rpc_method_handler(lambda message, context: message),
                "Count": grpc.unary_stream_rpc_method_handler(
                    lambda message, context: (b"%d" % i for i in range(int(message)))),
                "Chat": grpc.stream_stream_rpc_method_handler(
                    lambda messages, context: (b"<" + one + b">" for one in messages)),
                "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
                "Trail": grpc.unary_unary_rpc_method_handler(self.trail),
                "Slow": grpc.unary_unary_rpc_method_handler(self.slow)}.get(name)

    def fail(self, message, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: 100 %")

    def trail(self, message, context):
        context.send_initial_metadata((("x-first", "1"), ("x-request-id", "mine")))
        context.set_trailing_metadata((("x-last", "2"),))
        return message

    def slow(self, message, context):
        self.backend.release.wait(GONE_S)
        return message


def _keys():
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=backend", "-keyout", place / "key.pem", "-out", place / "cert.pem"],
                       check=True, capture_output=True)
        return grpc.ssl_server_credentials([((place / "key.pem").read_bytes(), (place / "cert.pem").read_bytes())])


class GrpcBackend:
    """Listens on a free port while it is entered; `seen` holds (method, metadata) of each call."""

    def __init__(self, tls=True):
        self._tls = tls

    def __enter__(self):
        self.seen, self.release = [], threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(8)
        self._server = grpc.server(self._pool, handlers=[_Methods(self)])
        place = "127.0.0.1:0"
        self.port = self._server.add_secure_port(place, _keys()) if self._tls else self._server.add_insecure_port(place)
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()
        return self

    def __exit__(self, *fault):
        self.release.set()
        self._server.stop(0).wait()
        self._pool.shutdown()


def common_name(pem):
    shown = subprocess.run(["openssl", "x509", "-noout", "-subject", "-nameopt", "multiline"], input=pem, text=True,
                           capture_output=True, check=True).stdout
    return shown.rsplit("commonName", 1)[1].split("=", 1)[1].strip()


class GrpcCaller:
    """Calls a group's domain through the node's TLS port."""

    def __init__(self, world, group="g"):
        place = urllib.parse.urlsplit(world.data_url("tls"))
        pem = ssl.get_server_certificate((place.hostname, place.port))
        options = [("grpc.ssl_target_name_override", common_name(pem)),
                   ("grpc.default_authority", world.names[group]["sl_domain"]), ("grpc.enable_retries", 0)]
        self.channel = grpc.secure_channel(place.netloc, grpc.ssl_channel_credentials(pem.encode()), options)

    def __enter__(self):
        return self

    def __exit__(self, *fault):
        self.channel.close()

    def unary(self, method, message=b"x", metadata=(), timeout=10):
        """(message, the call: initial_metadata(), trailing_metadata()); grpc.RpcError is a refusal."""
        return self.channel.unary_unary(method).with_call(message, metadata=metadata, timeout=timeout)
