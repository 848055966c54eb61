// revision.h - turning a gateway's dirty keys into its next revision.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_REVISION_H
#define SL_PUBLISHER_REVISION_H

#include "services/publisher/publisher.h"

// Claims the gateway's dirty keys, compiles them, stamps one revision, stores, commits, broadcasts
// `rt/<gateway>`. Does nothing when there are none. A key that fails to compile is marked and tried
// again; after three failures it is parked, with an alert, until it is marked dirty anew.
// *ret_more: keys were left for the next call. `db` must have no open transaction.
int revision_make(const struct publisher *publisher, struct sl_db *db, const char *gateway,
                  bool *ret_more, struct sl_error *err) SL_MUST_CHECK;

// Gateways that have dirty keys which are not parked: their ids, in the arena.
int revision_waiting(struct sl_db *db, struct sl_arena *arena, struct sl_rows **ret_gateways,
                     struct sl_error *err) SL_MUST_CHECK;

// Broadcasts `head/<gateway>` for every gateway.
int revision_heads(const struct publisher *publisher, struct sl_db *db,
                   struct sl_error *err) SL_MUST_CHECK;

// Forgets tombstones older than seven days and moves the horizons behind them.
int revision_sweep(struct sl_db *db, struct sl_error *err) SL_MUST_CHECK;

#endif
