// keepers.h - owners of shards against a PostgreSQL that is the test's own: what their tests share.
//
// Two keepers at most, of one gateway with two nodes. Names of the database and of the tree come
// from the environment, as tests/lib/scratch_pg.sh sets it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_THROTTLE_KEEPERS_H
#define SL_TESTS_THROTTLE_KEEPERS_H

#include "tests/unit/test.h"

#include <stdatomic.h>

#include "common/db/db.h"
#include "services/throttle/keeper_state.h"

#define GATEWAY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BOOT    "cccccccccccccccccccccccccccccccc"
#define WAIT_MS 60000 // for what must happen, and happens sooner unless it hangs

#define KEEPERS_TAKEN_MS 1400 // who starts takes shards after this, reached or not

struct fixture {
    struct sl_db *db;          //
    struct sl_arena *arena;    //
    _Atomic int offered;       // shards on offer now
    _Atomic int events;        // published
    _Atomic bool is_cut_off;   // no bus reaches the keepers that ask
    _Atomic int64_t start_ms;  // when the second keeper was started
    _Atomic int early;         // offers withdrawn soon after that though nobody could take them
    struct keeper *keepers[2]; //
    int64_t report;            // number of the last request
    const char *boot;          // the node's memory
};

// Makes the tables, a gateway and its nodes: a group's setup.
int keepers_migrate(void **state);

// Stops and frees those in f->keepers.
void keepers_stop(struct fixture *f);

// Forgets all owners; *state is the fixture. The other one stops those that a test started.
int keepers_setup(void **state);
int keepers_teardown(void **state);

// Starts a keeper; the test stops it, unless it stands in f->keepers.
struct keeper *keepers_start(struct fixture *f, const char *name);

// Starts the first keeper, and waits until it owns all shards.
void keepers_own_all(struct fixture *f, const char *name);

// Waits until the keeper owns so many shards.
void keepers_wait_owned(struct keeper *keeper, uint32_t count);

// Waits for the first row of the worker to appear.
void keepers_wait_lease(const struct keeper *keeper);

// Runs a statement; the test fails when that does.
void keepers_sql(struct fixture *f, const char *sql);

// The first column of the first row.
int64_t keepers_number(struct fixture *f, const char *sql);

#endif
