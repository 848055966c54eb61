// await_test.c - a connection whose owner waits for its answers.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/db.h"
#include "tests/unit/test.h"

#include <poll.h>
#include <stdlib.h>

static int waits;

static void
count_wait(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    waits++;
    assert_int_equal(poll(&item, 1, -1), 1);
}

struct fixture {
    struct sl_db *db;
    struct sl_arena *arena;
    struct sl_error err;
};

static void
begin(struct fixture *f)
{
    const struct sl_db_options options = {.conninfo = getenv("SLUICE_TEST_DB"),
                                          .await = count_wait};
    f->db = sl_db_open(&options, &f->err);
    f->arena = sl_arena_new(1 << 20);
    waits = 0;
    assert_non_null(f->db);
}

static void
end(struct fixture *f)
{
    sl_db_free(&f->db);
    sl_arena_free(&f->arena);
}

static int
ask(struct fixture *f, const char *sql, struct sl_rows **ret_rows)
{
    struct sl_tx *tx = sl_tx_begin(f->db, &f->err);
    assert_non_null(tx);
    int rc = sl_sql_built(tx, f->arena, sql, SL_NO_PARAMS, ret_rows, &f->err);
    rc = rc == 0 ? sl_tx_commit(&tx, &f->err) : rc;
    sl_tx_free(&tx); // rolled back where it was not committed
    return rc;
}

static void
answers_come_by_the_owners_wait(void **state)
{
    (void)state;
    struct fixture f;
    struct sl_rows *rows = NULL;
    begin(&f);
    assert_int_equal(
        ask(&f, "SELECT 'x' || n FROM generate_series(1, 20000) n, pg_sleep(0.05)", &rows), 0);
    assert_int_equal(sl_rows_count(rows), 20000);
    assert_string_equal(sl_rows_text(rows, 19999, 0), "x20000");
    assert_true(waits > 0);
    end(&f);
}

static void
a_refusal_comes_so_too(void **state)
{
    (void)state;
    struct fixture f;
    struct sl_rows *rows = NULL;
    begin(&f);
    assert_int_equal(ask(&f, "SELECT 1 / 0", &rows), -1);
    assert_int_equal(ask(&f, "SELECT 1", &rows), 0);
    end(&f);
}

static void
a_connection_that_breaks_meanwhile_is_told_of_and_reopened(void **state)
{
    (void)state;
    struct fixture f;
    struct sl_rows *rows = NULL;
    begin(&f);
    assert_int_equal(ask(&f, "SELECT 1", &rows), 0);
    assert_int_equal(ask(&f, "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(1)", &rows),
                     -1);
    assert_int_equal(f.err.code, SL_E_UNAVAILABLE);
    assert_int_equal(ask(&f, "SELECT 1", &rows), 0);
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_by_the_owners_wait),
        cmocka_unit_test(a_refusal_comes_so_too),
        cmocka_unit_test(a_connection_that_breaks_meanwhile_is_told_of_and_reopened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
