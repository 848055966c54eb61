"""A backend of HTTP/2 by hand that answers every gRPC call; over TLS where it is given a certificate."""
import contextlib
import pathlib
import socket
import ssl
import tempfile
import threading

import h2.config
import h2.connection
import h2.events

from module_node import PATIENCE_S


class Service:
    """Answers each call with its own message and grpc-status 9 in the trailers; `seen` holds headers, in order."""

    def __init__(self, pair=None):
        self.pair, self.seen = pair, []

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.context = None
        if self.pair:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.TemporaryDirectory() as place:
                paths = [pathlib.Path(place, name) for name in ("cert.pem", "key.pem")]
                for path, text in zip(paths, self.pair):
                    path.write_text(text)
                self.context.load_cert_chain(*paths)
            self.context.set_alpn_protocols(["h2"])
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *fault):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(PATIENCE_S)

    def accept(self):
        while True:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(plain,), daemon=True).start()

    def serve(self, plain):
        with contextlib.suppress(OSError), (self.context.wrap_socket(plain, server_side=True) if self.context else plain) as peer:
            http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="latin-1"))
            http.initiate_connection()
            peer.sendall(http.data_to_send())
            while data := peer.recv(65536):
                for event in http.receive_data(data):
                    self.take(http, event)
                peer.sendall(http.data_to_send())

    def take(self, http, event):
        if isinstance(event, h2.events.RequestReceived):
            self.seen.append(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            http.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc"), ("x-first", "1")])
            http.send_data(event.stream_id, b"\0\0\0\0\1x")
            http.send_headers(event.stream_id, [("grpc-status", "9"), ("x-last", "2")], end_stream=True)
