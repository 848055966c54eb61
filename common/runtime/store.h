// store.h - the agent's durable copy of its gateway's entries: LMDB in a directory of its own.
//
// Entries stand as they travel (sealed), each with a CRC-32C; beside them the revision that they
// make up, what all of them add up to, and named blobs (content keys, which the caller seals).
// Opening walks all of it in a child process first, because a damaged LMDB file may kill its
// reader: a store that does not hold is thrown away and starts empty. The first change to a store
// that was found goes to a fresh copy, because pages that can be read may still break who writes
// on. Commits sync data but not LMDB's meta page (MDB_NOMETASYNC): a power cut may lose the last
// commit, never the order. One thread owns a store; while it calls sl_store_ready, another may
// read.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_STORE_H
#define SL_RUNTIME_STORE_H

#include "common/base/arena.h"
#include "common/base/limits.h"

struct sl_store;

struct sl_store_record {
    const char *kind;    // "api"
    const char *key;     // at most SL_KEY_MAX characters
    uint64_t revision;   // that last changed it
    uint32_t min_reader; // reader version that it needs
    struct sl_str body;  // sealed
};

// Opens (or makes) the store in directory `path`. *ret_discarded (may be NULL): what was there did
// not hold and was thrown away. NULL with *err filled when the directory cannot be used.
struct sl_store *sl_store_open(const char *path, bool *ret_discarded, struct sl_error *err);
// Opens a store that another process may be writing, for reading alone: it must not be changed.
// Nothing is checked ahead.
struct sl_store *sl_store_open_read(const char *path, struct sl_error *err);
void sl_store_free(struct sl_store **store);

// The revision that the entries make up; epoch "" and 0 when the store is empty.
void sl_store_position(const struct sl_store *store, char ret_epoch[SL_ID_SIZE],
                       uint64_t *ret_revision);

// Calls `fn` for every entry, in order of (kind, key); what it gets is borrowed for the call. It
// answers 0 to go on, 1 when it has enough, -1 (answered then) when it failed.
int sl_store_each(struct sl_store *store,
                  int (*fn)(void *arg, const struct sl_store_record *record, struct sl_error *err),
                  void *arg, struct sl_error *err) SL_MUST_CHECK;

// The same for the entries behind (kind, key).
int sl_store_each_after(struct sl_store *store, const char *kind, const char *key,
                        int (*fn)(void *arg, const struct sl_store_record *record,
                                  struct sl_error *err),
                        void *arg, struct sl_error *err) SL_MUST_CHECK;

// Calls `fn` for every blob.
int sl_store_blobs(struct sl_store *store, void (*fn)(void *arg, const char *name, struct sl_str),
                   void *arg, struct sl_error *err) SL_MUST_CHECK;

// A step, of some milliseconds, towards the first change to a store that was found: a part of the
// copy that the change will go to. *ret_ready: sl_store_begin has nothing left to copy. A failure
// gives the copy up. Changes nothing that reading sees.
int sl_store_ready(struct sl_store *store, bool *ret_ready, struct sl_error *err) SL_MUST_CHECK;

// A change: begin, any number of puts and removes, commit; abort gives it up. `afresh` begins by
// forgetting all entries: what is put goes to another file, in parts, which takes the place of the
// store's at the commit. After a function failed the change must be aborted.
int sl_store_begin(struct sl_store *store, bool afresh, struct sl_error *err) SL_MUST_CHECK;
int sl_store_put(struct sl_store *store, const struct sl_store_record *record,
                 struct sl_error *err) SL_MUST_CHECK;
int sl_store_remove(struct sl_store *store, const char *kind, const char *key,
                    struct sl_error *err) SL_MUST_CHECK;
int sl_store_put_blob(struct sl_store *store, const char *name, struct sl_str bytes,
                      struct sl_error *err) SL_MUST_CHECK;
int sl_store_remove_blob(struct sl_store *store, const char *name,
                         struct sl_error *err) SL_MUST_CHECK;
int sl_store_commit(struct sl_store *store, const char *epoch, uint64_t revision,
                    struct sl_error *err) SL_MUST_CHECK;
void sl_store_abort(struct sl_store *store);

#endif
