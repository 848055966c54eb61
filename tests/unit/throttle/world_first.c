// world_first.c - quotas whose windows begin with the first call, as nginx's module counts them.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/throttle/world.h"

#include <string.h>

#define APP "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

void
world_await_first(struct world *world, int key, uint32_t window_s, int64_t limit)
{
    world->limit[key] = limit;
    world->window_s[key] = window_s;
    world->first_window[key] = sl_counter_window(world->now_ms, window_s) - 1;
    world->first[key] = 1600000000U - (uint32_t)key;
    sl_counter_first_key(&world->first_keys[key], POLICY, APP, world->first[key]);
}

int
world_write_first(struct world *world, const struct account_ceiling *wanted, int64_t *ret_began_s)
{
    for (int key = 0; key < KEYS; key++) {
        if (world->first[key] == 0) {
            continue;
        }
        if (strcmp(world->first_keys[key].text, wanted->key) == 0) {
            assert_true(wanted->ceiling == ACCOUNT_FIRST);
            if (world->began_s[key] == 0) {
                world->began_s[key] = (world->now_ms - 100) / 1000;
            }
            *ret_began_s = world->began_s[key];
            return key;
        }
        if (world->keys[key].len == 0 || strcmp(world->keys[key].text, wanted->key) != 0) {
            // The key of its units has the time in its name.
            uint32_t lead_s = sl_counter_lead_of(world->began_s[key], world->window_s[key]);
            sl_counter_quota_key(&world->keys[key], POLICY, APP, world->window_s[key], lead_s);
        }
    }
    return -1;
}

enum sl_counter_answer
world_find_lead(struct sim_node *node, int key, bool again, struct sl_counter_key *ret_key,
                struct sl_counter_take *ret_take)
{
    struct world *world = node->world;
    struct sl_counter_take take = {.key = &world->first_keys[key],
                                   .policy_id = POLICY,
                                   .limit = 1,
                                   .revision = world->revision,
                                   .window_s = SL_COUNTER_FIRST_S,
                                   .lead_s = world->first[key]};
    size_t first;
    enum sl_counter_answer answer =
        sl_counters_take(node->counters, &take, 1, world->now_ms + node->skew_ms,
                         again ? SL_COUNTER_AGAIN : SL_COUNTER_FIRST, &first);
    assert_true(answer != SL_COUNTER_TAKEN);
    int64_t first_s = sl_counters_first(node->counters, &take);
    if (first_s == 0) {
        return answer;
    }
    assert_true(first_s == world->began_s[key]); // the same to every node, whoever said it
    world->firsts_told++;
    ret_take->lead_s = sl_counter_lead_of(first_s, world->window_s[key]);
    sl_counter_quota_key(ret_key, POLICY, APP, world->window_s[key], ret_take->lead_s);
    ret_take->key = ret_key;
    return SL_COUNTER_TAKEN;
}
