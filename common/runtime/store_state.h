// store_state.h - what the files of the store share; no one else includes it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_STORE_STATE_H
#define SL_RUNTIME_STORE_STATE_H

#include <lmdb.h>

#include "common/runtime/store.h"

#define STORE_NAME_MAX  (32 + 1 + SL_KEY_MAX) // "<kind>/<key>"
#define STORE_PATH_MAX  4096
#define STORE_BLOBS_MAX 1000 // ours are a handful
#define STORE_HEAD      "head"
#define STORE_FORMAT    "format"

// What a table holds in all: LMDB checks no page, so a value that a damaged page hides is told by
// what is missing here.
struct store_tally {
    uint64_t count; // values
    uint64_t sum;   // of their CRCs
};

// The tables.
enum {
    STORE_ENTRIES, // "<kind>/<key>" → struct store_head, body
    STORE_BLOBS,   // name → struct store_head, bytes; our own names are not in the tally
    STORE_TABLES,
};

// A file in the making that takes the store's place. A copy: pages that can be read may still break
// who writes on, so changes to a store that was found go to a file of this process's own. Or what
// replaces all entries: then it begins with the blobs alone.
struct store_copy {
    struct sl_store *to;       // NULL: none is being made
    int table;                 // in hand; STORE_TABLES: all is there
    char name[STORE_NAME_MAX]; // of its value that was copied last
    size_t name_size;          // 0: none was
    uint64_t count;            // values copied or, of a fresh one, put
    uint64_t most;             // that there can be: a damaged page may lead in a circle
    bool is_fresh;             // the open change is its, and makes it the store
};

struct sl_store {
    char path[STORE_PATH_MAX];                     // of its directory
    MDB_env *env;                                  //
    MDB_dbi tables[STORE_TABLES];                  //
    MDB_txn *change;                               // NULL: none is open
    struct store_tally tally[STORE_TABLES];        // committed
    struct store_tally change_tally[STORE_TABLES]; // with the open change
    char epoch[SL_ID_SIZE];                        //
    uint64_t revision;                             //
    bool has_format;                               // the blob was there
    bool is_ours;                                  // this process wrote the whole file
    struct store_copy copy;                        // of one that is not
};

// What stands before every value.
struct store_head {
    uint32_t crc;        // CRC-32C of the name and of all that follows this field
    uint32_t min_reader; //
    uint64_t revision;   //
};

// The value of STORE_HEAD.
struct store_position {
    char epoch[SL_ID_SIZE];
    char pad[7];
    uint64_t revision;
    struct store_tally tally[STORE_TABLES];
};

// -- store_value.c

// Fills *err from LMDB's (or errno's) number; always -1.
int store_failed(struct sl_error *err, const char *what, int status);

// CRC-32C (Castagnoli), going on from `crc`; 0 begins one.
uint32_t store_crc32c(uint32_t crc, const void *bytes, size_t len);

// Whether a name is one of the two of ours.
bool store_is_own(int table, MDB_val name);

// The name of an entry, in `ret_text`; length 0 when it is too long to be one.
MDB_val store_entry_name(const char *kind, const char *key, char ret_text[STORE_NAME_MAX + 1]);
// The name of a value as text; false when it is too long.
bool store_name_text(MDB_val name, char ret_text[STORE_NAME_MAX + 1]);

// Writes head and body under a name, or removes what is there, in the open change and its tally.
// LMDB's number.
int store_put_value(struct sl_store *store, int table, MDB_val name, struct store_head head,
                    struct sl_str body);
int store_remove_value(struct sl_store *store, int table, MDB_val name);

// Calls `fn` for every value of a table behind the name `after`, checked. `fn` answers 0 to go on,
// 1 when it has enough, -1 with *err filled.
struct store_walk {
    int (*fn)(void *arg, MDB_val name, const struct store_head *head, struct sl_str body,
              struct sl_error *err);
    void *arg;
    MDB_val after; // mv_size 0: from the first one
    uint64_t most; // values that there can be: a damaged page may lead in a circle
};
int store_walk_table(struct sl_store *store, int table, const struct store_walk *walk,
                     struct sl_error *err) SL_MUST_CHECK;

// -- store_open.c

// Makes the file one of this process's own: copies what is missing and puts the copy in its place.
int store_own(struct sl_store *store, struct sl_error *err) SL_MUST_CHECK;

// Begins a fresh file, with the blobs alone, for a change that replaces all entries.
int store_refresh(struct sl_store *store, struct sl_error *err) SL_MUST_CHECK;
// Puts it, on disk as it is, in the place of the store's file.
int store_adopt(struct sl_store *store, struct sl_error *err) SL_MUST_CHECK;

// Gives up a file in the making; nothing to do without one.
void store_copy_drop(struct sl_store *store);

#endif
