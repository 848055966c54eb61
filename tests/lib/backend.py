"""A backend of a test's own: remembers what it saw, answers what it is told, over TLS if asked.

    with Backend(tls=True) as backend:      # listens on a free port of this machine
        backend.answer = lambda seen: answer(503)
        …
        assert [seen.sni for seen in backend.seen] == ["one.example.com"]
"""
import contextlib
import itertools
import json
import pathlib
import socket
import ssl
import struct
import subprocess
import tempfile
import threading

LINGER_NONE = struct.pack("ii", 1, 0)  # close() resets the connection
IDLE_S = 30


class Seen:
    """One request, and the connection that it came over."""

    def __init__(self, line, headers, body, connection):
        self.method, self.target, _ = line.split(" ", 2)
        self.headers = headers  # of (name in lower case, value)
        self.body = body
        self.connection = connection  # its number, from 1
        self.sni = connection.sni
        self.resumed = connection.resumed
        self.client = connection.client

    def header(self, name):
        """The values of a header, joined by commas; None when it was not sent."""
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None


class Connection:
    """What is known of a connection besides its requests."""

    def __init__(self, number, sni=None, resumed=False, client=None):
        self.number, self.sni, self.resumed = number, sni, resumed
        self.client = client  # the common name in the certificate that it was shown


def answer(status=200, body=b"", headers=()):
    """The bytes of a whole answer."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def mirror(seen):
    """An answer that says in JSON what was seen."""
    body = json.dumps({"method": seen.method, "target": seen.target, "sni": seen.sni,
                       "headers": dict(seen.headers), "body": seen.body.decode("latin-1"),
                       "connection": seen.connection.number, "resumed": seen.resumed,
                       "client": seen.client})
    return answer(200, body, [("Content-Type", "application/json")])


RESET = object()  # an answer: the connection is reset
CLOSE = object()  # an answer: the connection is closed
SILENCE = object()  # an answer: nothing is said until the gateway hangs up


class Backend:
    """Listens while it is entered. `answer(seen)` makes bytes, RESET, CLOSE or SILENCE.

    `pair`: its certificate and key, as Authority.issue() makes them. `asks`: the PEM of the
    authority whose certificates it asks clients for; `demands`: without one nobody is served.
    """

    def __init__(self, tls=False, names=("one.example.com", "two.example.com"), take=mirror,
                 pair=None, asks=None, demands=False):
        self._pair, self._asks, self._demands = pair, asks, demands
        self.answer = take
        self.seen = []
        self.connections = itertools.count(1)
        self.names = names
        self._tls = tls
        self._open = set()
        self._lock = threading.Lock()

    def __enter__(self):
        self._held = contextlib.ExitStack()
        self._listener = self._held.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        if self._tls:
            place = self._held.enter_context(tempfile.TemporaryDirectory())
            self._context = self._make_context(pathlib.Path(place))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *fault):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self._held.close()

    def _make_context(self, place):
        if self._pair:
            (place / "cert.pem").write_text(self._pair[0])
            (place / "key.pem").write_text(self._pair[1])
        else:
            self._sign_itself(place)
        self.certificate = (place / "cert.pem").read_text()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place / "cert.pem", place / "key.pem")
        context.sni_callback = lambda sock, name, _: setattr(sock, "asked_name", name)
        if self._asks:
            context.verify_mode = ssl.CERT_REQUIRED if self._demands else ssl.CERT_OPTIONAL
            context.load_verify_locations(cadata=self._asks)
        return context

    def _sign_itself(self, place):
        names = ",".join(f"DNS:{name}" for name in self.names)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=backend", "-addext", f"subjectAltName={names}", "-keyout",
                        place / "key.pem", "-out", place / "cert.pem"], check=True,
                       capture_output=True)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        number = next(self.connections)
        sock.settimeout(IDLE_S)
        connection = Connection(number)
        with contextlib.suppress(OSError, ValueError):
            if self._tls:
                sock = self._context.wrap_socket(sock, server_side=True)
                connection = Connection(number, getattr(sock, "asked_name", None),
                                        sock.session_reused, common_name(sock.getpeercert()))
            with self._lock:
                self._open.add(sock)
            with sock.makefile("rb") as reader:
                while self._exchange(sock, reader, connection):
                    pass
        with self._lock:
            self._open.discard(sock)
        with contextlib.suppress(OSError):
            sock.close()

    def _exchange(self, sock, reader, connection):
        if not reader.peek(1)[:1].isalpha():  # no request: TLS where none is spoken
            sock.sendall(answer(400))
            return False
        seen = read_request(reader, connection)
        if seen is None:
            return False
        self.seen.append(seen)
        said = self.answer(seen)
        if said is RESET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            return False
        if said is SILENCE:
            reader.read(1)
            return False
        if said is CLOSE:
            return False
        if callable(said):  # takes the connection over
            said(sock)
            return False
        sock.sendall(said)
        return True


def common_name(certificate):
    """The subject's common name; None without a certificate."""
    names = dict(pair for group in (certificate or {}).get("subject", ()) for pair in group)
    return names.get("commonName")


def read_request(reader, connection):
    """The next request of a connection; None at its end."""
    line = reader.readline().decode("latin-1").rstrip("\r\n")
    if not line:
        return None
    headers = []
    while (field := reader.readline().decode("latin-1").rstrip("\r\n")):
        name, _, value = field.partition(":")
        headers.append((name.lower(), value.strip()))
    known = dict(headers)
    body = reader.read(int(known.get("content-length", 0)))
    if known.get("transfer-encoding") == "chunked":
        while size := int(reader.readline(), 16):
            body += reader.read(size)
            reader.readline()
        reader.readline()
    return Seen(line, headers, body, connection)
