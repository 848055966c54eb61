// shards.h - what the accounting keeps in PostgreSQL: leases, shards, contacts, usage.
//
// One transaction a function. A connection is owned by one thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_THROTTLE_SHARDS_H
#define SL_THROTTLE_SHARDS_H

#include "common/db/db.h"
#include "services/throttle/account.h"

#define SHARDS_LEASE_MS 1500 // how long a lease lasts

struct shards_epoch {
    uint32_t shard;
    int64_t epoch;
};

// Shards and their epochs, in order.
struct shards_list {
    size_t count;
    struct shards_epoch at[SL_SHARDS];
};

// A look at the server's clock.
struct shards_clock {
    int64_t server_ms; // what it said
    int64_t at_ms;     // mono: halfway between question and answer
    int64_t trip_ms;   // from the one to the other; it may be off by half of this
};

// What a renewal found.
struct shards_state {
    struct shards_clock clock;
    int64_t session;        // number of the database session that it came by
    size_t live;            // workers with a lease that take shards, and this one: at least 1
    size_t others;          // workers with a lease but this one, whether they take shards or not
    size_t free;            // shards that were given back
    size_t orphans;         // shards whose owner is dead: its lease or its session is over
    int64_t next_end_ms;    // mono: when the first lease of another owner ends unless it is renewed
    struct shards_list own; // shards that are ours by the table
};

struct shards_node {
    const char *gateway_id;         //
    const char *node_id;            //
    bool has_contact;               // the next is set
    struct account_contact contact; //
};

// What a row says of shares taken unseen; arrays by shard, or NULL.
struct shards_vouch {
    const char *gateway_id;
    const char *node_id;
    const char *boot;
    const int64_t *vouched;
    const int64_t *alone;
};

// Renews the lease of `worker` and looks around. `takes`: others may give shards back for it; not:
// what it has is theirs soon.
int shards_renew(struct sl_db *db, struct sl_arena *arena, const char *worker, bool takes,
                 struct shards_state *ret_state, struct sl_error *err) SL_MUST_CHECK;

// Which shards to take.
struct shards_wish {
    size_t max;        // at most so many
    bool with_orphans; // those whose owner is dead may be among them
};

// Takes free shards; their epochs are raised. An owner that only lost its session may live: it
// writes no contact and no ceiling before its next renewal, and grants for SHARDS_LEASE_MS at most.
int shards_take(struct sl_db *db, struct sl_arena *arena, const char *worker,
                const struct shards_wish *wish, struct shards_list *ret_taken,
                struct sl_error *err) SL_MUST_CHECK;

// Gives back the `count` highest shards of the worker (SL_SHARDS: all, and the lease with them).
int shards_release(struct sl_db *db, struct sl_arena *arena, const char *worker, size_t count,
                   struct sl_error *err) SL_MUST_CHECK;

// All nodes, ordered by gateway and id, with their contacts; from the arena.
int shards_nodes(struct sl_db *db, struct sl_arena *arena, struct shards_node **ret_nodes,
                 size_t *ret_count, struct sl_error *err) SL_MUST_CHECK;

// Writes what account_contacts() wanted; node->contact is the row afterwards. UNAVAILABLE when
// `worker` was taken for dead since it renewed.
int shards_write_contact(struct sl_db *db, struct sl_arena *arena, const char *worker,
                         struct shards_node *node, struct sl_error *err) SL_MUST_CHECK;

// What all nodes vouched for; from the arena.
int shards_vouched(struct sl_db *db, struct sl_arena *arena, struct shards_vouch **ret_vouches,
                   size_t *ret_count, struct sl_error *err) SL_MUST_CHECK;

// Ceilings to write, or with -1 only to read, of different keys.
struct shards_ceilings {
    const char *worker;                   // who writes
    const struct account_ceiling *wanted; // borrowed
    size_t count;                         // of those, at least 1
};

// Writes and reads them. ret_rows[i] is the row of wanted[i] afterwards. UNAVAILABLE as above, and
// nothing is learnt.
int shards_write_ceilings(struct sl_db *db, struct sl_arena *arena,
                          const struct shards_ceilings *ceilings, struct account_ceiling *ret_rows,
                          struct sl_error *err) SL_MUST_CHECK;

// Writes usage beside the ceilings; forgets windows that are over for two days.
int shards_write_usage(struct sl_db *db, struct sl_arena *arena, const struct account_usage *usages,
                       size_t count, struct sl_error *err) SL_MUST_CHECK;

#endif
