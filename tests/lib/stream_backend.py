"""A backend in a story's own hands: it reads a request, and answers it, part by part."""
import contextlib
import socket
import threading

import client

HEAD_MAX = 1 << 17  # bytes of a request's head


class Call:
    """One request on its way: `method`, `target`, `headers` (names in lower case)."""

    def __init__(self, connection):
        self.connection = connection
        self.file = connection.makefile("rb", 1 << 16)
        lines = iter(lambda: self.file.readline(HEAD_MAX).decode("latin-1").rstrip("\r\n"), "")
        words = next(lines, "").split(" ")
        self.method, self.target = words[0], words[1] if len(words) > 1 else ""
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.lower(): value.strip() for name, _, value in pairs}

    def parts(self):
        """The body as it comes: chunk by chunk, or what each read of a sized body brings."""
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.file.readline(), 16):
                part = self.file.read(size)
                self.file.readline()
                yield part
            self.file.readline()
            return
        left = int(self.headers.get("content-length", 0))
        while left > 0:
            part = self.file.read1(min(left, 1 << 20))
            if not part:
                raise ConnectionError("the body was cut")
            left -= len(part)
            yield part

    def send(self, data):
        self.connection.sendall(data)

    def answer(self, body=b"", status="200 OK", **headers):
        """A whole answer."""
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "", ""])
                  .encode() + body)


class StreamBackend:
    """Listens while `with` lasts; gives every connection's one request to `serve(call)`.

    `faults` holds what went wrong in there; the end of `with` raises the first one.
    """

    def __init__(self, serve):
        self.serve = serve
        self.faults = []
        self.calls = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = "%s:%d" % self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                connection.settimeout(client.TIMEOUT_S)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with connection:
            try:
                call = Call(connection)
                if call.method:
                    self.calls += 1
                    self.serve(call)
            except Exception as fault:  # pylint: disable=broad-except
                self.faults.append(fault)

    def __enter__(self):
        return self

    def __exit__(self, kind, *error):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if kind is None and self.faults:
            raise self.faults[0]
