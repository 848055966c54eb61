// plans_test.c - what accounting reads with 100,000 keys in use, by the plans that PostgreSQL ran.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/crypto/crypto.h"
#include "common/db/migrate.h"
#include "services/throttle/shards.h"
#include "tests/lib/plans.h"

#define KEYS 500 // of one write

struct fixture {
    struct sl_db *db;
    struct sl_arena *arena;
    struct plans *plans;
    struct sl_error err;
};

static const char *
key_of(struct fixture *f, int number)
{
    return sl_arena_printf(f->arena, "t/%032d/*/a/3600", number);
}

static void
ceilings_and_usage_are_written_key_by_key(void **state)
{
    struct fixture *f = *state;
    struct account_ceiling wanted[KEYS];
    struct account_ceiling rows[KEYS];
    struct account_usage usages[KEYS];
    for (int i = 0; i < PLANS_RUNS; i++) {
        for (int n = 0; n < KEYS; n++) {
            const char *key = key_of(f, i * KEYS + n);
            wanted[n] = (struct account_ceiling){"g", key, 3600, 2, 1000, n % 2 == 0 ? 100 : -1};
            usages[n] = (struct account_usage){"g", key, 2, 3600, 50, 1000};
        }
        const struct shards_ceilings ceilings = {"writer", wanted, KEYS};
        assert_int_equal(shards_write_ceilings(f->db, f->arena, &ceilings, rows, &f->err), 0);
        assert_int_equal(rows[0].ceiling, 100);
        plans_judge(f->plans, "ceilings", KEYS);
        assert_int_equal(shards_write_usage(f->db, f->arena, usages, KEYS, &f->err), 0);
        plans_judge(f->plans, "usage", KEYS);
    }
    assert_int_equal(plans_faults(f->plans), 0);
}

static void
shards_are_taken_and_given_back_whatever_the_number_of_keys(void **state)
{
    struct fixture *f = *state;
    struct shards_wish wish = {.max = SL_SHARDS, .with_orphans = true};
    for (int i = 0; i < PLANS_RUNS; i++) {
        struct shards_state found;
        struct shards_list taken;
        struct shards_node *nodes;
        struct shards_vouch *vouches;
        size_t count;
        assert_int_equal(shards_renew(f->db, f->arena, "w", true, &found, &f->err), 0);
        assert_int_equal(shards_take(f->db, f->arena, "w", &wish, &taken, &f->err), 0);
        assert_int_equal(taken.count, SL_SHARDS);
        assert_int_equal(shards_nodes(f->db, f->arena, &nodes, &count, &f->err), 0);
        assert_int_equal(shards_vouched(f->db, f->arena, &vouches, &count, &f->err), 0);
        assert_int_equal(shards_release(f->db, f->arena, "w", SL_SHARDS, &f->err), 0);
        plans_judge(f->plans, "shards", SL_SHARDS);
    }
    assert_int_equal(plans_faults(f->plans), 0);
}

static int
set_up(void **state)
{
    static struct fixture fixture;
    char directory[512];
    struct fixture *f = &fixture;
    sl_crypto_init();
    snprintf(directory, sizeof(directory), "%s/proto/sql", getenv("SLUICE_SOURCE"));
    assert_int_equal(sl_migrate(getenv("SLUICE_TEST_DB"), directory, NULL, &f->err), 0);
    f->arena = sl_arena_new((size_t)64 * 1024 * 1024);
    f->db = sl_db_open(&(struct sl_db_options){.conninfo = getenv("SLUICE_TEST_DB")}, &f->err);
    assert_non_null(f->db);
    f->plans = plans_new(f->db);
    plans_run(f->plans, "INSERT INTO throttle_usage (gateway_id, key, window_s, window_no, used, "
                        "\"limit\", at) SELECT 'g', 't/' || lpad(n::text, 32, '0') || '/*/a/3600', "
                        "3600, 1, 10, 1000, now() FROM generate_series(0, 99999) n");
    plans_run(f->plans, "INSERT INTO throttle_worker (worker, lease) "
                        "VALUES ('writer', now() + interval '1 hour')");
    plans_begin(f->plans);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    plans_free(&f->plans);
    sl_db_free(&f->db);
    sl_arena_free(&f->arena);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ceilings_and_usage_are_written_key_by_key),
        cmocka_unit_test(shards_are_taken_and_given_back_whatever_the_number_of_keys),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
