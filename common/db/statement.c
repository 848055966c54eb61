// statement.c - the prepared statements of a connection: by address for constants, by content
// for built texts.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/db_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t
hash_address(const char *sql)
{
    uint64_t bits = (uint64_t)(uintptr_t)sql;
    return (size_t)((bits * 0x9E3779B97F4A7C15ULL) >> 32);
}

static size_t
hash_text(const char *sql)
{
    uint64_t hash = 0xCBF29CE484222325ULL; // FNV-1a
    for (const char *at = sql; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * 0x100000001B3ULL;
    }
    return (size_t)(hash ^ (hash >> 32));
}

static bool
is_statement(const struct sl_statement *entry, const char *sql, bool built)
{
    if (built) {
        return entry->text != NULL && strcmp(entry->text, sql) == 0;
    }
    return entry->address == sql;
}

static bool
is_empty(const struct sl_statement *entry)
{
    return entry->address == NULL && entry->text == NULL;
}

int
sl_statement_find(struct sl_db *db, const char *sql, bool built,
                  struct sl_statement **ret_statement, struct sl_error *err)
{
    size_t at = (built ? hash_text(sql) : hash_address(sql)) % SL_DB_STATEMENTS;
    while (!is_empty(&db->statements[at]) && !is_statement(&db->statements[at], sql, built)) {
        at = (at + 1) % SL_DB_STATEMENTS;
    }
    struct sl_statement *entry = &db->statements[at];
    *ret_statement = entry;
    if (!is_empty(entry)) {
        return 0;
    }
    // One slot stays free so that the probe above ends.
    if (db->statement_count + 1 >= SL_DB_STATEMENTS) {
        *ret_statement = NULL;
        return 0;
    }
    char *text = built ? strdup(sql) : NULL;
    if (built && text == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    *entry = (struct sl_statement){.address = built ? NULL : sql, .text = text};
    db->statement_count++;
    return 0;
}

void
sl_statement_name(const struct sl_db *db, const struct sl_statement *statement,
                  char ret_name[SL_DB_STATEMENT_NAME])
{
    snprintf(ret_name, SL_DB_STATEMENT_NAME, "s%td", statement - db->statements);
}

void
sl_statement_forget(struct sl_db *db)
{
    for (size_t i = 0; i < SL_DB_STATEMENTS; i++) {
        free(db->statements[i].text);
        db->statements[i] = (struct sl_statement){0};
    }
    db->statement_count = 0;
}
