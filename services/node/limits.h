// limits.h - the node's side of the agreement on limits: usage out, units in (proto/runtime.md,
// Limits).
//
// Owns the counters in shared memory as their agent. Reports what workers used to the owners of the
// keys' shards, applies the grants and recalls that come back, keeps the accounting clock, and lets
// workers divide limits among the nodes when accounting is gone. Single-threaded: everything,
// callbacks of the bus client included, runs on the agent's thread (own_dispatch). Nothing here
// blocks but limits_leave().
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_LIMITS_H
#define SL_NODE_LIMITS_H

#include "common/runtime/model.h"
#include "common/wire/bus_client.h"

#define LIMITS_TICK_MS 10 // how often limits_tick wants to be called

struct limits;

struct limits_options {
    struct sl_bus_client *client; // borrowed; dispatched by the caller
    const char *shm_name;         // name of the counters (`sluice_limits` in nginx.conf)
    size_t keys;                  // counters that they have room for (`sluice_limit_keys`)
    const char *node_id;          // this node
    const char *state_dir;        // "limits.state" in it says what a fresh memory may divide
};

// Maps the counters, becomes their agent, subscribes to node/<id>. NULL with *err filled.
struct limits *limits_new(const struct limits_options *options, struct sl_error *err);

// Notes in the state file what was confirmed, unmaps. The counters stay. Empties the pointer.
void limits_free(struct limits **limits);

// Readable when a worker asks for units; then call limits_wake().
int limits_fd(const struct limits *limits);
void limits_wake(struct limits *limits);

// Runs the timers: every LIMITS_TICK_MS or so.
void limits_tick(struct limits *limits);

// Gives back what the node holds unspent, for a node that stops: nginx does not run any more. Waits
// for the answers of accounting, at most 300 ms.
void limits_leave(struct limits *limits);

// The gateway entry of the image that workers read from here on: who shares the limits.
// Call it after every commit that changed the entry, and once after start.
void limits_members(struct limits *limits, const struct sl_gateway *gateway);

// How far the accounting clock is ahead of this machine's wall clock, milliseconds (for reports).
int64_t limits_clock_offset_ms(const struct limits *limits);

// Whether accounting answers.
bool limits_is_up(const struct limits *limits);

#endif
