// agent.h - the agent: everything that runs beside one nginx, and its loop.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_AGENT_H
#define SL_NODE_AGENT_H

#include "common/wire/peer.h"
#include "services/node/settings.h"

struct agent;

// Renders nginx.conf, opens the store, makes the image from it: from here on nginx serves, whatever
// else is dead. Then joins the bus. NULL with *err filled.
struct agent *agent_new(const struct settings *settings, const struct sl_peer *peer,
                        struct sl_error *err);
// The image, the counters and nginx stay as they are.
void agent_free(struct agent **agent);

// Writes what the node's store holds to `file`, for every node of its gateway (seed.h); an agent
// may be running meanwhile. Refuses (CONFIG) a node that has nothing.
int agent_export(const struct settings *settings, const char *file, struct sl_arena *arena,
                 struct sl_error *err) SL_MUST_CHECK;

// Runs until `stop_fd` is readable.
void agent_run(struct agent *agent, int stop_fd);

#endif
