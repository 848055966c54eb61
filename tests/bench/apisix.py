"""apisix: APISIX on Debian's nginx with Lua, where a folder has its Lua modules and those that they need.

`--apisix DIR`: DIR/apisix and the libraries beside it, as `require` finds them, and DIR/conf/config-default.yaml. It runs
without etcd, from a file, and without the runner of external plugins and the privileged process, which serve no request
here. Routes, consumer and backend are the other peers'; the key is checked by key-auth, one limit by limit-req; with all that
ours does a second one by limit-count, ids come from request-id and counts from prometheus. All else
is what APISIX's own template makes of conf/config-default.yaml: the access log with the format of that file, X-Real-IP and
X-Forwarded-* to the backend, the caller's address by a header, connections to the backend kept for a thousand requests, the
plugins of that file, each of which is looked for at each request, and what they put around it whether its route has them or not
(proxy-cache, proxy-mirror). Those that need a library which the folder lacks, some thirteen of 76, say so in its error log.
"""
import pathlib
import re

import local
import measure
import stack as stacks
import whole

SHARED = ("internal-status", "upstream-healthcheck", "worker-events", "lrucache-lock", "balancer-ewma", "balancer-ewma-locks",
          "balancer-ewma-last-touched-at", "etcd-cluster-health-check", "plugin-limit-req", "plugin-limit-count",
          "plugin-limit-count-reset-header", "prometheus-metrics")
APIS = 100
RATE = 1_000_000  # a second, and as many at once: never reached

SETTINGS = """
apisix:
  enable_admin: false
  enable_control: false
deployment:
  role: data_plane
  role_data_plane:
    config_provider: yaml
stream_plugins: []
"""
ROUTE = """
  - id: route{n}
    uri: /bench/{n}/items
    upstream_id: echo
    plugins:
      key-auth:
        header: x-hw-appkey
      limit-req:
        rate: {rate}
        burst: {rate}
        nodelay: true
        key: consumer_name
        key_type: var"""
# A second limit, an id to caller and backend, counts; without the headers of a quota, which ours sends to nobody either.
MORE = """
      limit-count:
        count: {rate}
        time_window: 1
        key_type: constant
        key: api
        policy: local
        show_limit_quota_header: false
      request-id: {{}}
      prometheus: {{}}"""
RULES = """routes:{routes}
upstreams:
  - id: echo
    type: roundrobin
    nodes:
      "127.0.0.1:{backend}": 1
consumers:
  - username: app
    plugins:
      key-auth:
        key: {key}
#END
"""
# What its template makes for one worker, without TLS, admin and control; `location` and `mirror` are its own text.
SERVERS = """
    lua_package_path "{lua}/?.lua;{lua}/?/init.lua;;";
    lua_package_cpath "{lua}/?.so;;";
    {shared}
    resolver 127.0.0.1;
    log_format main escape=default '{log_format}';
    open_file_cache max=1000 inactive=60;
    client_max_body_size 0;
    server_tokens off;
    underscores_in_headers on;
    charset utf-8;
    variables_hash_max_size 2048;
    lua_socket_log_errors off;
    lua_regex_match_limit 100000;
    lua_regex_cache_max_entries 8192;
    uninitialized_variable_warn off;
    proxy_cache_path {dir}/cache levels=1:2 keys_zone=disk_cache_one:50m inactive=1d max_size=1G use_temp_path=off;
    lua_shared_dict memory_cache 50m;
    real_ip_header X-Real-IP;
    set_real_ip_from 127.0.0.1;
    upstream apisix_backend {{
        server 0.0.0.1;
        balancer_by_lua_block {{ apisix.http_balancer_phase() }}
        keepalive 320;
        keepalive_requests 1000;
        keepalive_timeout 60s;
    }}
    init_by_lua_block {{
        require "resty.core"
        package.preload["apisix.plugins.ext-plugin.init"] = function() return {{init_worker = function() end}} end
        for _, name in ipairs {{"snowflake", "nanoid", "resty.redis", "resty.rediscluster"}} do  -- required, not used here
            package.preload[name] = function() return {{}} end
        end
        apisix = require "apisix"
        apisix.http_init({{dns_resolver = {{"127.0.0.1"}}}})
    }}
    init_worker_by_lua_block {{ apisix.http_init_worker() }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        access_log {dir}/access.log main buffer=16384 flush=3;
        location / {{
            set $upstream_scheme http; set $upstream_host $http_host; set $upstream_uri ""; set $ctx_ref "";
            set $upstream_mirror_uri ""; set $upstream_upgrade ""; set $upstream_connection "";
            access_by_lua_block {{ apisix.http_access_phase() }}
            {location}
            header_filter_by_lua_block {{ apisix.http_header_filter_phase() }}
            body_filter_by_lua_block {{ apisix.http_body_filter_phase() }}
            log_by_lua_block {{ apisix.http_log_phase() }}
        }}
        location = /proxy_mirror {{
            {mirror}
            proxy_pass $upstream_mirror_uri;
        }}
    }}
    server {{
        listen 127.0.0.1:{metrics};
        location / {{ content_by_lua_block {{ require("apisix.plugins.prometheus.exporter").export_metrics() }} }}
        location = /apisix/nginx_status {{ stub_status; }}
    }}
"""


def log_format(lua):
    """Of HTTP's access log in its settings, as nginx's configuration quotes it."""
    text = (lua / "conf/config-default.yaml").read_text().split("\n  http:\n")[1]
    return re.search(r'^ {4}access_log_format: "(.*)"$', text, re.M)[1].replace('\\"', '"')


def drawn(text):
    """A part of its template with the blocks of plugins that its settings list, and without what they leave out."""
    text = re.sub(r"\{% if \S+ then %\}[^\n]*\{% else %\} *(\S+) *\{% end %\}", r"\1", text)  # 10s either way
    return re.sub(r"\{%.*?%\}", "", "\n".join(line for line in text.splitlines() if "{*" not in line))


def requests(lua):
    """What its template says of the request to the backend: to the backend itself, then to the mirror of each."""
    text = (lua / "apisix/cli/ngx_tpl.lua").read_text()
    location = text.split("apisix.http_access_phase()")[1].split("header_filter_by_lua_block")[0].split("}", 1)[1]
    mirror = text.split("location = /proxy_mirror {")[1].split("proxy_pass $upstream_mirror_uri;")[0]
    return drawn(location).strip(), drawn(mirror).strip()


def version(lua):
    """What the folder has."""
    return "APISIX " + re.search(r'VERSION = "(.*?)"', (lua / "apisix/core/version.lua").read_text())[1]


def start(bed, lua, head, entire=False):
    """Its processes and port; `head` loads the Lua module. `entire`: with all that ours does, not one limit alone."""
    place, port = bed.options.var / ("apisix-whole" if entire else "apisix"), next(bed.ports)
    conf = place / "conf"
    conf.mkdir(parents=True)
    (conf / "config-default.yaml").write_text((lua / "conf/config-default.yaml").read_text())
    (conf / "config.yaml").write_text(SETTINGS)
    route = ROUTE + MORE if entire else ROUTE
    routes = "".join(route.format(n=n, rate=RATE) for n in range(APIS))
    (conf / "apisix.yaml").write_text(RULES.format(routes=routes, backend=bed.backend_port, key=local.SECRET))
    shared = " ".join(f"lua_shared_dict {name} 10m;" for name in SHARED)
    location, mirror = requests(lua)
    metrics = next(bed.ports)
    if entire:
        bed.apisix_metrics = metrics
    servers = SERVERS.format(lua=lua, shared=shared, port=port, metrics=metrics, dir=place, log_format=log_format(lua),
                             location=location, mirror=mirror)
    master = bed.nginx(place, servers, head=head)[0]
    stacks.wait_until(lambda: any(map(is_loader, measure.tree(master))), local.NGINX_S, "nginx's loader of the cache")
    return [pid for pid in measure.tree(master) if not is_loader(pid)], port


def is_loader(pid):
    """Whether it is the process that reads a cache which nginx finds, the last one that it starts: it ends after a minute."""
    return b"cache loader" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()


def check(bed, requests):
    """Refuses a bench in which it did less than its rows say: a log of both, and counts of as many requests."""
    for name in ("apisix", "apisix-whole"):
        assert (bed.options.var / name / "access.log").stat().st_size > 0, f"{name} wrote no access log"
    text = whole.get(bed.apisix_metrics, "/apisix/prometheus/metrics")
    counted = sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("apisix_http_status{"))
    assert counted >= requests, f"APISIX counted {counted:.0f} of {requests} requests"
