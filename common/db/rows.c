// rows.c - reading the cells of a result.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/db_internal.h"

#include <stdlib.h>

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
