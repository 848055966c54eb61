// store_open.c - opening a store: checking what is there, and putting a file of our own in its
// place.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/store_state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STORE_MAX   ((size_t)16 * 1024 * 1024 * 1024) // address space, not disk
#define CHECK_S     30                                // a check that takes longer found damage
#define STORE_MODE  0600
#define WRITING     MDB_NOMETASYNC // how a store is opened
#define FORMAT_TEXT "2"
#define COPY_STEP   1000 // values of one step of a copy
#define LOCK_SIZE   8192 // bytes of LMDB's lock file

static int
load_own_blob(void *arg, MDB_val name, const struct store_head *head, struct sl_str body,
              struct sl_error *err)
{
    (void)head;
    struct sl_store *store = arg;
    char text[STORE_NAME_MAX + 1];
    if (!store_name_text(name, text)) {
        return store_failed(err, "a name does not hold", EIO);
    }
    if (strcmp(text, STORE_FORMAT) == 0) {
        store->has_format = sl_str_equal(body, SL_STR(FORMAT_TEXT));
    }
    struct store_position position;
    if (strcmp(text, STORE_HEAD) == 0) {
        if (body.len != sizeof(position)) {
            return store_failed(err, "the head does not hold", EIO);
        }
        memcpy(&position, body.ptr, sizeof(position));
        snprintf(store->epoch, sizeof(store->epoch), "%.*s", SL_ID_LEN, position.epoch);
        store->revision = position.revision;
        memcpy(store->tally, position.tally, sizeof(store->tally));
    }
    return 0;
}

static int
make_tables(struct sl_store *store, struct sl_error *err)
{
    MDB_txn *txn = NULL;
    int status = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (status != 0) {
        return store_failed(err, "begin", status);
    }
    status = mdb_dbi_open(txn, "entries", MDB_CREATE, &store->tables[STORE_ENTRIES]);
    if (status == 0) {
        status = mdb_dbi_open(txn, "blobs", MDB_CREATE, &store->tables[STORE_BLOBS]);
    }
    if (status == 0) {
        store->change = txn;
        status = store_put_value(store, STORE_BLOBS, (MDB_val){strlen(STORE_FORMAT), STORE_FORMAT},
                                 (struct store_head){0}, SL_STR(FORMAT_TEXT));
        store->change = NULL;
    }
    if (status != 0) {
        mdb_txn_abort(txn);
        return store_failed(err, "tables", status);
    }
    status = mdb_txn_commit(txn);
    return status == 0 ? 0 : store_failed(err, "commit", status);
}

// Opens what is there without a write: a node starts on a full disk too.
static int
open_tables(struct sl_store *store, struct sl_error *err)
{
    MDB_txn *txn = NULL;
    int status = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (status != 0) {
        return store_failed(err, "begin", status);
    }
    status = mdb_dbi_open(txn, "entries", 0, &store->tables[STORE_ENTRIES]);
    if (status == 0) {
        status = mdb_dbi_open(txn, "blobs", 0, &store->tables[STORE_BLOBS]);
    }
    if (status != 0) {
        mdb_txn_abort(txn);
        return status == MDB_NOTFOUND ? make_tables(store, err)
                                      : store_failed(err, "tables", status);
    }
    status = mdb_txn_commit(txn); // keeps the handles
    return status == 0 ? 0 : store_failed(err, "tables", status);
}

// LMDB writes its lock file through a mapping: where the disk has no room for that page, the
// process would end by SIGBUS. So the room is taken first; a file that an earlier start made has
// what it needs.
static int
reserve_lock(const char *path)
{
    char name[STORE_PATH_MAX + sizeof("/lock.mdb")];
    struct stat info;
    snprintf(name, sizeof(name), "%s/lock.mdb", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, STORE_MODE);
    if (fd < 0) {
        return errno == EROFS ? 0 : errno; // nobody writes there
    }
    bool was_there = fstat(fd, &info) == 0 && info.st_size > 0;
    int status = posix_fallocate(fd, 0, LOCK_SIZE);
    close(fd);
    return was_there ? 0 : status;
}

static struct sl_store *
open_env(const char *path, unsigned flags, struct sl_error *err)
{
    size_t path_size = strlen(path) + 1;
    if (path_size > STORE_PATH_MAX) {
        store_failed(err, "path", ENAMETOOLONG);
        return NULL;
    }
    SL_AUTO(sl_store) store = calloc(1, sizeof(*store));
    if (store == NULL) {
        store_failed(err, "open", ENOMEM);
        return NULL;
    }
    memcpy(store->path, path, path_size);
    store->is_ours = flags == WRITING;
    int status = mdb_env_create(&store->env);
    if (status == 0) {
        status = reserve_lock(path);
    }
    if (status == 0) {
        status = mdb_env_set_mapsize(store->env, STORE_MAX);
    }
    if (status == 0) {
        status = mdb_env_set_maxdbs(store->env, 2);
    }
    if (status == 0) {
        status = mdb_env_open(store->env, path, flags, STORE_MODE);
    }
    if (status != 0) {
        store_failed(err, path, status);
        return NULL;
    }
    MDB_stat shape;
    if (mdb_env_stat(store->env, &shape) != 0 ||
        shape.ms_psize != (unsigned)sysconf(_SC_PAGESIZE)) {
        store_failed(err, "pages of another size", EIO);
        return NULL;
    }
    struct store_walk walk = {.fn = load_own_blob, .arg = store, .most = STORE_BLOBS_MAX};
    if (open_tables(store, err) != 0 || store_walk_table(store, STORE_BLOBS, &walk, err) != 0) {
        return NULL;
    }
    if (!store->has_format) {
        store_failed(err, "another format", EIO);
        return NULL;
    }
    return SL_TAKE(store);
}

// Adds up a table; what stands in it is checked on the way.
struct adding {
    int table;
    struct store_tally tally;
};

static int
add_up(void *arg, MDB_val name, const struct store_head *head, struct sl_str body,
       struct sl_error *err)
{
    (void)body;
    (void)err;
    struct adding *adding = arg;
    if (!store_is_own(adding->table, name)) {
        adding->tally.count++;
        adding->tally.sum += head->crc;
    }
    return 0;
}

static bool
adds_up(struct sl_store *store, int table)
{
    struct sl_error err;
    struct adding adding = {.table = table};
    uint64_t most = table == STORE_BLOBS ? STORE_BLOBS_MAX : store->tally[STORE_ENTRIES].count;
    struct store_walk walk = {.fn = add_up, .arg = &adding, .most = most};
    return store_walk_table(store, table, &walk, &err) == 0 &&
           memcmp(&adding.tally, &store->tally[table], sizeof(adding.tally)) == 0;
}

// Walks the whole store in a child: LMDB trusts its pages, so damage may end the process.
static bool
holds(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        // Its death is the answer: nobody's handler shall report it.
        static const int deaths[] = {SIGBUS, SIGSEGV, SIGABRT, SIGFPE, SIGALRM};
        for (size_t i = 0; i < SL_COUNT(deaths); i++) {
            signal(deaths[i], SIG_DFL);
        }
        alarm(CHECK_S);
        struct sl_error err;
        struct sl_store *store = open_env(path, MDB_RDONLY, &err);
        _exit(store != NULL && adds_up(store, STORE_ENTRIES) && adds_up(store, STORE_BLOBS) ? 0
                                                                                            : 1);
    }
    int status = 1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Removes a store's files; what is not there is gone already.
static void
remove_files(const char *path)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    for (size_t i = 0; i < SL_COUNT(files); i++) {
        char file[STORE_PATH_MAX + 16];
        snprintf(file, sizeof(file), "%s/%s", path, files[i]);
        unlink(file);
    }
}

// What is there is read only: changes go to a copy (sl_store_ready), or to a file begun here.
struct sl_store *
sl_store_open(const char *path, bool *ret_discarded, struct sl_error *err)
{
    char file[STORE_PATH_MAX + 16];
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        store_failed(err, path, errno);
        return NULL;
    }
    snprintf(file, sizeof(file), "%s/data.mdb", path);
    bool exists = access(file, F_OK) == 0;
    bool broken = exists && !holds(path);
    if (broken) {
        remove_files(path);
    }
    struct sl_store *store = open_env(path, exists && !broken ? MDB_RDONLY : WRITING, err);
    if (store != NULL && ret_discarded != NULL) {
        *ret_discarded = broken;
    }
    return store;
}

struct sl_store *
sl_store_open_read(const char *path, struct sl_error *err)
{
    return open_env(path, MDB_RDONLY, err);
}

// -- a file of our own

static int
copy_one(void *arg, MDB_val name, const struct store_head *head, struct sl_str body,
         struct sl_error *err)
{
    struct store_copy *copy = arg;
    if (name.mv_size > sizeof(copy->name) || copy->count == copy->most) {
        return store_failed(err, "a name does not hold", EIO);
    }
    int status = store_put_value(copy->to, copy->table, name, *head, body);
    if (status != 0) {
        return store_failed(err, "copy", status);
    }
    memcpy(copy->name, name.mv_data, name.mv_size);
    copy->name_size = name.mv_size;
    return ++copy->count % COPY_STEP == 0 ? 1 : 0;
}

// Copies from where the step before ended until it has enough, or has it all.
static int
copy_some(struct sl_store *from, struct sl_error *err)
{
    struct store_copy *copy = &from->copy;
    while (copy->table < STORE_TABLES) {
        uint64_t before = copy->count;
        struct store_walk walk = {.fn = copy_one,
                                  .arg = copy,
                                  .after = {copy->name_size, copy->name},
                                  .most = copy->most};
        if (store_walk_table(from, copy->table, &walk, err) != 0) {
            return -1;
        }
        if (copy->count > before && copy->count % COPY_STEP == 0) {
            return 0;
        }
        copy->table++;
        copy->name_size = 0;
    }
    return 0;
}

// One transaction: like all that is long, a copy has many small ones.
static int
copy_step(struct sl_store *from, struct sl_error *err)
{
    struct sl_store *to = from->copy.to;
    int status = mdb_txn_begin(to->env, NULL, 0, &to->change);
    if (status != 0) {
        to->change = NULL;
        return store_failed(err, "begin", status);
    }
    if (copy_some(from, err) != 0) {
        return -1;
    }
    MDB_txn *change = SL_TAKE(to->change); // gone whatever the commit answers
    status = mdb_txn_commit(change);
    return status == 0 ? 0 : store_failed(err, "commit", status);
}

// Moves a store's files one directory up, over those that are there; an open store goes on.
static int
move_up(const char *from, const char *to, struct sl_error *err)
{
    static const char *const files[] = {"lock.mdb", "data.mdb"};
    for (size_t i = 0; i < SL_COUNT(files); i++) {
        char old[STORE_PATH_MAX + 16];
        char new[STORE_PATH_MAX + 16];
        snprintf(old, sizeof(old), "%s/%s", from, files[i]);
        snprintf(new, sizeof(new), "%s/%s", to, files[i]);
        if (rename(old, new) != 0) {
            return store_failed(err, new, errno);
        }
    }
    rmdir(from);
    return 0;
}

static int
copy_path(const struct sl_store *store, char ret_path[STORE_PATH_MAX], struct sl_error *err)
{
    int len = snprintf(ret_path, STORE_PATH_MAX, "%s/new", store->path);
    return len < STORE_PATH_MAX ? 0 : store_failed(err, "path", ENAMETOOLONG);
}

static int
copy_begin(struct sl_store *store, struct sl_error *err)
{
    char path[STORE_PATH_MAX];
    if (copy_path(store, path, err) != 0) {
        return -1;
    }
    remove_files(path); // of one that did not come to its end
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return store_failed(err, path, errno);
    }
    store->copy = (struct store_copy){.to = open_env(path, WRITING, err),
                                      .most = store->tally[STORE_ENTRIES].count + STORE_BLOBS_MAX};
    return store->copy.to == NULL ? -1 : 0;
}

static int
copy_adopt(struct sl_store *store, struct sl_error *err)
{
    char path[STORE_PATH_MAX];
    if (copy_path(store, path, err) != 0 || move_up(path, store->path, err) != 0) {
        return -1;
    }
    struct sl_store *copy = store->copy.to;
    MDB_env *old = store->env;
    store->env = copy->env;
    memcpy(store->tables, copy->tables, sizeof(store->tables));
    copy->env = old;
    store->is_ours = true;
    store->copy.is_fresh = false;
    sl_store_free(&store->copy.to); // and the old file with it
    return 0;
}

void
store_copy_drop(struct sl_store *store)
{
    char path[STORE_PATH_MAX];
    struct sl_error err;
    if (store->copy.to == NULL) {
        return;
    }
    sl_store_free(&store->copy.to);
    store->copy.is_fresh = false;
    if (copy_path(store, path, &err) == 0) {
        remove_files(path);
        rmdir(path);
    }
}

// Whether nothing is left to copy.
static bool
is_copied(const struct sl_store *store)
{
    return store->is_ours || (store->copy.to != NULL && store->copy.table == STORE_TABLES);
}

int
sl_store_ready(struct sl_store *store, bool *ret_ready, struct sl_error *err)
{
    if (!is_copied(store) &&
        ((store->copy.to == NULL && copy_begin(store, err) != 0) || copy_step(store, err) != 0)) {
        store_copy_drop(store);
        return -1;
    }
    *ret_ready = is_copied(store);
    return 0;
}

int
store_own(struct sl_store *store, struct sl_error *err)
{
    for (bool ready = false; !ready;) {
        if (sl_store_ready(store, &ready, err) != 0) {
            return -1;
        }
    }
    if (store->is_ours) {
        return 0;
    }
    if (copy_adopt(store, err) != 0) {
        store_copy_drop(store);
        return -1;
    }
    return 0;
}

int
store_refresh(struct sl_store *store, struct sl_error *err)
{
    store_copy_drop(store);
    if (copy_begin(store, err) != 0) {
        return -1;
    }
    store->copy.table = STORE_BLOBS;
    while (store->copy.table < STORE_TABLES) {
        if (copy_step(store, err) != 0) {
            store_copy_drop(store);
            return -1;
        }
    }
    store->copy.is_fresh = true;
    // Nobody reads it before store_adopt().
    int status = mdb_env_set_flags(store->copy.to->env, MDB_NOSYNC, 1);
    return status == 0 ? 0 : store_failed(err, "flags", status);
}

int
store_adopt(struct sl_store *store, struct sl_error *err)
{
    MDB_env *env = store->copy.to->env;
    int status = mdb_env_sync(env, 1);
    if (status == 0) {
        status = mdb_env_set_flags(env, MDB_NOSYNC, 0);
    }
    return status == 0 ? copy_adopt(store, err) : store_failed(err, "sync", status);
}
