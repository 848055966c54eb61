// durable.h - writing to the store what the image serves already.
//
// The image goes live first. What changed is noted by the agent's thread and handed over to a
// thread of the store's own, which writes all that has come meanwhile in one LMDB transaction: the
// agent never waits for a disk. One that is full or broken keeps the notes waiting, and only they
// are lost when they grow beyond their bound: then the store is emptied at the first chance, and a
// restart fetches everything. A store that cannot be opened at the start is such a disk, too: the
// thread opens it when it can. Every function is the agent's thread's.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_DURABLE_H
#define SL_NODE_DURABLE_H

#include "common/runtime/store.h"
#include "common/wire/follow.h"
#include "services/node/keys.h"

#define DURABLE_BACKLOG_MAX ((size_t)256 * 1024 * 1024) // bytes that wait for a disk
#define DURABLE_REASON_SIZE 256                         // of a reason's text

struct durable;

// Opens (or makes) the store in directory `path` (copied) and starts the writing thread; `keys` is
// borrowed. *ret_discarded: what was there did not hold and was thrown away. A directory that
// cannot be used is durable_reason(), and is tried again. NULL when memory is out.
struct durable *durable_new(const char *path, struct keys *keys, bool *ret_discarded);
// Ends the thread after the transaction in hand and closes the store; what waits is dropped.
void durable_free(struct durable **durable);

// Everything in the store is replaced by what is noted from here on.
void durable_afresh(struct durable *durable);
// Notes an entry (copied) or a tombstone.
void durable_note(struct durable *durable, const struct sl_wire_entry *entry);
// The notes so far make up this revision.
void durable_position(struct durable *durable, const struct sl_revision *revision);

// Hands over what was noted up to the last position, and new content keys; does not wait.
void durable_flush(struct durable *durable);

// The same, and waits until all is written, or cannot be: before the end.
void durable_finish(struct durable *durable);

// Why the store is behind, logged once; "" when it is not. Valid until the next call.
const char *durable_reason(struct durable *durable);

// The store, to read before the first durable_flush() or after durable_read_begin(). NULL: it could
// not be opened yet.
struct sl_store *durable_store(struct durable *durable);

// Lets the agent's thread read the store until durable_read_end(). False: a transaction is open,
// ask again later.
bool durable_read_begin(struct durable *durable);
void durable_read_end(struct durable *durable);

#endif
