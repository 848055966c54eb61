// db_internal.h - what db.c, tx.c and fault.c share; nobody else includes it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_DB_DB_INTERNAL_H
#define SL_DB_DB_INTERNAL_H

#include "common/db/db.h"

#include <libpq-fe.h>

#define SL_DB_STATEMENT_NAME 32   // bytes of a prepared statement's name
#define SL_DB_STATEMENTS     1024 // prepared statements of one connection, a power of two

// One prepared statement. Constant texts are known by address, built ones by content.
struct sl_statement {
    const char *address; // of the constant text; NULL for a built one
    char *text;          // copy of a built text; NULL for a constant one
};

struct sl_tx {
    struct sl_db *db; // NULL when no transaction is open
    bool begun;       // BEGIN was sent, with the first statement
    bool single;      // each statement is its own transaction
    bool failed;      // a statement was refused: only a rollback can follow
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

// Finds or makes the prepared statement of `sql`; `built` texts are compared by content. Writes its
// name, or "" when the table is full and the text must be sent whole. -1 with *err filled when
// PostgreSQL refuses the text.
int sl_statement_prepare(struct sl_db *db, const char *sql, bool built,
                         char ret_name[SL_DB_STATEMENT_NAME], struct sl_error *err) SL_MUST_CHECK;

// Forgets all prepared statements, as a new connection knows none.
void sl_statement_forget(struct sl_db *db);

// Turns a refused result (or, with NULL, the connection's state) into *err; is always -1.
int sl_fault_fill(const struct sl_db *db, const PGresult *result, struct sl_error *err);

#endif
