// rows.c - running one statement and reading its cells.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/db_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARAMS_MAX 64 // of one statement; our widest table has fewer columns
#define BEGIN_SQL  "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
#define INT_TEXT   24 // bytes of an int64_t in decimal

// Parameters as libpq takes them.
struct wire_params {
    const char *values[PARAMS_MAX];     //
    int lengths[PARAMS_MAX];            // of binary values
    int formats[PARAMS_MAX];            // 0 text, 1 binary
    char numbers[PARAMS_MAX][INT_TEXT]; // texts of integers
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

static void
clear_result(void *result)
{
    PQclear(result);
}

static int
keep_rows(PGresult *result, struct sl_arena *arena, struct sl_rows **ret_rows, struct sl_error *err)
{
    if (ret_rows == NULL) {
        PQclear(result);
        return 0;
    }
    if (sl_arena_defer(arena, clear_result, result) != 0) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    struct sl_rows *rows = sl_arena_alloc(arena, sizeof(*rows));
    if (rows == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    rows->result = result;
    rows->arena = arena;
    *ret_rows = rows;
    return 0;
}

// One statement as libpq takes it.
struct statement {
    const char *sql;                 // its text
    char name[SL_DB_STATEMENT_NAME]; // prepared under; "" sends the text
    const struct wire_params *wire;  //
    int count;                       // of parameters
};

static bool
send_statement(PGconn *conn, const struct statement *s)
{
    const char *const *values = s->wire->values;
    const int *lengths = s->wire->lengths;
    const int *formats = s->wire->formats;
    if (s->name[0] == '\0') {
        return PQsendQueryParams(conn, s->sql, s->count, NULL, values, lengths, formats, 0) == 1;
    }
    return PQsendQueryPrepared(conn, s->name, s->count, values, lengths, formats, 0) == 1;
}

// The result of the next query of a pipeline; NULL when the connection broke.
static PGresult *
next_result(PGconn *conn)
{
    PGresult *result = PQgetResult(conn);
    if (result != NULL) {
        PQclear(PQgetResult(conn)); // the NULL that ends its results
    }
    return result;
}

// BEGIN and the first statement in one round trip. The answer is the statement's, or what refused
// BEGIN.
static PGresult *
execute_first(struct sl_tx *tx, const struct statement *s)
{
    PGconn *conn = tx->db->conn;
    if (PQenterPipelineMode(conn) != 1 ||
        PQsendQueryParams(conn, BEGIN_SQL, 0, NULL, NULL, NULL, NULL, 0) != 1 ||
        !send_statement(conn, s) || PQpipelineSync(conn) != 1) {
        return NULL;
    }
    PGresult *begun = next_result(conn);
    PGresult *result = next_result(conn);
    PQclear(PQgetResult(conn)); // the sync
    tx->begun = PQresultStatus(begun) == PGRES_COMMAND_OK;
    PGresult *kept = tx->begun ? result : begun;
    PQclear(tx->begun ? begun : result);
    if (PQexitPipelineMode(conn) != 1) {
        PQclear(kept);
        return NULL;
    }
    return kept;
}

static PGresult *
execute(struct sl_tx *tx, const struct statement *s)
{
    PGconn *conn = tx->db->conn;
    if (!tx->begun && !tx->single) {
        return execute_first(tx, s);
    }
    return send_statement(conn, s) ? next_result(conn) : NULL;
}

static bool
is_done(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

// A connection that broke, that is out of step, or where not even BEGIN was taken (a standby) is
// not used again.
static void
drop_connection(struct sl_tx *tx)
{
    PQfinish(tx->db->conn);
    tx->db->conn = NULL;
    tx->begun = false;
}

static PGresult *
prepare_and_execute(struct sl_tx *tx, struct statement *s, bool built, struct sl_error *err)
{
    if (sl_statement_prepare(tx->db, s->sql, built, s->name, err) != 0) {
        return NULL;
    }
    PGresult *result = execute(tx, s);
    if (is_done(result)) {
        return result;
    }
    sl_fault_fill(tx->db, result, err);
    if (result == NULL || PQstatus(tx->db->conn) != CONNECTION_OK || (!tx->begun && !tx->single)) {
        drop_connection(tx);
    }
    PQclear(result);
    return NULL;
}

// The result of one statement, or NULL with *err filled. A connection that the server closed while
// it lay idle is noticed only by using it: while nothing was done in the transaction, the statement
// goes out once more over a new one.
static PGresult *
run(struct sl_tx *tx, const char *sql, bool built, struct sl_params params, struct sl_error *err)
{
    assert(tx->db != NULL);
    struct wire_params wire;
    struct statement s = {.sql = sql, .wire = &wire, .count = (int)params.count};
    bool fresh = !tx->begun;
    if (tx->failed) {
        sl_fail(err, SL_E_INTERNAL);
        sl_error_detail(err, "statement after a refused one");
        return NULL;
    }
    fill_params(&wire, params.list, params.count);
    PGresult *result = prepare_and_execute(tx, &s, built, err);
    if (result == NULL && fresh && PQstatus(tx->db->conn) != CONNECTION_OK) {
        if (sl_db_connect(tx->db, err) == 0) {
            result = prepare_and_execute(tx, &s, built, err);
        }
    }
    if (result == NULL) {
        tx->failed = true;
    }
    return result;
}

int
sl_sql(struct sl_tx *tx, struct sl_arena *arena, const char *sql, struct sl_params params,
       struct sl_rows **ret_rows, struct sl_error *err)
{
    PGresult *result = run(tx, sql, false, params, err);
    return result != NULL ? keep_rows(result, arena, ret_rows, err) : -1;
}

int
sl_sql_built(struct sl_tx *tx, struct sl_arena *arena, const char *sql, struct sl_params params,
             struct sl_rows **ret_rows, struct sl_error *err)
{
    PGresult *result = run(tx, sql, true, params, err);
    return result != NULL ? keep_rows(result, arena, ret_rows, err) : -1;
}

size_t
sl_rows_count(const struct sl_rows *rows)
{
    return (size_t)PQntuples(rows->result);
}

size_t
sl_rows_affected(const struct sl_rows *rows)
{
    return (size_t)strtoull(PQcmdTuples(rows->result), NULL, 10);
}

bool
sl_rows_is_null(const struct sl_rows *rows, size_t row, size_t column)
{
    return PQgetisnull(rows->result, (int)row, (int)column) != 0;
}

const char *
sl_rows_text(const struct sl_rows *rows, size_t row, size_t column)
{
    return PQgetvalue(rows->result, (int)row, (int)column);
}

int64_t
sl_rows_int(const struct sl_rows *rows, size_t row, size_t column)
{
    return (int64_t)strtoll(sl_rows_text(rows, row, column), NULL, 10);
}

bool
sl_rows_bool(const struct sl_rows *rows, size_t row, size_t column)
{
    return sl_rows_text(rows, row, column)[0] == 't';
}

struct sl_str
sl_rows_bytes(const struct sl_rows *rows, size_t row, size_t column)
{
    struct sl_str cell = sl_str(sl_rows_text(rows, row, column));
    if (!sl_str_starts(cell, SL_STR("\\x"))) {
        return (struct sl_str){NULL, 0};
    }
    struct sl_str hex = {cell.ptr + 2, cell.len - 2};
    char *bytes = sl_arena_alloc(rows->arena, hex.len / 2 + 1);
    if (bytes == NULL || !sl_hex_decode(hex, bytes, hex.len / 2)) {
        return (struct sl_str){NULL, 0};
    }
    return (struct sl_str){bytes, hex.len / 2};
}
