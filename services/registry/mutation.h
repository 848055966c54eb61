// mutation.h - the frame of every command that changes something: one transaction, once per id.
//
// begin: transaction, audit claim (a repeat gets the stored reply and runs nothing), the gateway
// opened for the caller's project. work. end: audit, quotas, commit, wake the publishers. Whatever
// fails in between rolls all of it back. An optimistic mutation does without the beginning.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_MUTATION_H
#define SL_REGISTRY_MUTATION_H

#include "common/crypto/seal.h"
#include "common/db/audit.h"
#include "common/db/quota.h"
#include "common/wire/worker.h"

#define MUTATION_QUOTAS 128 // changes of quotas by one command

// A worker thread's context.
struct registry {
    struct sl_db *db;              // this thread's connection
    struct sl_tx *shared;          // of the lookups that go together; NULL: there are none
    const struct sl_seal_key *key; // the deployment's sealing key; shared, constant
    const char *prepared;          // what a command made before its transaction; NULL: nothing
};

// A change of a quota that waits for the end of the transaction.
struct mutation_quota {
    struct sl_quota quota; //
    int64_t units;         // taken; negative: given back
};

struct mutation;

// What a command does inside its transaction.
typedef int mutation_work_fn(struct mutation *m, struct sl_error *err);

struct mutation {
    const struct sl_command *command;              //
    struct registry *registry;                     //
    struct sl_arena *arena;                        // the command's
    struct sl_tx *tx;                              // open
    const char *instance;                          // gateway id, "" for commands without one
    const char *project;                           // of the caller
    struct sl_audit_who who;                       //
    struct sl_audit_outcome outcome;               // work fills object_id, before, after
    struct sl_str body;                            // work's reply; may be empty
    void *asked;                                   // what a lookup waits for
    mutation_work_fn *explain;                     // of an optimistic one's refusal; NULL: none
    void *explained;                               // what it looks at
    struct sl_later *claim;                        // of the command id; NULL: optimistic
    struct sl_later *gateway;                      // the gateway's lock; NULL: none is needed
    bool open;                                     // claimed, the gateway the caller's; or assumed
    bool repeat;                                   // the command ran before
    bool touched;                                  // runtime keys were marked
    struct mutation_quota quotas[MUTATION_QUOTAS]; //
    size_t quota_count;                            //
};

// Runs `work` in the frame. The gateway of the path must exist in the caller's project
// (INSTANCE_NOT_FOUND) unless the command has none. On a repeat *reply is the first one's.
int mutation_run(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
                 struct sl_error *err) SL_MUST_CHECK;

// The same for work whose statements refuse another's gateway, and what it may refer to, of
// themselves: nothing is asked before it. Its record in `audit` is written once, at its end, where
// a repeat is refused and rolled back. What was refused is explained in a new transaction: a repeat
// goes before the gateway, that before what m->explain (set by the work) says, that before the
// work's own reason.
int mutation_run_optimistic(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
                            struct sl_error *err) SL_MUST_CHECK;

// The same for work that is one statement, which records and takes quotas itself and answers
// m->body: it is a transaction of its own, and sent again where the connection broke, as it refuses
// to be done twice. It may read before.
int mutation_run_whole(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
                       struct sl_error *err) SL_MUST_CHECK;

// The same for work that finds the row it changes by gateway and project, or refuses: the gateway
// is neither locked, which the row is, nor asked for unless the work refuses.
int mutation_run_lookup(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
                        struct sl_error *err) SL_MUST_CHECK;

// Waits until the command is known to be new and the gateway, where it was asked for, to be the
// caller's; else work ends at once, with -1. Nothing to do when that is known.
int mutation_open(struct mutation *m, struct sl_error *err) SL_MUST_CHECK;

// The same frame for a command that only reads: a transaction that is rolled back, no audit.
int query_run(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
              struct sl_error *err) SL_MUST_CHECK;

// The same for work in several statements: all see one snapshot, and the work itself commits, with
// the last of them. Work that finds nothing in the gateway asks for it by mutation_gateway.
int snapshot_run(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
                 struct sl_error *err) SL_MUST_CHECK;

// The same for work that finds one row by gateway and project, or refuses: the gateway is asked for
// only when it refuses.
int lookup_run(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
               struct sl_error *err) SL_MUST_CHECK;

// The same for lookups that go together: what `ask` queues for each travels with the others' when
// the first is answered. NULL with *err filled.
struct mutation *lookup_ask(struct sl_call *call, mutation_work_fn *ask, struct sl_error *err);

// Answers one. Where PostgreSQL refused a statement, which ends the transaction for all, the thread
// has no shared one any more: this lookup, and what is not answered yet, is to be run by itself.
int lookup_answer(struct mutation *m, struct sl_reply *reply, mutation_work_fn *answer,
                  struct sl_error *err) SL_MUST_CHECK;

// Ends what lookups shared. Context of the thread.
void lookup_end(void *context);

// Refuses a gateway that is not the caller's (INSTANCE_NOT_FOUND).
int mutation_gateway(struct mutation *m, struct sl_error *err) SL_MUST_CHECK;

// Marks a runtime key of the gateway dirty.
int mutation_touch(struct mutation *m, const char *kind, const char *key,
                   struct sl_error *err) SL_MUST_CHECK;

// Takes (or gives back) units of a quota at the end of the transaction, which the descriptor's row
// refuses when it is used up.
int mutation_quota(struct mutation *m, const struct mutation_quota *quota,
                   struct sl_error *err) SL_MUST_CHECK;

// The project whose gateways the caller may use: the credential's, else the path's.
const char *command_project(const struct sl_command *command);

#endif
