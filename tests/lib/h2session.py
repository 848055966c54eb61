"""HTTP/2 by hand: a connection whose streams a test opens, feeds and watches as it likes."""
import functools
import socket
import ssl

import client
import h2.config
import h2.connection
import h2.events

PART = 16384  # bytes read or sent at a time
BROKEN = (ConnectionError, ssl.SSLError)  # how a socket tells that the server closed


class Session:
    """One connection over TLS; `with` closes it. Times out rather than waits for ever."""

    def __init__(self, host, port, timeout=client.TIMEOUT_S):
        context = ssl._create_unverified_context()
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection((host, port), timeout)
        self.socket = context.wrap_socket(plain, server_hostname="sluice.test")
        assert self.socket.selected_alpn_protocol() == "h2"
        config = h2.config.H2Configuration(header_encoding="latin-1")
        self.http = h2.connection.H2Connection(config)
        # Huffman's code in Python takes seconds for headers of a hundred kilobytes.
        self.http.encoder.encode = functools.partial(self.http.encoder.encode, huffman=False)
        self.http.initiate_connection()
        self.streams = {}
        self.closed = None  # the reason, once the server said that it goes away
        self._flush()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def _flush(self):
        """A server that has enough may close before all is sent: whoever reads is told."""
        try:
            self.socket.sendall(self.http.data_to_send())
        except BROKEN:
            self.closed = self.closed or "closed while sending"

    def _take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.ConnectionTerminated):
            self.closed = event.error_code
        elif stream is None:
            return
        elif isinstance(event, h2.events.ResponseReceived):
            stream["headers"] = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            stream["body"] += event.data
            if event.flow_controlled_length:
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
            stream["ended"] = True

    def pump(self):
        """Reads what came; False when the server closed."""
        try:
            data = self.socket.recv(PART)
        except BROKEN:
            data = b""
        if not data:
            self.closed = self.closed or "closed"
            return False
        for event in self.http.receive_data(data):
            self._take(event)
        self._flush()
        return True

    def open(self, method, target, headers=(), authority="h.example.com", end=False):
        """Sends a request's headers; answers the stream's number."""
        number = self.http.get_next_available_stream_id()
        self.streams[number] = {"headers": None, "body": b"", "ended": False}
        self.http.send_headers(number, [
            (":method", method), (":scheme", "https"), (":authority", authority),
            (":path", target), *((name.lower(), value) for name, value in headers)], end_stream=end)
        self._flush()
        return number

    def send(self, number, data, end=False):
        """Sends a part of the body, as fast as the server's windows allow."""
        while data and not self.streams[number]["ended"]:
            room = min(self.http.local_flow_control_window(number), PART)
            if room == 0:
                assert self.pump(), f"closed while sending: {self.closed}"
                continue
            self.http.send_data(number, data[:room])
            data = data[room:]
            self._flush()
        if end and not self.streams[number]["ended"]:
            self.http.end_stream(number)
            self._flush()

    def body(self, number, wanted):
        """Waits until `wanted` bytes of the answer's body came, or its end; answers the body."""
        stream = self.streams[number]
        while len(stream["body"]) < wanted and not stream["ended"] and self.pump():
            pass
        return stream["body"]

    def reply(self, number):
        """Waits for the whole answer; None when the stream or the connection ended without one."""
        stream = self.streams[number]
        while not stream["ended"] and self.pump():
            pass
        if stream["headers"] is None:
            return None
        return client.Reply(int(stream["headers"][":status"]), stream["headers"], stream["body"])
