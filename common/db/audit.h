// audit.h - the record of every mutation, which also makes commands idempotent.
//
// A mutation begins by claiming its command id: a repeat waits for the unique key until the first
// transaction ends, and then gets the stored outcome instead of a second execution. The record is
// written in the mutation's own transaction, so a rollback leaves neither.
//
//     if (sl_audit_begin(tx, arena, &who, &repeat, &outcome, err) != 0) { return -1; }
//     if (repeat) { answer outcome.status, outcome.reply; }
//     … work …
//     if (sl_audit_end(tx, arena, &who, &outcome, err) != 0 || sl_tx_commit(&tx, err) != 0) …
//
// Who may do the work of a repeat and roll it back writes the record once, at the end: half the
// work for PostgreSQL. It begins with sl_audit_turn, ends with sl_audit_record, and claims when
// anything was refused, in a new transaction, to find out whether it was for being a repeat.
//
// The reply is opaque here. Whoever writes it seals it (common/crypto/seal.h, context
// "audit:<command id>"), because replies may hold secrets; `before` and `after` are JSON with
// secrets masked by the caller.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_DB_AUDIT_H
#define SL_DB_AUDIT_H

#include "common/db/db.h"

// Who asks for what. Borrowed for the calls.
struct sl_audit_who {
    const char *command_id;  // 32 hex digits: the idempotency key
    const char *request_id;  // X-Request-Id
    const char *command;     // "group.create"
    const char *actor;       // user id, or the peer's name for sluice-admin
    const char *project_id;  // or ""
    const char *instance_id; // or ""
};

// What came of it.
struct sl_audit_outcome {
    const char *object_id; // of what was made, changed or deleted; or ""
    const char *before;    // JSON text or NULL
    const char *after;     // JSON text or NULL
    int status;            // HTTP status
    struct sl_str reply;   // sealed; may be empty
    // Of a command that one statement does (the generator's SQL), which cannot seal: the reply as
    // it was given. Read alone; NULL: there is none.
    const char *reply_text;
};

// Claims the command id. *ret_repeat: it was claimed and committed before, and *ret_outcome holds
// status and reply of then (memory from arena). Call it first in the transaction.
int sl_audit_begin(struct sl_tx *tx, struct sl_arena *arena, const struct sl_audit_who *who,
                   bool *ret_repeat, struct sl_audit_outcome *ret_outcome,
                   struct sl_error *err) SL_MUST_CHECK;

// The same in two parts, so that what must be read first travels along: queues the claim, …
int sl_audit_claim(struct sl_tx *tx, struct sl_arena *arena, const struct sl_audit_who *who,
                   struct sl_later **ret_claim, struct sl_error *err) SL_MUST_CHECK;

// … and waits for it: *ret_repeat is known also where a later statement of the queue was refused.
int sl_audit_claimed(struct sl_later *claim, bool *ret_repeat, struct sl_error *err) SL_MUST_CHECK;

// Waits for whoever else has the command's turn, with the next statement that is waited for; the
// turn ends with the transaction. It says nothing of whether the command was done.
int sl_audit_turn(struct sl_tx *tx, struct sl_arena *arena, const struct sl_audit_who *who,
                  struct sl_error *err) SL_MUST_CHECK;

// The whole record at once, for who did not claim: a repeat is refused (INTERNAL). Otherwise as
// sl_audit_end.
int sl_audit_record(struct sl_tx *tx, struct sl_arena *arena, const struct sl_audit_who *who,
                    const struct sl_audit_outcome *outcome, struct sl_error *err) SL_MUST_CHECK;

// What came of a command that was claimed and committed before. In any transaction.
int sl_audit_stored(struct sl_tx *tx, struct sl_arena *arena, const char *command_id,
                    struct sl_audit_outcome *ret_outcome, struct sl_error *err) SL_MUST_CHECK;

// Completes the record, with the next statement that is waited for or the commit. Call it last
// before the quota and the commit.
int sl_audit_end(struct sl_tx *tx, struct sl_arena *arena, const struct sl_audit_who *who,
                 const struct sl_audit_outcome *outcome, struct sl_error *err) SL_MUST_CHECK;

#endif
