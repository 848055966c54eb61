// hand_over_test.c - owners of shards that come and go in peace.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/throttle/keepers.h"

#include <pthread.h>
#include <unistd.h>

#include "common/base/clock.h"

#define MOMENT_MS 1000 // 100 to 200 where the machine is idle
#define TURNS     5    // one of which an idle moment of the machine lets be short

static void
one_owner_takes_all_shards_and_two_take_half_each(void **state)
{
    struct fixture *f = *state;
    keepers_own_all(f, "one");
    f->keepers[1] = keepers_start(f, "two");
    keepers_wait_owned(f->keepers[1], SL_SHARDS / 2);
    keepers_wait_owned(f->keepers[0], SL_SHARDS / 2);
    assert_int_equal(SL_SHARDS, atomic_load(&f->offered));
    assert_int_equal(2, keepers_number(f, "SELECT count(DISTINCT owner) FROM throttle_shard"));
    assert_int_equal(2, keepers_number(f, "SELECT max(epoch) FROM throttle_shard"));
}

static void
nothing_is_given_back_for_a_worker_that_nodes_do_not_reach_yet(void **state)
{
    struct fixture *f = *state;
    keepers_own_all(f, "one");
    atomic_store(&f->is_cut_off, true);
    int64_t end_ms = sl_mono_ms() + KEEPERS_TAKEN_MS; // over two renewals of the first
    f->keepers[1] = keepers_start(f, "two");
    keepers_wait_lease(f->keepers[1]);
    for (;;) {
        uint32_t kept = keeper_owned(f->keepers[0]);
        uint32_t taken = keeper_owned(f->keepers[1]);
        if (sl_mono_ms() >= end_ms) {
            break; // the second may have lost its patience
        }
        assert_int_equal(SL_SHARDS, kept);
        assert_int_equal(0, taken);
        usleep(10000);
    }
    atomic_store(&f->is_cut_off, false);
    keepers_wait_owned(f->keepers[1], SL_SHARDS / 2);
    assert_int_equal(SL_SHARDS / 2, keeper_owned(f->keepers[0]));
}

static void
a_bus_that_stays_away_is_not_waited_for(void **state)
{
    struct fixture *f = *state;
    atomic_store(&f->is_cut_off, true);
    keepers_own_all(f, "one");
}

// The shards in between, which nobody grants from, are few and soon taken.
static void
what_is_given_back_is_taken_within_a_moment(void **state)
{
    struct fixture *f = *state;
    int64_t shortest_ms = INT64_MAX;
    for (int turn = 0; turn < TURNS && shortest_ms >= MOMENT_MS; turn++) {
        keepers_own_all(f, "one");
        f->keepers[1] = keepers_start(f, "two");
        int64_t given_ms = 0;
        int64_t end_ms = sl_mono_ms() + WAIT_MS;
        while (keeper_owned(f->keepers[1]) < SL_SHARDS / 2) {
            assert_true(sl_mono_ms() < end_ms);
            bool is_given = keeper_owned(f->keepers[0]) == SL_SHARDS / 2;
            given_ms = is_given && given_ms == 0 ? sl_mono_ms() : given_ms;
            usleep(1000);
        }
        int64_t took_ms = given_ms == 0 ? 0 : sl_mono_ms() - given_ms;
        shortest_ms = took_ms < shortest_ms ? took_ms : shortest_ms;
        keepers_stop(f);
    }
    assert_in_range(shortest_ms, 0, MOMENT_MS - 1);
}

static void
an_owner_that_stops_leaves_its_shards_at_once(void **state)
{
    struct fixture *f = *state;
    keepers_own_all(f, "one");
    keeper_stop(f->keepers[0]);
    assert_int_equal(0, keepers_number(f, "SELECT count(*) FROM throttle_shard "
                                          "WHERE owner IS NOT NULL"));
    assert_int_equal(0, atomic_load(&f->offered));
}

static void *
stop_keeper(void *arg)
{
    keeper_stop(arg);
    return NULL;
}

// As when all are restarted one after another, quicker than a bus is found.
static void
an_owner_that_stops_grants_until_another_can_take_its_shards(void **state)
{
    struct fixture *f = *state;
    pthread_t stopping;
    keepers_own_all(f, "one");
    atomic_store(&f->is_cut_off, true);
    atomic_store(&f->start_ms, sl_mono_ms());
    f->keepers[1] = keepers_start(f, "two");
    keepers_wait_lease(f->keepers[1]);
    assert_int_equal(0, pthread_create(&stopping, NULL, stop_keeper, f->keepers[0]));
    int64_t end_ms = sl_mono_ms() + WAIT_MS;
    while (keepers_number(f, "SELECT count(*) FROM throttle_worker WHERE NOT takes") < 2 &&
           sl_mono_ms() < end_ms) {
        usleep(1000);
    }
    atomic_store(&f->is_cut_off, false);
    pthread_join(stopping, NULL);
    keepers_wait_owned(f->keepers[1], SL_SHARDS);
    assert_int_equal(0, atomic_load(&f->early));
    assert_int_equal(SL_SHARDS, atomic_load(&f->offered));
}

// Who has its part does not look out for more, whatever the number of owners.
static void
who_has_its_part_of_the_shards_lacks_none(void **state)
{
    (void)state;
    assert_false(keeper_lacks(SL_SHARDS, 1));
    assert_true(keeper_lacks(SL_SHARDS - 1, 1));
    assert_false(keeper_lacks(340, 3)); // the others have 342
    assert_true(keeper_lacks(339, 3));
    assert_false(keeper_lacks(0, SL_SHARDS + 1));
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, keepers_setup, keepers_teardown)
    const struct CMUnitTest tests[] = {
        T(one_owner_takes_all_shards_and_two_take_half_each),
        T(nothing_is_given_back_for_a_worker_that_nodes_do_not_reach_yet),
        T(a_bus_that_stays_away_is_not_waited_for),
        T(what_is_given_back_is_taken_within_a_moment),
        T(an_owner_that_stops_leaves_its_shards_at_once),
        T(an_owner_that_stops_grants_until_another_can_take_its_shards),
        cmocka_unit_test(who_has_its_part_of_the_shards_lacks_none),
    };
    return cmocka_run_group_tests(tests, keepers_migrate, NULL);
}
