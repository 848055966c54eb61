// fleet_test.c - which worker gets the next command.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/bus/fleet.h"

#include "tests/unit/test.h"

#include <string.h>

#define WORKERS 3
#define NOW_MS  10000

struct room {
    struct fleet *fleet;
    struct fleet_worker *workers[WORKERS];
};

static struct room room;

static int
open_room(void **state)
{
    (void)state;
    struct sl_error err;
    struct role role;
    room.fleet = fleet_new();
    assert_non_null(room.fleet);
    assert_int_equal(role_parse(SL_STR("worker:registry"), SL_STR(""), &role, &err), 0);
    for (size_t i = 0; i < WORKERS; i++) {
        const char routing[FLEET_ROUTING_LEN] = {0, 0, 0, 0, (char)(i + 1)};
        room.workers[i] = fleet_get(room.fleet, routing, "worker");
        assert_non_null(room.workers[i]);
        room.workers[i]->role = role;
        assert_int_equal(fleet_offer(room.fleet, room.workers[i], 1, SL_STR("registry")), 0);
    }
    return 0;
}

static int
close_room(void **state)
{
    (void)state;
    fleet_free(&room.fleet);
    assert_null(room.fleet);
    return 0;
}

static void
beat(size_t index, int64_t credits, int64_t load, int64_t width)
{
    const struct fleet_beat beat = {.credits = credits, .load = load, .width = width};
    fleet_beat(room.workers[index], &beat, NOW_MS);
}

static void
beat_all(int64_t credits, int64_t width)
{
    for (size_t i = 0; i < WORKERS; i++) {
        beat(i, credits, 0, width);
    }
}

// Picks one and gives it a command; its index, WORKERS when there is none.
static size_t
give(void)
{
    bool offered = false;
    struct fleet_worker *worker = fleet_pick(room.fleet, SL_STR("registry"), NOW_MS + 1, &offered);
    for (size_t i = 0; i < WORKERS; i++) {
        if (worker == room.workers[i]) {
            assert_true(offered);
            worker->outstanding++;
            return i;
        }
    }
    assert_null(worker);
    return WORKERS;
}

static void
end(size_t index)
{
    room.workers[index]->outstanding--;
}

static void
the_worker_picked_last_is_picked_again_once_it_is_free(void **state)
{
    (void)state;
    beat_all(9, 1);
    size_t first = give();
    for (int i = 0; i < 10; i++) {
        end(first);
        assert_int_equal(give(), first);
    }
    // It is busy: another begins, and is the one that is awake from then on.
    size_t second = give();
    assert_int_not_equal(second, first);
    end(first);
    end(second);
    assert_int_equal(give(), second);
    assert_int_equal(give(), first);
}

static void
a_worker_gets_as_many_as_it_runs_before_another_begins(void **state)
{
    (void)state;
    beat_all(9, 4);
    size_t first = give();
    for (int i = 1; i < 4; i++) {
        assert_int_equal(give(), first);
    }
    size_t second = give();
    assert_int_not_equal(second, first);
    end(first);
    assert_int_equal(give(), second); // it began last
}

static void
what_all_run_already_goes_to_the_least_loaded(void **state)
{
    (void)state;
    beat(0, 9, 3, 1);
    beat(1, 9, 1, 1); // from another bus, as of all
    beat(2, 9, 2, 1);
    assert_int_equal(give(), 1);
    size_t tied = give(); // two hold two each
    assert_true(tied == 1 || tied == 2);
    assert_int_equal(give(), tied == 1 ? 2 : 1);
}

static void
what_a_worker_does_for_another_bus_counts(void **state)
{
    (void)state;
    beat_all(9, 2);
    size_t first = give();
    end(first);
    beat(first, 9, 2, 2);
    assert_int_not_equal(give(), first);
}

static void
workers_that_do_not_say_how_many_they_run_share(void **state)
{
    (void)state;
    beat_all(9, 0);
    bool seen[WORKERS] = {false};
    for (size_t i = 0; i < WORKERS; i++) {
        seen[give()] = true;
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    // One that says so begins at once, and comes first.
    beat(1, 9, 0, 2);
    assert_int_equal(give(), 1);
}

static void
without_credit_there_is_a_worker_and_no_pick(void **state)
{
    (void)state;
    bool offered = false;
    beat_all(1, 4);
    bool seen[WORKERS] = {false};
    for (size_t i = 0; i < WORKERS; i++) {
        seen[give()] = true;
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    assert_int_equal(give(), WORKERS);
    assert_null(fleet_pick(room.fleet, SL_STR("registry"), NOW_MS, &offered));
    assert_true(offered);
    assert_null(fleet_pick(room.fleet, SL_STR("identity"), NOW_MS, &offered));
    assert_false(offered);
}

static void
a_silent_worker_is_not_picked_however_free(void **state)
{
    (void)state;
    bool offered = true;
    beat_all(9, 4);
    size_t first = give();
    end(first);
    room.workers[first]->seen_ms = NOW_MS - FLEET_DEAD_MS;
    assert_int_not_equal(give(), first);
    assert_null(fleet_pick(room.fleet, SL_STR("registry"), NOW_MS + FLEET_DEAD_MS + 1, &offered));
    assert_false(offered);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_worker_picked_last_is_picked_again_once_it_is_free,
                                        open_room, close_room),
        cmocka_unit_test_setup_teardown(a_worker_gets_as_many_as_it_runs_before_another_begins,
                                        open_room, close_room),
        cmocka_unit_test_setup_teardown(what_all_run_already_goes_to_the_least_loaded, open_room,
                                        close_room),
        cmocka_unit_test_setup_teardown(what_a_worker_does_for_another_bus_counts, open_room,
                                        close_room),
        cmocka_unit_test_setup_teardown(workers_that_do_not_say_how_many_they_run_share, open_room,
                                        close_room),
        cmocka_unit_test_setup_teardown(without_credit_there_is_a_worker_and_no_pick, open_room,
                                        close_room),
        cmocka_unit_test_setup_teardown(a_silent_worker_is_not_picked_however_free, open_room,
                                        close_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
