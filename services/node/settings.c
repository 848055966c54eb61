// settings.c - the table of sluice-node's settings.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/settings.h"

// Where a member lies.
#define AT(member) .offset = offsetof(struct settings, member)

const struct sl_setting settings_rows[] = {
    {"access_log", SL_SETTING_TEXT, AT(access_log), .fallback = "",
     .help = "nginx's access log; empty: access.log in state_dir"},
    {"access_log_format", SL_SETTING_TEXT, AT(access_log_format), .fallback = "line",
     .help = "line (54 fields), json, both or off"},
    {"access_log_json", SL_SETTING_TEXT, AT(access_log_json), .fallback = "",
     .help = "nginx's access log in JSON; empty: access.json.log in state_dir"},
    {"access_log_keep", SL_SETTING_INT, AT(access_log_keep), .fallback = "5", .min = 1, .max = 1000,
     .help = "older access logs that are kept, as access.log.1 and so on"},
    {"access_log_max_bytes", SL_SETTING_INT, AT(access_log_max_bytes), .fallback = "104857600",
     .min = 0, .max = INT64_MAX,
     .help = "size at which an access log is rotated; 0: somebody else does"},
    {"agent_health_listen", SL_SETTING_TEXT, AT(agent_health_listen), .fallback = "",
     .help =
         "address:port or unix:path of the agent's own /healthz, /readyz, /metrics; empty: none"},
    {"body_budget_mb", SL_SETTING_INT, AT(body_budget_mb), .fallback = "256", .min = 1,
     .max = 1048576, .help = "signed bodies that nginx's workers may hold together, in 1024 KB"},
    {"gateway_id", SL_SETTING_TEXT, AT(gateway_id), .help = "the gateway that this node serves"},
    {"health_listen", SL_SETTING_TEXT, AT(health_listen), .fallback = "127.0.0.1:7190",
     .help = "address of /healthz, /readyz and /metrics"},
    {"http_listen", SL_SETTING_TEXT, AT(http_listen), .fallback = "0.0.0.0:8080",
     .help = "address of the data plane, HTTP"},
    {"https_listen", SL_SETTING_TEXT, AT(https_listen), .fallback = "0.0.0.0:8443",
     .help = "address of the data plane, HTTPS"},
    {"limit_keys", SL_SETTING_INT, AT(limit_keys), .fallback = "32768", .min = 256, .max = 16777216,
     .help = "counters of limits that are live at once; 206 bytes of /dev/shm each"},
    {"log_level", SL_SETTING_TEXT, AT(log_level), .fallback = "info",
     .help = "debug, info, warning or alert"},
    {"nginx_binary", SL_SETTING_TEXT, AT(nginx_binary), .fallback = "/usr/sbin/nginx",
     .help = "the program that a pid file may name"},
    {"nginx_conf", SL_SETTING_TEXT, AT(nginx_conf), .fallback = "",
     .help = "where nginx.conf is rendered; empty: nginx.conf in state_dir"},
    {"nginx_module", SL_SETTING_TEXT, AT(nginx_module), .help = "path of the module"},
    {"nginx_user", SL_SETTING_TEXT, AT(nginx_user), .fallback = "",
     .help = "user of nginx's workers when started by root; empty: the agent's"},
    {"nginx_workers", SL_SETTING_INT, AT(nginx_workers), .fallback = "0", .min = 0, .max = 1024,
     .help = "nginx worker processes; 0: one a core"},
    {"node_id", SL_SETTING_TEXT, AT(node_id), .help = "this node's id"},
    {"peer_file", SL_SETTING_TEXT, AT(peer_file), .help = "who the node is on the bus"},
    {"peer_listen", SL_SETTING_TEXT, AT(peer_listen), .fallback = "",
     .help = "address (tcp://HOST:PORT) where other nodes get their first image; empty: none"},
    {"peers", SL_SETTING_TEXT, AT(peers), .fallback = "",
     .help = "nodes to ask for the first image: 'ADDRESS PUBLIC_KEY, …'"},
    {"seed_file", SL_SETTING_TEXT, AT(seed_file), .fallback = "",
     .help = "file to begin with (sluice-node --export) when neither bus nor peers answer"},
    {"shm_name", SL_SETTING_TEXT, AT(shm_name), .help = "part of the names in /dev/shm"},
    {"state_dir", SL_SETTING_TEXT, AT(state_dir), .help = "durable store and rendered files"},
};
const size_t settings_count = SL_COUNT(settings_rows);
