// world_network.c - chance, and the network: messages that are lost, doubled and late.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/throttle/world.h"

#include <stdlib.h>

uint32_t
dice(struct world *world, uint32_t sides)
{
    return sides == 0 ? 0 : (uint32_t)rand_r(&world->seed) % sides;
}

bool
chance(struct world *world, int per_thousand)
{
    return (int)dice(world, 1000) < per_thousand;
}

static void
post_once(struct world *world, const struct letter *letter)
{
    for (size_t i = 0; i < LETTERS; i++) {
        if (world->letters[i].at_ms == 0) {
            world->letters[i] = *letter;
            world->letters[i].at_ms =
                world->now_ms + 1 +
                dice(world, chance(world, world->stray) ? 250 : (uint32_t)world->slow_ms);
            json_incref(letter->body);
            world->letters_top = i >= world->letters_top ? i + 1 : world->letters_top;
            return;
        }
    }
    fail_msg("the network is full");
}

bool
world_is_database(const struct letter *letter)
{
    return letter->kind == WRITE_ROW || letter->kind == WRITE_CEILING;
}

void
world_post(struct world *world, struct letter letter)
{
    bool is_lost = !world_is_database(&letter) &&
                   (world->nodes[letter.node].is_cut || chance(world, world->loss));
    if (!is_lost) {
        post_once(world, &letter);
        if (!world_is_database(&letter) && chance(world, world->duplicates)) {
            post_once(world, &letter);
        }
    }
    // The bus client answers every request: with the reply, or at its deadline with a failure.
    if (letter.kind == TO_OWNER) {
        struct letter failure = letter;
        failure.kind = TO_NODE;
        failure.body = NULL;
        for (size_t i = 0; i < LETTERS; i++) {
            if (world->letters[i].at_ms == 0) {
                world->letters[i] = failure;
                world->letters[i].at_ms = world->now_ms + 300;
                world->letters_top = i >= world->letters_top ? i + 1 : world->letters_top;
                break;
            }
        }
    }
    json_decref(letter.body);
}
