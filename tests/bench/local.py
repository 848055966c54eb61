"""A node without a control plane, and plain nginx beside it, for rows that a whole deployment would make slow.

The image is built from JSON by image_fixture; counter_fixture grants every unit that limits ask for. nginx, its template
and the module are the product's.
"""
import contextlib
import itertools
import os
import pathlib
import random
import re
import socket
import subprocess
import sys

import gateway
import measure
import stack as stacks

sys.path.insert(0, str(gateway.TREE / "tests/unit/nginx"))
import module_node  # noqa: E402
import signer  # noqa: E402
from module_node import hex_id  # noqa: E402

BODY = "x" * 128
KEY, SECRET, CODE = "benchkey", "benchsecret", "c" * 64
UNLIMITED = 2_000_000_000  # units a day
APP, THROTTLE, CHANNEL, SIGN = hex_id(50), hex_id(60), hex_id(70), hex_id(80)
MEMBERS = 10  # of a channel
NGINX_S = 60  # until it answers
PORTS = 200  # that a bench may take
BACKENDS = 1000
SPREAD = 10_000  # APIs of many that are called: as many as an app's entry may name

PEER = """
worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
    uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    {servers}
}}
"""
PLAIN = """
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 128; keepalive_requests 1000000000; }}
    client_max_body_size 0; client_body_buffer_size 64k;
    proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_max_temp_file_size 0; proxy_request_buffering off;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        listen 127.0.0.1:{tls} ssl http2 backlog=4096;
        ssl_certificate {cert}; ssl_certificate_key {key};
        ssl_session_cache shared:plain:10m; ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers {ciphers};
        location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
"""
# The template's, so that both pay for the same.
CIPHERS = re.search(r"ssl_ciphers (.*);", module_node.TEMPLATE.read_text())[1]
# Answers with as many bytes as its paths say, to POST as well, and only after it read the body: hence through itself.
BACKEND = """
    upstream files {{ server 127.0.0.1:{port}; keepalive 64; }}
    server {{
        listen {port} backlog=4096; client_max_body_size 0; client_body_buffer_size 2m; default_type text/plain;
        root {root}; proxy_http_version 1.1; proxy_buffers 8 256k; proxy_buffer_size 16k;
        location / {{ return 200 "{body}"; }}
        location /seen {{ return 200 "$server_addr $request_uri $http_host $http_x_sdk_date $http_authorization"; }}
        location /files/ {{ }}
        location /sized/ {{
            proxy_pass http://files/files/; proxy_method GET; proxy_pass_request_body off;
            proxy_set_header Content-Length ""; proxy_set_header Connection "";
        }}
    }}
"""


def some(count, most):
    """Numbers of APIs in an order that no cache foresees: `most` of them at the most, the same in every run."""
    return random.Random(count).sample(range(count), min(count, most))


def api(number, groups, backends, **fields):
    """One of many APIs; the group holds those with the same remainder."""
    return {"publish_id": hex_id(0x10000000 + number), "api_id": hex_id(0x20000000 + number), "name": f"bench_{number}",
            "group_id": hex_id(1 + number % groups), "path": f"/bench/{number}/items", "method": "ANY",
            "match_mode": "NORMAL", "schemes": 3, "auth": "NONE", "app_code": True, "backend_type": "HTTP",
            "env_id": "DEFAULT_ENVIRONMENT_RELEASE_ID", "env_name": "RELEASE",
            "http": {"host": f"b{number % backends}.test", "path": "/", "port": 0, "method": "ANY", "timeout_ms": 5000,
                     "retry_count": -1}, **fields}


def host(number, groups):
    return f"{hex_id(1 + number % groups)}.bench.example.com"


def image(count, backend, groups=1, backends=1, **fields):
    """`count` APIs over `groups` groups; `fields` are those of every API."""
    apis = [api(n, groups, backends, **fields) for n in range(count)]
    for row in apis:
        row["http"] = {**row["http"], "port": row["http"]["port"] or backend}
    return {"gateway": {"id": hex_id(9)}, "apis": apis,
            "throttles": [{"id": THROTTLE, "shared": True, "window_s": 86400, "interval": 1, "unit": "day",
                           "api_limit": UNLIMITED, "app_limit": UNLIMITED, "user_limit": 0, "ip_limit": 0}],
            "groups": [{"id": hex_id(1 + g), "name": f"g{g}", "sl_domain_enabled": True} for g in range(groups)],
            "hosts": [{"name": host(g, groups), "group_id": hex_id(1 + g)} for g in range(groups)],
            "upstreams": {f"b{b}.test": [f"127.{1 + b // 250}.0.{1 + b % 250}"] for b in range(backends)},
            "apps": [{"id": APP, "name": "an app", "key": KEY, "secret": SECRET, "codes": [CODE],
                      "publish_ids": sorted(apis[n]["publish_id"] for n in some(count, SPREAD))}]}


GUARDED = {"auth": "APP", "throttle_id": THROTTLE}
# Five parameters of the query that become headers of the backend's request.
PARAMETERS = {
    "req_params": [{"name": f"parameter_{n}", "location": "QUERY", "pass_through": True} for n in range(5)],
    "backend_params": [{"name": f"sent_{n}", "value": f"parameter_{n}", "location": "HEADER", "origin": "REQUEST"}
                       for n in range(5)],
}
QUERY = "?" + "&".join(f"parameter_{n}=value_{n}" for n in range(5))


def laden(count, backend):
    """APIs with all that an image can hold of the row "everything": signature, two limits, an IP list of a hundred
    ranges of which the last one holds the caller, five mapped parameters."""
    content = image(count, backend, **GUARDED, **PARAMETERS)
    content["apps"][0].update(acl_mode="PERMIT", acl=[*(f"10.0.{n}.0/24" for n in range(99)), "127.0.0.0/8"])
    return content


SEEN = 3  # the API of `proving` whose backend tells what it got


def proving(count, backend):
    """The same, and a channel of ten members, which are addresses of the one backend, and a signature to them."""
    content = laden(count, backend)
    hosts = [f"b{number}.test" for number in range(MEMBERS)]
    for number, row in enumerate(content["apis"]):
        row["sign_id"] = SIGN
        row["http"] = {"path": "/seen" if number == SEEN else "/", "method": "ANY", "timeout_ms": 5000, "retry_count": -1,
                       "channel": CHANNEL}
    content["upstreams"] = {name: [f"127.0.0.{number}"] for number, name in enumerate(hosts, 1)}
    content["channels"] = [{"id": CHANNEL, "name": "c", "strategy": 1, "members": [
        {"host": name, "port": backend, "weight": 1, "backup": False} for name in hosts]}]
    content["signs"] = [{"id": SIGN, "type": "hmac", "key": KEY, "secret": SECRET}]
    return content


def raw(method, path, name, headers=()):
    """The head of a request to the host `name`."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {name}", *(f"{key}: {value}" for key, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def request(number, groups=1, method="GET", headers=(), body=b"", signed=False, query=""):
    """A request for an API, byte by byte."""
    path, name = f"/bench/{number}/items{query}", host(number, groups)
    headers = list(headers)
    if signed:
        headers += [(key, value) for key, value in
                    signer.sign(method, path, {"Host": name}, body, KEY, SECRET).items() if key != "Host"]
    if body:
        headers.append(("Content-Length", str(len(body))))
    return raw(method, path, name, headers) + body


def certificate(place):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", place / "key.pem", "-out", place / "cert.pem", "-days", "2", "-subj", "/CN=bench"],
                   check=True, capture_output=True)
    return place / "cert.pem", place / "key.pem"


def free_ports():
    """Ports of this process alone, in a row, below the range of outgoing connections and of deployments."""
    base = 10000 + os.getpid() % 100 * PORTS
    for turn in range(100):
        block = range(10000 + (base - 10000 + turn * PORTS) % 10000, 20000)[:PORTS]
        with contextlib.ExitStack() as held:
            try:
                for port in block:
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
                return iter(block)
            except OSError:
                continue
    raise RuntimeError("no free block of ports")


class Bed:
    """What a bench starts and ends: a backend, plain nginx, nodes."""

    def __init__(self, options):
        self.options, self.ended = options, []
        self.ports = free_ports()
        self.backend_port, self.plain_port, self.tls_port = (next(self.ports) for _ in range(3))
        self.names = itertools.count()

    def __enter__(self):
        place = self.options.var
        sized = place / "backend/root/files"
        sized.mkdir(parents=True)
        for name, size in (("10k", 10240), ("1m", 1 << 20)):
            (sized / name).write_bytes(b"x" * size)
        self.cert, self.key = certificate(place)
        self.nginx(place / "backend", BACKEND.format(port=self.backend_port, body=BODY, root=place / "backend/root"),
                   measure.LOAD_CORE)
        self.plain = self.nginx(place / "plain", PLAIN.format(backend=self.backend_port, port=self.plain_port,
                                                              tls=self.tls_port, cert=self.cert, key=self.key,
                                                              ciphers=CIPHERS))
        return self

    def __exit__(self, *_):
        for process in self.ended[::-1]:
            self.end(process)
        for path in pathlib.Path("/dev/shm").glob(f"sluice-bench-{os.getpid()}-*"):
            path.unlink()

    def end(self, process):
        """Ends what it started."""
        self.ended.remove(process)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start(self, command, port, **more):
        """Starts a process on the proxy's core; it answers at `port`."""
        process = subprocess.Popen(["taskset", "-c", measure.PROXY_CORE, *map(str, command)], stdin=subprocess.DEVNULL,
                                   start_new_session=True, **more)
        self.ended.append(process)

        def answers():
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {process.returncode}")
            try:
                return socket.create_connection(("127.0.0.1", port), 5).close() or True
            except OSError:
                return False
        stacks.wait_until(answers, NGINX_S, command[0])
        return process

    def nginx(self, place, servers, core=measure.PROXY_CORE, head=""):
        """A plain nginx with these servers; its processes."""
        place.mkdir(parents=True, exist_ok=True)
        head = ("user root;\n" if os.geteuid() == 0 else "") + head  # below a directory that others may not enter
        (place / "nginx.conf").write_text(head + PEER.format(dir=place, servers=servers))
        process = subprocess.Popen(["taskset", "-c", core, "/usr/sbin/nginx", "-p", place, "-c", place / "nginx.conf",
                                    "-e", place / "error.log"], start_new_session=True)
        self.ended.append(process)
        return self.workers(process, place)

    def workers(self, process, place):
        """An nginx's processes, once it has a worker."""
        stacks.wait_until(lambda: len(measure.tree(process.pid)) > 1 or process.poll() is not None, NGINX_S, "a worker")
        if process.poll() is not None:
            raise RuntimeError((place / "error.log").read_text())
        return measure.tree(process.pid)

    def node(self, content, log=True, keys=module_node.LIMIT_KEYS):
        """A node of ours that runs with this image; the module's Node, `pids` added."""
        node = self.configured(content, log, keys)
        node.process = self.start(["/usr/sbin/nginx", "-p", f"{node.place}/", "-c", node.place / "nginx.conf", "-e",
                                   node.place / "error.log", "-g", "daemon off;"], node.http)
        node.pids = self.workers(node.process, node.place)
        return node

    def configured(self, content, log=True, keys=module_node.LIMIT_KEYS):
        """The same, not started: configuration, image and counters."""
        base = next(self.ports)
        assert [next(self.ports) for _ in range(module_node.PORTS - 1)][-1] == base + module_node.PORTS - 1
        place = module_node.fresh(self.options.var / f"node{next(self.names)}")
        node = module_node.Node(self.options.build, place, base)
        node.name = f"bench-{os.getpid()}-{base}"
        node.limit_keys = keys
        node.publish(content)
        (place / "image.json").unlink()
        counters = subprocess.Popen([self.options.build / "tests/counter_fixture", node.name, str(keys)],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.ended.append(counters)
        counters.stdout.readline()
        off = [("@IF_LOG_LINE@access_log", "#access_log"), ("@IF_LOG_OFF@access_log", "access_log")]
        node.configure(replaced=[("@IF_LOG_JSON@access_log", "#access_log"), *([] if log else off)])
        return node

    def replay(self, requests):
        """A file of requests that wrk sends in turn (replay.lua)."""
        path = self.options.var / f"requests{next(self.names)}"
        with path.open("wb") as file:
            for row in requests:
                file.write(len(row).to_bytes(4, "big") + row)
        return path
