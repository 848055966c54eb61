"""peers: the same checks by other gateways from Debian's packages, beside ours, with the same requests.

nginx with Lua does what our rows do (peers.lua). haproxy checks the key and counts twice by stick tables. caddy only
checks the key: it has no limits of its own. Plain nginx is the base of all. Theirs write no access log, ours does.
"""
import pathlib
import subprocess

import gateway
import local
import measure
from measure import Candidate, compared

BUDGET_LUA = 0.77  # key and limits, over hand-written Lua
MODULES = "/usr/lib/nginx/modules"
NOT_RUN = "APISIX and Kong, which are not in Debian and stand on OpenResty and LuaRocks packages: not tried"

LUA = """
    lua_package_path "{here}/?.lua;;";
    lua_shared_dict limits 10m;
    init_by_lua_block {{ require "resty.core"; peers = require "peers" }}
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 128; keepalive_requests 1000000000; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {{
        listen 127.0.0.1:{tls} ssl backlog=4096;
        ssl_certificate {cert}; ssl_certificate_key {key};
        ssl_session_cache shared:lua:10m; ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers {ciphers};
        location / {{ access_by_lua_block {{ peers.key() }} proxy_pass http://backend; }}
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ access_by_lua_block {{ peers.signature() }} proxy_pass http://backend; }}
    }}
"""
HAPROXY = """
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend key
    bind 127.0.0.1:{port} ssl crt {pem}
    http-request deny deny_status 401 unless {{ req.hdr(x-apig-appcode) -m str {code} }}
    http-request track-sc0 path table apis
    http-request track-sc1 req.hdr(x-apig-appcode) table apps
    http-request deny deny_status 429 if {{ sc0_http_req_rate(apis) gt 1000000 }}
    http-request deny deny_status 429 if {{ sc1_http_req_rate(apps) gt 1000000 }}
    default_backend echo
backend apis
    stick-table type string len 64 size 100k expire 10s store http_req_rate(1s)
backend apps
    stick-table type string len 64 size 100k expire 10s store http_req_rate(1s)
backend echo
    server one 127.0.0.1:{backend} pool-max-conn 128
"""
CADDY = """
{{
    admin off
    auto_https off
    storage file_system {dir}
}}
https://:{port} {{
    bind 127.0.0.1
    tls {cert} {key}
    @stranger not header X-Apig-AppCode {code}
    respond @stranger 401
    reverse_proxy 127.0.0.1:{backend}
}}
"""


def lua(bed):
    """nginx with Lua: its processes, the port of the key (TLS) and that of the signature."""
    tls, port = next(bed.ports), next(bed.ports)
    head = f"load_module {MODULES}/ndk_http_module.so;\nload_module {MODULES}/ngx_http_lua_module.so;\n"
    pids = bed.nginx(bed.options.var / "lua", LUA.format(here=pathlib.Path(__file__).parent, backend=bed.backend_port, tls=tls,
                                                         port=port, cert=bed.cert, key=bed.key,
                                                         ciphers=local.CIPHERS), head=head)
    return pids, tls, port


def haproxy(bed):
    port, place = next(bed.ports), bed.options.var
    (place / "both.pem").write_text(bed.cert.read_text() + bed.key.read_text())
    (place / "haproxy.cfg").write_text(HAPROXY.format(port=port, pem=place / "both.pem", code=local.CODE,
                                                      backend=bed.backend_port))
    process = bed.start(["/usr/sbin/haproxy", "-db", "-q", "-f", place / "haproxy.cfg"], port)
    return measure.tree(process.pid), port


def caddy(bed):
    port, place = next(bed.ports), bed.options.var
    (place / "Caddyfile").write_text(CADDY.format(dir=place / "caddy", port=port, cert=bed.cert, key=bed.key,
                                                  code=local.CODE, backend=bed.backend_port))
    process = bed.start(["/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", place / "Caddyfile"], port,
                        stderr=subprocess.DEVNULL, env={"HOME": str(place), "GOMAXPROCS": "1", "PATH": "/usr/bin:/bin"})
    return measure.tree(process.pid), port


def candidates(bed):
    keyed = bed.replay([local.request(1, headers=[("X-Apig-AppCode", local.CODE)])])
    signed = bed.replay([local.request(1, signed=True)])
    node = bed.node(local.image(100, bed.backend_port, **local.GUARDED))
    lua_pids, lua_tls, lua_port = lua(bed)
    pids, port = haproxy(bed)
    caddy_pids, caddy_port = caddy(bed)

    def over(name, pids, port, tls, base=None):
        row = Candidate(name, pids, f"http{'s' if tls else ''}://127.0.0.1:{port}/", replay=keyed if tls else signed)
        return compared(row, base) if base else row

    https = over("plain nginx, TLS", bed.plain, bed.tls_port, True)
    http = over("plain nginx", bed.plain, bed.plain_port, False)
    by_lua = over("Lua: key + 2 limits", lua_pids, lua_tls, True, https)
    signed_lua = over("Lua: signature + 2 limits", lua_pids, lua_port, False, http)
    ours = compared(over("ours: AppCode + 2 limits", node.pids, node.https, True, https), by_lua, BUDGET_LUA)
    signed_ours = compared(over("ours: signature + 2 limits", node.pids, node.http, False, http), signed_lua)
    return [https, ours, by_lua, over("haproxy: key + 2 counters", pids, port, True, https),
            over("caddy: key", caddy_pids, caddy_port, True, https), http, signed_ours, signed_lua]


def versions():
    def say(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return (done.stdout + done.stderr).strip().split("\n")[0]
    module = say("dpkg-query", "-W", "-f", "${Package} ${Version}", "libnginx-mod-http-lua")
    return f"peers:     {say('haproxy', '-v')}; caddy {say('caddy', 'version')}; {module}"


def run(options):
    """Prints the table; answers the rows that missed their budget."""
    with local.Bed(options) as bed:
        rows = candidates(bed)
        measure.interleave(rows, options.rounds, options.seconds)
        lines, missed = measure.report(rows, options.slack)
    print(gateway.heading(options.build))
    print(versions())
    print(f"run:       {options.rounds} rounds of {options.seconds} s a candidate, 64 connections, 100 APIs, 128-byte body; proxy "
          f"on core {measure.PROXY_CORE}, load and backend on core {measure.LOAD_CORE}\n")
    print(gateway.table(lines, measure.TITLES))
    print(f"\nnot run: {NOT_RUN}")
    return missed
