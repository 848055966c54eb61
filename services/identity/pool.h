// pool.h - the threads that hash passwords, so that the others never do.
//
// A hash costs a tenth of a second of a core on purpose. The queue is bounded: beyond it a command
// is refused at once. Each thread has its own database connection and runs a whole command.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_IDENTITY_POOL_H
#define SL_IDENTITY_POOL_H

#include "services/identity/identity.h"

#define POOL_QUEUE_MAX 64 // commands waiting

// Starts `threads` threads. NULL with *err filled.
struct pool *pool_new(struct identity *identity, size_t threads, struct sl_error *err);

// Finishes what runs, refuses what waits and whatever still comes. Call it before the worker is
// freed: replies go through the worker.
void pool_stop(struct pool *pool);

// Frees a stopped pool. Takes NULL.
void pool_free(struct pool **pool);

// Defers the call and runs `row` for a copy of its command on the pool. Refuses (UNAVAILABLE) when
// the queue is full.
int pool_take(struct pool *pool, const struct command_row *row, struct sl_call *call,
              struct sl_error *err) SL_MUST_CHECK;

#endif
