// db.h - PostgreSQL as our workers use it: a connection a thread, one transaction a command.
//
// The only room that includes libpq-fe.h. Statements are prepared once a connection, by the address
// of their text, which therefore must be a constant (or live as long as the process). All SQL is
// parameterised. A broken connection fails the command with SL_E_UNAVAILABLE and is reopened by
// the next sl_tx_begin.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_DB_DB_H
#define SL_DB_DB_H

#include "common/base/arena.h"

struct sl_db; // one connection; one thread owns it
struct sl_tx; // one open transaction

// One parameter, sent as text (NULL text: SQL NULL) or, for bytes, binary.
struct sl_param {
    const char *text; // terminated
    const void *bytes;
    size_t len; // of bytes
    int64_t integer;
    enum {
        SL_P_IS_NULL,
        SL_P_IS_TEXT,
        SL_P_IS_INT,
        SL_P_IS_BYTES
    } kind;
};
#define SL_P_NULL        ((struct sl_param){.kind = SL_P_IS_NULL})
#define SL_P_TEXT(t)     ((struct sl_param){.kind = SL_P_IS_TEXT, .text = (t)})
#define SL_P_INT(i)      ((struct sl_param){.kind = SL_P_IS_INT, .integer = (int64_t)(i)})
#define SL_P_BYTES(p, n) ((struct sl_param){.kind = SL_P_IS_BYTES, .bytes = (p), .len = (n)})

// A finished result. Freed with the arena that was passed in.
struct sl_rows;

// How a violated constraint becomes an error row: {"throttle_name_key", SL_E_…}. Tables are made
// from the areas' YAML; {.constraint = NULL} ends one.
struct sl_fault {
    const char *constraint; // name as in the migration
    enum sl_code code;      // row that answers it
};

struct sl_db_options {
    const char *conninfo;          // libpq connection string; may name several hosts
    const struct sl_fault *faults; // may be NULL; borrowed
    const char *application;       // shown in pg_stat_activity
};

// Opens a connection (5 s). NULL with *err filled (UNAVAILABLE).
struct sl_db *sl_db_open(const struct sl_db_options *options, struct sl_error *err);
void sl_db_free(struct sl_db **db);

// Begins a READ COMMITTED transaction; BEGIN travels with the first statement. A connection that
// broke is reopened, also when that statement is the first to notice. NULL with *err filled
// (UNAVAILABLE).
struct sl_tx *sl_tx_begin(struct sl_db *db, struct sl_error *err);

// The same for reading only: every statement sees its own snapshot, nothing is to commit.
struct sl_tx *sl_tx_begin_read(struct sl_db *db, struct sl_error *err);

// The same for a statement that changes something and is a transaction of its own. One that met a
// broken connection is sent once more: it must refuse to be done twice.
struct sl_tx *sl_tx_begin_alone(struct sl_db *db, struct sl_error *err);

// The same for reading only by several statements: all see the snapshot of the first.
struct sl_tx *sl_tx_begin_snapshot(struct sl_db *db, struct sl_error *err);

// Commits and frees, in one round trip with what is queued; on failure the transaction is rolled
// back, *err filled. Empties the pointer.
int sl_tx_commit(struct sl_tx **tx, struct sl_error *err) SL_MUST_CHECK;

// Whether a statement was refused: nothing more can be asked in it.
bool sl_tx_is_broken(const struct sl_tx *tx);

// Rolls back when still open, and frees. SL_AUTO(sl_tx) relies on it.
void sl_tx_free(struct sl_tx **tx);

// The parameters of one statement. As a literal: sl_sql(tx, arena, "…", SL_PARAMS(SL_P_TEXT(id),
// SL_P_INT(3)), &rows, err).
struct sl_params {
    const struct sl_param *list; //
    size_t count;                // at most 64
};
#define SL_PARAMS(...)                                                                             \
    ((struct sl_params){(const struct sl_param[]){__VA_ARGS__},                                    \
                        sizeof((const struct sl_param[]){__VA_ARGS__}) / sizeof(struct sl_param)})
#define SL_NO_PARAMS ((struct sl_params){NULL, 0})

// Runs one statement. *ret_rows (may be NULL when not wanted) lives in `arena`. A violated
// constraint becomes its row by the faults table; anything else INTERNAL with SQLSTATE in detail.
// After a refusal the transaction can only be rolled back.
int sl_sql(struct sl_tx *tx, struct sl_arena *arena, const char *sql, struct sl_params params,
           struct sl_rows **ret_rows, struct sl_error *err) SL_MUST_CHECK;

// The same for text built at run time (never from user input): prepared by its content.
int sl_sql_built(struct sl_tx *tx, struct sl_arena *arena, const char *sql, struct sl_params params,
                 struct sl_rows **ret_rows, struct sl_error *err) SL_MUST_CHECK;

// A statement on its way: one that travels, in its place, with the next whose answer is waited for.
struct sl_later;

// Queues one statement, so that several share a round trip; copies the parameters into `arena`.
// ret_later may be NULL when nobody asks for its rows. A refusal of PostgreSQL is answered by
// whatever call takes the statement along: the commit at the latest.
int sl_sql_later(struct sl_tx *tx, struct sl_arena *arena, const char *sql, struct sl_params params,
                 struct sl_later **ret_later, struct sl_error *err) SL_MUST_CHECK;

// The same for text built at run time.
int sl_sql_built_later(struct sl_tx *tx, struct sl_arena *arena, const char *sql,
                       struct sl_params params, struct sl_later **ret_later,
                       struct sl_error *err) SL_MUST_CHECK;

// Waits for a queued statement, and with it for all others in the queue. Its rows live in its
// arena.
int sl_sql_rows(struct sl_later *later, struct sl_rows **ret_rows,
                struct sl_error *err) SL_MUST_CHECK;

size_t sl_rows_count(const struct sl_rows *rows);    // rows returned
size_t sl_rows_affected(const struct sl_rows *rows); // rows inserted, updated or deleted
// Cells: row and column from 0. NULL cells: "" / 0 / false; sl_rows_is_null tells.
bool sl_rows_is_null(const struct sl_rows *rows, size_t row, size_t column);
const char *sl_rows_text(const struct sl_rows *rows, size_t row, size_t column);
int64_t sl_rows_int(const struct sl_rows *rows, size_t row, size_t column);
bool sl_rows_bool(const struct sl_rows *rows, size_t row, size_t column);
// A bytea cell, decoded; memory from the arena of the result.
struct sl_str sl_rows_bytes(const struct sl_rows *rows, size_t row, size_t column);

#endif
