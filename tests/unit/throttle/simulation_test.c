// simulation_test.c - random schedules of accounting and nodes: in none is a limit exceeded.
//
// SLUICE_SIM_SCHEDULES sets how many (default 20; the long form takes thousands), SLUICE_SIM_SEED
// the first.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/throttle/world.h"

#include <stdlib.h>
#include <string.h>

#include "services/node/grants_state.h"

#define DEAD_MS 900 // from an owner's death to the take-over: 0.1 to 0.4 s where there is time

static unsigned
setting(const char *name, unsigned fallback)
{
    const char *text = getenv(name);
    int64_t value;
    return text != NULL && sl_str_int(sl_str(text), &value) ? (unsigned)value : fallback;
}

// -- tests

// Plays 12 s of disturbed traffic and closes the world; answers how many calls were admitted.
static int64_t
play(struct world *world)
{
    int64_t admitted = 0;
    for (int ms = 0; ms < 12000; ms++) {
        if (chance(world, 2)) {
            disturb(world);
        }
        step(world);
    }
    for (int key = 0; key < KEYS; key++) {
        for (size_t at = 0; at < WINDOWS; at++) {
            admitted += world->admitted[key][at];
        }
    }
    close_world(world);
    return admitted;
}

static void
no_schedule_exceeds_a_limit(void **state)
{
    (void)state;
    int64_t admitted = 0;
    unsigned first = setting("SLUICE_SIM_SEED", 1);
    unsigned last = first + setting("SLUICE_SIM_SCHEDULES", 20);
    for (unsigned seed = first; seed < last; seed++) {
        struct world *world = open_world(seed, 1 + (int)(seed % NODES), 1 + (int)(seed / 7 % 2));
        world->stray = 20;
        admitted += play(world);
    }
    print_message("%lld requests admitted\n", (long long)admitted);
    assert_true(admitted > 0);
}

// A quota's windows begin at its own time; everything else about them is as with any limit.
static void
no_schedule_exceeds_a_quota(void **state)
{
    (void)state;
    int64_t admitted = 0;
    unsigned first = setting("SLUICE_SIM_SEED", 1);
    unsigned last = first + setting("SLUICE_SIM_SCHEDULES", 20) / 2;
    for (unsigned seed = first; seed < last; seed++) {
        struct world *world = open_world(seed, 1 + (int)(seed % NODES), 1 + (int)(seed / 7 % 2));
        for (int key = 0; key < KEYS; key++) {
            // The window that is open ends 5 s after the start, or is about to.
            int64_t now_s = world->now_ms / 1000;
            uint32_t window_s = key == 0 ? 60 : 5;
            uint32_t lead_s = (uint32_t)(window_s - (now_s + 5) % window_s) % window_s;
            world->window_s[key] = window_s;
            world->lead_s[key] = lead_s;
            world->first_window[key] =
                sl_counter_window(world->now_ms + (int64_t)lead_s * 1000, window_s) - 1;
            sl_counter_quota_key(&world->keys[key], POLICY, POLICY, window_s, lead_s);
        }
        admitted += play(world);
    }
    assert_true(admitted > 0);
}

static void
in_contact_nearly_all_of_what_is_allowed_is_admitted(void **state)
{
    (void)state;
    int64_t admitted = 0;
    int64_t possible = 0;
    for (unsigned seed = 1; seed <= 6; seed++) {
        struct world *world = open_world(seed, 2, 2);
        for (int key = 0; key < KEYS; key++) {
            world->limit[key] = 50 + dice(world, 200);
            world->window_s[key] = 1 + (uint32_t)key;
            world->first_window[key] = sl_counter_window(world->now_ms, world->window_s[key]) - 1;
            sl_counter_policy_key(&world->keys[key], POLICY, NULL, SL_COUNT_API, NULL,
                                  world->window_s[key]);
        }
        for (int ms = 0; ms < 10000; ms++) {
            if (ms % 1500 == 0) {
                for (int i = 0; i < 4; i++) {
                    world->nodes[i % 2].load[i / 2] = (int)dice(world, 300);
                }
            }
            step(world);
        }
        for (int key = 0; key < KEYS; key++) {
            for (size_t at = 2; at + 2 < 10 / world->window_s[key]; at++) {
                int64_t offered = world->offered[key][at];
                admitted += world->admitted[key][at];
                possible += offered < world->limit[key] ? offered : world->limit[key];
            }
        }
        close_world(world);
    }
    print_message("%lld of %lld\n", (long long)admitted, (long long)possible);
    assert_true(admitted * 100 >= possible * 98);
}

static void
run(struct world *world, int ms)
{
    for (int i = 0; i < ms; i++) {
        step(world);
    }
}

// What nodes hold of a window in advance must not be what others need before its end.
static void
callers_that_hop_between_nodes_get_nearly_all_of_each_second(void **state)
{
    (void)state;
    int64_t admitted = 0;
    int64_t possible = 0;
    struct world *world = open_world_at(7, 4, 2, 1800000000000LL);
    world->limit[0] = 5000;
    world->window_s[0] = 1;
    world->first_window[0] = sl_counter_window(world->now_ms, 1) - 1;
    sl_counter_policy_key(&world->keys[0], POLICY, NULL, SL_COUNT_API, NULL, 1);
    for (int i = 0; i < 4; i++) {
        memset(world->nodes[i].load, 0, sizeof(world->nodes[i].load));
    }
    for (int ms = 0; ms < 9000; ms++) {
        for (int i = 0; i < 10; i++) { // as many as the limit, on another node every 100 ms
            if (chance(world, 500)) {
                offer(&world->nodes[ms / 100 % 4], 0);
            }
        }
        step(world);
    }
    for (size_t at = 4; at < 9; at++) {
        int64_t offered = world->offered[0][at];
        admitted += world->admitted[0][at];
        possible += offered < world->limit[0] ? offered : world->limit[0];
    }
    close_world(world);
    print_message("%lld of %lld\n", (long long)admitted, (long long)possible);
    assert_true(admitted * 100 >= possible * 95);
}

// The time as the node's agent has it.
static int64_t
node_ms(const struct world *world, int node)
{
    return world->now_ms + world->nodes[node].skew_ms;
}

// A node's memory goes while nobody owns its shards: the next owner knows of what was in it only
// from the row, which speaks of the memory that is gone.
static void
a_memory_lost_while_nobody_owned_its_shards_counts_as_spent(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct world *world = open_world_at(seed, 2, 1, 1800000000000LL);
        for (int i = 0; i < 2; i++) {
            memset(world->nodes[i].load, 0, sizeof(world->nodes[i].load));
        }
        world->limit[0] = 100;
        world->window_s[0] = 60;
        world->first_window[0] = sl_counter_window(world->now_ms, 60) - 1;
        sl_counter_policy_key(&world->keys[0], POLICY, NULL, SL_COUNT_API, NULL, 60);
        world->nodes[0].load[0] = 200;
        run(world, 3000);
        kill_owner(world, 0);
        run(world, 100);
        lose_memory(&world->nodes[0]);
        run(world, 3000);
        revive_owner(world, 0);
        world->nodes[1].load[0] = 500; // ask() fails the test when one passes that should not
        run(world, 4000);
        close_world(world);
    }
}

// What a node held before it rebooted is over after seconds: owners who come and go later than that
// know of everything that is out, and refuse nobody.
static void
owners_change_unnoticed_soon_after_a_memory_was_lost(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct world *world = open_world_at(seed, 4, 2, 1800000000000LL);
        world->limit[0] = 1000;
        world->window_s[0] = 1;
        world->first_window[0] = sl_counter_window(world->now_ms, 1) - 1;
        sl_counter_policy_key(&world->keys[0], POLICY, NULL, SL_COUNT_API, NULL, 1);
        for (int i = 0; i < 4; i++) {
            memset(world->nodes[i].load, 0, sizeof(world->nodes[i].load));
            world->nodes[i].load[0] = 3;
        }
        run(world, 5000);
        lose_memory(&world->nodes[0]);
        run(world, 5000);
        world->refused[0] = 0;
        for (int i = 0; i < 4; i++) {
            retire_owner(world, i % 2);
            run(world, 300);
            revive_owner(world, i % 2);
            run(world, 300);
        }
        run(world, 4000);
        assert_int_equal(0, world->refused[0]);
        close_world(world);
    }
}

// The story of the issue: 12 calls one after another, as fast as they are answered.
static int64_t
twelve_calls(struct world *world, const int *nodes)
{
    int64_t passed = 0;
    for (int i = 0; i < 12; i++) {
        int64_t before = world->admitted[0][1];
        bool waits = ask(&world->nodes[nodes[i]], 0, false);
        for (int ms = 0; ms < WAIT_MS && waits; ms++) {
            step(world);
            waits = ask(&world->nodes[nodes[i]], 0, true);
        }
        step(world);
        passed += world->admitted[0][1] - before;
    }
    return passed;
}

static struct world *
open_three_an_hour(void)
{
    struct world *world = open_world(5, 2, 2);
    for (int i = 0; i < 2; i++) {
        memset(world->nodes[i].load, 0, sizeof(world->nodes[i].load));
    }
    world->limit[0] = 3;
    world->window_s[0] = 3600;
    world->first_window[0] = sl_counter_window(world->now_ms, 3600) - 1;
    sl_counter_policy_key(&world->keys[0], POLICY, NULL, SL_COUNT_API, NULL, 3600);
    for (int ms = 0; ms < 2000; ms++) {
        step(world);
    }
    return world;
}

static void
three_an_hour_is_three_on_whichever_nodes(void **state)
{
    (void)state;
    static const int ALTERNATING[12] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
    static const int ONE[12] = {0};
    static const int TWO_AND_REST[12] = {0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const int *const orders[] = {ALTERNATING, ONE, TWO_AND_REST};
    for (size_t i = 0; i < 3; i++) {
        struct world *world = open_three_an_hour();
        assert_int_equal(3, twelve_calls(world, orders[i]));
        close_world(world);
    }
}

static void
a_raised_limit_is_granted_in_the_window_that_was_exhausted(void **state)
{
    (void)state;
    static const int ALTERNATING[12] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
    struct world *world = open_three_an_hour();
    assert_int_equal(3, twelve_calls(world, ALTERNATING));
    for (int raised = 1; raised <= 2; raised++) {
        world->limit[0] += raised;
        world->revision++;
        assert_int_equal(raised, twelve_calls(world, ALTERNATING));
    }
    close_world(world);
}

static void
with_every_owner_dead_no_more_than_three_pass_and_nothing_waits(void **state)
{
    (void)state;
    static const int ALTERNATING[12] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
    struct world *world = open_three_an_hour();
    ask(&world->nodes[0], 0, false);
    for (int ms = 0; ms < 30; ms++) {
        step(world);
    }
    kill_owner(world, 0);
    kill_owner(world, 1);
    for (int ms = 0; ms < 2500; ms++) {
        step(world);
    }
    int64_t before_ms = world->now_ms;
    assert_true(twelve_calls(world, ALTERNATING) <= 3);
    assert_int_equal(12, world->now_ms - before_ms); // a step a call: none of them waited
    close_world(world);
}

static void
a_dead_owner_is_replaced_and_the_rest_of_the_hour_is_granted(void **state)
{
    (void)state;
    static const int ALTERNATING[12] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
    struct world *world = open_three_an_hour();
    ask(&world->nodes[0], 0, false);
    for (int ms = 0; ms < 30; ms++) {
        step(world);
    }
    ask(&world->nodes[0], 0, true);
    assert_int_equal(1, world->admitted[0][1]);
    kill_owner(world, world->shard_owner[sl_counter_shard(sl_str(world->keys[0].text))]);
    for (int ms = 0; ms < LEASE_MS + 1000; ms++) {
        step(world);
    }
    assert_int_equal(2, twelve_calls(world, ALTERNATING));
    close_world(world);
}

// Who comes back takes its part of the shards from an owner that lives on, and whose answers go on.
static void
a_hand_over_that_no_event_told_of_is_found_out(void **state)
{
    (void)state;
    static const int ALTERNATING[12] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
    struct world *world = open_three_an_hour();
    int owner = world->shard_owner[sl_counter_shard(sl_str(world->keys[0].text))];
    kill_owner(world, owner);
    run(world, LEASE_MS + 1000);
    world->is_deaf = true;
    revive_owner(world, owner);
    run(world, 1000); // two heartbeats
    assert_int_equal(3, twelve_calls(world, ALTERNATING));
    close_world(world);
}

// Until then nobody waits for a unit: a tick and a round trip an owner, not a pause.
static void
an_agent_that_starts_finds_all_owners_one_after_the_other(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct world *world = open_world(seed, 1, OWNERS);
        struct sim_node *node = &world->nodes[0];
        run(world, 1000);
        world_stop_agent(node);
        world_start_agent(node);
        run(world, OWNERS * 30);
        for (uint32_t shard = 0; shard < SL_SHARDS; shard++) {
            uint8_t owner = node->grants->shards[shard].owner;
            assert_int_not_equal(owner, GRANTS_NO_OWNER);
            assert_true(node->grants->owners[owner].is_up);
        }
        close_world(world);
    }
}

static void
a_node_that_leaves_gives_back_what_it_did_not_spend(void **state)
{
    (void)state;
    static const int ONE[12] = {0};
    for (int leaves = 0; leaves < 2; leaves++) {
        struct world *world = open_three_an_hour();
        world->limit[0] = 60;
        world->revision++;
        for (int turn = 0; turn < 2;
             turn++) { // who wants six is given more for those who will come
            for (int i = 0; i < 6; i++) {
                ask(&world->nodes[1], 0, turn != 0);
            }
            run(world, 15);
        }
        assert_int_equal(6, world->admitted[0][1]);
        for (int ms = 0; leaves && !grants_leave(world->nodes[1].grants, node_ms(world, 1)); ms++) {
            assert_true(ms < 300);
            step(world);
        }
        world_stop_agent(&world->nodes[1]);
        run(world, 3000); // longer than a silent node is asked for units
        int64_t others = 0;
        for (int i = 0; i < 9; i++) {
            others += twelve_calls(world, ONE);
        }
        assert_true(leaves ? others == 54 : others < 54);
        close_world(world);
    }
}

// What is refused of a limit that is far away when the owner of its key is dead for `away_ms`, from
// so many milliseconds after a second began.
static int64_t
refused_by_death(unsigned seed, int phase_ms, int64_t away_ms)
{
    struct world *world = open_world(seed, 2, 2);
    world->limit[0] = 1000;
    world->window_s[0] = 1;
    world->first_window[0] = sl_counter_window(world->now_ms, 1) - 1;
    sl_counter_policy_key(&world->keys[0], POLICY, NULL, SL_COUNT_API, NULL, 1);
    for (int i = 0; i < 2; i++) {
        memset(world->nodes[i].load, 0, sizeof(world->nodes[i].load));
        world->nodes[i].load[0] = 5;
    }
    run(world, 5000);
    while (world->now_ms % 1000 != phase_ms) {
        step(world);
    }
    int64_t refused = world->refused[0];
    kill_owner(world, world->shard_owner[sl_counter_shard(sl_str(world->keys[0].text))]);
    world->takeover_ms = world->now_ms + away_ms;
    run(world, 4000);
    refused = world->refused[0] - refused;
    close_world(world);
    return refused;
}

static void
an_owners_death_refuses_nothing_of_a_limit_that_is_far_away(void **state)
{
    (void)state;
    for (int phase_ms = 0; phase_ms < 1000; phase_ms += 20) {
        assert_int_equal(0, refused_by_death((unsigned)phase_ms + 1, phase_ms, DEAD_MS));
    }
}

static void
after_a_reboot_a_new_policy_of_three_an_hour_is_three(void **state)
{
    (void)state;
    static const int ALTERNATING[12] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
    struct world *world = open_three_an_hour();
    run(world, 40000); // long enough for what nodes vouched for to be written again
    reboot(world);
    run(world, LEASE_MS + 2000);
    assert_int_equal(3, twelve_calls(world, ALTERNATING));
    reboot(world);
    run(world, LEASE_MS + 2000);
    assert_int_equal(0, twelve_calls(world, ALTERNATING)); // all of it was granted before
    close_world(world);
}

static void
a_reboot_costs_only_what_was_granted_and_not_used(void **state)
{
    (void)state;
    static const int ALTERNATING[12] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
    struct world *world = open_three_an_hour();
    world->limit[0] = 1000;
    world->revision++;
    run(world, 40000);
    assert_int_equal(12, twelve_calls(world, ALTERNATING));
    reboot(world);
    run(world, LEASE_MS + 2000);
    int64_t ceiling = world->ceilings[0].ceiling;
    assert_true(ceiling >= 12 && ceiling <= 12 + 1000 / 8);
    int64_t before = world->admitted[0][1];
    world->nodes[0].load[0] = 500;
    run(world, 5000);
    int64_t after = world->admitted[0][1] - before;
    print_message("%lld after the reboot, %lld written off\n", (long long)after,
                  (long long)ceiling - 12);
    assert_true(after <= 1000 - 12 && after >= 1000 - ceiling - 10);
    close_world(world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_an_hour_is_three_on_whichever_nodes),
        cmocka_unit_test(a_raised_limit_is_granted_in_the_window_that_was_exhausted),
        cmocka_unit_test(after_a_reboot_a_new_policy_of_three_an_hour_is_three),
        cmocka_unit_test(a_reboot_costs_only_what_was_granted_and_not_used),
        cmocka_unit_test(with_every_owner_dead_no_more_than_three_pass_and_nothing_waits),
        cmocka_unit_test(a_dead_owner_is_replaced_and_the_rest_of_the_hour_is_granted),
        cmocka_unit_test(a_hand_over_that_no_event_told_of_is_found_out),
        cmocka_unit_test(an_agent_that_starts_finds_all_owners_one_after_the_other),
        cmocka_unit_test(a_node_that_leaves_gives_back_what_it_did_not_spend),
        cmocka_unit_test(an_owners_death_refuses_nothing_of_a_limit_that_is_far_away),
        cmocka_unit_test(in_contact_nearly_all_of_what_is_allowed_is_admitted),
        cmocka_unit_test(callers_that_hop_between_nodes_get_nearly_all_of_each_second),
        cmocka_unit_test(a_memory_lost_while_nobody_owned_its_shards_counts_as_spent),
        cmocka_unit_test(owners_change_unnoticed_soon_after_a_memory_was_lost),
        cmocka_unit_test(no_schedule_exceeds_a_limit),
        cmocka_unit_test(callers_that_hop_between_nodes_get_nearly_all_of_each_second),
        cmocka_unit_test(no_schedule_exceeds_a_quota),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
