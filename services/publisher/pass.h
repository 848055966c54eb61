// pass.h - the thread that makes revisions, broadcasts heads, and ends waits for nodes.
//
// It looks when it is woken (by an event, by this process's own commits) and every 250 ms.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_PASS_H
#define SL_PUBLISHER_PASS_H

#include "services/publisher/publisher.h"

struct pass;

// Someone who waits until every live node of a gateway serves a revision.
struct pass_waiter {
    uint64_t token;            // of the deferred reply
    char gateway[SL_ID_SIZE];  //
    struct head want;          // the revision to be served, and its epoch
    int64_t deadline_mono_ms;  // when it is answered anyway, with what is served by then
    char *body;                // the reply's JSON object; the pass frees it
    char debug_id[SL_ID_SIZE]; // not empty: waits for the answer of this call (debug.h) instead
};

// Makes it, with its database connection; no thread yet. `publisher` outlives it. NULL with *err
// filled.
struct pass *pass_new(struct publisher *publisher, struct sl_error *err);

// Starts the thread, once publisher->worker is there.
void pass_start(struct pass *pass);

// Stops and joins the thread; waiters that are left are answered. May be called again.
void pass_stop(struct pass *pass);

// Frees it; stopped before. Empties the pointer.
void pass_free(struct pass **pass);

// Asks for a pass now. Any thread.
void pass_wake(struct pass *pass);

// A node reported: looks at the waiters now. Any thread.
void pass_reported(struct pass *pass);

// Hands a waiter over (copied; `body` changes hands). -1 when there are too many.
int pass_wait(struct pass *pass, const struct pass_waiter *waiter,
              struct sl_error *err) SL_MUST_CHECK;

#endif
