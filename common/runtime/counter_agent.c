// counter_agent.c - see counter_agent.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/counter_agent.h"

#include <string.h>
#include <sys/socket.h>

#include "common/runtime/counter_layout.h"

int
sl_counters_wake_fd(const struct sl_counters *counters)
{
    return counters->wake_fd;
}

uint32_t
sl_counters_slots(const struct sl_counters *counters)
{
    return counters->header->slot_count;
}

const char *
sl_counters_boot(const struct sl_counters *counters)
{
    return counters->header->boot;
}

uint32_t
sl_counters_incarnation(const struct sl_counters *counters)
{
    return atomic_load(&counters->header->attended);
}

// Takes the bits of one word of the board.
static size_t
collect_word(struct sl_counters *counters, uint32_t word, uint32_t *ret_slots)
{
    size_t found = 0;
    for (uint64_t bits = atomic_exchange(&counters->asked[word], 0); bits != 0; bits &= bits - 1) {
        ret_slots[found++] = word * 64 + (uint32_t)__builtin_ctzll(bits);
    }
    return found;
}

size_t
sl_counters_asked(struct sl_counters *counters, uint32_t *ret_slots, size_t max)
{
    char byte[8];
    while (recv(counters->wake_fd, byte, sizeof(byte), MSG_DONTWAIT) >= 0) {
    }
    // Cleared before looking: a bit set from here on wakes again.
    atomic_store(&counters->header->awake, 0);
    size_t found = 0;
    uint32_t words = (counters->header->slot_count + 63) / 64;
    for (uint32_t i = 0; i < (words + 63) / 64; i++) {
        if (atomic_load_explicit(&counters->asked_top[i], memory_order_relaxed) == 0) {
            continue;
        }
        uint64_t bits = atomic_exchange(&counters->asked_top[i], 0);
        for (; bits != 0 && found + 64 <= max; bits &= bits - 1) {
            uint32_t word = i * 64 + (uint32_t)__builtin_ctzll(bits);
            found += collect_word(counters, word, ret_slots + found);
        }
        if (bits != 0) {
            atomic_fetch_or(&counters->asked_top[i], bits); // for the next call
            break;
        }
    }
    return found;
}

void
sl_counters_changed(struct sl_counters *counters, uint64_t *news)
{
    uint32_t words = (counters->header->slot_count + 63) / 64;
    for (uint32_t i = 0; i < words; i++) {
        if (atomic_load_explicit(&counters->changed[i], memory_order_relaxed) != 0) {
            news[i] |= atomic_exchange(&counters->changed[i], 0);
        }
    }
}

void
sl_counters_mark(struct sl_counters *counters, uint32_t slot)
{
    counter_set_bit(counters->changed, slot);
}

uint32_t
sl_counters_used(const struct sl_counters *counters)
{
    uint32_t used = atomic_load(&counters->header->used);
    return used < counters->hashed_slots ? used : counters->hashed_slots;
}

static struct sl_counter_span
read_span(const struct sl_counters *counters, uint32_t slot, size_t i)
{
    uint64_t allowed = atomic_load(&counters->grants[slot].allowed[i]);
    uint64_t units = atomic_load(&counters->slots[slot].units[i]);
    struct sl_counter_span span = {counter_window_of(allowed), counter_units_of(allowed), 0};
    uint32_t left = counter_window_of(units) == span.window ? counter_units_of(units) : 0;
    // A give-back on its way can make more units visible than were allowed for an instant.
    span.used = left < span.allowed ? span.allowed - left : 0;
    return span;
}

bool
sl_counters_read(const struct sl_counters *counters, uint32_t slot,
                 struct sl_counter_state *ret_state)
{
    if (slot >= counters->header->slot_count) {
        return false;
    }
    const struct counter_slot *from = &counters->slots[slot];
    uint64_t tag = atomic_load(&from->tag);
    if (tag <= COUNTER_TAG_BUSY || (from->shard & COUNTER_IS_LOCAL) != 0) {
        return false;
    }
    ret_state->tag = tag;
    ret_state->turn = atomic_load(&from->turn);
    ret_state->limit = atomic_load(&from->limit);
    ret_state->revision = atomic_load(&counters->grants[slot].revision);
    ret_state->window_s = from->window_s;
    ret_state->shard = counter_shard_of(from);
    bool has_lead = (from->shard & COUNTER_HAS_LEAD) != 0;
    ret_state->lead_ms = has_lead ? (int64_t)counter_lead_of(&counters->names[slot]) * 1000 : 0;
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        ret_state->spans[i] = read_span(counters, slot, i);
    }
    return atomic_load(&from->tag) == tag; // else it changes hands just now
}

bool
sl_counters_key(const struct sl_counters *counters, uint32_t slot,
                const struct sl_counter_state *state, struct sl_counter_key *ret_key)
{
    struct counter_name name = counters->names[slot];
    if (atomic_load(&counters->slots[slot].tag) != state->tag) {
        return false;
    }
    counter_unpack_name(&name, state->window_s, ret_key);
    return true;
}

uint32_t
sl_counters_wanted(struct sl_counters *counters, uint32_t slot)
{
    _Atomic uint32_t *wanted = &counters->slots[slot].wanted;
    return atomic_load_explicit(wanted, memory_order_relaxed) == 0 ? 0 : atomic_exchange(wanted, 0);
}

uint32_t
sl_counters_find(const struct sl_counters *counters, struct sl_str key)
{
    bool overflow = key.len > 0 && key.ptr[0] == 'o';
    uint64_t tag = counter_tag(counters, key);
    uint32_t slot = counter_lookup(counters, tag, overflow);
    int64_t mono_ms = atomic_load(&counters->header->beat_ms);
    return slot != SL_COUNTER_NO_SLOT && counter_keep_slot(counters, slot, tag, mono_ms)
               ? slot
               : SL_COUNTER_NO_SLOT;
}

// Units that workers may take from on; `allowed` already speaks of them.
static void
add_units(_Atomic uint64_t *word, uint32_t window, uint32_t added)
{
    uint64_t units = atomic_load(word);
    uint64_t next;
    do {
        // A worker that was about to install its share here finds the word changed and lets go;
        // those units then count as spent.
        next = counter_window_of(units) == window ? units + added : counter_pack(window, added);
    } while (!atomic_compare_exchange_weak(word, &units, next));
}

// Takes back up to `wanted` unspent units; answers how many.
static uint32_t
remove_units(_Atomic uint64_t *word, uint32_t window, uint32_t wanted)
{
    uint64_t units = atomic_load(word);
    uint32_t removed;
    do {
        uint32_t left = counter_window_of(units) == window ? counter_units_of(units) : 0;
        removed = left < wanted ? left : wanted;
    } while (removed > 0 && !atomic_compare_exchange_weak(word, &units, units - removed));
    return removed;
}

static void
mark_exhausted(_Atomic uint64_t *word, uint32_t window, bool exhausted)
{
    uint64_t units = atomic_load(word);
    uint64_t next;
    do {
        if (counter_window_of(units) > window) {
            return;
        }
        next = counter_window_of(units) == window ? units : counter_pack(window, 0);
        next = exhausted ? next | COUNTER_EXHAUSTED : next & ~(uint64_t)COUNTER_EXHAUSTED;
    } while (next != units && !atomic_compare_exchange_weak(word, &units, next));
}

// Brings `allowed` to the target. It is raised before the units appear and lowered after they are
// gone: a crash in between makes units look spent, never unspent. A worker may raise it at the same
// time, when it installs a share.
static void
settle(struct counter_slot *slot, _Atomic uint64_t *word, const struct sl_counter_span *grant)
{
    size_t i = grant->window % SL_COUNTER_WINDOWS;
    uint64_t allowed = atomic_load(word);
    uint32_t has;
    do {
        has = counter_window_of(allowed) == grant->window ? counter_units_of(allowed) : 0;
        if (counter_window_of(allowed) > grant->window ||
            (counter_window_of(allowed) == grant->window && has >= grant->allowed)) {
            break;
        }
    } while (
        !atomic_compare_exchange_weak(word, &allowed, counter_pack(grant->window, grant->allowed)));
    if (counter_window_of(allowed) > grant->window) {
        return;
    }
    if (grant->allowed > has) {
        add_units(&slot->units[i], grant->window, grant->allowed - has);
    } else if (grant->allowed < has) {
        uint32_t removed = remove_units(&slot->units[i], grant->window, has - grant->allowed);
        atomic_fetch_sub(word, removed);
    }
}

void
sl_counters_apply(struct sl_counters *counters, uint32_t slot, const struct sl_counter_span *grant,
                  uint32_t others, bool exhausted, struct sl_counter_span *ret_span)
{
    struct counter_slot *to = &counters->slots[slot];
    struct counter_grant *from = &counters->grants[slot];
    size_t i = grant->window % SL_COUNTER_WINDOWS;
    *ret_span = (struct sl_counter_span){0, 0, 0};
    if (counter_window_of(atomic_load(&from->allowed[i])) > grant->window) {
        return;
    }
    struct sl_counter_span before = read_span(counters, slot, i);
    settle(to, &from->allowed[i], grant);
    atomic_store(&from->others[i], others); // before: see sl_counters_first()
    mark_exhausted(&to->units[i], grant->window, exhausted);
    *ret_span = read_span(counters, slot, i);
    if (before.window != ret_span->window || before.allowed != ret_span->allowed) {
        counter_set_bit(counters->changed, slot);
    }
    // Workers ask for more when about a quarter is left of what they see from here on.
    uint32_t quarter = (ret_span->allowed - ret_span->used) / 4;
    atomic_store(&to->low[i], quarter == 0 ? 0 : (uint8_t)(32 - __builtin_clz(quarter)));
}

void
sl_counters_set_offset(struct sl_counters *counters, int64_t offset_ms)
{
    atomic_store(&counters->header->offset_ms, offset_ms);
}

void
sl_counters_beat(struct sl_counters *counters, int64_t mono_ms)
{
    atomic_store(&counters->header->beat_ms, mono_ms);
}

void
sl_counters_confirm(struct sl_counters *counters, uint32_t shard, int64_t clock_ms)
{
    if (atomic_load(&counters->header->confirmed[shard]) < clock_ms) {
        atomic_store(&counters->header->confirmed[shard], clock_ms);
    }
}

int64_t
sl_counters_confirmed(const struct sl_counters *counters, uint32_t shard)
{
    return atomic_load(&counters->header->confirmed[shard]);
}

void
sl_counters_set_up(struct sl_counters *counters, uint32_t shard, bool up)
{
    uint64_t bit = 1ULL << (shard % 64);
    if (up) {
        atomic_fetch_or(&counters->header->up[shard / 64], bit);
    } else {
        atomic_fetch_and(&counters->header->up[shard / 64], ~bit);
    }
}

void
sl_counters_set_members(struct sl_counters *counters, const uint64_t *members, size_t count,
                        size_t self, bool may_share)
{
    struct counter_members *to = &counters->header->sharing;
    size_t fits = count <= SL_COUNTER_MEMBERS ? count : 0;
    uint32_t turn = atomic_load(&to->turn) | 1;
    atomic_store(&to->turn, turn);
    for (size_t i = 0; i < fits; i++) {
        atomic_store(&to->members[i], members[i]);
    }
    atomic_store(&to->count, (uint32_t)fits);
    atomic_store(&to->self, (uint32_t)self);
    atomic_store(&to->may_share, may_share && fits > 0 ? 1 : 0);
    atomic_store(&to->turn, turn + 1);
}
