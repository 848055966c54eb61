// first_row_test.c - the second of an app's first call in PostgreSQL: who asks first writes it.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/throttle/keepers.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/runtime/counter.h"

#define QUOTA "0123456789abcdef0123456789abcdef"
#define OTHER "0123456789abcdef0123456789abcdee"
#define APP   "ffffffffffffffff0000000000000000"
#define BEGAN "SELECT began_s FROM app_quota_app WHERE app_id = '" APP "'"

// The key where a node's table is full.
static const char overflow_key[] = "o/" QUOTA "/2100000000@1600000000";

static int
setup(void **state)
{
    static struct shards_state seen;
    struct sl_error err;
    keepers_setup(state);
    struct fixture *f = *state;
    keepers_sql(f, "DELETE FROM app");
    keepers_sql(f, "DELETE FROM app_quota");
    keepers_sql(f, "DELETE FROM runtime_change");
    keepers_sql(f, "INSERT INTO app (instance_id, id, name, app_key, app_secret, domain_id, "
                   "app_secret_lookup) VALUES ('" GATEWAY "', '" APP "', 'a', 'k', 's', 'd', 'h')");
    keepers_sql(f, "INSERT INTO app_quota (instance_id, id, name, call_limits, time_unit, "
                   "time_interval) SELECT '" GATEWAY
                   "', x, x, 3, 'HOUR', 1 FROM unnest(ARRAY['" QUOTA "', '" OTHER "']) x");
    keepers_sql(f, "INSERT INTO app_quota_app (instance_id, app_id, app_quota_id) VALUES "
                   "('" GATEWAY "', '" APP "', '" QUOTA "')");
    return shards_renew(f->db, f->arena, "w", true, &seen, &err);
}

// The key that nodes have from the publisher.
static const char *
key_of(struct fixture *f, const char *quota)
{
    struct sl_counter_key key;
    sl_counter_first_key(
        &key, quota, APP,
        (uint32_t)keepers_number(f, "SELECT app_quota_first(bound_time) FROM app_quota_app"));
    return sl_arena_dupn(f->arena, key.text, key.len);
}

// Asks for the first call of a key as an owner does, beside something else; 0: it was not told.
static int64_t
ask_for(struct fixture *f, const char *key)
{
    struct sl_error err;
    struct account_ceiling rows[3];
    struct account_ceiling wanted[3] = {
        {GATEWAY, "t/looked at", 60, 7, 100, ACCOUNT_LEARN},
        {GATEWAY, key, SL_COUNTER_FIRST_S, 0, 1, ACCOUNT_FIRST},
        {GATEWAY, "t/raised", 60, 7, 100, 20},
    };
    const struct shards_ceilings ceilings = {"w", wanted, SL_COUNT(wanted)};
    assert_int_equal(0, shards_write_ceilings(f->db, f->arena, &ceilings, rows, &err));
    assert_int_equal(20, rows[2].ceiling);
    assert_int_equal(0, rows[0].ceiling);
    assert_string_equal(key, rows[1].key);
    return rows[1].ceiling;
}

static void
the_number_of_a_key_leaves_its_window_room(void **state)
{
    struct fixture *f = *state;
    int64_t now_ms = sl_wall_ms();
    for (int year = 2017; year < 2050; year++) {
        char sql[128];
        snprintf(sql, sizeof(sql), "SELECT app_quota_first('%d-06-30 12:34:56.789+00')", year);
        int64_t number = keepers_number(f, sql);
        assert_in_range(number, 600000000, 1599999999);
        assert_int_equal(1, sl_counter_window(now_ms + number * 1000, SL_COUNTER_FIRST_S));
    }
}

static void
who_asks_first_writes_the_time_and_all_are_told_the_same(void **state)
{
    struct fixture *f = *state;
    const char *key = key_of(f, QUOTA);
    int64_t before_s = sl_wall_ms() / 1000 - 1;
    int64_t first_s = ask_for(f, key);
    assert_in_range(first_s, before_s, sl_wall_ms() / 1000);
    assert_int_equal(first_s, keepers_number(f, BEGAN));
    assert_int_equal(
        1, keepers_number(f, "SELECT count(*) FROM runtime_change WHERE gateway_id = '" GATEWAY
                             "' AND kind = 'app' AND key = '" APP "'"));
    // Later, by another owner, after the entry was made anew: nothing changes any more.
    keepers_sql(f, "UPDATE app_quota_app SET began_s = began_s - 1000");
    assert_int_equal(first_s - 1000, ask_for(f, key));
    assert_int_equal(1, keepers_number(f, "SELECT count(*) FROM runtime_change"));
}

static void
another_quota_begins_with_its_own_first_call(void **state)
{
    struct fixture *f = *state;
    const char *old = key_of(f, QUOTA);
    assert_true(ask_for(f, old) > 0);
    keepers_sql(f, "UPDATE app_quota_app SET began_s = 1000");
    keepers_sql(f, "UPDATE app_quota_app SET app_quota_id = '" OTHER "', bound_time = bound_time + "
                   "interval '1 second'");
    assert_int_equal(0, ask_for(f, old)); // a node that has not heard
    const char *key = key_of(f, OTHER);
    assert_string_not_equal(old, key);
    assert_true(ask_for(f, key) > 1000);
}

static void
of_what_nobody_has_nothing_is_told(void **state)
{
    struct fixture *f = *state;
    const char *key = key_of(f, QUOTA);
    keepers_sql(f, "DELETE FROM app_quota_app");
    static const char *const others[] = {"", "q/", overflow_key, "@", "q/a/b@c"};
    assert_int_equal(0, ask_for(f, key));
    for (size_t i = 0; i < SL_COUNT(others); i++) {
        assert_int_equal(0, ask_for(f, others[i]));
    }
    assert_int_equal(0, keepers_number(f, "SELECT count(*) FROM runtime_change"));
}

// An owner renews its lease by the same connection: it must not wait for a registry.
static void
a_row_that_somebody_changes_is_not_waited_for(void **state)
{
    struct fixture *f = *state;
    struct sl_error err;
    const char *key = key_of(f, QUOTA);
    struct sl_db *registry =
        sl_db_open(&(struct sl_db_options){.conninfo = getenv("SLUICE_TEST_DB")}, &err);
    assert_non_null(registry);
    struct sl_tx *tx = sl_tx_begin(registry, &err);
    assert_int_equal(0, sl_sql(tx, f->arena, "UPDATE app_quota_app SET bound_time = bound_time",
                               SL_NO_PARAMS, NULL, &err));
    assert_int_equal(0, ask_for(f, key));
    assert_int_equal(0, sl_tx_commit(&tx, &err));
    assert_true(ask_for(f, key) > 0);
    sl_db_free(&registry);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, keepers_teardown)
    const struct CMUnitTest tests[] = {
        T(the_number_of_a_key_leaves_its_window_room),
        T(who_asks_first_writes_the_time_and_all_are_told_the_same),
        T(another_quota_begins_with_its_own_first_call),
        T(of_what_nobody_has_nothing_is_told),
        T(a_row_that_somebody_changes_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, keepers_migrate, NULL);
}
