// grants.h - the node's half of the protocol on limits, without its transport.
//
// Decides what to report to which owner and when, and applies what comes back to the counters. Time
// comes in (sl_mono_ms()); requests go out through a hook and are answered by grants_reply(). One
// thread. The wire form is proto/runtime.md, Limits.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_GRANTS_H
#define SL_NODE_GRANTS_H

#include <jansson.h>

#include "common/runtime/counter_agent.h"

#define GRANTS_OWNERS 64 // owners that a node knows at once

struct grants;

struct grants_options {
    struct sl_counters *counters; // borrowed; attended by this process
    const char *node_id;          //
    int64_t incarnation;          // sl_counters_incarnation()
    int64_t divides;              // nodes that an earlier agent was told to divide by; 0: none
    // Sends `limits.exchange` with `body` (a reference to keep or drop) to service
    // throttle/<shard>; the answer comes by grants_reply with the same token, later, exactly once.
    void (*send)(void *arg, uint32_t shard, json_t *body, uint64_t token);
    void *arg;
};

// NULL when memory is out.
struct grants *grants_new(const struct grants_options *options);

// Frees it; requests that are out are forgotten. Empties the pointer.
void grants_free(struct grants **grants);

// Workers asked: sends what they need.
void grants_asked(struct grants *grants, int64_t mono_ms);

// Timers: heartbeats to owners, questions to unknown ones.
void grants_tick(struct grants *grants, int64_t mono_ms);

// An answer; NULL: there is none.
void grants_reply(struct grants *grants, uint64_t token, const json_t *reply, int64_t mono_ms);

// An event of topic node/<id>.
void grants_event(struct grants *grants, const json_t *body, int64_t mono_ms);

// The node is about to stop, and nothing spends any more: gives what is unspent back to the owners.
// To be called again until it answers true, while answers go on to be handed in.
bool grants_leave(struct grants *grants, int64_t mono_ms);

// The gateway's nodes as the image has them.
void grants_members(struct grants *grants, const char *const *node_ids, size_t count,
                    int64_t membership);

// Whether some owner answers; how many nodes limits may be divided among, 0 when they may not.
bool grants_is_up(const struct grants *grants);
int64_t grants_divides(const struct grants *grants);

#endif
