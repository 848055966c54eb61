// grants_deferred.c - what workers ask for while an owner is behind with its answers.
//
// A request that waits in an owner's queue for too long counts as lost, and then the owner as down:
// more requests than it can answer would end in none. So few are out at a time, and what is asked
// for meanwhile goes with the next ones, many keys together.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/grants_state.h"

void
grants_defer(struct grants *grants, uint8_t owner, uint32_t slot)
{
    grants->deferred[slot / 64] |= 1ULL << (slot % 64);
    grants->owners[owner].is_behind = true;
}

// Whether the deferred slot is to be reported to the owner now. One whose shard went to another
// waits for that one; without an owner that answers, the next sweep says it.
static bool
is_for(struct grants *grants, uint8_t owner, uint32_t slot)
{
    struct sl_counter_state state;
    bool is_live = sl_counters_read(grants->counters, slot, &state);
    uint8_t of = is_live ? grants->shards[state.shard].owner : GRANTS_NO_OWNER;
    if (of != owner && of != GRANTS_NO_OWNER && grants->owners[of].is_up) {
        grants->owners[of].is_behind = true;
        return false;
    }
    grants->deferred[slot / 64] &= ~(1ULL << (slot % 64));
    if (is_live && (of != owner || !grants->owners[owner].is_up)) {
        grants_note(grants, slot);
    }
    return is_live && of == owner && grants->owners[owner].is_up;
}

// The owner's next deferred slots, once around at most; is_behind says whether there may be more.
static size_t
next_slots(struct grants *grants, uint8_t owner, uint32_t ret_slots[GRANTS_PART])
{
    struct grants_owner *to = &grants->owners[owner];
    const uint32_t words = grants->slot_count / 64 + 1;
    size_t count = 0;
    uint32_t looked = 0;
    for (; looked < words && count + 64 <= GRANTS_PART; looked++) {
        uint32_t word = to->next_deferred;
        for (uint64_t bits = grants->deferred[word]; bits != 0; bits &= bits - 1) {
            uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
            if (is_for(grants, owner, slot)) {
                ret_slots[count++] = slot;
            }
        }
        to->next_deferred = word + 1 < words ? word + 1 : 0;
    }
    to->is_behind = looked < words;
    return count;
}

void
grants_report_deferred(struct grants *grants, uint8_t owner, int64_t mono_ms)
{
    struct grants_owner *to = &grants->owners[owner];
    uint32_t slots[GRANTS_PART];
    while (to->is_behind && to->out < GRANTS_OUT) {
        size_t count = next_slots(grants, owner, slots);
        if (count > 0) {
            grants_report_slots(grants, owner, slots, count, mono_ms);
        }
    }
}
