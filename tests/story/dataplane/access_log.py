"""each line of the access log has its 54 fields, true for whatever became of the request"""
import contextlib
import pathlib
import re
import socket
import threading
import urllib.parse

import access_log
from stack import wait_until

SERVED = True
ID = re.compile("[0-9a-f]{32}")
NUMBER = re.compile(r"[1-9]\d*")
SECONDS = re.compile(access_log.SECONDS)
NOTE = {"X-Forwarded-For": '198.51.100.7, "x', "User-Agent": "a story\\"}
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class Backend:
    """Hangs up on the first call of /twice, never answers /never, talks on /socket."""

    def __init__(self, listener):
        self.listener, self.calls = listener, 0
        self.never = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.answer, args=(self.listener.accept()[0],), daemon=True).start()

    def answer(self, connection):
        with connection, contextlib.suppress(OSError):
            path = connection.recv(65536).split(b" ")[1]
            if path == b"/never":
                self.never.set()
                connection.recv(1)
            elif path == b"/socket":
                connection.sendall(UPGRADE)
                connection.sendall(connection.recv(100).upper())
            elif path == b"/twice":
                self.calls += 1
                connection.sendall(ANSWER if self.calls > 1 else b"")


def send(world, target, more=""):
    """A connection to node 1 with a request on it."""
    url = urllib.parse.urlsplit(world.data_url(1))
    connection = socket.create_connection((url.hostname, url.port), 20)
    head = f"GET {target} HTTP/1.1\r\nHost: {world.names['g']['sl_domain']}\r\n{more}"
    connection.sendall(f"{head}User-Agent: {world.uid}{target}\r\n\r\n".encode())
    return connection


def expected(world, api=None, **fields):
    """What a line must say: the case's own fields over what all lines have."""
    row = {**access_log.ABSENT, "remote_addr": "127.0.0.1", "request_id": ID, "request_time": SECONDS,
           "time_local": re.compile(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000"), "request_method": "GET",
           "scheme": "http", "host": world.names["g"]["sl_domain"], "server_protocol": "HTTP/1.1",
           "bytes_sent": NUMBER, "request_length": NUMBER, "errorType": "0", "inner_time": SECONDS,
           "body_bytes_sent": NUMBER, "response_source": "local"}
    if api:
        made = world.names[api]
        row.update(api_id=made["id"], api_name=made["name"], group_id=made["group_id"], auth_type=made["auth_type"],
                   router_uri=f"/{api}")
    return {**row, **fields}


def backend(port, path, statuses="200", **fields):
    """The fields of a call that reached a backend."""
    tries = len(statuses.split(", "))
    times = re.compile(", ".join([access_log.SECONDS] * tries))
    addresses = ", ".join([f"127.0.0.1:{port}"] * tries)
    return {"upstream_addr": addresses, "upstream_uri": path, "upstream_status": statuses, "upstream_connect_time": times,
            "upstream_header_time": times, "upstream_response_time": times, "all_upstream_response_time": SECONDS,
            "response_source": "remote", "upstream_scheme": "http", **fields}


def provision(world, port):
    own = f"127.0.0.1:{port}"
    world.group("g")
    world.api("plain", backend={"req_uri": "/plain"})
    world.api("closed", auth_type="APP")
    world.api("few")
    world.api("mock", backend_type="MOCK", mock_info={"result_content": "mocked"})
    for name in ("twice", "never", "socket"):
        world.api(name, backend={"url_domain": own, "req_uri": f"/{name}"})
    world.throttle("t", api_call_limits=1, time_unit="DAY")
    for name in ("plain", "closed", "few", "mock", "twice", "never", "socket"):
        world.publish(name)
    world.binding("few", "t")
    world.app("p")
    world.auth("p", "closed")
    world.settle("few")


def story(world):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, own = listener.getsockname()[1], Backend(listener)
        provision(world, port)
        echo = world.names["echo"].split(":")[1]
        some = re.compile(r"-|" + access_log.SECONDS)
        agent = {"http_user_agent": "a story\\x5C", "http_x_forwarded_for": "198.51.100.7, \\x22x"}
        cases = {
            "plain": (world.call("GET", "/plain?secret=1", headers=NOTE),
                      expected(world, "plain", status="200", **backend(echo, "/plain"), **agent)),
            "closed": (world.call("GET", "/closed", headers=NOTE),
                       expected(world, "closed", status="401", apig_err_code="APIG.0303", **agent)),
            "signed": (world.call("GET", "/closed", app="p", headers=NOTE),
                       expected(world, "closed", status="200", app_id=world.names["p"]["id"], access_model1="signature",
                                app_name=world.names["p"]["name"], **backend(echo, re.compile("/.*")), **agent)),
            "no route": (world.call("GET", "/nowhere", headers=NOTE),
                         expected(world, status="404", router_uri="/nowhere", apig_err_code="APIG.0101", **agent)),
            "mock": (world.call("GET", "/mock", headers=NOTE),
                     expected(world, "mock", status="200", body_bytes_sent="6", **agent)),
            "twice": (world.call("GET", "/twice", headers=NOTE),
                      expected(world, "twice", status="200", body_bytes_sent="2", **agent,
                               **backend(port, "/twice", "502, 200",
                                         upstream_header_time=re.compile(r"-, " + access_log.SECONDS)))),
            "few": (world.admitted(1, lambda _: world.call("GET", "/few", headers=NOTE), more=1)[-1],
                    expected(world, "few", status="429", errorType="1", apig_err_code="APIG.0308", **agent)),
        }
        with send(world, "/socket", "Upgrade: websocket\r\nConnection: Upgrade\r\n") as talk:
            assert talk.recv(4096).startswith(b"HTTP/1.1 101")
            talk.sendall(b"hello")
            assert talk.recv(100) == b"HELLO"
        with send(world, "/never"):
            assert own.never.wait(20), "the backend was never called"
        cases["socket"] = (None, expected(world, "socket", status="101", http_user_agent=f"{world.uid}/socket",
                                          body_bytes_sent="5", **backend(port, "/socket", "101")))
        cases["never"] = (None, expected(
            world, "never", status="499", http_user_agent=f"{world.uid}/never", bytes_sent="0", body_bytes_sent="0",
            **backend(port, "/never", "-", upstream_header_time="-", upstream_connect_time=some)))
        log = pathlib.Path(world.stack.var) / "node-1/access.log"
        for name, (reply, row) in cases.items():
            check(log, name, reply, row)
        listener.shutdown(socket.SHUT_RDWR)


def check(log, name, reply, row):
    """Waits for the line of a case, then compares every field."""
    def wanted(line):
        if reply is None:
            return line["http_user_agent"] == row["http_user_agent"]
        return line["request_id"] == reply.headers["x-request-id"]
    wait_until(lambda: access_log.find(log, wanted), 10, f"the line of {name}")
    faults = access_log.differences(access_log.find(log, wanted), row)
    assert not faults, f"{name}: {'; '.join(faults)}"
