"""One request over HTTP/1.1 whose body is sent, and whose answer is read, in parts."""
import http.client
import socket
import urllib.parse

import client


class Exchange:
    """`headers` decide the framing: Content-Length, Transfer-Encoding: chunked, or no body."""

    def __init__(self, base, method, target, headers, timeout=client.TIMEOUT_S):
        url = urllib.parse.urlsplit(base)
        self.socket = socket.create_connection((url.hostname, url.port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if url.scheme == "https":
            self.socket = client._tls().wrap_socket(self.socket)
        self.chunked = headers.get("Transfer-Encoding") == "chunked"
        self.response = None
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        self.socket.sendall("\r\n".join(lines).encode("latin-1"))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def send(self, part):
        """A part of the body; a chunk of its own where the body is chunked."""
        self.socket.sendall(b"%x\r\n%b\r\n" % (len(part), part) if self.chunked else part)

    def end(self):
        """Ends a chunked body."""
        self.socket.sendall(b"0\r\n\r\n")

    def head(self):
        """Waits for the answer's status and headers."""
        if self.response is None:
            self.response = http.client.HTTPResponse(self.socket)
            self.response.begin()
        return self.response

    def reply(self):
        """Waits for the whole answer."""
        head = self.head()
        content = head.read()
        return client.Reply(head.status, {k.lower(): v for k, v in head.getheaders()}, content)
