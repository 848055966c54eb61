// agent_health.h - what the agent says of itself at /healthz, /readyz and /metrics.
//
// nginx answers for the node, so that a dead agent takes no serving node out; who watches the agent
// asks here. Ready is an agent whose image is whole: otherwise the reason is the one that operators
// see in the list of nodes.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_AGENT_HEALTH_H
#define SL_NODE_AGENT_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct agent_health;

// How the agent is, as its loop sees it.
struct agent_state {
    uint64_t revision;     // that the image serves; 0: none
    const char *reason;    // why not a newer one, or what else is not well; "": nothing. Copied
    size_t buses;          // that answer
    size_t members;        // of channels, that are probed
    size_t faulty_members; // of these
    bool has_accounting;   // some owner of limits answers
};

// Listens on "address:port" or "unix:path"; until the first note the agent is not ready. NULL with
// *err filled.
struct agent_health *agent_health_new(const char *listen, struct sl_error *err);

// Stops listening and frees. Empties the pointer; takes NULL.
void agent_health_free(struct agent_health **health);

// Notes how the agent is from here on. From any thread.
void agent_health_note(struct agent_health *health, const struct agent_state *state);

#endif
