// audit_test.c - the record of a command that does not claim: turns, and who comes second.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.h"
#include "common/db/audit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEADLINE_MS 60000

static const struct sl_audit_who who = {.command_id = "0123456789abcdef0123456789abcdef",
                                        .request_id = "r",
                                        .command = "thing.create",
                                        .actor = "u",
                                        .project_id = "p",
                                        .instance_id = "i"};

struct fixture {
    struct sl_db *db;
    struct sl_arena *arena;
    struct sl_error err;
};

static void
open_fixture(struct fixture *f)
{
    *f = (struct fixture){.arena = sl_arena_new(256 * 1024)};
    f->db = sl_db_open(&(struct sl_db_options){.conninfo = getenv("SLUICE_TEST_DB")}, &f->err);
    assert_non_null(f->db);
}

static void
close_fixture(struct fixture *f)
{
    sl_db_free(&f->db);
    sl_arena_free(&f->arena);
}

static int64_t
run(struct fixture *f, const char *sql)
{
    struct sl_rows *rows = NULL;
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_non_null(tx);
    assert_int_equal(sl_sql_built(tx, f->arena, sql, SL_NO_PARAMS, &rows, &f->err), 0);
    int64_t number = sl_rows_count(rows) > 0 ? sl_rows_int(rows, 0, 0) : 0;
    assert_int_equal(sl_tx_commit(&tx, &f->err), 0);
    return number;
}

static int
set_up(void **state)
{
    static struct fixture f;
    open_fixture(&f);
    run(&f, "DROP TABLE IF EXISTS audit");
    run(&f,
        "CREATE TABLE audit (command_id text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(),"
        " request_id text NOT NULL, command text NOT NULL, actor text NOT NULL,"
        " project_id text NOT NULL, instance_id text NOT NULL,"
        " object_id text NOT NULL DEFAULT '', before jsonb, after jsonb,"
        " status integer NOT NULL, reply bytea, reply_text text)");
    *state = &f;
    return 0;
}

static int
tear_down(void **state)
{
    close_fixture(*state);
    return 0;
}

// Takes the turn, records, commits; what the commit answered.
static int
record(struct fixture *f, int status)
{
    struct sl_audit_outcome outcome = {
        .object_id = "o", .after = "{\"a\": 1}", .status = status, .reply = SL_STR("\0x")};
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_audit_turn(tx, f->arena, &who, &f->err), 0);
    assert_int_equal(sl_audit_record(tx, f->arena, &who, &outcome, &f->err), 0);
    return sl_tx_commit(&tx, &f->err);
}

static void
a_record_holds_what_a_claimed_one_holds(void **state)
{
    struct fixture *f = *state;
    struct sl_audit_outcome stored = {.status = 0};
    bool repeat = false;
    assert_int_equal(record(f, 201), 0);
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_int_equal(sl_audit_begin(tx, f->arena, &who, &repeat, &stored, &f->err), 0);
    sl_tx_free(&tx);
    assert_true(repeat);
    assert_int_equal(stored.status, 201);
    assert_int_equal(stored.reply.len, 2);
    assert_memory_equal(stored.reply.ptr, "\0x", 2);
    assert_string_equal(stored.object_id, "o");
    assert_int_equal(run(f, "SELECT count(*) FROM audit WHERE request_id = 'r' AND actor = 'u' AND"
                            " command = 'thing.create' AND project_id = 'p' AND instance_id = 'i'"
                            " AND before IS NULL AND after = '{\"a\": 1}'"),
                     1);
}

static void
a_second_record_of_a_command_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(record(f, 201), 0);
    assert_int_equal(record(f, 202), -1);
    assert_int_equal(f->err.code, SL_E_INTERNAL);
    assert_int_equal(run(f, "SELECT status FROM audit"), 201);
}

struct second {
    int rc;
};

static void *
record_elsewhere(void *arg)
{
    struct second *second = arg;
    struct fixture f;
    open_fixture(&f);
    second->rc = record(&f, 202);
    close_fixture(&f);
    return NULL;
}

static void
wait_for_blocked_session(struct fixture *f)
{
    static const char sql[] = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'";
    for (int64_t end = sl_mono_ms() + DEADLINE_MS; run(f, sql) == 0;) {
        assert_true(sl_mono_ms() < end);
    }
}

// One has the turn and rolls back; the other waited, and then runs.
static void
a_turn_ends_with_its_transaction(void **state)
{
    struct fixture *f = *state;
    struct fixture first;
    struct sl_rows *rows = NULL;
    struct second second = {.rc = -2};
    pthread_t thread;
    open_fixture(&first);
    struct sl_tx *tx = sl_tx_begin(first.db, &first.err);
    assert_int_equal(sl_audit_turn(tx, first.arena, &who, &first.err), 0);
    assert_int_equal(sl_sql(tx, first.arena, "SELECT 1", SL_NO_PARAMS, &rows, &first.err), 0);
    assert_int_equal(pthread_create(&thread, NULL, record_elsewhere, &second), 0);
    wait_for_blocked_session(f);
    sl_tx_free(&tx);
    pthread_join(thread, NULL);
    close_fixture(&first);
    assert_int_equal(second.rc, 0);
    assert_int_equal(run(f, "SELECT status FROM audit"), 202);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_record_holds_what_a_claimed_one_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_record_of_a_command_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_turn_ends_with_its_transaction, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
