// store.c - the agent's durable copy of its gateway's entries.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/store.h"

#include <errno.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STORE_MAX   ((size_t)16 * 1024 * 1024 * 1024) // address space, not disk
#define STORE_MODE  0600
#define NAME_MAX_   (32 + 1 + SL_KEY_MAX) // "<kind>/<key>"
#define PATH_SIZE   4096
#define FORMAT_NAME "format"
#define FORMAT_TEXT "1"
#define HEAD_NAME   "head"

struct sl_store {
    MDB_env *env;
    MDB_dbi entries; // "<kind>/<key>" → struct head, body
    MDB_dbi blobs;   // name → struct head, bytes
    MDB_txn *change; // NULL: none is open
    char epoch[SL_ID_SIZE];
    uint64_t revision;
};

// What stands before every value.
struct head {
    uint32_t crc; // CRC-32C of the name and of all that follows this field
    uint32_t min_reader;
    uint64_t revision;
};

// The value of HEAD_NAME.
struct position {
    char epoch[SL_ID_SIZE];
    char pad[7];
    uint64_t revision;
};

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

static uint32_t
crc32c(uint32_t crc, const void *bytes, size_t len)
{
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

static int
failed(struct sl_error *err, const char *what, int status)
{
    sl_fail(err, SL_E_INTERNAL);
    return sl_error_detail(err, "store: %s: %s", what, mdb_strerror(status));
}

// -- values

static uint32_t
value_crc(MDB_val name, const char *value, size_t len)
{
    uint32_t crc = crc32c(0, name.mv_data, name.mv_size);
    return crc32c(crc, value + sizeof(uint32_t), len - sizeof(uint32_t));
}

// Writes head and body under a name.
static int
put_value(struct sl_store *store, MDB_dbi table, MDB_val name, struct head head, struct sl_str body)
{
    MDB_val value = {sizeof(head) + body.len, NULL};
    int status = mdb_put(store->change, table, &name, &value, MDB_RESERVE);
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
    return 0;
}

// Takes a value apart; false when it does not hold.
static bool
take_value(MDB_val name, MDB_val value, struct head *ret_head, struct sl_str *ret_body)
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

// Calls `fn` for every value of a table. `fn` answers 0 to go on.
struct walk {
    int (*fn)(void *arg, MDB_val name, const struct head *head, struct sl_str body,
              struct sl_error *err);
    void *arg;
};

static int
walk_cursor(MDB_cursor *cursor, const struct walk *walk, struct sl_error *err)
{
    MDB_val name;
    MDB_val value;
    int found = mdb_cursor_get(cursor, &name, &value, MDB_FIRST);
    for (; found == 0; found = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) {
        struct head head;
        struct sl_str body;
        if (!take_value(name, value, &head, &body)) {
            return failed(err, "a value does not hold", EIO);
        }
        if (walk->fn(walk->arg, name, &head, body, err) != 0) {
            return -1;
        }
    }
    return found == MDB_NOTFOUND ? 0 : failed(err, "read", found);
}

static int
walk_table(struct sl_store *store, MDB_dbi table, const struct walk *walk, struct sl_error *err)
{
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    int status = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (status != 0) {
        return failed(err, "begin", status);
    }
    status = mdb_cursor_open(txn, table, &cursor);
    int result = status != 0 ? failed(err, "cursor", status) : walk_cursor(cursor, walk, err);
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return result;
}

// The name of a value as text.
static bool
name_text(MDB_val name, char ret_text[NAME_MAX_ + 1])
{
    if (name.mv_size > NAME_MAX_) {
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
give_entry(void *arg, MDB_val name, const struct head *head, struct sl_str body,
           struct sl_error *err)
{
    const struct each_entry *each = arg;
    char text[NAME_MAX_ + 1];
    char *slash = name_text(name, text) ? strchr(text, '/') : NULL;
    if (slash == NULL) {
        return failed(err, "a name does not hold", EIO);
    }
    *slash = '\0';
    struct sl_store_record record = {text, slash + 1, head->revision, head->min_reader, body};
    return each->fn(each->arg, &record, err);
}

int
sl_store_each(struct sl_store *store,
              int (*fn)(void *arg, const struct sl_store_record *record, struct sl_error *err),
              void *arg, struct sl_error *err)
{
    struct each_entry each = {fn, arg};
    struct walk walk = {give_entry, &each};
    return walk_table(store, store->entries, &walk, err);
}

struct each_blob {
    void (*fn)(void *arg, const char *name, struct sl_str bytes);
    void *arg;
};

static int
give_blob(void *arg, MDB_val name, const struct head *head, struct sl_str body,
          struct sl_error *err)
{
    (void)head;
    (void)err;
    const struct each_blob *each = arg;
    char text[NAME_MAX_ + 1];
    if (name_text(name, text) && strcmp(text, HEAD_NAME) != 0 && strcmp(text, FORMAT_NAME) != 0) {
        each->fn(each->arg, text, body);
    }
    return 0;
}

int
sl_store_blobs(struct sl_store *store, void (*fn)(void *arg, const char *name, struct sl_str),
               void *arg, struct sl_error *err)
{
    struct each_blob each = {fn, arg};
    struct walk walk = {give_blob, &each};
    return walk_table(store, store->blobs, &walk, err);
}

// -- opening

static int
load_own_blob(void *arg, MDB_val name, const struct head *head, struct sl_str body,
              struct sl_error *err)
{
    (void)head;
    struct sl_store *store = arg;
    char text[NAME_MAX_ + 1];
    if (!name_text(name, text)) {
        return failed(err, "a name does not hold", EIO);
    }
    if (strcmp(text, FORMAT_NAME) == 0 && !sl_str_equal(body, SL_STR(FORMAT_TEXT))) {
        return failed(err, "another format", EIO);
    }
    struct position position;
    if (strcmp(text, HEAD_NAME) == 0) {
        if (body.len != sizeof(position)) {
            return failed(err, "the head does not hold", EIO);
        }
        memcpy(&position, body.ptr, sizeof(position));
        snprintf(store->epoch, sizeof(store->epoch), "%.*s", SL_ID_LEN, position.epoch);
        store->revision = position.revision;
    }
    return 0;
}

static int
make_tables(struct sl_store *store, struct sl_error *err)
{
    MDB_txn *txn = NULL;
    int status = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (status != 0) {
        return failed(err, "begin", status);
    }
    status = mdb_dbi_open(txn, "entries", MDB_CREATE, &store->entries);
    if (status == 0) {
        status = mdb_dbi_open(txn, "blobs", MDB_CREATE, &store->blobs);
    }
    if (status == 0) {
        store->change = txn;
        status = put_value(store, store->blobs, (MDB_val){strlen(FORMAT_NAME), FORMAT_NAME},
                           (struct head){0}, SL_STR(FORMAT_TEXT));
        store->change = NULL;
    }
    if (status != 0) {
        mdb_txn_abort(txn);
        return failed(err, "tables", status);
    }
    status = mdb_txn_commit(txn);
    return status == 0 ? 0 : failed(err, "commit", status);
}

// Opens what is there without a write: a node starts on a full disk too.
static int
open_tables(struct sl_store *store, struct sl_error *err)
{
    MDB_txn *txn = NULL;
    int status = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (status != 0) {
        return failed(err, "begin", status);
    }
    status = mdb_dbi_open(txn, "entries", 0, &store->entries);
    if (status == 0) {
        status = mdb_dbi_open(txn, "blobs", 0, &store->blobs);
    }
    if (status != 0) {
        mdb_txn_abort(txn);
        return status == MDB_NOTFOUND ? make_tables(store, err) : failed(err, "tables", status);
    }
    status = mdb_txn_commit(txn); // keeps the handles
    return status == 0 ? 0 : failed(err, "tables", status);
}

static struct sl_store *
open_env(const char *path, struct sl_error *err)
{
    SL_AUTO(sl_store) store = calloc(1, sizeof(*store));
    if (store == NULL) {
        failed(err, "open", ENOMEM);
        return NULL;
    }
    int status = mdb_env_create(&store->env);
    if (status == 0) {
        status = mdb_env_set_mapsize(store->env, STORE_MAX);
    }
    if (status == 0) {
        status = mdb_env_set_maxdbs(store->env, 2);
    }
    if (status == 0) {
        status = mdb_env_open(store->env, path, MDB_NOMETASYNC, STORE_MODE);
    }
    if (status != 0) {
        failed(err, path, status);
        return NULL;
    }
    struct walk walk = {load_own_blob, store};
    if (open_tables(store, err) != 0 || walk_table(store, store->blobs, &walk, err) != 0) {
        return NULL;
    }
    return SL_TAKE(store);
}

static int
accept_entry(void *arg, const struct sl_store_record *record, struct sl_error *err)
{
    (void)arg;
    (void)record;
    (void)err;
    return 0;
}

// Walks the whole store in a child: LMDB trusts its pages, so damage may end the process.
static bool
holds(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        // Its death is the answer: nobody's handler shall report it.
        static const int deaths[] = {SIGBUS, SIGSEGV, SIGABRT};
        for (size_t i = 0; i < SL_COUNT(deaths); i++) {
            signal(deaths[i], SIG_DFL);
        }
        struct sl_error err;
        struct sl_store *store = open_env(path, &err);
        _exit(store != NULL && sl_store_each(store, accept_entry, NULL, &err) == 0 ? 0 : 1);
    }
    int status = 1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
data_path(const char *path, const char *file, char ret_path[PATH_SIZE])
{
    snprintf(ret_path, PATH_SIZE, "%s/%s", path, file);
}

static void
discard(const char *path)
{
    char file[PATH_SIZE];
    data_path(path, "data.mdb", file);
    unlink(file);
    data_path(path, "lock.mdb", file);
    unlink(file);
}

struct sl_store *
sl_store_open(const char *path, bool *ret_discarded, struct sl_error *err)
{
    make_crc_tables();
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        failed(err, path, errno);
        return NULL;
    }
    char file[PATH_SIZE];
    data_path(path, "data.mdb", file);
    bool broken = access(file, F_OK) == 0 && !holds(path);
    if (broken) {
        discard(path);
    }
    struct sl_store *store = open_env(path, err);
    if (store != NULL && ret_discarded != NULL) {
        *ret_discarded = broken;
    }
    return store;
}

void
sl_store_free(struct sl_store **store)
{
    if (store == NULL || *store == NULL) {
        return;
    }
    sl_store_abort(*store);
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

int
sl_store_begin(struct sl_store *store, bool afresh, struct sl_error *err)
{
    assert(store->change == NULL);
    int status = mdb_txn_begin(store->env, NULL, 0, &store->change);
    if (status != 0) {
        store->change = NULL;
        return failed(err, "begin", status);
    }
    status = afresh ? mdb_drop(store->change, store->entries, 0) : 0;
    return status == 0 ? 0 : failed(err, "empty", status);
}

// The name of an entry; 0 length when it is too long to be one.
static MDB_val
entry_name(const char *kind, const char *key, char ret_text[NAME_MAX_ + 1])
{
    int len = snprintf(ret_text, NAME_MAX_ + 1, "%s/%s", kind, key);
    return (MDB_val){len > 0 && len <= NAME_MAX_ ? (size_t)len : 0, ret_text};
}

int
sl_store_put(struct sl_store *store, const struct sl_store_record *record, struct sl_error *err)
{
    char text[NAME_MAX_ + 1];
    MDB_val name = entry_name(record->kind, record->key, text);
    struct head head = {.min_reader = record->min_reader, .revision = record->revision};
    int status = put_value(store, store->entries, name, head, record->body);
    return status == 0 ? 0 : failed(err, "put", status);
}

int
sl_store_remove(struct sl_store *store, const char *kind, const char *key, struct sl_error *err)
{
    char text[NAME_MAX_ + 1];
    MDB_val name = entry_name(kind, key, text);
    int status = mdb_del(store->change, store->entries, &name, NULL);
    return status == 0 || status == MDB_NOTFOUND ? 0 : failed(err, "remove", status);
}

int
sl_store_put_blob(struct sl_store *store, const char *name, struct sl_str bytes,
                  struct sl_error *err)
{
    char text[NAME_MAX_ + 1];
    int len = snprintf(text, sizeof(text), "%s", name);
    int status =
        put_value(store, store->blobs, (MDB_val){(size_t)len, text}, (struct head){0}, bytes);
    return status == 0 ? 0 : failed(err, "put", status);
}

int
sl_store_remove_blob(struct sl_store *store, const char *name, struct sl_error *err)
{
    char text[NAME_MAX_ + 1];
    int len = snprintf(text, sizeof(text), "%s", name);
    MDB_val key = {(size_t)len, text};
    int status = mdb_del(store->change, store->blobs, &key, NULL);
    return status == 0 || status == MDB_NOTFOUND ? 0 : failed(err, "remove", status);
}

int
sl_store_commit(struct sl_store *store, const char *epoch, uint64_t revision, struct sl_error *err)
{
    struct position position = {.revision = revision};
    snprintf(position.epoch, sizeof(position.epoch), "%s", epoch);
    int status =
        put_value(store, store->blobs, (MDB_val){strlen(HEAD_NAME), HEAD_NAME}, (struct head){0},
                  (struct sl_str){(const char *)&position, sizeof(position)});
    if (status != 0) {
        return failed(err, "head", status);
    }
    MDB_txn *change = SL_TAKE(store->change); // gone whatever the commit answers
    status = mdb_txn_commit(change);
    if (status != 0) {
        return failed(err, "commit", status);
    }
    memcpy(store->epoch, position.epoch, sizeof(store->epoch));
    store->revision = revision;
    return 0;
}

void
sl_store_abort(struct sl_store *store)
{
    if (store->change != NULL) {
        mdb_txn_abort(store->change);
        store->change = NULL;
    }
}
