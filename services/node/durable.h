// durable.h - writing to the store what the image serves already.
//
// The image goes live first. What changed waits here and is written in one LMDB transaction soon
// after; a disk that is full or broken keeps it waiting, and only that is lost when the wait grows
// beyond its bound: then the store is emptied at the first chance, and a restart fetches
// everything. One thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_DURABLE_H
#define SL_NODE_DURABLE_H

#include "common/runtime/store.h"
#include "common/wire/follow.h"
#include "services/node/keys.h"

#define DURABLE_BACKLOG_MAX ((size_t)256 * 1024 * 1024) // bytes that wait for a disk

struct durable;

// Both are borrowed. NULL when memory is out.
struct durable *durable_new(struct sl_store *store, struct keys *keys);
void durable_free(struct durable **durable);

// Everything in the store is replaced by what is noted from here on.
void durable_afresh(struct durable *durable);
// Notes an entry (copied) or a tombstone.
void durable_note(struct durable *durable, const struct sl_wire_entry *entry);
// The notes so far make up this revision.
void durable_position(struct durable *durable, const struct sl_revision *revision);

// Writes what waits, when something does and a failed attempt is a second old. Logs a failure once.
void durable_flush(struct durable *durable);

// The same until all is there, or a write failed: before the end.
void durable_finish(struct durable *durable);

// Why the store is behind; "" when it is not. Valid until the next flush.
const char *durable_reason(const struct durable *durable);

#endif
