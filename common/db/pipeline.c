// pipeline.c - statements on their way: queued, sent together, answered in order.
//
// What is queued goes out in one write with BEGIN before it and COMMIT or ROLLBACK behind it, where
// they are due, and one sync at its end: one round trip. PostgreSQL skips what follows a refusal.
// BEGIN and its like are prepared as all else: their texts cost more to take in than to run.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/db_internal.h"

#include <stdio.h>
#include <string.h>

#define PARAMS_MAX 64 // of one statement; our widest table has fewer columns
#define INT_TEXT   24 // bytes of an int64_t in decimal

// Parameters as libpq takes them.
struct wire_params {
    const char *values[PARAMS_MAX];     //
    int lengths[PARAMS_MAX];            // of binary values
    int formats[PARAMS_MAX];            // 0 text, 1 binary
    char numbers[PARAMS_MAX][INT_TEXT]; // texts of integers
};

// What goes out with the queue, and what became of it.
struct batch {
    struct sl_tx *tx;       //
    struct sl_later begin;  // goes first; no text: nothing does
    struct sl_later ending; // COMMIT or ROLLBACK behind the queue; no text: neither
    bool begun;             // BEGIN was done
    bool ended;             // the ending was done
};

static void
fill_params(struct wire_params *wire, const struct sl_param *params, size_t count)
{
    assert(count <= PARAMS_MAX);
    for (size_t i = 0; i < count; i++) {
        wire->values[i] = NULL;
        wire->lengths[i] = 0;
        wire->formats[i] = 0;
        switch (params[i].kind) {
        case SL_P_IS_NULL:
            break;
        case SL_P_IS_TEXT:
            wire->values[i] = params[i].text;
            break;
        case SL_P_IS_INT:
            snprintf(wire->numbers[i], INT_TEXT, "%lld", (long long)params[i].integer);
            wire->values[i] = wire->numbers[i];
            break;
        case SL_P_IS_BYTES:
            wire->values[i] = params[i].bytes != NULL ? params[i].bytes : "";
            wire->lengths[i] = (int)params[i].len;
            wire->formats[i] = 1;
            break;
        }
    }
}

static bool
send_statement(const struct sl_later *later)
{
    const struct sl_db *db = later->tx->db;
    struct wire_params wire;
    char name[SL_DB_STATEMENT_NAME];
    int count = (int)later->params.count;
    fill_params(&wire, later->params.list, later->params.count);
    if (later->statement == NULL) {
        return PQsendQueryParams(db->conn, later->sql, count, NULL, wire.values, wire.lengths,
                                 wire.formats, 0) == 1;
    }
    sl_statement_name(db, later->statement, name);
    if (later->prepares && PQsendPrepare(db->conn, name, later->sql, 0, NULL) != 1) {
        return false;
    }
    return PQsendQueryPrepared(db->conn, name, count, wire.values, wire.lengths, wire.formats, 0) ==
           1;
}

static int
find_statement(struct sl_later *later, struct sl_error *err)
{
    if (later->sql == NULL) {
        return 0;
    }
    if (sl_statement_find(later->tx->db, later->sql, later->built, &later->statement, err) != 0) {
        return -1;
    }
    later->prepares = later->statement != NULL && !later->statement->prepared;
    if (later->prepares) {
        later->statement->prepared = true;
    }
    return 0;
}

// Looks up what the server knows of a batch's statements: on each attempt anew, as a new connection
// knows none.
static int
find_statements(struct batch *batch, struct sl_error *err)
{
    struct sl_tx *tx = batch->tx;
    if (find_statement(&batch->begin, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < tx->queued; i++) {
        if (find_statement(tx->queue[i], err) != 0) {
            return -1;
        }
    }
    return find_statement(&batch->ending, err);
}

static bool
send_batch(const struct batch *batch)
{
    const struct sl_tx *tx = batch->tx;
    PGconn *conn = tx->db->conn;
    bool sent = PQpipelineStatus(conn) != PQ_PIPELINE_OFF || PQenterPipelineMode(conn) == 1;
    sent = sent && (batch->begin.sql == NULL || send_statement(&batch->begin));
    for (size_t i = 0; sent && i < tx->queued; i++) {
        sent = send_statement(tx->queue[i]);
    }
    sent = sent && (batch->ending.sql == NULL || send_statement(&batch->ending));
    return sent && PQpipelineSync(conn) == 1;
}

// The result of the next part of a pipeline; NULL when the connection broke.
static PGresult *
next_result(PGconn *conn)
{
    PGresult *result = PQgetResult(conn);
    if (result != NULL) {
        PQclear(PQgetResult(conn)); // the NULL that ends its results
    }
    return result;
}

static bool
is_done(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

// Notes a part's outcome: the first refusal is what *err tells. Answers whether it was done.
static bool
judge(struct sl_tx *tx, const PGresult *result, struct sl_error *err)
{
    if (is_done(result)) {
        return true;
    }
    if (!tx->failed) {
        tx->failed = true;
        sl_fault_fill(tx->db, result, err);
    }
    return false;
}

static void
clear_result(void *result)
{
    PQclear(result);
}

static int
keep_rows(struct sl_later *later, PGresult *result, struct sl_error *err)
{
    if (!later->wanted) {
        PQclear(result);
        return 0;
    }
    if (sl_arena_defer(later->arena, clear_result, result) != 0) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    struct sl_rows *rows = sl_arena_alloc(later->arena, sizeof(*rows));
    if (rows == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    rows->result = result;
    rows->arena = later->arena;
    later->rows = rows;
    return 0;
}

// Takes the answer to the text of a statement, where that went along; false when there is nothing
// more to hear.
static bool
hear_prepared(struct sl_later *later, struct sl_error *err)
{
    if (!later->prepares) {
        return true;
    }
    PGresult *prepared = next_result(later->tx->db->conn);
    if (!judge(later->tx, prepared, err)) {
        later->statement->prepared = false;
    }
    bool heard = prepared != NULL;
    PQclear(prepared);
    return heard;
}

// Takes the answers of one statement; false when there is nothing more to hear.
static bool
hear_statement(struct sl_later *later, struct sl_error *err)
{
    struct sl_tx *tx = later->tx;
    if (!hear_prepared(later, err)) {
        return false;
    }
    PGresult *result = next_result(tx->db->conn);
    if (!judge(tx, result, err)) {
        PQclear(result);
        return result != NULL;
    }
    if (keep_rows(later, result, err) != 0) {
        tx->failed = true;
    }
    return true;
}

// One part of ours, without rows. *ret_result is NULL when it was refused; else the caller's.
static bool
hear_own(struct sl_later *own, PGresult **ret_result, struct sl_error *err)
{
    *ret_result = NULL;
    if (!hear_prepared(own, err)) {
        return false;
    }
    PGresult *result = next_result(own->tx->db->conn);
    if (judge(own->tx, result, err)) {
        *ret_result = result;
        return true;
    }
    bool heard = result != NULL;
    PQclear(result);
    return heard;
}

// A transaction that PostgreSQL had aborted answers ROLLBACK to COMMIT, without an error.
static bool
hear_ending(struct batch *batch, struct sl_error *err)
{
    struct sl_tx *tx = batch->tx;
    PGresult *result = NULL;
    if (!hear_own(&batch->ending, &result, err)) {
        return false;
    }
    if (result == NULL) {
        return true;
    }
    batch->ended = true;
    tx->begun = false;
    if (strcmp(PQcmdStatus(result), batch->ending.sql) != 0) {
        tx->failed = true;
        sl_fail(err, SL_E_INTERNAL);
        sl_error_detail(err, "%s answered %s", batch->ending.sql, PQcmdStatus(result));
    }
    PQclear(result);
    return true;
}

static bool
hear_beginning(struct batch *batch, struct sl_error *err)
{
    struct sl_tx *tx = batch->tx;
    PGresult *result = NULL;
    if (!hear_own(&batch->begin, &result, err)) {
        return false;
    }
    batch->begun = tx->begun = result != NULL;
    PQclear(result);
    return true;
}

// Takes the answers in their order; false when the connection broke or is out of step.
static bool
hear_batch(struct batch *batch, struct sl_error *err)
{
    struct sl_tx *tx = batch->tx;
    PGconn *conn = tx->db->conn;
    if (batch->begin.sql != NULL && !hear_beginning(batch, err)) {
        return false;
    }
    for (size_t i = 0; i < tx->queued; i++) {
        if (!hear_statement(tx->queue[i], err)) {
            return false;
        }
    }
    if (batch->ending.sql != NULL && !hear_ending(batch, err)) {
        return false;
    }
    PGresult *sync = PQgetResult(conn);
    bool synced = PQresultStatus(sync) == PGRES_PIPELINE_SYNC;
    PQclear(sync);
    return synced && PQstatus(conn) == CONNECTION_OK;
}

// Sends one batch and takes its answers. A connection that broke, that is out of step, where not
// even BEGIN was taken (a standby) or that does not roll back is not used again.
static void
exchange(struct batch *batch, struct sl_error *err)
{
    struct sl_tx *tx = batch->tx;
    bool usable = false;
    tx->failed = false;
    if (find_statements(batch, err) != 0) {
        tx->failed = true;
    } else if (send_batch(batch) && hear_batch(batch, err)) {
        const char *ending = batch->ending.sql;
        bool rolls_back = ending != NULL && strcmp(ending, SL_DB_ROLLBACK) == 0;
        usable = (batch->begin.sql == NULL || batch->begun) && (!rolls_back || batch->ended);
    } else {
        judge(tx, NULL, err);
    }
    if (!usable) {
        PQfinish(tx->db->conn);
        tx->db->conn = NULL;
        tx->begun = false;
    }
}

// A connection that the server closed while it lay idle is noticed only by using it: while nothing
// was done in the transaction, and nothing is to commit, the batch goes out once more over a new
// one.
int
sl_pipeline_flush(struct sl_tx *tx, const char *ending, struct sl_error *err)
{
    assert(tx->db != NULL);
    struct batch batch = {.tx = tx,
                          .begin = {.tx = tx, .sql = tx->begun ? NULL : tx->begin},
                          .ending = {.tx = tx, .sql = ending}};
    bool fresh = !tx->begun && ending == NULL;
    exchange(&batch, err);
    if (tx->failed && fresh && tx->db->conn == NULL && sl_db_connect(tx->db, err) == 0) {
        exchange(&batch, err);
    }
    tx->queued = 0;
    return tx->failed ? -1 : 0;
}

// Puts a statement into the queue, which goes out first when it is full.
static int
enqueue(struct sl_later *later, struct sl_error *err)
{
    struct sl_tx *tx = later->tx;
    assert(tx->db != NULL);
    if (tx->failed) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "statement after a refused one");
    }
    if (tx->queued == SL_DB_QUEUE && sl_pipeline_flush(tx, NULL, err) != 0) {
        return -1;
    }
    tx->queue[tx->queued++] = later;
    return 0;
}

static int
run(struct sl_later *later, struct sl_rows **ret_rows, struct sl_error *err)
{
    later->wanted = ret_rows != NULL;
    if (enqueue(later, err) != 0 || sl_pipeline_flush(later->tx, NULL, err) != 0) {
        return -1;
    }
    if (ret_rows != NULL) {
        *ret_rows = later->rows;
    }
    return 0;
}

int
sl_sql(struct sl_tx *tx, struct sl_arena *arena, const char *sql, struct sl_params params,
       struct sl_rows **ret_rows, struct sl_error *err)
{
    struct sl_later later = {.tx = tx, .arena = arena, .sql = sql, .params = params};
    return run(&later, ret_rows, err);
}

int
sl_sql_built(struct sl_tx *tx, struct sl_arena *arena, const char *sql, struct sl_params params,
             struct sl_rows **ret_rows, struct sl_error *err)
{
    struct sl_later later = {.tx = tx, .arena = arena, .sql = sql, .params = params, .built = true};
    return run(&later, ret_rows, err);
}

// A copy that lives as long as the statement waits.
static struct sl_param
keep_param(struct sl_arena *arena, struct sl_param param)
{
    if (param.kind == SL_P_IS_TEXT) {
        param.text = sl_arena_dup(arena, param.text);
    } else if (param.kind == SL_P_IS_BYTES && param.bytes != NULL) {
        param.bytes = sl_arena_dupn(arena, param.bytes, param.len);
    }
    return param;
}

static int
queue_later(const struct sl_later *what, struct sl_later **ret_later, struct sl_error *err)
{
    struct sl_arena *arena = what->arena;
    struct sl_later *later = sl_arena_alloc(arena, sizeof(*later));
    struct sl_param *list = sl_arena_array(arena, what->params.count + 1, sizeof(*list));
    for (size_t i = 0; list != NULL && i < what->params.count; i++) {
        list[i] = keep_param(arena, what->params.list[i]);
    }
    if (later == NULL || sl_arena_check(arena, err) != 0) {
        return -1;
    }
    *later = *what;
    later->params.list = list;
    later->wanted = ret_later != NULL;
    if (enqueue(later, err) != 0) {
        return -1;
    }
    if (ret_later != NULL) {
        *ret_later = later;
    }
    return 0;
}

int
sl_sql_later(struct sl_tx *tx, struct sl_arena *arena, const char *sql, struct sl_params params,
             struct sl_later **ret_later, struct sl_error *err)
{
    struct sl_later later = {.tx = tx, .arena = arena, .sql = sql, .params = params};
    return queue_later(&later, ret_later, err);
}

int
sl_sql_built_later(struct sl_tx *tx, struct sl_arena *arena, const char *sql,
                   struct sl_params params, struct sl_later **ret_later, struct sl_error *err)
{
    struct sl_later later = {.tx = tx, .arena = arena, .sql = sql, .params = params, .built = true};
    return queue_later(&later, ret_later, err);
}

int
sl_sql_rows(struct sl_later *later, struct sl_rows **ret_rows, struct sl_error *err)
{
    struct sl_tx *tx = later->tx;
    if (later->rows == NULL && tx->failed) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "statement after a refused one");
    }
    if (later->rows == NULL && sl_pipeline_flush(tx, NULL, err) != 0) {
        return -1;
    }
    *ret_rows = later->rows;
    return 0;
}
