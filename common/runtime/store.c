// store.c - the agent's durable copy of its gateway's entries: changing it.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/store_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART 1000 // entries of one transaction of a change that replaces all

void
sl_store_free(struct sl_store **store)
{
    if (store == NULL || *store == NULL) {
        return;
    }
    sl_store_abort(*store);
    store_copy_drop(*store);
    if ((*store)->env != NULL) {
        mdb_env_close((*store)->env);
    }
    free(*store);
    *store = NULL;
}

void
sl_store_position(const struct sl_store *store, char ret_epoch[SL_ID_SIZE], uint64_t *ret_revision)
{
    memcpy(ret_epoch, store->epoch, SL_ID_SIZE);
    *ret_revision = store->revision;
}

// -- changing

// Whose the open change is: the store's, or that of the file which will take its place.
static struct sl_store *
target(struct sl_store *store)
{
    return store->copy.is_fresh ? store->copy.to : store;
}

static int
begin_part(struct sl_store *to)
{
    int status = mdb_txn_begin(to->env, NULL, 0, &to->change);
    to->change = status == 0 ? to->change : NULL;
    return status;
}

static int
end_part(struct sl_store *to)
{
    MDB_txn *change = SL_TAKE(to->change); // gone whatever the commit answers
    return mdb_txn_commit(change);
}

// LMDB keeps the memory of a transaction's pages for ever: what may be large has many small ones,
// in a file that nobody reads yet.
static int
next_part(struct sl_store *store)
{
    if (!store->copy.is_fresh || ++store->copy.count % PART != 0) {
        return 0;
    }
    int status = end_part(store->copy.to);
    return status == 0 ? begin_part(store->copy.to) : status;
}

int
sl_store_begin(struct sl_store *store, bool afresh, struct sl_error *err)
{
    assert(store->change == NULL && !store->copy.is_fresh);
    if ((afresh ? store_refresh(store, err) : store_own(store, err)) != 0) {
        return -1;
    }
    if (!afresh) {
        memcpy(store->change_tally, store->tally, sizeof(store->change_tally));
    }
    int status = begin_part(target(store));
    return status == 0 ? 0 : store_failed(err, "begin", status);
}

int
sl_store_put(struct sl_store *store, const struct sl_store_record *record, struct sl_error *err)
{
    char text[STORE_NAME_MAX + 1];
    MDB_val name = store_entry_name(record->kind, record->key, text);
    struct store_head head = {.min_reader = record->min_reader, .revision = record->revision};
    int status = store_put_value(target(store), STORE_ENTRIES, name, head, record->body);
    if (status == 0) {
        status = next_part(store);
    }
    return status == 0 ? 0 : store_failed(err, "put", status);
}

int
sl_store_remove(struct sl_store *store, const char *kind, const char *key, struct sl_error *err)
{
    char text[STORE_NAME_MAX + 1];
    MDB_val name = store_entry_name(kind, key, text);
    int status = store_remove_value(target(store), STORE_ENTRIES, name);
    return status == 0 ? 0 : store_failed(err, "remove", status);
}

int
sl_store_put_blob(struct sl_store *store, const char *name, struct sl_str bytes,
                  struct sl_error *err)
{
    char text[STORE_NAME_MAX + 1];
    int len = snprintf(text, sizeof(text), "%s", name);
    int status = store_put_value(target(store), STORE_BLOBS, (MDB_val){(size_t)len, text},
                                 (struct store_head){0}, bytes);
    return status == 0 ? 0 : store_failed(err, "put", status);
}

int
sl_store_remove_blob(struct sl_store *store, const char *name, struct sl_error *err)
{
    char text[STORE_NAME_MAX + 1];
    int len = snprintf(text, sizeof(text), "%s", name);
    int status = store_remove_value(target(store), STORE_BLOBS, (MDB_val){(size_t)len, text});
    return status == 0 ? 0 : store_failed(err, "remove", status);
}

int
sl_store_commit(struct sl_store *store, const char *epoch, uint64_t revision, struct sl_error *err)
{
    struct store_position position = {.revision = revision};
    snprintf(position.epoch, sizeof(position.epoch), "%s", epoch);
    struct sl_store *to = target(store);
    memcpy(position.tally, to->change_tally, sizeof(position.tally));
    int status = store_put_value(to, STORE_BLOBS, (MDB_val){strlen(STORE_HEAD), STORE_HEAD},
                                 (struct store_head){0},
                                 (struct sl_str){(const char *)&position, sizeof(position)});
    if (status != 0) {
        return store_failed(err, "head", status);
    }
    status = end_part(to);
    if (status != 0) {
        return store_failed(err, "commit", status);
    }
    if (to != store && store_adopt(store, err) != 0) {
        return -1;
    }
    memcpy(store->epoch, position.epoch, sizeof(store->epoch));
    store->revision = revision;
    memcpy(store->tally, position.tally, sizeof(store->tally));
    return 0;
}

void
sl_store_abort(struct sl_store *store)
{
    if (store->copy.is_fresh) {
        store_copy_drop(store);
    }
    if (store->change != NULL) {
        mdb_txn_abort(store->change);
        store->change = NULL;
    }
}
