// first_call_test.c - windows that begin with an app's first call: the same on every node, whoever
// dies meanwhile, and never more calls than the limit in any of them.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/throttle/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/runtime/counter_agent.h"

#define START_MS  1800000000000LL
#define WARM_MS   5000
#define WINDOW_S  20
#define LIMIT     30
#define SETTLE_MS 4000 // after a fault: owners are found, and nodes have reported
#define SCHEDULES 24   // random ones

// A world at rest whose key 0 awaits its first call; nobody calls for the other.
static struct world *
open_waiting(unsigned seed, int nodes)
{
    struct world *world = open_world_at(seed, nodes, OWNERS, START_MS - WARM_MS);
    for (int i = 0; i < nodes; i++) {
        memset(world->nodes[i].load, 0, sizeof(world->nodes[i].load));
    }
    world_await_first(world, 0, WINDOW_S, LIMIT);
    return world;
}

static void
run_until(struct world *world, int64_t end_ms)
{
    while (world->now_ms < end_ms) {
        step(world);
    }
}

// What was admitted of the window that began so many windows after the first call.
static int64_t
admitted(const struct world *world, uint32_t after)
{
    uint32_t lead_s = sl_counter_lead_of(world->began_s[0], WINDOW_S);
    uint32_t window = sl_counter_window((world->began_s[0] + lead_s) * 1000, WINDOW_S);
    return world->admitted[0][window + after - world->first_window[0]];
}

// Calls come to every node, more than the limit has in a window.
static void
call_everywhere(struct world *world)
{
    for (int i = 0; i < world->node_count; i++) {
        world->nodes[i].load[0] = 2 * LIMIT * 1000 / WINDOW_S / 1000 + 5;
    }
}

static void
windows_begin_with_the_first_call(void **state)
{
    (void)state;
    struct world *world = open_waiting(3, 2);
    run_until(world, START_MS + 7300);
    assert_int_equal(0, world->began_s[0]); // time alone begins nothing
    // Two nodes, at the same moment.
    offer(&world->nodes[0], 0);
    offer(&world->nodes[1], 0);
    run_until(world, world->now_ms + 2 * WAIT_MS);
    assert_true(world->began_s[0] == START_MS / 1000 + 7);
    assert_int_equal(2, admitted(world, 0));
    assert_int_equal(0, world->refused[0]);
    call_everywhere(world);
    run_until(world, (world->began_s[0] + 3 * WINDOW_S) * 1000);
    for (uint32_t after = 0; after < 3; after++) {
        assert_int_equal(LIMIT, admitted(world, after));
    }
    close_world(world);
}

static void
calls_of_the_first_moment_wait_for_the_time_and_then_for_units(void **state)
{
    (void)state;
    struct world *world = open_waiting(4, 4);
    world->slow_ms = 6; // each way, and the database: longer than one wait, shorter than two
    run_until(world, START_MS);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 5; j++) {
            offer(&world->nodes[i], 0);
        }
    }
    run_until(world, START_MS + 4 * WAIT_MS);
    assert_in_range(admitted(world, 0), 16, 20);
    close_world(world);
}

typedef void fault_fn(struct world *world);

static void
every_owner_dies(struct world *world)
{
    for (int i = 0; i < OWNERS; i++) {
        kill_owner(world, i);
        revive_owner(world, i);
    }
}

static void
an_owner_is_taken_for_dead(struct world *world)
{
    bury_owner(world, 0);
    run_until(world, world->now_ms + 20);
}

static void
a_node_forgets(struct world *world)
{
    lose_memory(&world->nodes[0]);
}

static void
agents_start_again(struct world *world)
{
    for (int i = 0; i < world->node_count; i++) {
        world_stop_agent(&world->nodes[i]);
        world_start_agent(&world->nodes[i]);
    }
}

static void
all_is_lost_but_the_database(struct world *world)
{
    reboot(world);
}

// The first call, a fault, and calls to all nodes, one of which never heard of the first.
static void
the_first_call_outlives_owners_and_memories(void **state)
{
    (void)state;
    static fault_fn *const faults[] = {every_owner_dies, an_owner_is_taken_for_dead, a_node_forgets,
                                       agents_start_again, all_is_lost_but_the_database};
    for (size_t i = 0; i < SL_COUNT(faults); i++) {
        struct world *world = open_waiting(5, 3);
        run_until(world, START_MS + 500);
        offer(&world->nodes[0], 0);
        run_until(world, world->now_ms + 2 * WAIT_MS);
        int64_t began_s = world->began_s[0];
        assert_true(began_s == START_MS / 1000);
        assert_int_equal(1, admitted(world, 0));
        int told = world->firsts_told;
        faults[i](world);
        run_until(world, world->now_ms + SETTLE_MS);
        call_everywhere(world);
        run_until(world, (began_s + 3 * WINDOW_S) * 1000);
        assert_true(began_s == world->began_s[0]);
        assert_true(world->firsts_told > told);
        // Of the first window what a lost memory held may be missing, never too much be there.
        assert_in_range(admitted(world, 0), 1, LIMIT);
        assert_int_equal(LIMIT, admitted(world, 1));
        assert_int_equal(LIMIT, admitted(world, 2));
        close_world(world);
    }
}

static void
without_accounting_the_first_call_is_refused_and_begins_nothing(void **state)
{
    (void)state;
    struct world *world = open_waiting(6, 2);
    run_until(world, START_MS);
    world->nodes[0].is_cut = true;
    run_until(world, START_MS + SETTLE_MS);
    offer(&world->nodes[0], 0);
    run_until(world, world->now_ms + 2 * WAIT_MS);
    assert_int_equal(1, world->refused[0]);
    assert_int_equal(0, world->began_s[0]);
    world->nodes[0].is_cut = false;
    run_until(world, world->now_ms + SETTLE_MS);
    offer(&world->nodes[0], 0);
    run_until(world, world->now_ms + 2 * WAIT_MS);
    assert_true(world->began_s[0] >= START_MS / 1000 + 2 * SETTLE_MS / 1000 - 1);
    assert_int_equal(1, admitted(world, 0));
    close_world(world);
}

// ask() fails on one unit too many in a window, and on a time that differs from the database's.
static void
whatever_happens_no_window_has_more_than_the_limit(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= SCHEDULES; seed++) {
        struct world *world = open_waiting(seed, 2 + (int)(seed % 3));
        world_await_first(world, 1, 2, 1 + seed % 40);
        run_until(world, START_MS - WARM_MS + 500);
        for (int i = 0; i < world->node_count; i++) {
            world->nodes[i].load[0] = (int)dice(world, 20);
            world->nodes[i].load[1] = (int)dice(world, 100);
        }
        while (world->now_ms < START_MS + 30000) {
            if (chance(world, 4)) {
                disturb(world);
            }
            step(world);
        }
        close_world(world);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_begin_with_the_first_call),
        cmocka_unit_test(calls_of_the_first_moment_wait_for_the_time_and_then_for_units),
        cmocka_unit_test(the_first_call_outlives_owners_and_memories),
        cmocka_unit_test(without_accounting_the_first_call_is_refused_and_begins_nothing),
        cmocka_unit_test(whatever_happens_no_window_has_more_than_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
