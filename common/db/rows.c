// rows.c - running one statement and reading its cells.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/db_internal.h"

#include <stdio.h>
#include <stdlib.h>
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

static PGresult *
execute(struct sl_tx *tx, const char *sql, const char *name, const struct wire_params *wire,
        size_t count)
{
    PGconn *conn = tx->db->conn;
    const char *const *values = wire->values;
    if (name[0] == '\0') {
        return PQexecParams(conn, sql, (int)count, NULL, values, wire->lengths, wire->formats, 0);
    }
    return PQexecPrepared(conn, name, (int)count, values, wire->lengths, wire->formats, 0);
}

// The result of one statement, or NULL with *err filled.
static PGresult *
run(struct sl_tx *tx, const char *sql, bool built, struct sl_params params, struct sl_error *err)
{
    assert(tx->db != NULL);
    char name[SL_DB_STATEMENT_NAME];
    struct wire_params wire;
    fill_params(&wire, params.list, params.count);
    if (sl_statement_prepare(tx->db, sql, built, name, err) != 0) {
        tx->failed = true;
        return NULL;
    }
    PGresult *result = execute(tx, sql, name, &wire, params.count);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        sl_fault_fill(tx->db, result, err);
        PQclear(result);
        tx->failed = true;
        return NULL;
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
