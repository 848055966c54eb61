// quota_test.c - units taken at the same time: nobody waits far from the limit, which holds
// exactly.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#include "common/base/clock.h"
#include "common/db/quota.h"

#include <pthread.h>

#define TAKERS  6
#define STRIPES 32   // of proto/sql/0251
#define BEFORE  1000 // units that are used already: with few there are no portions

static struct sl_quota
things(const struct fixture *f)
{
    return (struct sl_quota){.instance = f->gateway, .name = "things", .scope = ""};
}

static void
allow(struct fixture *f, int limit)
{
    fixture_sql(f, sl_arena_printf(
                       f->arena,
                       "INSERT INTO quota_usage (instance_id, quota, used, \"limit\")"
                       " VALUES ('%s', 'things', %d, %d) ON CONFLICT (instance_id, quota, scope)"
                       " DO UPDATE SET \"limit\" = excluded.\"limit\"",
                       f->gateway, BEFORE, BEFORE + limit));
}

static int64_t
sum_of(struct fixture *f, const char *column, const char *table)
{
    return fixture_count(f, sl_arena_printf(f->arena,
                                            "SELECT coalesce(sum(%s), 0) FROM %s WHERE instance_id"
                                            " = '%s' AND quota = 'things'",
                                            column, table, f->gateway));
}

// Takes one unit; the transaction stays open. NULL when it was refused.
static struct sl_tx *
take_open(struct fixture *f)
{
    const struct sl_quota quota = things(f);
    struct sl_rows *rows = NULL;
    struct sl_tx *tx = sl_tx_begin(f->registry.db, &f->err);
    assert_int_equal(sl_quota_take(tx, f->arena, &quota, 1, &f->err), 0);
    if (sl_sql(tx, f->arena, "SELECT 1", SL_NO_PARAMS, &rows, &f->err) != 0) {
        sl_tx_free(&tx);
    }
    return tx;
}

static bool
take(struct fixture *f)
{
    struct sl_tx *tx = take_open(f);
    return tx != NULL && sl_tx_commit(&tx, &f->err) == 0;
}

static int64_t
stripe_of(struct fixture *f)
{
    return fixture_count(f, "SELECT pg_backend_pid()") % STRIPES;
}

// A session with a portion of its own, beside that of f.
static void
open_beside(struct fixture *f, struct fixture *ret_other)
{
    int64_t own = stripe_of(f);
    for (fixture_open(ret_other, f); stripe_of(ret_other) == own; fixture_open(ret_other, f)) {
        fixture_close(ret_other);
    }
}

static void
far_from_the_limit_nobody_waits_and_the_total_is_exact(void **state)
{
    struct fixture *f = *state;
    struct fixture other;
    allow(f, 10000);
    open_beside(f, &other);
    assert_true(take(f));
    assert_true(take(&other));
    struct sl_tx *open = take_open(f);
    fixture_sql(&other, "SET lock_timeout = '1s'");
    assert_true(take(&other));
    sl_tx_free(&open);
    assert_int_equal(sum_of(f, "used", "quota_spent"), BEFORE + 3);
    assert_int_equal(sum_of(f, "used", "quota_usage"),
                     BEFORE + 3 + sum_of(f, "spare", "quota_portion"));
    assert_int_not_equal(sum_of(f, "spare", "quota_portion"), 0);
    fixture_close(&other);
}

static void
what_lies_in_another_sessions_portion_is_not_lost(void **state)
{
    struct fixture *f = *state;
    struct fixture other;
    int64_t taken = 1;
    allow(f, 200);
    open_beside(f, &other);
    assert_true(take(f));
    assert_int_not_equal(sum_of(f, "spare", "quota_portion"), 0);
    while (take(&other)) {
        taken++;
    }
    assert_int_equal(taken, 200);
    assert_int_equal(sum_of(f, "used", "quota_spent"), BEFORE + 200);
    assert_false(take(f));
    fixture_close(&other);
}

static void
a_limit_that_is_lowered_holds_at_once(void **state)
{
    struct fixture *f = *state;
    allow(f, 10000);
    assert_true(take(f));
    allow(f, 2);
    assert_int_equal(sum_of(f, "spare", "quota_portion"), 0);
    assert_true(take(f));
    assert_false(take(f));
    assert_int_equal(sum_of(f, "used", "quota_usage"), BEFORE + 2);
}

struct taker {
    const struct fixture *f;
    int64_t taken; // until it was refused
    int64_t most;
};

static void *
take_all(void *arg)
{
    struct taker *taker = arg;
    struct fixture own;
    fixture_open(&own, taker->f);
    while (taker->taken < taker->most && take(&own)) {
        taker->taken++;
    }
    fixture_close(&own);
    return NULL;
}

static void
while_few_are_used_the_counter_is_what_builds_before_take_it_for(void **state)
{
    struct fixture *f = *state;
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO quota_usage (instance_id, quota, used, \"limit\")"
                                   " VALUES ('%s', 'things', 0, 100000)",
                                   f->gateway));
    for (int i = 0; i < 60; i++) {
        assert_true(take(f));
    }
    assert_int_equal(sum_of(f, "used", "quota_usage"), 60);
}

static void
takers_at_once_get_the_limit_to_the_unit(void **state)
{
    struct fixture *f = *state;
    struct taker takers[TAKERS];
    pthread_t threads[TAKERS];
    int64_t taken = 0;
    allow(f, 300);
    for (size_t i = 0; i < TAKERS; i++) {
        takers[i] = (struct taker){.f = f, .most = 1000};
        assert_int_equal(pthread_create(&threads[i], NULL, take_all, &takers[i]), 0);
    }
    for (size_t i = 0; i < TAKERS; i++) {
        pthread_join(threads[i], NULL);
        taken += takers[i].taken;
    }
    assert_int_equal(taken, 300);
    assert_int_equal(sum_of(f, "used", "quota_spent"), BEFORE + 300);
}

// The last unit is another's, who gives it back: the one that waited for it is not refused.
static void
a_unit_that_is_rolled_back_goes_to_who_waits(void **state)
{
    struct fixture *f = *state;
    struct taker taker = {.f = f, .most = 1};
    pthread_t thread;
    allow(f, 10000);
    assert_true(take(f));
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE quota_portion SET spare = 1 WHERE instance_id = '%s'",
                                   f->gateway));
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE quota_usage SET used = \"limit\" WHERE instance_id ="
                                   " '%s' AND quota = 'things'",
                                   f->gateway));
    struct sl_tx *open = take_open(f);
    struct fixture watcher;
    fixture_open(&watcher, f);
    assert_int_equal(pthread_create(&thread, NULL, take_all, &taker), 0);
    for (int64_t end = sl_mono_ms() + 60000;
         fixture_count(&watcher,
                       "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") ==
         0;) {
        assert_true(sl_mono_ms() < end);
    }
    sl_tx_free(&open);
    pthread_join(thread, NULL);
    fixture_close(&watcher);
    assert_int_equal(taker.taken, 1);
    assert_false(take(f));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(far_from_the_limit_nobody_waits_and_the_total_is_exact),
        FIXTURE_TEST(what_lies_in_another_sessions_portion_is_not_lost),
        FIXTURE_TEST(a_limit_that_is_lowered_holds_at_once),
        FIXTURE_TEST(while_few_are_used_the_counter_is_what_builds_before_take_it_for),
        FIXTURE_TEST(takers_at_once_get_the_limit_to_the_unit),
        FIXTURE_TEST(a_unit_that_is_rolled_back_goes_to_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
