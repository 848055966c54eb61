"""apisix: APISIX on Debian's nginx with Lua, where a folder has its Lua modules and those that they need.

`--apisix DIR`: DIR/apisix and the libraries beside it, as `require` finds them, and DIR/conf/config-default.yaml. It runs
without etcd, from a file, and without the runner of external plugins and the privileged process, which serve no request
here. Routes, consumer and backend are the other peers'; the key is checked by key-auth, one limit by limit-req.
"""
import re

import local

SHARED = ("internal-status", "upstream-healthcheck", "worker-events", "lrucache-lock", "balancer-ewma", "balancer-ewma-locks",
          "balancer-ewma-last-touched-at", "etcd-cluster-health-check", "plugin-limit-req")
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
plugins:
  - key-auth
  - limit-req
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
SERVERS = """
    lua_package_path "{lua}/?.lua;{lua}/?/init.lua;;";
    lua_package_cpath "{lua}/?.so;;";
    {shared}
    resolver 127.0.0.1;
    upstream apisix_backend {{
        server 0.0.0.1;
        balancer_by_lua_block {{ apisix.http_balancer_phase() }}
        keepalive 320;
        keepalive_requests 1000000000;
    }}
    init_by_lua_block {{
        require "resty.core"
        package.preload["apisix.plugins.ext-plugin.init"] = function() return {{init_worker = function() end}} end
        apisix = require "apisix"
        apisix.http_init({{dns_resolver = {{"127.0.0.1"}}}})
    }}
    init_worker_by_lua_block {{ apisix.http_init_worker() }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            set $upstream_scheme http; set $upstream_host $http_host; set $upstream_uri ""; set $ctx_ref "";
            set $upstream_mirror_uri ""; set $upstream_upgrade ""; set $upstream_connection "";
            access_by_lua_block {{ apisix.http_access_phase() }}
            proxy_http_version 1.1;
            proxy_set_header Host $upstream_host;
            proxy_set_header Connection $upstream_connection;
            proxy_pass $upstream_scheme://apisix_backend$upstream_uri;
            header_filter_by_lua_block {{ apisix.http_header_filter_phase() }}
            body_filter_by_lua_block {{ apisix.http_body_filter_phase() }}
            log_by_lua_block {{ apisix.http_log_phase() }}
        }}
    }}
"""


def version(lua):
    """What the folder has."""
    return "APISIX " + re.search(r'VERSION = "(.*?)"', (lua / "apisix/core/version.lua").read_text())[1]


def start(bed, lua, head):
    """Its processes and port; `head` loads the Lua module."""
    place, port = bed.options.var / "apisix", next(bed.ports)
    conf = place / "conf"
    conf.mkdir(parents=True)
    (conf / "config-default.yaml").write_text((lua / "conf/config-default.yaml").read_text())
    (conf / "config.yaml").write_text(SETTINGS)
    routes = "".join(ROUTE.format(n=n, rate=RATE) for n in range(APIS))
    (conf / "apisix.yaml").write_text(RULES.format(routes=routes, backend=bed.backend_port, key=local.SECRET))
    shared = " ".join(f"lua_shared_dict {name} 10m;" for name in SHARED)
    return bed.nginx(place, SERVERS.format(lua=lua, shared=shared, port=port), head=head), port
