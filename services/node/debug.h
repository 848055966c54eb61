// debug.h - calls that the publisher has this node make (3.5.8; proto/runtime.md).
//
// Each runs in a thread of its own, a few at once; all else runs on the agent's thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_DEBUG_H
#define SL_NODE_DEBUG_H

#include "common/wire/bus_client.h"
#include "services/node/settings.h"

struct debug;

// `client` and `settings` are borrowed. NULL when memory is out.
struct debug *debug_new(struct sl_bus_client *client, const struct settings *settings);

// Breaks off what runs and waits for its threads. Empties the pointer.
void debug_free(struct debug **debug);

// Begins the calls of a report's reply: a list of {id, request, tls}; NULL: none. What exceeds the
// calls that may run at once is answered by its own timeout.
void debug_begin(struct debug *debug, const json_t *list);

// Sends the answers that are there. Call it at every turn of the loop.
void debug_tick(struct debug *debug);

#endif
