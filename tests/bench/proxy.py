"""proxy: what a proxied request costs, against plain proxy_pass of the same nginx, in interleaved pairs."""
import os
import pathlib
import signal
import subprocess
import time

import client
import gateway
import measure
import signer
import stack as stacks

APIS = 100
BODY = "x" * 128
UNLIMITED = 1_000_000  # a limit that never binds within a window, so that counting is all it costs
# (row, base, budget of design: CPU µs per request over plain nginx in the same run)
BUDGETS = {
    "route only": ("plain http", 1.08),
    "AppCode + 2 limits": ("plain https", 1.15),
    "signature + 2 limits": ("plain http", 1.20),
}

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
BACKEND = """
    server {{ listen 127.0.0.1:{port}; location / {{ default_type text/plain; return 200 "{body}"; }} }}
"""
PLAIN = """
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 128; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {cert}; ssl_certificate_key {key};
        location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
"""


def start_nginx(place, servers, core):
    """A plain nginx of our own on one core; its pid."""
    place.mkdir(parents=True)
    (place / "nginx.conf").write_text(PEER.format(dir=place, servers=servers))
    process = subprocess.Popen(["taskset", "-c", core, "/usr/sbin/nginx", "-p", place, "-c", place / "nginx.conf",
                                "-e", place / "error.log"], start_new_session=True)
    stacks.wait_until(lambda: (place / "nginx.pid").exists(), 10, "a plain nginx")
    return process


def certificate(place):
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", place / "key.pem", "-out", place / "cert.pem", "-days", "2", "-subj", "/CN=bench"],
                   check=True, capture_output=True)
    return place / "cert.pem", place / "key.pem"


def provision(made, backend):
    """APIs of the three kinds over one group; the throttle binds api and app."""
    made.group("g")
    made.app("a")
    made.app_code("c", "a")
    made.throttle("t", time_unit="SECOND", api_call_limits=UNLIMITED, app_call_limits=UNLIMITED)
    for number in range(APIS):
        auth = {"auth_type": "NONE"}
        if number in (1, 2):
            auth = {"auth_type": "APP", "auth_opt": {"app_code_auth_type": "HEADER"}}
        made.api(f"b{number}", req_uri=f"/bench/{number}/items", backend_api={
            "url_domain": f"127.0.0.1:{backend}", "req_protocol": "HTTP", "req_method": "GET", "req_uri": "/",
            "timeout": 5000}, **auth)
        made.publish(f"b{number}")
    for name in ("b1", "b2"):
        made.auth("a", name)
        made.binding(name, "t")


def candidates(stack, made, plain, ports):
    """What is measured: names as in BUDGETS."""
    host = made.names["g"]["sl_domain"]
    held = made.names["a"]
    http, tls = stack.env["SLUICE_DATA_URL"], stack.env["SLUICE_DATA_TLS_URL"]
    signed = signer.sign("GET", "/bench/2/items", {"Host": host}, b"", held["app_key"], held["app_secret"])
    nginx = measure.tree(stack.pid("nginx-1"))
    base = measure.tree(plain.pid)
    measure.pin(nginx + base, measure.PROXY_CORE)
    return [
        measure.Candidate("plain http", base, f"http://127.0.0.1:{ports['plain']}/bench"),
        measure.Candidate("route only", nginx, f"{http}/bench/0/items", [f"Host: {host}"]),
        measure.Candidate("plain https", base, f"https://127.0.0.1:{ports['tls']}/bench"),
        measure.Candidate("AppCode + 2 limits", nginx, f"{tls}/bench/1/items",
                          [f"Host: {host}", f"X-Apig-AppCode: {made.names['c']['app_code']}"]),
        measure.Candidate("signature + 2 limits", nginx, f"{http}/bench/2/items",
                          [f"{name}: {value}" for name, value in signed.items()]),
    ]


def check_answers(rows):
    """Every candidate answers the backend's body before anything is measured."""
    for row in rows:
        base, _, target = row.url.partition("//")[2].partition("/")
        url = row.url.split("//")[0] + "//" + base
        reply = client.request(url, "GET", "/" + target, dict(line.split(": ", 1) for line in row.headers))
        if reply.status != 200 or reply.body != BODY.encode():
            raise RuntimeError(f"{row.name}: {reply}")


def report(rows, options):
    by_name = {row.name: row for row in rows}
    lines, missed = [], []
    for row in rows:
        base, budget = BUDGETS.get(row.name, (None, None))
        ratio = measure.ratio(row, by_name[base]) if base else 1.0
        if budget and ratio > budget * options.slack:
            missed.append(row.name)
        lines.append([row.name, f"{row.median(0):.2f}", f"{ratio:.3f}", f"<= {budget}" if budget else "(base)",
                      f"{row.median(1):.0f}", f"{row.median(2):.2f}", f"{row.median(3):.2f}",
                      sum(r[4] for r in row.rounds)])
    print(gateway.table(lines, ["what", "CPU us/req", "ratio", "budget", "req/s", "p50 ms", "p99 ms", "refused"]))
    return missed


def run(options):
    """Prints the table; answers the rows that missed their budget."""
    place = options.var / "peers"
    port = stacks.free_port_block()
    ports = {"backend": port, "plain": port + 1, "tls": port + 2}
    cert, key = certificate(place)
    backend = start_nginx(place / "backend", BACKEND.format(port=ports["backend"], body=BODY), measure.LOAD_CORE)
    plain = start_nginx(place / "plain", PLAIN.format(backend=ports["backend"], port=ports["plain"], tls=ports["tls"],
                                                      cert=cert, key=key), measure.PROXY_CORE)
    stack = None
    try:
        stack, made = gateway.start(options.build, options.var / "stack")
        provision(made, ports["backend"])
        rows = candidates(stack, made, plain, ports)
        check_answers(rows)
        measure.interleave(rows, options.rounds, options.seconds)
        print(gateway.heading(options.build))
        print(f"run:       {options.rounds} rounds of {options.seconds} s a candidate, 64 connections, {APIS} APIs, "
              f"128-byte body; proxy on core {measure.PROXY_CORE}, load and backend on core {measure.LOAD_CORE}\n")
        return report(rows, options)
    finally:
        for process in (backend, plain):
            os.kill(process.pid, signal.SIGTERM)
            process.wait(10)
        if stack:
            stack.quickstart("clean")
