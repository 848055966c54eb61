// resolve.h - backend names → addresses in the image.
//
// Literal addresses are set at once. Names are asked by c-ares (hosts file first, then DNS) and
// again when their time to live ends; while no answer comes the last one is served, for an hour at
// most. Addresses in restricted networks are left out; a name that has only such is denied. Workers
// never resolve. Runs on the agent's thread, blocks never.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_RESOLVE_H
#define SL_NODE_RESOLVE_H

#include <poll.h>

#include "common/runtime/image_build.h"

#define RESOLVE_TTL_MIN_MS 5000    // a name is not asked more often
#define RESOLVE_TTL_MAX_MS 300000  // nor believed longer
#define RESOLVE_RETRY_MS   1000    // first wait after a failure; doubles to RESOLVE_TTL_MIN_MS
#define RESOLVE_STALE_MS   3600000 // how long the last answer serves without a new one
#define RESOLVE_ADDRESSES  16      // of one name
#define RESOLVE_POLLS      16      // descriptors that c-ares may want to be polled

struct resolve;

// `builder` is borrowed. NULL with *err filled.
struct resolve *resolve_new(struct sl_image_builder *builder, struct sl_error *err);
void resolve_free(struct resolve **resolve);

// Wants a host resolved; one that is known already stays as it is. `host` is copied.
void resolve_want(struct resolve *resolve, const char *host);

// The gateway entry changed: judges all addresses against its restricted networks again.
void resolve_restrict(struct resolve *resolve, const struct sl_gateway *gateway);

// Whether names were answered since the last call, so that the image wants a commit.
bool resolve_take_changes(struct resolve *resolve);

// Whether a name has no first answer yet.
bool resolve_is_waiting(const struct resolve *resolve);

// Fills what c-ares wants polled; answers the count (at most RESOLVE_POLLS). After poll() give the
// same array to resolve_run().
size_t resolve_polls(struct resolve *resolve, struct pollfd *ret_polls);
void resolve_run(struct resolve *resolve, const struct pollfd *polls, size_t count);

// Asks again what is due; forgets hosts that no API names. Call it every 100 ms or so.
void resolve_tick(struct resolve *resolve);

#endif
