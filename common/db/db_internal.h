// db_internal.h - what the files of this room share; nobody else includes it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_DB_DB_INTERNAL_H
#define SL_DB_DB_INTERNAL_H

#include "common/db/db.h"

#include <libpq-fe.h>

#define SL_DB_STATEMENT_NAME 32   // bytes of a prepared statement's name
#define SL_DB_STATEMENTS     1024 // prepared statements of one connection, a power of two

#define SL_DB_QUEUE    16 // statements that travel together
#define SL_DB_COMMIT   "COMMIT"
#define SL_DB_ROLLBACK "ROLLBACK"

// One prepared statement. Constant texts are known by address, built ones by content.
struct sl_statement {
    const char *address; // of the constant text; NULL for a built one
    char *text;          // copy of a built text; NULL for a constant one
    bool prepared;       // the server knows it, or is told on the way
};

struct sl_tx {
    struct sl_db *db;                    // NULL when no transaction is open
    bool begun;                          // BEGIN was done, with the first statement
    const char *begin;                   // its first statement; NULL: each is its own transaction
    bool failed;                         // a statement was refused: only a rollback can follow
    struct sl_later *queue[SL_DB_QUEUE]; // statements that have not travelled, in order
    size_t queued;                       //
};

struct sl_later {
    struct sl_tx *tx;               //
    struct sl_arena *arena;         // of the rows
    const char *sql;                //
    struct sl_params params;        //
    struct sl_statement *statement; // NULL: the text is sent whole
    struct sl_rows *rows;           // NULL until it has travelled, or when nobody asks for them
    bool built;                     // the text is known by its content
    bool prepares;                  // it is the one that tells the server its text
    bool wanted;                    // somebody asks for the rows
};

struct sl_db {
    PGconn *conn;                                     // NULL before the first connection
    char *conninfo;                                   // copy
    char *application;                                // copy
    const struct sl_fault *faults;                    // borrowed; may be NULL
    struct sl_tx tx;                                  // the one transaction
    struct sl_statement statements[SL_DB_STATEMENTS]; // open addressing
    size_t statement_count;                           // entries in use
};

struct sl_rows {
    PGresult *result;       // freed with the arena
    struct sl_arena *arena; // for decoded cells
};

// Opens the connection anew; forgets all prepared statements.
int sl_db_connect(struct sl_db *db, struct sl_error *err) SL_MUST_CHECK;

// Finds or makes the entry of `sql`; `built` texts are compared by content. *ret_statement is NULL
// when the table is full and the text must be sent whole.
int sl_statement_find(struct sl_db *db, const char *sql, bool built,
                      struct sl_statement **ret_statement, struct sl_error *err) SL_MUST_CHECK;

// The name that the server knows it by.
void sl_statement_name(const struct sl_db *db, const struct sl_statement *statement,
                       char ret_name[SL_DB_STATEMENT_NAME]);

// Forgets all prepared statements, as a new connection knows none.
void sl_statement_forget(struct sl_db *db);

// Sends what is queued, then `ending` (SL_DB_COMMIT or SL_DB_ROLLBACK; NULL: the transaction goes
// on), and waits for all answers. *err tells what the first that was refused was refused for.
int sl_pipeline_flush(struct sl_tx *tx, const char *ending, struct sl_error *err) SL_MUST_CHECK;

// Turns a refused result (or, with NULL, the connection's state) into *err; is always -1.
int sl_fault_fill(const struct sl_db *db, const PGresult *result, struct sl_error *err);

#endif
