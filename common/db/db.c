// db.c - see db.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/db_internal.h"

#include <stdlib.h>
#include <string.h>

// A statement that runs longer than any command may live is cancelled by the server, and a
// transaction whose worker stopped between two statements, or lost its network, gives its locks
// back: others wait for them. What a command reads lies in memory, so that a row by an index costs
// little more than one of a table read through; and compiling a plan takes longer than any of ours
// runs, while a plan for every value of its parameters is often guessed to be dear enough for it.
#define SESSION_OPTIONS                                                                            \
    "-c statement_timeout=15000 -c idle_in_transaction_session_timeout=5000 -c TimeZone=UTC "      \
    "-c client_min_messages=warning -c random_page_cost=1.1 -c jit=off"

static void
ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

int
sl_db_connect(struct sl_db *db, struct sl_error *err)
{
    const char *const session = SESSION_OPTIONS;
    // A later word wins: what stands before dbname is a default that the settings may change. A
    // server that fell silent, or its host, is given up after 5 s: with several in the settings
    // the next command then finds another.
    const char *const names[] = {"connect_timeout",  "tcp_user_timeout",
                                 "keepalives_idle",  "keepalives_interval",
                                 "keepalives_count", "dbname",
                                 "application_name", "options",
                                 "client_encoding",  NULL};
    const char *const values[] = {"3",          "5000",          "2",     "1",    "3",
                                  db->conninfo, db->application, session, "UTF8", NULL};
    if (db->conn != NULL) {
        PQfinish(db->conn);
    }
    sl_statement_forget(db);
    db->conn = PQconnectdbParams(names, values, 1);
    if (PQstatus(db->conn) != CONNECTION_OK) {
        return sl_fault_fill(db, NULL, err);
    }
    PQsetNoticeReceiver(db->conn, ignore_notice, NULL);
    return 0;
}

static int
fill_db(struct sl_db *db, const struct sl_db_options *options, struct sl_error *err)
{
    db->conninfo = strdup(options->conninfo);
    db->application = strdup(options->application != NULL ? options->application : "sluice");
    db->faults = options->faults;
    if (db->conninfo == NULL || db->application == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    return sl_db_connect(db, err);
}

struct sl_db *
sl_db_open(const struct sl_db_options *options, struct sl_error *err)
{
    struct sl_db *db = calloc(1, sizeof(*db));
    if (db == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    if (fill_db(db, options, err) != 0) {
        sl_db_free(&db);
    }
    return db;
}

void
sl_db_free(struct sl_db **db)
{
    if (db == NULL || *db == NULL) {
        return;
    }
    sl_statement_forget(*db);
    PQfinish((*db)->conn);
    free((*db)->conninfo);
    free((*db)->application);
    free(*db);
    *db = NULL;
}

static struct sl_tx *
open_tx(struct sl_db *db, const char *begin, struct sl_error *err)
{
    assert(db->tx.db == NULL);
    if (db->conn == NULL || PQstatus(db->conn) != CONNECTION_OK) {
        if (sl_db_connect(db, err) != 0) {
            return NULL;
        }
    }
    db->tx = (struct sl_tx){.db = db, .begin = begin};
    return &db->tx;
}

struct sl_tx *
sl_tx_begin(struct sl_db *db, struct sl_error *err)
{
    return open_tx(db, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", err);
}

struct sl_tx *
sl_tx_begin_read(struct sl_db *db, struct sl_error *err)
{
    return open_tx(db, NULL, err);
}

struct sl_tx *
sl_tx_begin_alone(struct sl_db *db, struct sl_error *err)
{
    return open_tx(db, NULL, err);
}

struct sl_tx *
sl_tx_begin_snapshot(struct sl_db *db, struct sl_error *err)
{
    return open_tx(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
}

int
sl_tx_commit(struct sl_tx **tx, struct sl_error *err)
{
    struct sl_tx *open = SL_TAKE(*tx);
    assert(open != NULL && open->db != NULL);
    if (open->failed) {
        sl_tx_free(&open);
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "commit after a refused statement");
    }
    // Nothing is sent when nothing was done.
    bool empty = !open->begun && open->queued == 0;
    int rc = empty ? 0 : sl_pipeline_flush(open, open->begin == NULL ? NULL : SL_DB_COMMIT, err);
    sl_tx_free(&open);
    return rc;
}

bool
sl_tx_is_broken(const struct sl_tx *tx)
{
    return tx->failed;
}

void
sl_tx_free(struct sl_tx **tx)
{
    if (tx == NULL || *tx == NULL) {
        return;
    }
    struct sl_error ignored;
    struct sl_tx *open = SL_TAKE(*tx);
    if (open->db != NULL && open->begun) {
        open->queued = 0;
        // A connection that cannot even roll back is dropped by the attempt.
        (void)!sl_pipeline_flush(open, SL_DB_ROLLBACK, &ignored);
    }
    open->db = NULL;
}
