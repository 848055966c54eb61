// settings.h - what sluice-node's configuration file says.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_SETTINGS_H
#define SL_NODE_SETTINGS_H

#include "common/base/config.h"

struct settings {
    const char *peer_file;           // who the node is on the bus
    const char *node_id;             //
    const char *gateway_id;          // the gateway that it serves
    const char *state_dir;           // durable store, certificate, nginx.conf
    const char *shm_name;            // of image and counters
    const char *http_listen;         // addr:port of the data plane
    const char *https_listen;        //
    const char *health_listen;       //
    const char *agent_health_listen; // of the agent itself; "": nowhere
    const char *nginx_binary;        // whom a pid file may name
    const char *nginx_module;        // path of the module
    const char *nginx_conf;          // the file that is rendered
    const char *peer_listen;         // where other nodes get their first image; "": nowhere
    const char *peers;               // whom to ask for it: "ADDRESS KEY, ADDRESS KEY"
    const char *seed_file;           // where it stands; "": nowhere
    const char *nginx_user;          // "" : the agent's own when it is root, else none
    const char *access_log;          // "": access.log in state_dir
    const char *access_log_format;   // line, json, both, off
    const char *access_log_json;     // "": access.json.log in state_dir
    const char *log_level;           //
    int64_t access_log_keep;         // older ones that are kept
    int64_t access_log_max_bytes;    // rotated from this size on; 0: never
    int64_t limit_keys;              // counters of limits that are live at once
    int64_t body_budget_mb;          // signed bodies held by nginx's workers, in 1024 KB
    int64_t nginx_workers;           // 0: one a core
};

// The rows for sl_config_load().
extern const struct sl_setting settings_rows[];
extern const size_t settings_count;

#endif
