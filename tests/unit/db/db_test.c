// db_test.c - common/db against a real, throw-away PostgreSQL (tests/lib/scratch_pg.sh with …).
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.h"
#include "common/db/audit.h"
#include "common/db/change.h"
#include "common/db/db.h"
#include "common/db/quota.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct sl_fault faults[] = {{"thing_name_key", SL_E_PARAM_INVALID},
                                         {"thing_size_check", SL_E_PARAM_RANGE},
                                         {"quota_things", SL_E_PARAM_RANGE},
                                         {NULL, SL_E_OK}};

struct fixture {
    struct sl_db *db;
    struct sl_arena *arena;
    struct sl_error err;
};

static struct sl_db *
open_db(struct sl_error *err)
{
    struct sl_db_options options = {.conninfo = getenv("SLUICE_TEST_DB"), .faults = faults};
    return sl_db_open(&options, err);
}

static void
run_sql(struct fixture *f, const char *sql)
{
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_non_null(tx);
    assert_int_equal(sl_sql_built(tx, f->arena, sql, SL_NO_PARAMS, NULL, &f->err), 0);
    assert_int_equal(sl_tx_commit(&tx, &f->err), 0);
}

// The function as its migration makes it.
static void
make_quota_take(struct fixture *f)
{
    char path[512];
    static char text[8192];
    snprintf(path, sizeof(path), "%s/proto/sql/0115_quota_take.sql", getenv("SLUICE_SOURCE"));
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    run_sql(f, text);
}

static int
set_up(void **state)
{
    static const char *const tables[] = {
        "DROP TABLE IF EXISTS thing, audit, runtime_change, quota_usage, instance_setting",
        "CREATE TABLE thing (name text CONSTRAINT thing_name_key UNIQUE,"
        " size integer CONSTRAINT thing_size_check CHECK (size < 10), body bytea)",
        "CREATE TABLE audit (command_id text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(),"
        " request_id text NOT NULL, command text NOT NULL, actor text NOT NULL,"
        " project_id text NOT NULL, instance_id text NOT NULL, object_id text NOT NULL DEFAULT '',"
        " before jsonb, after jsonb, status integer NOT NULL, reply bytea, reply_text text)",
        "CREATE TABLE runtime_change (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " gateway_id text NOT NULL, kind text NOT NULL, key text NOT NULL)",
        "CREATE TABLE quota_usage (instance_id text, quota text, scope text, used integer,"
        " \"limit\" integer, PRIMARY KEY (instance_id, quota, scope))",
        "CREATE TABLE instance_setting (instance_id text, name text, value text)",
        "DROP FUNCTION IF EXISTS quota_take",
    };
    static struct fixture fixture;
    fixture = (struct fixture){0};
    fixture.db = open_db(&fixture.err);
    assert_non_null(fixture.db);
    fixture.arena = sl_arena_new(1024 * 1024);
    for (size_t i = 0; i < SL_COUNT(tables); i++) {
        run_sql(&fixture, tables[i]);
    }
    make_quota_take(&fixture);
    *state = &fixture;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    sl_arena_free(&f->arena);
    sl_db_free(&f->db);
    return 0;
}

static int64_t
count_of(struct fixture *f, const char *sql)
{
    struct sl_rows *rows = NULL;
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->db, &f->err);
    assert_non_null(tx);
    assert_int_equal(sl_sql_built(tx, f->arena, sql, SL_NO_PARAMS, &rows, &f->err), 0);
    return sl_rows_int(rows, 0, 0);
}

static int
add_thing(struct fixture *f, struct sl_tx *tx, const char *name, int64_t size)
{
    return sl_sql(tx, f->arena, "INSERT INTO thing (name, size) VALUES ($1, $2)",
                  SL_PARAMS(SL_P_TEXT(name), SL_P_INT(size)), NULL, &f->err);
}

static void
cells_of_every_kind_come_back(void **state)
{
    struct fixture *f = *state;
    struct sl_rows *rows = NULL;
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(
        sl_sql(tx, f->arena, "SELECT $1::text, $2::bigint, $3::bytea, $4::text IS NULL, NULL::text",
               SL_PARAMS(SL_P_TEXT("a'b"), SL_P_INT(-7), SL_P_BYTES("\0\1\377", 3), SL_P_NULL),
               &rows, &f->err),
        0);
    assert_int_equal(sl_rows_count(rows), 1);
    assert_string_equal(sl_rows_text(rows, 0, 0), "a'b");
    assert_int_equal(sl_rows_int(rows, 0, 1), -7);
    struct sl_str bytes = sl_rows_bytes(rows, 0, 2);
    assert_int_equal(bytes.len, 3);
    assert_memory_equal(bytes.ptr, "\0\1\377", 3);
    assert_true(sl_rows_bool(rows, 0, 3));
    assert_true(sl_rows_is_null(rows, 0, 4));
    assert_string_equal(sl_rows_text(rows, 0, 4), "");
}

static void
a_transaction_that_is_only_freed_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(add_thing(f, tx, "a", 1), 0);
    sl_tx_free(&tx);
    assert_null(tx);
    assert_int_equal(count_of(f, "SELECT count(*) FROM thing"), 0);
}

static void
a_violated_constraint_becomes_its_row(void **state)
{
    struct fixture *f = *state;
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(add_thing(f, tx, "a", 1), 0);
    assert_int_equal(add_thing(f, tx, "a", 1), -1);
    assert_int_equal(f->err.code, SL_E_PARAM_INVALID);
    assert_int_equal(sl_tx_commit(&tx, &f->err), -1);
    assert_int_equal(f->err.code, SL_E_INTERNAL);
    tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(add_thing(f, tx, "b", 10), -1);
    assert_int_equal(f->err.code, SL_E_PARAM_RANGE);
    sl_tx_free(&tx);
}

static void
a_statement_that_cannot_be_parsed_is_internal_and_says_why(void **state)
{
    struct fixture *f = *state;
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_sql(tx, f->arena, "SELEKT", SL_NO_PARAMS, NULL, &f->err), -1);
    assert_int_equal(f->err.code, SL_E_INTERNAL);
    assert_non_null(strstr(f->err.detail, "42601"));
}

static void
a_lost_connection_fails_one_command_and_the_next_reconnects(void **state)
{
    struct fixture *f = *state;
    SL_AUTO(sl_db) other = open_db(&f->err);
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(add_thing(f, tx, "a", 1), 0);
    struct sl_tx *killer = sl_tx_begin(other, &f->err);
    assert_int_equal(sl_sql(killer, f->arena,
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
                            SL_NO_PARAMS, NULL, &f->err),
                     0);
    sl_tx_free(&killer);
    assert_int_equal(add_thing(f, tx, "b", 1), -1);
    assert_int_equal(f->err.code, SL_E_UNAVAILABLE);
    sl_tx_free(&tx);
    tx = sl_tx_begin(f->db, &f->err);
    assert_non_null(tx);
    assert_int_equal(add_thing(f, tx, "b", 1), 0);
    assert_int_equal(sl_tx_commit(&tx, &f->err), 0);
    assert_int_equal(count_of(f, "SELECT count(*) FROM thing"), 1);
}

static void
a_connection_killed_while_idle_costs_nothing(void **state)
{
    struct fixture *f = *state;
    SL_AUTO(sl_db) other = open_db(&f->err);
    struct sl_tx *killer = sl_tx_begin(other, &f->err);
    assert_int_equal(sl_sql(killer, f->arena,
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
                            SL_NO_PARAMS, NULL, &f->err),
                     0);
    sl_tx_free(&killer);
    assert_int_equal(count_of(f, "SELECT 5"), 5);
}

static void
a_database_that_is_not_there_is_unavailable(void **state)
{
    struct fixture *f = *state;
    struct sl_db_options options = {.conninfo = "host=/nonexistent dbname=x"};
    assert_null(sl_db_open(&options, &f->err));
    assert_int_equal(f->err.code, SL_E_UNAVAILABLE);
}

static void
a_database_that_says_nothing_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char conninfo[128];
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(conninfo, sizeof(conninfo), "host=127.0.0.1 port=%d dbname=x",
             ntohs(address.sin_port));
    struct sl_db_options options = {.conninfo = conninfo};
    int64_t begun_ms = sl_mono_ms();
    assert_null(sl_db_open(&options, &f->err));
    assert_int_equal(f->err.code, SL_E_UNAVAILABLE);
    assert_in_range(sl_mono_ms() - begun_ms, 2000, 60000);
    close(fd);
}

static void
a_transaction_that_its_worker_left_gives_its_locks_back(void **state)
{
    struct fixture *f = *state;
    run_sql(f, "INSERT INTO thing (name, size) VALUES ('locked', 1)");
    SL_AUTO(sl_db) other = open_db(&f->err);
    struct sl_tx *left = sl_tx_begin(other, &f->err);
    assert_int_equal(sl_sql(left, f->arena, "SELECT 1 FROM thing WHERE name = 'locked' FOR UPDATE",
                            SL_NO_PARAMS, NULL, &f->err),
                     0);
    int64_t begun_ms = sl_mono_ms();
    run_sql(f, "UPDATE thing SET size = 2 WHERE name = 'locked'");
    assert_in_range(sl_mono_ms() - begun_ms, 3000, 60000);
    assert_int_equal(add_thing(f, left, "late", 1), -1);
    assert_int_equal(f->err.code, SL_E_UNAVAILABLE);
    sl_tx_free(&left);
}

static const struct sl_audit_who who = {.command_id = "0123456789abcdef0123456789abcdef",
                                        .request_id = "r",
                                        .command = "thing.create",
                                        .actor = "u",
                                        .project_id = "p",
                                        .instance_id = "i"};

static void
a_repeated_command_gets_the_stored_outcome(void **state)
{
    struct fixture *f = *state;
    struct sl_audit_outcome outcome = {.object_id = "o", .status = 201, .reply = SL_STR("\0x")};
    bool repeat = true;
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_audit_begin(tx, f->arena, &who, &repeat, &outcome, &f->err), 0);
    assert_false(repeat);
    outcome.after = "{\"name\": \"a\"}";
    assert_int_equal(sl_audit_end(tx, f->arena, &who, &outcome, &f->err), 0);
    assert_int_equal(sl_tx_commit(&tx, &f->err), 0);

    struct sl_audit_outcome stored = {0};
    tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_audit_begin(tx, f->arena, &who, &repeat, &stored, &f->err), 0);
    assert_true(repeat);
    assert_int_equal(stored.status, 201);
    assert_int_equal(stored.reply.len, 2);
    assert_memory_equal(stored.reply.ptr, "\0x", 2);
    assert_string_equal(stored.object_id, "o");
    sl_tx_free(&tx);
}

// Repeats the command on a connection of its own; 1 when it got the stored outcome.
static void *
repeat_elsewhere(void *arg)
{
    struct fixture f = {.arena = sl_arena_new(65536)};
    intptr_t *ret_status = arg;
    f.db = open_db(&f.err);
    struct sl_audit_outcome stored = {0};
    bool repeat = false;
    SL_AUTO(sl_tx) tx = sl_tx_begin(f.db, &f.err);
    *ret_status = -1;
    if (sl_audit_begin(tx, f.arena, &who, &repeat, &stored, &f.err) == 0) {
        *ret_status = repeat ? stored.status : 0;
    }
    sl_tx_free(&tx);
    sl_db_free(&f.db);
    sl_arena_free(&f.arena);
    return NULL;
}

// Waits until a second session blocks on a lock of the first.
static void
wait_for_blocked_session(struct fixture *f)
{
    SL_AUTO(sl_db) other = open_db(&f->err);
    for (int64_t end = sl_mono_ms() + 60000; sl_mono_ms() < end;) {
        struct sl_rows *rows = NULL;
        SL_AUTO(sl_tx) tx = sl_tx_begin(other, &f->err);
        assert_int_equal(sl_sql(tx, f->arena,
                                "SELECT count(*) FROM pg_stat_activity"
                                " WHERE wait_event_type = 'Lock'",
                                SL_NO_PARAMS, &rows, &f->err),
                         0);
        if (sl_rows_int(rows, 0, 0) > 0) {
            return;
        }
    }
    fail_msg("nobody waits");
}

static void
a_repeat_waits_for_the_first_and_then_answers_the_same(void **state)
{
    struct fixture *f = *state;
    struct sl_audit_outcome outcome = {.status = 204};
    bool repeat = true;
    pthread_t thread;
    intptr_t status = 0;
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_audit_begin(tx, f->arena, &who, &repeat, &outcome, &f->err), 0);
    assert_int_equal(pthread_create(&thread, NULL, repeat_elsewhere, &status), 0);
    wait_for_blocked_session(f);
    assert_int_equal(sl_audit_end(tx, f->arena, &who, &outcome, &f->err), 0);
    assert_int_equal(sl_tx_commit(&tx, &f->err), 0);
    pthread_join(thread, NULL);
    assert_int_equal(status, 204);
}

static void
a_repeat_of_a_command_that_rolled_back_runs(void **state)
{
    struct fixture *f = *state;
    struct sl_audit_outcome outcome = {0};
    bool repeat = true;
    pthread_t thread;
    intptr_t status = -2;
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_audit_begin(tx, f->arena, &who, &repeat, &outcome, &f->err), 0);
    assert_int_equal(pthread_create(&thread, NULL, repeat_elsewhere, &status), 0);
    wait_for_blocked_session(f);
    sl_tx_free(&tx);
    pthread_join(thread, NULL);
    assert_int_equal(status, 0);
}

static void
touching_a_key_appends_and_never_merges(void **state)
{
    struct fixture *f = *state;
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_runtime_touch(tx, f->arena, "g", "api", "k", &f->err), 0);
    assert_int_equal(sl_runtime_touch(tx, f->arena, "g", "api", "k", &f->err), 0);
    assert_int_equal(sl_tx_commit(&tx, &f->err), 0);
    assert_int_equal(count_of(f, "SELECT count(*) FROM runtime_change"), 2);
}

// Takes one unit and sends it; what it was answered.
static int
take_one(struct fixture *f, const struct sl_quota *quota)
{
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_quota_take(tx, f->arena, quota, 1, &f->err), 0);
    return sl_tx_commit(&tx, &f->err);
}

static void
a_quota_refuses_at_its_limit_and_takes_again_what_was_given_back(void **state)
{
    struct fixture *f = *state;
    const struct sl_quota quota = {.instance = "i", .name = "things", .scope = "", .fallback = 2};
    assert_int_equal(take_one(f, &quota), 0);
    assert_int_equal(take_one(f, &quota), 0);
    assert_int_equal(take_one(f, &quota), -1);
    assert_int_equal(f->err.code, SL_E_PARAM_RANGE);
    assert_string_equal(f->err.args[0], "things");
    assert_string_equal(f->err.args[1], "2");
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_quota_give(tx, f->arena, &quota, 1, &f->err), 0);
    assert_int_equal(sl_tx_commit(&tx, &f->err), 0);
    assert_int_equal(take_one(f, &quota), 0);
    assert_int_equal(take_one(f, &quota), -1);
    assert_int_equal(count_of(f, "SELECT used FROM quota_usage"), 2);
}

static void
a_quota_that_is_used_up_takes_the_rest_of_its_transaction_along(void **state)
{
    struct fixture *f = *state;
    const struct sl_quota quota = {.instance = "i", .name = "things", .scope = "s", .fallback = 0};
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(add_thing(f, tx, "a", 1), 0);
    assert_int_equal(sl_quota_take(tx, f->arena, &quota, 1, &f->err), 0);
    assert_int_equal(sl_tx_commit(&tx, &f->err), -1);
    assert_int_equal(f->err.code, SL_E_PARAM_RANGE);
    assert_int_equal(count_of(f, "SELECT count(*) FROM thing"), 0);
}

static void
a_setting_of_the_gateway_replaces_the_default_limit(void **state)
{
    struct fixture *f = *state;
    const struct sl_quota quota = {.instance = "i", .name = "things", .scope = "", .fallback = 9};
    run_sql(f, "INSERT INTO instance_setting VALUES ('i', 'quota_things', '1')");
    assert_int_equal(take_one(f, &quota), 0);
    assert_int_equal(take_one(f, &quota), -1);
}

static void
queued_statements_travel_in_order_with_the_one_that_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct sl_later *first = NULL;
    struct sl_later *second = NULL;
    struct sl_rows *rows = NULL;
    char name[] = "early";
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_sql_later(tx, f->arena, "INSERT INTO thing (name, size) VALUES ($1, 1)",
                                  SL_PARAMS(SL_P_TEXT(name)), NULL, &f->err),
                     0);
    name[0] = '?'; // it was copied
    const char *count = "SELECT count(*), max(name) FROM thing";
    assert_int_equal(sl_sql_later(tx, f->arena, count, SL_NO_PARAMS, &first, &f->err), 0);
    assert_int_equal(add_thing(f, tx, "late", 2), 0);
    assert_int_equal(sl_sql_built_later(tx, f->arena, count, SL_NO_PARAMS, &second, &f->err), 0);
    assert_int_equal(sl_sql_rows(first, &rows, &f->err), 0);
    assert_int_equal(sl_rows_int(rows, 0, 0), 1);
    assert_string_equal(sl_rows_text(rows, 0, 1), "early");
    assert_int_equal(sl_sql_rows(second, &rows, &f->err), 0);
    assert_int_equal(sl_rows_int(rows, 0, 0), 2);
    assert_int_equal(sl_tx_commit(&tx, &f->err), 0);
    assert_int_equal(count_of(f, "SELECT count(*) FROM thing"), 2);
}

static void
a_transaction_of_queued_statements_alone_is_one_with_its_commit(void **state)
{
    struct fixture *f = *state;
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    for (int i = 0; i < 40; i++) { // more than the queue holds
        char name[16];
        snprintf(name, sizeof(name), "n%d", i);
        assert_int_equal(sl_sql_later(tx, f->arena, "INSERT INTO thing (name) VALUES ($1)",
                                      SL_PARAMS(SL_P_TEXT(name)), NULL, &f->err),
                         0);
    }
    assert_int_equal(sl_tx_commit(&tx, &f->err), 0);
    assert_null(tx);
    assert_int_equal(count_of(f, "SELECT count(*) FROM thing"), 40);
    tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_sql_later(tx, f->arena, "DELETE FROM thing", SL_NO_PARAMS, NULL, &f->err),
                     0);
    sl_tx_free(&tx);
    assert_int_equal(count_of(f, "SELECT count(*) FROM thing"), 40);
}

static void
a_refused_statement_of_a_queue_answers_whoever_took_it_along(void **state)
{
    struct fixture *f = *state;
    struct sl_later *later = NULL;
    struct sl_rows *rows = NULL;
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_sql_later(tx, f->arena, "INSERT INTO thing (size) VALUES (10)",
                                  SL_NO_PARAMS, NULL, &f->err),
                     0);
    // A text that was not prepared, since the pipeline was given up before it, is prepared later.
    assert_int_equal(sl_sql_later(tx, f->arena, "SELECT 77", SL_NO_PARAMS, &later, &f->err), 0);
    assert_int_equal(sl_sql_rows(later, &rows, &f->err), -1);
    assert_int_equal(f->err.code, SL_E_PARAM_RANGE);
    assert_int_equal(sl_sql_rows(later, &rows, &f->err), -1);
    assert_int_equal(f->err.code, SL_E_INTERNAL);
    assert_int_equal(sl_tx_commit(&tx, &f->err), -1);
    assert_int_equal(count_of(f, "SELECT 77"), 77);
    tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_sql(tx, f->arena, "SELECT 77", SL_NO_PARAMS, &rows, &f->err), 0);
    assert_int_equal(sl_rows_int(rows, 0, 0), 77);
    assert_int_equal(add_thing(f, tx, "a", 1), 0);
    assert_int_equal(sl_sql_later(tx, f->arena, "INSERT INTO thing (name) VALUES ('a')",
                                  SL_NO_PARAMS, NULL, &f->err),
                     0);
    assert_int_equal(sl_tx_commit(&tx, &f->err), -1);
    assert_int_equal(f->err.code, SL_E_PARAM_INVALID);
    assert_int_equal(count_of(f, "SELECT count(*) FROM thing"), 0);
}

static void
a_snapshot_sees_nothing_that_others_commit_and_writes_nothing(void **state)
{
    struct fixture *f = *state;
    struct sl_rows *rows = NULL;
    struct sl_later *later = NULL;
    struct fixture other = {.db = open_db(&f->err), .arena = f->arena};
    const char *count = "SELECT count(*) FROM thing";
    struct sl_tx *tx = sl_tx_begin_snapshot(f->db, &f->err);
    assert_int_equal(sl_sql(tx, f->arena, count, SL_NO_PARAMS, &rows, &f->err), 0);
    assert_int_equal(sl_rows_int(rows, 0, 0), 0);
    run_sql(&other, "INSERT INTO thing (name) VALUES ('late')");
    assert_int_equal(sl_sql_later(tx, f->arena, count, SL_NO_PARAMS, &later, &f->err), 0);
    assert_int_equal(sl_tx_commit(&tx, &f->err), 0);
    assert_int_equal(sl_sql_rows(later, &rows, &f->err), 0);
    assert_int_equal(sl_rows_int(rows, 0, 0), 0);
    tx = sl_tx_begin_snapshot(f->db, &f->err);
    assert_int_equal(add_thing(f, tx, "early", 1), -1);
    sl_tx_free(&tx);
    sl_db_free(&other.db);
}

// What PostgreSQL would compile often takes longer than it runs.
static void
a_dear_plan_is_not_compiled(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(count_of(f, "SELECT (current_setting('jit') = 'off')::int"), 1);
}

static void
more_texts_than_the_table_holds_still_run(void **state)
{
    struct fixture *f = *state;
    char sql[32];
    for (int i = 0; i < 1100; i++) {
        snprintf(sql, sizeof(sql), "SELECT %d", i);
        assert_int_equal(count_of(f, sql), i);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cells_of_every_kind_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_that_is_only_freed_leaves_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_violated_constraint_becomes_its_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_statement_that_cannot_be_parsed_is_internal_and_says_why,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lost_connection_fails_one_command_and_the_next_reconnects,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_connection_killed_while_idle_costs_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_database_that_is_not_there_is_unavailable, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_database_that_says_nothing_is_given_up, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_that_its_worker_left_gives_its_locks_back,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_repeated_command_gets_the_stored_outcome, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_repeat_waits_for_the_first_and_then_answers_the_same,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_repeat_of_a_command_that_rolled_back_runs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(touching_a_key_appends_and_never_merges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_quota_refuses_at_its_limit_and_takes_again_what_was_given_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_setting_of_the_gateway_replaces_the_default_limit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_quota_that_is_used_up_takes_the_rest_of_its_transaction_along, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            queued_statements_travel_in_order_with_the_one_that_is_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_transaction_of_queued_statements_alone_is_one_with_its_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_refused_statement_of_a_queue_answers_whoever_took_it_along, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_snapshot_sees_nothing_that_others_commit_and_writes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dear_plan_is_not_compiled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_texts_than_the_table_holds_still_run, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
