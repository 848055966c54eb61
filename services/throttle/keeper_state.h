// keeper_state.h - what keeper.c (threads, lease, shards) and keeper_rows.c (rows) share.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_THROTTLE_KEEPER_STATE_H
#define SL_THROTTLE_KEEPER_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "services/throttle/keeper.h"
#include "services/throttle/shards.h"

#define KEEPER_NAME_SIZE 96

struct keeper {
    struct keeper_options options;
    char worker[KEEPER_NAME_SIZE];   // this process's name in the tables
    pthread_mutex_t lock;            // guards the account and what follows up to `wake`
    struct account *account;         //
    struct sl_arena *events;         // of the event in hand
    bool wants_nodes;                // a node spoke that is not known
    pthread_cond_t wake;             // the keeping thread has something to do
    bool is_urgent;                  // it has
    bool stops;                      // the keeping thread ends
    bool has_left;                   // it has given back the shards: the other thread ends too
    _Atomic int64_t lease_until_ms;  // mono: end of the lease
    _Atomic int64_t clock_offset_ms; // accounting clock less monotonic clock
    pthread_t keeping, ticking;      //
    bool is_started;                 //
    // The keeping thread's own.
    struct sl_db *db;          // NULL: not open
    struct sl_arena *arena;    // of one round
    bool has_clock;            // clock_offset_ms was set
    int64_t grace_ms;          // mono: until then nothing is taken from those whose lease ended
    int64_t session;           // of the last renewal; 0: there was none
    int64_t patience_ms;       // mono: until then the buses are waited for before shards are taken
    bool expects;              // shards change hands soon: it looks more often
    bool leaves;               // others take the shards before this process ends
    int64_t nodes_ms;          // mono: last look at the nodes
    int64_t flushed_ms;        // mono: last flush
    bool was_down;             // for the log
    char **gateways;           // ids of gateways that the account knows
    size_t gateway_count;      //
    struct shards_node *rows;  // contacts to write, in `arena`
    size_t row_count;          //
    struct shards_state state; // of the last renewal; too large for a stack
    struct account_usage *usages;
    size_t usage_count;
    struct account_ceiling *ceilings; // to write, in `arena`
    size_t ceiling_count;             //
    int64_t vouched_ms;               // mono: last write of what nodes vouch for
};

// The accounting clock now.
int64_t keeper_clock_ms(const struct keeper *keeper);

// Whether the lease is to be renewed before anything else, or another's has ended by now.
bool keeper_renewal_is_due(const struct keeper *keeper);

// Whether an owner of so many shards among so many owners (at least one) is to get more.
bool keeper_lacks(size_t owned, size_t owners);

// How far the accounting clock is ahead of the monotonic clock from here on: `offset_ms` moved a
// quarter of the way to what was seen. A clock more than a second off is set at once, as is the
// first (`has_clock` false); an answer that was slow says nothing and moves nothing.
int64_t keeper_follow_clock(const struct shards_clock *seen, bool has_clock, int64_t offset_ms);

// -- keeper_rows.c; all on the keeping thread, with an open database

// Reads all nodes and their rows.
int keeper_refresh_nodes(struct keeper *keeper, struct sl_error *err) SL_MUST_CHECK;
// Writes the rows that grants wait for or that end soon, now and then all.
int keeper_write_contacts(struct keeper *keeper, struct sl_error *err) SL_MUST_CHECK;
// Writes ahead of grants the ceilings that they need, until nothing is asked for or the lease has
// to be renewed. Clears the arena.
int keeper_write_ceilings(struct keeper *keeper, struct sl_error *err) SL_MUST_CHECK;
// Writes usage.
int keeper_flush(struct keeper *keeper, struct sl_error *err) SL_MUST_CHECK;

#endif
