// store_value.c - values of the store: their CRCs, writing them, walking over them.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/store_state.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

// Tables of the CRC-32C: table[n][b] is byte b with n zero bytes behind it, so that eight bytes go
// in one step.
static uint32_t crc_tables[8][256];

static void
make_crc_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t entry = i;
        for (int bit = 0; bit < 8; bit++) {
            entry = entry >> 1 ^ ((entry & 1) != 0 ? 0x82f63b78U : 0);
        }
        crc_tables[0][i] = entry;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int n = 1; n < 8; n++) {
            uint32_t shorter = crc_tables[n - 1][i];
            crc_tables[n][i] = crc_tables[0][shorter & 0xff] ^ shorter >> 8;
        }
    }
}

uint32_t
store_crc32c(uint32_t crc, const void *bytes, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_crc_tables);
    const unsigned char *at = bytes;
    crc = ~crc;
    for (; len >= 8; len -= 8, at += 8) {
        uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                              (uint32_t)at[3] << 24);
        crc = crc_tables[7][low & 0xff] ^ crc_tables[6][low >> 8 & 0xff] ^
              crc_tables[5][low >> 16 & 0xff] ^ crc_tables[4][low >> 24] ^ crc_tables[3][at[4]] ^
              crc_tables[2][at[5]] ^ crc_tables[1][at[6]] ^ crc_tables[0][at[7]];
    }
    for (; len > 0; len--, at++) {
        crc = crc >> 8 ^ crc_tables[0][(crc ^ *at) & 0xff];
    }
    return ~crc;
}

int
store_failed(struct sl_error *err, const char *what, int status)
{
    sl_fail(err, SL_E_INTERNAL);
    return sl_error_detail(err, "store: %s: %s", what, mdb_strerror(status));
}

// -- values

static uint32_t
value_crc(MDB_val name, const char *value, size_t len)
{
    uint32_t crc = store_crc32c(0, name.mv_data, name.mv_size);
    return store_crc32c(crc, value + sizeof(uint32_t), len - sizeof(uint32_t));
}

static bool
is_named(MDB_val name, const char *text)
{
    return name.mv_size == strlen(text) && memcmp(name.mv_data, text, name.mv_size) == 0;
}

// Our own blobs: they say what the others add up to.
bool
store_is_own(int table, MDB_val name)
{
    return table == STORE_BLOBS && (is_named(name, STORE_HEAD) || is_named(name, STORE_FORMAT));
}

// Takes what stands under a name out of the change's tally.
static void
discount(struct sl_store *store, int table, MDB_val name)
{
    MDB_val value;
    uint32_t crc;
    if (!store_is_own(table, name) &&
        mdb_get(store->change, store->tables[table], &name, &value) == 0 &&
        value.mv_size >= sizeof(crc)) {
        memcpy(&crc, value.mv_data, sizeof(crc));
        store->change_tally[table].count--;
        store->change_tally[table].sum -= crc;
    }
}

// Writes head and body under a name.
int
store_put_value(struct sl_store *store, int table, MDB_val name, struct store_head head,
                struct sl_str body)
{
    MDB_val value = {sizeof(head) + body.len, NULL};
    discount(store, table, name);
    int status = mdb_put(store->change, store->tables[table], &name, &value, MDB_RESERVE);
    if (status != 0) {
        return status;
    }
    char *at = value.mv_data;
    memcpy(at, &head, sizeof(head));
    if (body.len > 0) {
        memcpy(at + sizeof(head), body.ptr, body.len);
    }
    head.crc = value_crc(name, at, value.mv_size);
    memcpy(at, &head, sizeof(head));
    if (!store_is_own(table, name)) {
        store->change_tally[table].count++;
        store->change_tally[table].sum += head.crc;
    }
    return 0;
}

int
store_remove_value(struct sl_store *store, int table, MDB_val name)
{
    discount(store, table, name);
    int status = mdb_del(store->change, store->tables[table], &name, NULL);
    return status == MDB_NOTFOUND ? 0 : status;
}

// Takes a value apart; false when it does not hold.
static bool
take_value(MDB_val name, MDB_val value, struct store_head *ret_head, struct sl_str *ret_body)
{
    if (value.mv_size < sizeof(*ret_head)) {
        return false;
    }
    memcpy(ret_head, value.mv_data, sizeof(*ret_head));
    if (ret_head->crc != value_crc(name, value.mv_data, value.mv_size)) {
        return false;
    }
    *ret_body = (struct sl_str){(const char *)value.mv_data + sizeof(*ret_head),
                                value.mv_size - sizeof(*ret_head)};
    return true;
}

// -- walking

// Steps to the first value that a walk takes.
static int
walk_begin(MDB_cursor *cursor, const struct store_walk *walk, MDB_val *ret_name, MDB_val *ret_value)
{
    if (walk->after.mv_size == 0) {
        return mdb_cursor_get(cursor, ret_name, ret_value, MDB_FIRST);
    }
    *ret_name = walk->after;
    int found = mdb_cursor_get(cursor, ret_name, ret_value, MDB_SET_RANGE);
    bool same = found == 0 && ret_name->mv_size == walk->after.mv_size &&
                memcmp(ret_name->mv_data, walk->after.mv_data, ret_name->mv_size) == 0;
    return same ? mdb_cursor_get(cursor, ret_name, ret_value, MDB_NEXT) : found;
}

static int
walk_cursor(MDB_cursor *cursor, const struct store_walk *walk, struct sl_error *err)
{
    MDB_val name;
    MDB_val value;
    uint64_t seen = 0;
    int found = walk_begin(cursor, walk, &name, &value);
    for (; found == 0; found = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) {
        struct store_head head;
        struct sl_str body;
        if (!take_value(name, value, &head, &body) || seen++ == walk->most) {
            return store_failed(err, "a value does not hold", EIO);
        }
        int answer = walk->fn(walk->arg, name, &head, body, err);
        if (answer != 0) {
            return answer > 0 ? 0 : -1;
        }
    }
    return found == MDB_NOTFOUND ? 0 : store_failed(err, "read", found);
}

int
store_walk_table(struct sl_store *store, int table, const struct store_walk *walk,
                 struct sl_error *err)
{
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    int status = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (status != 0) {
        return store_failed(err, "begin", status);
    }
    status = mdb_cursor_open(txn, store->tables[table], &cursor);
    int result = status != 0 ? store_failed(err, "cursor", status) : walk_cursor(cursor, walk, err);
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return result;
}

// The name of a value as text.
bool
store_name_text(MDB_val name, char ret_text[STORE_NAME_MAX + 1])
{
    if (name.mv_size > STORE_NAME_MAX) {
        return false;
    }
    memcpy(ret_text, name.mv_data, name.mv_size);
    ret_text[name.mv_size] = '\0';
    return true;
}

struct each_entry {
    int (*fn)(void *arg, const struct sl_store_record *record, struct sl_error *err);
    void *arg;
};

static int
give_entry(void *arg, MDB_val name, const struct store_head *head, struct sl_str body,
           struct sl_error *err)
{
    const struct each_entry *each = arg;
    char text[STORE_NAME_MAX + 1];
    char *slash = store_name_text(name, text) ? strchr(text, '/') : NULL;
    if (slash == NULL) {
        return store_failed(err, "a name does not hold", EIO);
    }
    *slash = '\0';
    struct sl_store_record record = {text, slash + 1, head->revision, head->min_reader, body};
    return each->fn(each->arg, &record, err);
}

// The name of an entry; 0 length when it is too long to be one.
MDB_val
store_entry_name(const char *kind, const char *key, char ret_text[STORE_NAME_MAX + 1])
{
    int len = snprintf(ret_text, STORE_NAME_MAX + 1, "%s/%s", kind, key);
    return (MDB_val){len > 0 && len <= STORE_NAME_MAX ? (size_t)len : 0, ret_text};
}

int
sl_store_each_after(struct sl_store *store, const char *kind, const char *key,
                    int (*fn)(void *arg, const struct sl_store_record *record,
                              struct sl_error *err),
                    void *arg, struct sl_error *err)
{
    char text[STORE_NAME_MAX + 1];
    struct each_entry each = {fn, arg};
    struct store_walk walk = {.fn = give_entry,
                              .arg = &each,
                              .after = store_entry_name(kind, key, text),
                              .most = store->tally[STORE_ENTRIES].count};
    return store_walk_table(store, STORE_ENTRIES, &walk, err);
}

int
sl_store_each(struct sl_store *store,
              int (*fn)(void *arg, const struct sl_store_record *record, struct sl_error *err),
              void *arg, struct sl_error *err)
{
    return sl_store_each_after(store, "", "", fn, arg, err);
}

struct each_blob {
    void (*fn)(void *arg, const char *name, struct sl_str bytes);
    void *arg;
};

static int
give_blob(void *arg, MDB_val name, const struct store_head *head, struct sl_str body,
          struct sl_error *err)
{
    (void)head;
    (void)err;
    const struct each_blob *each = arg;
    char text[STORE_NAME_MAX + 1];
    if (store_name_text(name, text) && strcmp(text, STORE_HEAD) != 0 &&
        strcmp(text, STORE_FORMAT) != 0) {
        each->fn(each->arg, text, body);
    }
    return 0;
}

int
sl_store_blobs(struct sl_store *store, void (*fn)(void *arg, const char *name, struct sl_str),
               void *arg, struct sl_error *err)
{
    struct each_blob each = {fn, arg};
    struct store_walk walk = {.fn = give_blob, .arg = &each, .most = STORE_BLOBS_MAX};
    return store_walk_table(store, STORE_BLOBS, &walk, err);
}
