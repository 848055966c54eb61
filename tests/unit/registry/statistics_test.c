// statistics_test.c - tables that grow are analysed when they have doubled, and plans follow.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/statistics.h"

#include "common/base/clock.h"
#include "tests/unit/registry/fixture.h"

#include <stdio.h>

// `count` groups more. PostgreSQL tells their number when the session that made them next rests.
static void
add_groups(struct fixture *f, const char *prefix, int count)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO api_group (instance_id, id, name, sl_domain)"
                                   " SELECT '%s', md5('%s' || n), '%s' || n, 'd'"
                                   " FROM generate_series(1, %d) n",
                                   f->gateway, prefix, prefix, count));
    fixture_sql(f, "SELECT pg_stat_force_next_flush()");
}

// The rows that statistics know of the table of groups; -1: none were made.
static int64_t
known_groups(struct fixture *f)
{
    return fixture_count(f, "SELECT reltuples FROM pg_class WHERE relname = 'api_group'");
}

static void
a_table_is_analysed_when_it_has_doubled_and_not_before(void **state)
{
    struct fixture *f = *state;
    size_t count = 9;
    add_groups(f, "few", 300);
    assert_int_equal(statistics_refresh(f->registry.db, &count, &f->err), 0);
    assert_int_equal(known_groups(f), -1);
    add_groups(f, "more", 300);
    assert_int_equal(statistics_refresh(f->registry.db, &count, &f->err), 0);
    assert_true(count >= 1);
    int64_t known = known_groups(f);
    assert_true(known >= 600);
    add_groups(f, "again", 300);
    assert_int_equal(statistics_refresh(f->registry.db, &count, &f->err), 0);
    assert_int_equal(known_groups(f), known);
    add_groups(f, "doubled", 800);
    assert_int_equal(statistics_refresh(f->registry.db, &count, &f->err), 0);
    assert_true(known_groups(f) >= 1700);
    assert_int_equal(statistics_refresh(f->registry.db, &count, &f->err), 0);
    assert_int_equal(count, 0);
}

static void
whoever_comes_while_another_analyses_leaves_it_to_that_one(void **state)
{
    struct fixture *f = *state;
    struct fixture other = {0};
    fixture_open(&other, f);
    add_groups(f, "big", 9000);
    int64_t known = known_groups(f);
    struct sl_tx *tx = sl_tx_begin(other.registry.db, &f->err);
    assert_int_equal(
        sl_sql(tx, f->arena, "SELECT pg_advisory_xact_lock(7305003)", SL_NO_PARAMS, NULL, &f->err),
        0);
    assert_int_equal(statistics_refresh(f->registry.db, NULL, &f->err), 0);
    assert_int_equal(known_groups(f), known);
    sl_tx_free(&tx);
    assert_int_equal(statistics_refresh(f->registry.db, NULL, &f->err), 0);
    assert_true(known_groups(f) >= 9000);
    fixture_close(&other);
}

static void
the_thread_does_it_and_ends_when_it_is_told(void **state)
{
    struct fixture *f = *state;
    add_groups(f, "thread", 40000);
    struct statistics *statistics = statistics_start(getenv("SLUICE_TEST_DB"), &f->err);
    assert_non_null(statistics);
    for (int64_t end = sl_mono_ms() + 60000; known_groups(f) < 40000;) {
        assert_true(sl_mono_ms() < end);
    }
    statistics_stop(&statistics);
    assert_null(statistics);
    statistics_stop(&statistics);
    statistics = statistics_start("host=/nonexistent dbname=x", &f->err);
    statistics_stop(&statistics);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_table_is_analysed_when_it_has_doubled_and_not_before),
        FIXTURE_TEST(whoever_comes_while_another_analyses_leaves_it_to_that_one),
        FIXTURE_TEST(the_thread_does_it_and_ends_when_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
