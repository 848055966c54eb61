// keeper.h - the process around the account: threads, lease, shards, clock.
//
// One mutex guards the account. One thread keeps the lease, the shards and the rows in PostgreSQL;
// another runs the account's timers, so that a slow database delays no recall. Handlers of
// exchanges run on the worker loop's threads.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_THROTTLE_KEEPER_H
#define SL_THROTTLE_KEEPER_H

#include "common/wire/worker.h"
#include "services/throttle/account.h"

struct keeper;

struct keeper_options {
    const char *database; // libpq conninfo
    const char *name;     // of the process; made unique for the lease
    // Where events and offers go; may be set later than the rest, but before keeper_start().
    void (*publish)(void *arg, const char *topic, struct sl_str body);
    void (*offer)(void *arg, uint32_t shard, bool is_ours);
    // Whether nodes can reach what is offered here, as far as is known; NULL: always.
    bool (*is_reachable)(void *arg);
    void *arg;
};

// NULL with *err filled.
struct keeper *keeper_new(const struct keeper_options *options, struct sl_error *err);

// Starts the threads; from here on shards are taken.
int keeper_start(struct keeper *keeper, struct sl_error *err) SL_MUST_CHECK;

// Tells other processes that the shards are theirs soon, grants until they look out for them, gives
// them back, ends the threads. Takes half a second; 1.5 s when others do not take shards yet; no
// time when there is nobody.
void keeper_stop(struct keeper *keeper);

// Frees a keeper that stopped; empties the pointer.
void keeper_free(struct keeper **keeper);

// Handles `limits.exchange` of node `node_id`; the answer is packed into `arena`.
int keeper_exchange(struct keeper *keeper, struct sl_arena *arena, const char *node_id,
                    const json_t *request, struct sl_str *ret_body,
                    struct sl_error *err) SL_MUST_CHECK;

// How many shards the process owns.
uint32_t keeper_owned(struct keeper *keeper);

// Whether its lease holds.
bool keeper_has_lease(const struct keeper *keeper);

#endif
