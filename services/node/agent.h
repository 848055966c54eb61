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

// Runs until `stop_fd` is readable.
void agent_run(struct agent *agent, int stop_fd);

#endif
