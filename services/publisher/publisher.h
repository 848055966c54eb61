// publisher.h - what the publisher's files share: the process, its threads, its transaction frame.
//
// Handler threads and the pass thread have a connection each. The process-wide struct is constant
// after start but for the pass thread's own state, which pass.c locks.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_PUBLISHER_H
#define SL_PUBLISHER_PUBLISHER_H

#include "common/base/limits.h"
#include "common/crypto/seal.h"
#include "common/db/db.h"
#include "common/wire/worker.h"

#define CONTROL_GATEWAY "control" // the pseudo-gateway that fronts follow
#define NODE_STALE_MS   3000      // a node silent for longer is stale: nobody waits for it
#define NODE_GONE_MS    30000     // silent for longer: gone

struct pass; // the thread that makes revisions (pass.h)

struct publisher {
    const char *database;   // conninfo
    struct sl_seal_key key; // the deployment's
    struct sl_worker *worker;
    struct pass *pass;
};

// A thread's context: what handlers get as call->context.
struct publisher_thread {
    struct publisher *publisher;
    struct sl_db *db; // this thread's connection
};

// A revision and the epoch that it belongs to.
struct head {
    char epoch[SL_ID_SIZE];
    uint64_t revision;
};

// The head of a gateway; revision 0 when nothing was published for it yet.
int head_read(struct sl_tx *tx, struct sl_arena *arena, const char *gateway, struct head *ret_head,
              struct sl_error *err) SL_MUST_CHECK;

// The epoch: changes with the database's timeline, so that a failover that lost revisions is seen.
int epoch_read(struct sl_tx *tx, struct sl_arena *arena, char ret_epoch[SL_ID_SIZE],
               struct sl_error *err) SL_MUST_CHECK;

// Makes sure that the gateway has its revision row, with a fresh content key when it is new.
int gateway_ensure(struct sl_tx *tx, struct sl_arena *arena, const struct publisher *publisher,
                   const char *gateway, struct sl_error *err) SL_MUST_CHECK;

// Opens the gateway's content key.
int gateway_key(struct sl_tx *tx, struct sl_arena *arena, const struct publisher *publisher,
                const char *gateway, struct sl_seal_key *ret_key,
                struct sl_error *err) SL_MUST_CHECK;

// Gives the gateway a fresh content key and marks all its entries dirty, so that they are sealed
// anew: who knew the old key learns nothing more.
int gateway_rotate(struct sl_tx *tx, struct sl_arena *arena, const struct publisher *publisher,
                   const char *gateway, struct sl_error *err) SL_MUST_CHECK;

// The work of a mutation inside its transaction; *ret_body is its reply (finished JSON, from the
// call's arena).
typedef int mutation_fn(struct sl_call *call, struct sl_tx *tx, struct sl_str *ret_body,
                        struct sl_error *err);

// Runs `work` once per command id: transaction, audit claim (a repeat gets the stored body and runs
// nothing), work, audit, commit. *ret_repeat (may be NULL) tells which it was.
int mutation_run(struct sl_call *call, mutation_fn *work, struct sl_str *ret_body, bool *ret_repeat,
                 struct sl_error *err) SL_MUST_CHECK;

// Refuses (INSTANCE_NOT_FOUND) unless the path's gateway belongs to the caller's project.
int caller_gateway(const struct sl_command *command, struct sl_tx *tx, struct sl_arena *arena,
                   struct sl_error *err) SL_MUST_CHECK;

// Refuses (BUS_FORBIDDEN) a caller that is not sluice-admin.
int caller_is_admin(const struct sl_command *command, struct sl_error *err) SL_MUST_CHECK;

// A text member of the command's body, "" when absent.
const char *body_text(const struct sl_command *command, const char *name);

#endif
