"""HTTP as the stories need it: plain, TLS, HTTP/2 through curl, and bytes as they are."""
import http.client
import json
import socket
import ssl
import subprocess
import urllib.parse

TIMEOUT_S = 40


class Reply:
    """A status, headers (names in lower case; the last of equals) and the body's bytes."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __repr__(self):
        return f"{self.status} {self.body[:500]!r}"


def _tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def request(base, method, target, headers=None, body=None, timeout=TIMEOUT_S, source=None):
    """One request over HTTP/1.1; `target` is sent as it is, from address `source`."""
    url = urllib.parse.urlsplit(base)
    if url.scheme == "https":
        connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=timeout,
                                                 context=_tls())
    else:
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=timeout,
                                                source_address=(source, 0) if source else None)
    headers = dict(headers or {})
    try:
        connection.putrequest(method, target, skip_host="Host" in headers,
                              skip_accept_encoding=True)
        if body is not None and "Content-Length" not in headers:
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            connection.putheader(name, value)
        try:
            connection.endheaders(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent: the answer says why
        reply = connection.getresponse()
        content = reply.read()
        return Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, content)
    finally:
        connection.close()


def request_h2(base, method, target, headers=None, body=None):
    """One request over HTTP/2, by curl, which must have negotiated it."""
    command = ["curl", "-sk", "--http2", "--path-as-is", "-X", method, "-D", "/dev/stderr",
               "-m", str(TIMEOUT_S), "-w", "\n%{http_version}", base + target]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    if body is not None:
        command += ["--data-binary", "@-"]
    done = subprocess.run(command, input=body, capture_output=True, check=True)
    content, _, version = done.stdout.rpartition(b"\n")
    assert version == b"2", f"negotiated HTTP/{version.decode()}"
    lines = done.stderr.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines[1:] if ":" in line)
    return Reply(int(lines[0].split()[1]), {k.lower(): v.strip() for k, v in pairs}, content)


def raw(base, sent):
    """Sends bytes as they are and reads one answer; None when the connection just closes."""
    url = urllib.parse.urlsplit(base)
    with socket.create_connection((url.hostname, url.port), timeout=TIMEOUT_S) as plain:
        channel = _tls().wrap_socket(plain) if url.scheme == "https" else plain
        channel.sendall(sent)
        reply = http.client.HTTPResponse(channel)
        try:
            reply.begin()
            content = reply.read()
        except (http.client.HTTPException, ConnectionError):
            return None
        return Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, content)
