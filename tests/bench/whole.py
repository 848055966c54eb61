"""whole: Lua's nginx with all that ours does for a request (whole.lua), and the look at whether it does: what a backend is
told by both, and what was counted."""
import http.client
import socket
import threading
import time

import local

TOLD = 99  # the API whose backend is the ear
KEY = [("X-HW-ID", local.KEY), ("X-HW-AppKey", local.SECRET)]
PATIENCE_S = 20
LINES = """
            set $sluice_api "none"; set $sluice_app ""; set $sluice_path ""; set $sluice_trace "";
            access_by_lua_block { whole.access() }
            log_by_lua_block { whole.count() }
            proxy_set_header Connection "";
            proxy_set_header Host b0.test:$proxy_port;
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Sluice-Hops $sluice_hops;
            proxy_set_header traceparent $sluice_trace;
            proxy_set_header X-HW-AppKey "";
            proxy_hide_header X-Request-Id;
            add_header X-Request-Id $request_id always;
"""
HOPS = """
    map $http_x_sluice_hops $sluice_hops {{ "" "1 {0}"; ~^1 "2 {0}"; ~^2 "3 {0}"; default ""; }}
""".format(local.hex_id(9))  # of the gateway of local.py
SERVER = """
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        access_log {log};
        location / {{ {lines} proxy_pass http://backend$sluice_path; }}
        location = /bench/{told}/items {{ {lines} proxy_pass http://127.0.0.1:{ear}$sluice_path; }}
        location = /metrics {{ content_by_lua_block {{ whole.export() }} }}
    }}
"""


def servers(quiet, logged, ear, place):
    """Both servers' text: without a log and with one."""
    return HOPS + "".join(SERVER.format(port=port, log=log, lines=LINES, told=TOLD, ear=ear)
                   for port, log in ((quiet, "off"), (logged, f"{place}/access.log peer buffer=64k flush=1s")))


def get(port, path):
    asked = http.client.HTTPConnection("127.0.0.1", port, PATIENCE_S)
    asked.request("GET", path)
    return asked.getresponse().read().decode()


def counted(port):
    """How many requests of APIs Lua's nginx counted so far."""
    return sum(float(line.split()[-1]) for line in get(port, "/metrics").splitlines() if line.startswith("api_requests{"))


def names_of(head):
    """The lines of a request's head by their names: how long each value is."""
    return {name.lower(): len(value) for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:] if line)}


class Ear:
    """A backend that keeps what it is told, one request at a time."""

    def __init__(self):
        self.socket = socket.create_server(("0.0.0.0", 0))
        self.port = self.socket.getsockname()[1]
        self.heads = []

    def __enter__(self):
        threading.Thread(target=self.listen, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def listen(self):
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            with sock:
                self.heads.append(sock.recv(65536).decode())
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")

    def told(self, port):
        """(first line, names and lengths) that a gateway sends, once it lets the request pass: a limit's first unit takes a moment."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as sock:
                sock.sendall(local.request(TOLD, headers=KEY))
                answer = sock.recv(65536).decode()
            if answer.startswith("HTTP/1.1 200"):
                assert "x-request-id" in names_of(answer.split("\r\n\r\n")[0]), answer
                head = self.heads[-1].split("\r\n\r\n")[0]
                return head.split("\r\n")[0], names_of(head)
        raise AssertionError(f"no answer but {answer}")

    def compare(self, own, peer):
        """Refuses a bench whose peer tells its backend anything else than ours does."""
        ours, theirs = self.told(own), self.told(peer)
        assert ours == theirs, f"the backend is told\n{ours} by ours\n{theirs} by Lua's nginx"
