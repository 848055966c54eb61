// world_faults.c - what can go wrong in a world, on purpose or by chance.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/throttle/world.h"

#include <stdlib.h>
#include <string.h>

void
kill_owner(struct world *world, int index)
{
    struct sim_owner *owner = &world->owners[index];
    account_free(&owner->account);
    owner->is_buried = false;
    owner->awake_ms = 0;
    world->takeover_ms = world->now_ms + LEASE_MS; // of the last one killed
}

void
revive_owner(struct world *world, int index)
{
    world_start_owner(&world->owners[index]);
    for (uint32_t shard = 0; shard < SL_SHARDS; shard++) {
        int owner = world->shard_owner[shard];
        if (shard * (uint32_t)world->owner_count / SL_SHARDS == (uint32_t)index && owner >= 0 &&
            world->owners[owner].account != NULL) {
            account_disown(world->owners[owner].account, shard);
        }
    }
    world->takeover_ms = world->now_ms + 1;
}

void
stop_owner(struct world *world, int index)
{
    world->owners[index].is_stopped = true;
    world->takeover_ms = world->now_ms + LEASE_MS;
}

void
resume_owner(struct world *world, int index)
{
    struct sim_owner *owner = &world->owners[index];
    owner->is_stopped = false;
    owner->may_grant = false; // its lease is over by its own clock
    owner->awake_ms = world->now_ms + RENEW_MS;
}

void
bury_owner(struct world *world, int index)
{
    struct sim_owner *owner = &world->owners[index];
    owner->is_buried = true;
    owner->awake_ms = world->now_ms + 1 + dice(world, LEASE_MS);
    world->takeover_ms = world->now_ms + 1;
}

void
set_node_count(struct world *world, int count)
{
    const char *ids[NODES];
    struct sl_error err;
    world->node_count = count;
    world->membership++;
    for (int i = 0; i < count; i++) {
        ids[i] = world->nodes[i].id;
    }
    for (int i = 0; i < world->owner_count; i++) {
        if (world->owners[i].account != NULL) {
            assert_int_equal(
                0, account_nodes(world->owners[i].account, GATEWAY, ids, (size_t)count, &err));
            world_load_rows(&world->owners[i]);
        }
    }
    for (int i = 0; i < count; i++) {
        if (world->nodes[i].grants != NULL) {
            grants_members(world->nodes[i].grants, ids, (size_t)count, world->membership);
        }
    }
}

void
reboot(struct world *world)
{
    for (int i = 0; i < world->owner_count; i++) {
        if (world->owners[i].account != NULL) {
            kill_owner(world, i);
        }
        world_start_owner(&world->owners[i]);
    }
    for (int i = 0; i < world->node_count; i++) {
        lose_memory(&world->nodes[i]);
    }
}

void
disturb(struct world *world)
{
    struct sim_node *node = &world->nodes[dice(world, (uint32_t)world->node_count)];
    struct sim_owner *owner = &world->owners[dice(world, (uint32_t)world->owner_count)];
    switch (dice(world, 11)) {
    case 0:
        node->is_cut = !node->is_cut;
        break;
    case 1:
        node->is_cut = false;
        break;
    case 2:
        if (owner->account != NULL) {
            kill_owner(world, owner->index);
        }
        break;
    case 3:
        if (owner->account == NULL) {
            world_start_owner(owner);
            if (world->takeover_ms == 0) {
                world->takeover_ms = world->now_ms + 1;
            }
        }
        break;
    case 4:
        world_stop_agent(node);
        world_start_agent(node);
        break;
    case 5:
        node->load[dice(world, KEYS)] = (int)dice(world, 500);
        break;
    case 6:
        world->loss = (int)dice(world, 200);
        world->duplicates = (int)dice(world, 200);
        break;
    case 7:
        world_stop_agent(node); // workers go on alone
        break;
    case 8:
        if (chance(world, 300)) {
            lose_memory(node);
        } else if (chance(world, 200)) {
            reboot(world);
        }
        break;
    case 9:
        if (owner->account != NULL && !owner->is_buried && !owner->is_stopped) {
            bury_owner(world, owner->index);
        }
        break;
    default:
        world->slow_ms = 1 + (int)dice(world, 40);
        break;
    }
}

void
retire_owner(struct world *world, int index)
{
    kill_owner(world, index);
    world->takeover_ms = world->now_ms + 1; // it gave its shards back
}
