"""peers: the same checks by other gateways from Debian's packages, beside ours, with the same requests.

nginx with Lua does the checks of our rows (peers.lua), and in the rows "all of it" (whole.lua) also what ours does in each
of its rows whether one asks for it or not: a request id to caller and backend, the same lines to the backend, counts of each
API and of the node. APISIX does so by its own plugins. The budgets stand at these rows; those of the checks alone are beside
them. haproxy checks the key and counts twice by stick tables. caddy only checks the key: it has no limits of its own. Plain
nginx is the base of all. Nobody writes an access log, but where a row says "log": there Lua's nginx writes the fields of ours
that it knows, APISIX those of its default settings. Over plain HTTP the key is an app's own with its secret, since an AppCode
asks for TLS.
"""
import pathlib
import subprocess

import apisix
import apisix_folder
import gateway
import local
import measure
import whole
from measure import Candidate, compared

BUDGET_LUA = 0.77  # key and limits, over hand-written Lua that does the same
MODULES = "/usr/lib/nginx/modules"
BUDGET_APISIX = 0.29  # over APISIX that does the same, both with their logs
HEAD = f"load_module {MODULES}/ndk_http_module.so;\nload_module {MODULES}/ngx_http_lua_module.so;\n"
NOT_RUN_KONG = "Kong: it needs its own OpenResty, patched, with nginx modules of its own and a router written in Rust"

# The 54 fields of ours in their order; `-` where Lua's nginx has no such thing, as ours writes where a value is absent.
LOG_FORMAT = """
    log_format peer '$remote_addr $request_id $sluice_api - $sluice_app "$time_local" $request_time $request_method $scheme '
        '$host $uri $server_protocol $status $bytes_sent $request_length "$http_user_agent" "$http_x_forwarded_for" '
        '"$upstream_addr" $uri "$upstream_status" "$upstream_connect_time" "$upstream_header_time" '
        '"$upstream_response_time" - $upstream_response_time 0 APP app_secret - - - - - $body_bytes_sent "$sluice_api" '
        '"$sluice_app" - - - - - - - - - - - - remote - http - - -';
"""
LUA = """
    {log_format}
    lua_package_path "{here}/?.lua;;";
    lua_shared_dict limits 10m;
    lua_shared_dict metrics 10m;
    init_by_lua_block {{ require "resty.core"; peers = require "peers"; whole = require "whole" }}
    init_worker_by_lua_block {{ ngx.timer.every(1, whole.flush) }}
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 128; keepalive_requests 1000000000; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {{
        listen 127.0.0.1:{bare} backlog=4096;
        location / {{ access_by_lua_block {{ peers.secret() }} proxy_pass http://backend; }}
    }}
    server {{
        listen 127.0.0.1:{logged} backlog=4096;
        access_log {dir}/access.log peer buffer=64k flush=1s;
        location / {{
            set $sluice_api ""; set $sluice_app "";
            access_by_lua_block {{ ngx.var.sluice_api, ngx.var.sluice_app = peers.secret() }}
            proxy_pass http://backend;
        }}
    }}
    server {{
        listen 127.0.0.1:{tls} ssl backlog=4096;
        ssl_certificate {cert}; ssl_certificate_key {key};
        ssl_session_cache shared:lua:10m; ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers {ciphers};
        location / {{ access_by_lua_block {{ peers.key() }} proxy_pass http://backend; }}
    }}
    {whole}
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


def lua(bed, ear):
    """nginx with Lua: its processes, and the ports of the key over HTTP, with a log, over TLS, of the signature, and of all that
    ours does, without a log and with one."""
    ports = {name: next(bed.ports) for name in ("bare", "logged", "tls", "port")}
    all_ports = {name: next(bed.ports) for name in ("whole", "whole_logged")}
    place = bed.options.var / "lua"
    pids = bed.nginx(place, LUA.format(here=pathlib.Path(__file__).parent, backend=bed.backend_port, cert=bed.cert,
                                       key=bed.key, ciphers=local.CIPHERS, log_format=LOG_FORMAT, dir=place,
                                       whole=whole.servers(*all_ports.values(), ear.port, place), **ports), head=HEAD)
    return pids, {**ports, **all_ports}


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


class Row(Candidate):
    """One that gets requests over HTTP or TLS, compared with each base; the budget is over the last."""

    def __init__(self, name, pids, port, requests, *bases, tls=False, budget=None):
        super().__init__(name, pids, f"http{'s' if tls else ''}://127.0.0.1:{port}/", replay=requests)
        for base in bases:
            compared(self, base, budget if base is bases[-1] else None)


def with_apisix(bed, options, base, secret):
    """Its two rows: with what its template and defaults do and one limit, and with all that ours does."""
    if not options.apisix:
        return []
    try:
        return [Row("APISIX: key + 1 limit + log", *apisix.start(bed, options.apisix, HEAD), secret, base),
                Row("APISIX: all of it + log", *apisix.start(bed, options.apisix, HEAD, True), secret, base)]
    except RuntimeError as fault:  # a module that is missing
        options.apisix, options.without = None, f"it does not start ({str(fault).splitlines()[0]})"
        return []


def candidates(bed, options, ear):
    """What is measured, and the gateways whose counts are looked at afterwards."""
    keyed = bed.replay([local.request(1, headers=[("X-Apig-AppCode", local.CODE)])])
    signed = bed.replay([local.request(1, signed=True)])
    secret = bed.replay([local.request(1, headers=whole.KEY)])
    content = local.image(100, bed.backend_port, **local.GUARDED)
    content["apis"][whole.TOLD]["http"]["port"] = ear.port
    content["gateway"]["features"] = [{"name": "app_secret", "value": "on"}]
    node, logging = bed.node(content, log=False), bed.node(content)
    lua_pids, lua_ports = lua(bed, ear)
    pids, port = haproxy(bed)
    caddy_pids, caddy_port = caddy(bed)
    ear.compare(node.http, lua_ports["whole"])

    http = Row("plain nginx, key", bed.plain, bed.plain_port, secret)
    by_lua = Row("Lua: key + 2 limits", lua_pids, lua_ports["bare"], secret, http)
    lua_log = Row("Lua: key + 2 limits + log", lua_pids, lua_ports["logged"], secret, http)
    lua_all = Row("Lua: all of it", lua_pids, lua_ports["whole"], secret, http)
    lua_all_log = Row("Lua: all of it + log", lua_pids, lua_ports["whole_logged"], secret, http)
    https = Row("plain nginx, key, TLS", bed.plain, bed.tls_port, keyed, tls=True)
    lua_tls = Row("Lua: key + 2 limits, TLS", lua_pids, lua_ports["tls"], keyed, https, tls=True)
    signing = Row("plain nginx, signed", bed.plain, bed.plain_port, signed)
    signed_lua = Row("Lua: signature + 2 limits", lua_pids, lua_ports["port"], signed, signing)
    own = Row("ours: key + 2 limits", node.pids, node.http, secret, http, by_lua, lua_all, budget=BUDGET_LUA)
    own_log = Row("ours: key + 2 limits + log", logging.pids, logging.http, secret, http, lua_log, lua_all_log, budget=BUDGET_LUA)
    others = with_apisix(bed, options, http, secret)
    for other in others:
        compared(own_log, other, BUDGET_APISIX if other is others[-1] else None)
    return [
        http, by_lua, lua_all, own, lua_log, lua_all_log, *others, own_log,
        https, lua_tls, Row("ours: AppCode + 2 limits, TLS", node.pids, node.https, keyed, https, lua_tls, tls=True),
        Row("haproxy: key + 2 counters, TLS", pids, port, keyed, https, tls=True),
        Row("caddy: key, TLS", caddy_pids, caddy_port, keyed, https, tls=True),
        signing, signed_lua, Row("ours: signature + 2 limits", node.pids, node.http, signed, signing, signed_lua)], lua_ports["whole"]


def versions(options):
    def say(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return (done.stdout + done.stderr).strip().split("\n")[0]
    module = say("dpkg-query", "-W", "-f", "${Package} ${Version}", "libnginx-mod-http-lua")
    more = f"; {apisix.version(options.apisix)}" if options.apisix else ""
    return f"peers:     {say('haproxy', '-v')}; caddy {say('caddy', 'version')}; {module}{more}"


def run(options):
    """Prints the table; answers the rows that missed their budget."""
    options.apisix, options.without = apisix_folder.found(options.apisix, options.var, not options.smoke)
    with local.Bed(options) as bed, whole.Ear() as ear:
        rows, port = candidates(bed, options, ear)
        before = whole.counted(port)
        measure.interleave(rows, options.rounds, options.seconds)
        requests = sum(row.requests for row in rows if row.name.startswith("Lua: all"))
        assert whole.counted(port) - before >= requests, "Lua's nginx did not count all that it answered"
        if options.apisix:
            apisix.check(bed, sum(row.requests for row in rows if row.name == "APISIX: all of it + log"))
        lines, missed = measure.report(rows, options.slack)
    print(gateway.heading(options.build))
    print(versions(options))
    print(f"run:       {options.rounds} rounds of {options.seconds} s a candidate, 64 connections, 100 APIs, 128-byte body; proxy "
          f"on core {measure.PROXY_CORE}, load and backend on core {measure.LOAD_CORE}\n")
    print(gateway.table(lines, measure.TITLES))
    print("\nnot run: " + "; ".join([NOT_RUN_KONG] if options.apisix else [f"APISIX: {options.without}", NOT_RUN_KONG]))
    return missed
