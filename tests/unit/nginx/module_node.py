"""A real nginx with the module, an image built from JSON, a backend that echoes: what module_test.py drives."""
import contextlib
import ctypes
import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
TEMPLATE = ROOT / "services/nginx/nginx.conf.tmpl"
PATIENCE_S = 60  # with what must happen, and happens sooner unless it hangs
TIMEOUT_MS = PATIENCE_S * 1000  # of backends that answer
PORTS = 5  # that a node needs in a row
LIMIT_KEYS = 4096  # counters of a node
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)
pause = threading.Event().wait  # nobody sets it: between two looks at what tells no event


def until(happened, what="", seconds=PATIENCE_S):
    """Looks until it happened; answers what `happened()` said then."""
    end = time.monotonic() + seconds
    while not (value := happened()):
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain: {what}")
        pause(0.02)
    return value


def begin(words, **options):
    """Starts a process that ends with this one, however this one ends."""
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
                            **options)


def free_ports():
    """The first of PORTS free ports in a row, below the range of outgoing connections.

    Tests that run at once begin at places of their own, with room for two nodes.
    """
    for base in range(10000 + os.getpid() % 1000 * 2 * PORTS, 20000, PORTS):
        with contextlib.ExitStack() as held:
            try:
                for port in range(base, base + PORTS):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
                return base
            except OSError:
                continue
    raise RuntimeError("no free block of ports")


def hex_id(number):
    """An id of ours: 32 hex digits."""
    return f"{number:032x}"


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers what it received as JSON; a few paths do something special.

    /slow waits until the gateway hangs up, the second event of /events until `more` is released.
    """

    more = threading.Semaphore(0)

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self):
        if self.path.startswith("/sluggish"):
            pause(4)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        if self.path.startswith("/sluggish"):
            body = b""  # to send it back is not the point
        if self.path.startswith("/garbage"):
            self.wfile.write(b"this is not HTTP at all\r\n\r\n")
            self.close_connection = True
            return
        if self.path.startswith("/socket"):
            self.talk()
            return
        if self.path.startswith("/events"):
            self.stream()
            return
        if self.path.startswith("/slow"):
            self.rfile.read(1)
            self.close_connection = True
            return
        status = 502 if self.path.startswith("/own502") else 200
        reply = json.dumps({"method": self.command, "path": self.path, "headers": self.headers.items(),
                            "body": body.decode("latin-1"), "peer": self.client_address[1]}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Request-Id", "from-the-backend")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply)

    def talk(self):
        """Upgrades and sends back what comes, in capitals."""
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := self.connection.recv(4096):
            self.wfile.write(data.upper())
        self.close_connection = True

    def stream(self):
        """Two events."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
                         b"data: one\n\n")
        self.more.acquire(timeout=PATIENCE_S)
        self.wfile.write(b"data: two\n\n")
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = answer

    def log_message(self, *args):
        pass


class EchoServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # the node cut a request short: tests see that from the other side


class Node:
    """One nginx on ports base … base+4: HTTP, HTTPS, health, backend, a port nobody listens on."""

    def __init__(self, build, place, base, module="ngx_http_sluice_module.so"):
        self.build, self.place = pathlib.Path(build), pathlib.Path(place)
        self.module = self.build / "services/nginx" / module
        self.http, self.https, self.health, self.backend, self.closed = range(base, base + 5)
        self.name = f"module-{os.getpid()}-{base}"
        # nginx leaves its cycle's memory to the kernel: leaks are not what a sanitizer looks for here.
        self.environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", UBSAN_OPTIONS="print_stacktrace=1")
        self.revision = 0
        self.limit_keys = LIMIT_KEYS
        self.process = self.echo = None

    def publish(self, image):
        """Builds the image; workers see it with their next request."""
        self.revision += 1
        path = self.place / "image.json"
        path.write_text(json.dumps(image))
        subprocess.run([self.build / "tests/image_fixture", self.name, path, str(self.revision)], check=True,
                       env=self.environment)

    def configure(self, workers=1, replaced=()):
        """Writes nginx.conf from the product's template; `replaced`: pairs of what a test needs otherwise."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "2", "-subj", "/CN=sluice", "-keyout", self.place / "key.pem",
                        "-out", self.place / "cert.pem"], check=True, capture_output=True)
        text = TEMPLATE.read_text()
        for said, wanted in replaced:
            assert text.count(said) == 1, said
            text = text.replace(said, wanted)
        for key, value in {
                "MODULE": self.module, "WORKERS": workers,
                "USER": "user root;" if os.geteuid() == 0 else "", "STATE_DIR": self.place, "IMAGE": self.name,
                "NODE_ID": hex_id(77), "LIMITS": self.name, "LIMIT_KEYS": self.limit_keys, "ACCESS_LOG": self.place / "access.log",
                "ACCESS_LOG_JSON": self.place / "access.json.log", "IF_LOG_LINE": "", "IF_LOG_JSON": "",
                "IF_LOG_OFF": "#", "BODY_BUDGET": 256,
                "CERTIFICATE": self.place / "cert.pem", "CERTIFICATE_KEY": self.place / "key.pem",
                "LISTEN_HTTP": f"127.0.0.1:{self.http}", "LISTEN_HTTPS": f"127.0.0.1:{self.https}",
                "LISTEN_HEALTH": f"127.0.0.1:{self.health}"}.items():
            text = text.replace(f"@{key}@", str(value))
        (self.place / "nginx.conf").write_text(text)

    def start(self, workers=1, replaced=(), echo=True):
        """Starts nginx, configured so, and the backend, unless another node has it."""
        if echo:
            self.echo = EchoServer(("127.0.0.1", self.backend), Echo)
            threading.Thread(target=self.echo.serve_forever, daemon=True).start()
        self.configure(workers, replaced)
        environment = dict(self.environment)
        if os.environ.get("SLUICE_NGINX_PRELOAD"):
            environment["LD_PRELOAD"] = os.environ["SLUICE_NGINX_PRELOAD"]
        with open(self.place / "stderr.log", "wb") as log:
            self.process = begin(
                ["/usr/sbin/nginx", "-p", f"{self.place}/", "-c", self.place / "nginx.conf", "-e",
                 self.place / "error.log", "-g", "daemon off;"], env=environment, stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.health), 1).close()
                return
            except OSError:
                pause(0.05)
        self.stop()
        raise RuntimeError("nginx does not start:\n" + self.logs())

    def stop(self):
        """Ends nginx as a supervisor would; answers its exit status."""
        if self.echo:
            self.echo.shutdown()
            self.echo.server_close()
        self.process.send_signal(signal.SIGQUIT)
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        for path in pathlib.Path("/dev/shm").glob(f"sluice-{self.name}-*"):
            path.unlink()
        return status

    def workers(self):
        """The pids of nginx's workers, as one text."""
        return pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()

    def logs(self):
        return "".join(path.read_text(errors="replace") for path in
                       (self.place / "stderr.log", self.place / "error.log") if path.exists())

    def connect(self, port=None, tls=False):
        """A connection to the node."""
        sock = socket.create_connection(("127.0.0.1", port or (self.https if tls else self.http)), PATIENCE_S)
        if tls:
            sock = ssl._create_unverified_context().wrap_socket(sock, server_hostname="h.example.com")
        return sock

    def client(self, tls=False):
        """A client that keeps its connection."""
        if tls:
            return http.client.HTTPSConnection("127.0.0.1", self.https, timeout=PATIENCE_S,
                                               context=ssl._create_unverified_context())
        return http.client.HTTPConnection("127.0.0.1", self.http, timeout=PATIENCE_S)

    def raw(self, data, port=None, tls=False):
        """Sends bytes, reads until the server closes."""
        with self.connect(port, tls) as sock:
            with contextlib.suppress(ConnectionError):  # refused before all was sent: the answer says why
                sock.sendall(data)
            received = b""
            while True:
                try:
                    part = sock.recv(65536)
                except (ConnectionResetError, ssl.SSLError):
                    break
                if not part:
                    break
                received += part
        return received

    def request(self, method, target, headers=(), body=b"", host="h.example.com", tls=False, port=None):
        """One request on a connection of its own, target and headers byte for byte; a Reply."""
        lines = [f"{method} {target} HTTP/1.1"]
        if host is not None:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in headers]
        if body and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
            lines.append(f"Content-Length: {len(body)}")
        lines.append("Connection: close")
        data = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
        return Reply(self.raw(data, tls=tls, port=port))


class Reply:
    """A parsed answer."""

    def __init__(self, received):
        head, _, self.body = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        words = lines[0].split()
        self.status = int(words[1]) if len(words) > 1 else 0
        self.headers = [tuple(line.split(": ", 1)) for line in lines[1:] if ": " in line]
        if self.header("transfer-encoding") == "chunked":
            self.body = unchunk(self.body)

    def header(self, name):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None

    def json(self):
        return json.loads(self.body)


def unchunk(data):
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        if not int(size, 16):
            break
        body, data = body + data[:int(size, 16)], data[int(size, 16) + 2:]
    return body


def fresh(place):
    shutil.rmtree(place, ignore_errors=True)
    pathlib.Path(place).mkdir(parents=True)
    return pathlib.Path(place)
