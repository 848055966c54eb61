// debug.h - 3.5.8: an API is called once through a real node, published or not.
//
// Handler threads take the call, the pass thread answers it; a row of `api_debug` holds what both
// and the node need, so that any publisher may be asked by the node. proto/runtime.md tells the
// way of a call.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_DEBUG_H
#define SL_PUBLISHER_DEBUG_H

#include "services/publisher/publisher.h"

// api.debug (3.5.8). Refuses API_NOT_FOUND, PUBLICATION_NOT_FOUND (CONSUMER where the stage does
// not serve the API), what debug_request_make refuses, DEBUG_BUSY, DEBUG_NO_NODE, DEBUG_TIMEOUT.
sl_handler_fn api_debug;

// node.debugged: a node's answer of a call that it was given.
sl_handler_fn node_debugged;

// Packs the calls that the reporting node is to make (an array, maybe empty): those whose entries
// the revision has that it reports. Each is given once.
int debug_give(struct sl_call *call, struct sl_tx *tx, const char *gateway, struct sl_buf *packed,
               struct sl_error *err) SL_MUST_CHECK;

// Whether a call is over: answered, or `late`. Then its row is gone, its entry will be, and
// *ret_reply is the reply (strings from the arena). `db` must have no open transaction.
bool debug_is_over(struct sl_db *db, struct sl_arena *arena, const char *gateway, const char *id,
                   bool late, struct sl_reply *ret_reply);

// Ends what nobody waits for any more.
int debug_sweep(struct sl_db *db, struct sl_error *err) SL_MUST_CHECK;

#endif
