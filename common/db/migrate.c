// migrate.c - see migrate.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/migrate.h"

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/db/db_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES (4 * 1024 * 1024)
#define NUMBER_DIGITS  4
#define LOCK_KEY       "7305808868190151781" // any constant that nothing else uses

struct migration {
    int number;       // of the file's name
    const char *name; // of the file
    const char *path; //
};

struct run {
    PGconn *conn;            // with the advisory lock held
    struct sl_arena *arena;  //
    struct migration *files; // by number
    size_t count;            // of files
    size_t applied;          // by this run
    struct sl_error *err;    //
};

static int
refuse(struct sl_error *err, const char *name, const char *why)
{
    sl_fail(err, SL_E_CONFIG, name);
    return sl_error_detail(err, "migration %s: %s", name, why);
}

static bool
is_migration_name(const char *name)
{
    for (int i = 0; i < NUMBER_DIGITS; i++) {
        if (!isdigit((unsigned char)name[i])) {
            return false;
        }
    }
    size_t len = strlen(name);
    return name[NUMBER_DIGITS] == '_' && len > NUMBER_DIGITS + 5 &&
           strcmp(name + len - 4, ".sql") == 0;
}

static int
only_sql(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && strcmp(dot, ".sql") == 0 && entry->d_name[0] != '.';
}

static int
add_file(struct run *run, const char *directory, const char *name)
{
    if (!is_migration_name(name)) {
        return refuse(run->err, name, "the name is not NNNN_what.sql");
    }
    assert(run->files != NULL);
    struct migration *file = &run->files[run->count];
    file->number = (int)strtol(name, NULL, 10);
    file->name = sl_arena_dup(run->arena, name);
    file->path = sl_arena_printf(run->arena, "%s/%s", directory, name);
    if (run->count > 0 && run->files[run->count - 1].number == file->number) {
        return refuse(run->err, name, "the number is used twice");
    }
    run->count++;
    return sl_arena_check(run->arena, run->err);
}

static int
list_files(struct run *run, const char *directory)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, only_sql, alphasort);
    if (count <= 0) {
        free(entries);
        return refuse(run->err, directory, count < 0 ? strerror(errno) : "no migrations");
    }
    int rc = 0;
    run->files = sl_arena_array(run->arena, (size_t)count, sizeof(*run->files));
    if (run->files == NULL) {
        rc = sl_fail(run->err, SL_E_INTERNAL);
    }
    for (int i = 0; i < count; i++) {
        if (rc == 0) {
            rc = add_file(run, directory, entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    return rc;
}

static int
read_file(const struct migration *file, struct sl_buf *text, struct sl_error *err)
{
    FILE *stream = fopen(file->path, "re");
    if (stream == NULL) {
        return refuse(err, file->path, strerror(errno));
    }
    char chunk[8192];
    size_t got;
    while ((got = fread(chunk, 1, sizeof(chunk), stream)) > 0) {
        sl_buf_add(text, chunk, got);
    }
    bool broken = ferror(stream) != 0 || text->failed || text->len == 0;
    fclose(stream);
    return broken ? refuse(err, file->path, "cannot be read") : 0;
}

// Runs a text of one or more statements; NULL `name` for our own ones.
static int
execute(struct run *run, const char *sql, const char *name)
{
    PGresult *result = PQexec(run->conn, sql);
    ExecStatusType status = PQresultStatus(result);
    int rc = 0;
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        rc = refuse(run->err, name != NULL ? name : "schema_migration", PQerrorMessage(run->conn));
    }
    PQclear(result);
    return rc;
}

// Asks one question of two parameters; answers its first cell, copied, or "" when there is no row.
static int
ask(struct run *run, const char *sql, const char *number, const char *text, const char **ret_cell)
{
    const char *const values[] = {number, text};
    PGresult *result = PQexecParams(run->conn, sql, 2, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        PQclear(result);
        return refuse(run->err, number, PQerrorMessage(run->conn));
    }
    const char *cell = PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "";
    *ret_cell = sl_arena_dup(run->arena, cell);
    PQclear(result);
    return *ret_cell != NULL ? 0 : sl_fail(run->err, SL_E_INTERNAL);
}

static int
apply(struct run *run, const struct migration *file, const char *number, const char *text)
{
    const char *recorded = NULL;
    if (execute(run, "BEGIN", NULL) != 0 || execute(run, text, file->name) != 0 ||
        ask(run,
            "INSERT INTO schema_migration (number, checksum) VALUES"
            " ($1::integer, encode(sha256(convert_to($2, 'UTF8')), 'hex')) RETURNING checksum",
            number, text, &recorded) != 0) {
        return -1;
    }
    if (execute(run, "COMMIT", NULL) != 0) {
        return -1;
    }
    sl_log(SL_DEBUG, "migration applied", SL_LOG_STR("file", file->name));
    run->applied++;
    return 0;
}

static int
apply_missing(struct run *run, const struct migration *file)
{
    SL_AUTO_BUF text;
    sl_buf_init(&text, FILE_MAX_BYTES);
    if (read_file(file, &text, run->err) != 0) {
        return -1;
    }
    char number[16];
    snprintf(number, sizeof(number), "%d", file->number);
    const char *state = "";
    if (ask(run,
            "SELECT CASE WHEN checksum = encode(sha256(convert_to($2, 'UTF8')), 'hex')"
            " THEN 'same' ELSE 'changed' END FROM schema_migration WHERE number = $1::integer",
            number, text.ptr, &state) != 0) {
        return -1;
    }
    if (strcmp(state, "changed") == 0) {
        return refuse(run->err, file->name, "changed after it was applied");
    }
    return strcmp(state, "same") == 0 ? 0 : apply(run, file, number, text.ptr);
}

static int
apply_all(struct run *run)
{
    if (execute(run, "SELECT pg_advisory_lock(" LOCK_KEY ")", NULL) != 0 ||
        execute(run,
                "CREATE TABLE IF NOT EXISTS schema_migration (number integer PRIMARY KEY,"
                " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
                NULL) != 0) {
        return -1;
    }
    for (size_t i = 0; i < run->count; i++) {
        if (apply_missing(run, &run->files[i]) != 0) {
            return -1;
        }
    }
    return 0;
}

int
sl_migrate(const char *conninfo, const char *directory, size_t *ret_applied, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(FILE_MAX_BYTES);
    if (arena == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    struct run run = {.arena = arena, .err = err};
    if (list_files(&run, directory) != 0) {
        return -1;
    }
    struct sl_db_options options = {.conninfo = conninfo, .application = "sluice-migrate"};
    SL_AUTO(sl_db) db = sl_db_open(&options, err);
    if (db == NULL) {
        return -1;
    }
    run.conn = db->conn;
    // Closing the connection rolls back what is open and releases the lock.
    if (execute(&run, "SET statement_timeout = 0; SET client_min_messages = warning", NULL) != 0 ||
        apply_all(&run) != 0) {
        return -1;
    }
    if (ret_applied != NULL) {
        *ret_applied = run.applied;
    }
    return 0;
}
