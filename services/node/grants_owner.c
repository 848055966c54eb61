// grants_owner.c - who owns which shard, as far as the node knows.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "services/node/grants_state.h"

void
grants_set_up(struct grants *grants, uint8_t owner, bool is_up)
{
    if (grants->owners[owner].is_up == is_up) {
        return;
    }
    grants->owners[owner].is_up = is_up;
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        if (grants->shards[i].owner == owner) {
            sl_counters_set_up(grants->counters, i, is_up);
        }
    }
}

uint8_t
grants_get_owner(struct grants *grants, const char *id)
{
    uint8_t empty = GRANTS_NO_OWNER;
    for (uint8_t i = 0; i < GRANTS_OWNERS; i++) {
        if (strcmp(grants->owners[i].id, id) == 0) {
            return i;
        }
        if (grants->owners[i].shards == 0 && grants->owners[i].out == 0 &&
            empty == GRANTS_NO_OWNER) {
            empty = i;
        }
    }
    if (empty != GRANTS_NO_OWNER) {
        grants_end_sweep(&grants->owners[empty]);
        grants->owners[empty] = (struct grants_owner){.beat_ms = INT64_MIN / 2};
        snprintf(grants->owners[empty].id, sizeof(grants->owners[empty].id), "%s", id);
    }
    return empty;
}

void
grants_learn_shard(struct grants *grants, uint32_t number, uint8_t owner, int64_t epoch)
{
    struct grants_shard *shard = &grants->shards[number];
    if (epoch < shard->epoch || (epoch == shard->epoch && shard->owner == owner)) {
        return;
    }
    if (shard->owner != GRANTS_NO_OWNER) {
        grants->owners[shard->owner].shards--;
    }
    grants->owners[owner].shards++;
    if (epoch != shard->epoch) { // 0 is of slots that nothing was ever said of
        shard->turn = shard->turn == UINT16_MAX ? 1 : (uint16_t)(shard->turn + 1);
    }
    shard->owner = owner;
    shard->epoch = epoch;
    shard->needs_full = true;
    shard->vouched_ms = 0;
    shard->sweep_ms = 0;
    grants->owners[owner].beat_ms = INT64_MIN / 2; // it grants after a full report: the next tick's
    sl_counters_set_up(grants->counters, number, grants->owners[owner].is_up);
}

// Who has the shard instead said so in an event, and events may be lost: the next tick asks.
static void
forget_owner(struct grants *grants, uint32_t number)
{
    struct grants_shard *shard = &grants->shards[number];
    grants->owners[shard->owner].shards--;
    shard->owner = GRANTS_NO_OWNER;
    sl_counters_set_up(grants->counters, number, false);
    grants->probe_ms = INT64_MIN / 2;
}

void
grants_learn_shards(struct grants *grants, uint8_t owner, const json_t *runs)
{
    bool owns[SL_SHARDS] = {false};
    size_t i;
    json_t *run;
    json_array_foreach(runs, i, run)
    {
        int first, last;
        json_int_t epoch;
        if (json_unpack(run, "[iiI]", &first, &last, &epoch) != 0 || first < 0 ||
            last >= SL_SHARDS) {
            continue;
        }
        for (int shard = first; shard <= last; shard++) {
            grants_learn_shard(grants, (uint32_t)shard, owner, epoch);
            owns[shard] = true;
        }
    }
    for (uint32_t shard = 0; shard < SL_SHARDS && json_is_array(runs); shard++) {
        if (grants->shards[shard].owner == owner && !owns[shard]) {
            forget_owner(grants, shard);
        }
    }
}

void
grants_learn_missing(struct grants *grants, uint8_t owner, const json_t *runs)
{
    size_t i;
    json_t *run;
    json_array_foreach(runs, i, run)
    {
        json_int_t first = json_integer_value(json_array_get(run, 0));
        json_int_t last = json_integer_value(json_array_get(run, 1));
        for (json_int_t shard = first; first >= 0 && shard <= last && shard < SL_SHARDS; shard++) {
            struct grants_shard *at = &grants->shards[shard];
            at->needs_full = at->needs_full || at->owner == owner;
        }
    }
}

void
grants_check_route(struct grants *grants, uint8_t owner)
{
    struct grants_owner *at = &grants->owners[owner];
    for (uint32_t i = 0; i < SL_SHARDS && grants->shards[at->route].owner != owner; i++) {
        at->route = grants->shards[i].owner == owner ? i : at->route;
    }
}
