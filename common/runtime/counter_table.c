// counter_table.c - the table of counters: from a key to its slot, and the claim of one for a new
// key.
//
// Finding a slot takes no lock: an entry of a bucket leads to it, and the slot's tag has the last
// word. Claiming takes one, whose holder may die: a slot without an entry is found by nobody and
// is claimed again, an entry without its slot's tag leads nowhere.
//
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/base/hash.h"
#include "common/base/siphash.h"
#include "common/runtime/counter_layout.h"

#define CLAIM_SPINS 4000        // looks at the claim lock before giving up for this time
#define MIX         0x9e3779b1U // of the tag's other half, for the second bucket

uint64_t
counter_tag(const struct sl_counters *counters, struct sl_str key)
{
    uint64_t tag = sl_siphash(counters->header->hash_key, key);
    return tag > COUNTER_TAG_BUSY ? tag : tag + 2;
}

// -- buckets

// The two buckets that may lead to a key, which may be the same one.
static void
buckets_of(const struct sl_counters *counters, uint64_t tag, struct counter_bucket *ret_buckets[2])
{
    uint64_t count = counters->bucket_count;
    uint32_t other = (uint32_t)(tag >> 32) * MIX;
    ret_buckets[0] = &counters->buckets[(uint32_t)tag * count >> 32];
    ret_buckets[1] = &counters->buckets[other * count >> 32];
}

static uint64_t
entry_of(uint64_t tag, uint32_t slot)
{
    return (tag & 0xffffffff00000000ULL) | (slot + 1);
}

static uint32_t
lookup_hashed(const struct sl_counters *counters, uint64_t tag)
{
    struct counter_bucket *buckets[2];
    buckets_of(counters, tag, buckets);
    __builtin_prefetch(buckets[1]);
    for (size_t i = 0; i < 2 * COUNTER_BUCKET; i++) {
        uint64_t entry = atomic_load_explicit(
            &buckets[i / COUNTER_BUCKET]->entries[i % COUNTER_BUCKET], memory_order_acquire);
        uint32_t slot = (uint32_t)entry - 1;
        if (entry != 0 && entry >> 32 == tag >> 32 &&
            atomic_load_explicit(&counters->slots[slot].tag, memory_order_acquire) == tag) {
            return slot;
        }
    }
    return SL_COUNTER_NO_SLOT;
}

static size_t
free_entries(const struct counter_bucket *bucket)
{
    size_t count = 0;
    for (size_t i = 0; i < COUNTER_BUCKET; i++) {
        count += atomic_load_explicit(&bucket->entries[i], memory_order_relaxed) == 0 ? 1 : 0;
    }
    return count;
}

// The entry that a new counter may have, in the emptier of its buckets; NULL when both are full.
static _Atomic uint64_t *
free_entry(const struct sl_counters *counters, uint64_t tag)
{
    struct counter_bucket *buckets[2];
    buckets_of(counters, tag, buckets);
    struct counter_bucket *emptier =
        free_entries(buckets[1]) > free_entries(buckets[0]) ? buckets[1] : buckets[0];
    for (size_t i = 0; i < COUNTER_BUCKET; i++) {
        if (atomic_load(&emptier->entries[i]) == 0) {
            return &emptier->entries[i];
        }
    }
    return NULL;
}

static void
remove_entry(const struct sl_counters *counters, uint64_t tag, uint32_t slot)
{
    struct counter_bucket *buckets[2];
    buckets_of(counters, tag, buckets);
    for (size_t i = 0; i < 2 * COUNTER_BUCKET; i++) {
        _Atomic uint64_t *entry = &buckets[i / COUNTER_BUCKET]->entries[i % COUNTER_BUCKET];
        uint64_t own = entry_of(tag, slot);
        atomic_compare_exchange_strong(entry, &own, 0);
    }
}

// The overflow slots are few: from the tag on, in this order, and never free again.
static uint32_t
overflow_place(const struct sl_counters *counters, uint64_t tag, uint32_t probe)
{
    return counters->hashed_slots + ((uint32_t)tag + probe) % SL_COUNTER_OVERFLOWS;
}

uint32_t
counter_lookup(const struct sl_counters *counters, uint64_t tag, bool overflow)
{
    if (!overflow) {
        return lookup_hashed(counters, tag);
    }
    for (uint32_t i = 0; i < SL_COUNTER_OVERFLOWS; i++) {
        uint32_t slot = overflow_place(counters, tag, i);
        uint64_t found = atomic_load_explicit(&counters->slots[slot].tag, memory_order_acquire);
        if (found == tag) {
            return slot;
        }
        if (found == COUNTER_TAG_FREE) {
            break;
        }
    }
    return SL_COUNTER_NO_SLOT;
}

// -- claiming

static bool
claim_begin(struct sl_counters *counters)
{
    int32_t own = (int32_t)getpid();
    for (unsigned i = 0; i < CLAIM_SPINS; i++) {
        int32_t holder = 0;
        if (atomic_compare_exchange_strong(&counters->header->claim_lock, &holder, own)) {
            return true;
        }
        if (i % 500 == 499 && kill(holder, 0) == -1 && errno == ESRCH &&
            atomic_compare_exchange_strong(&counters->header->claim_lock, &holder, own)) {
            return true;
        }
        __builtin_ia32_pause();
    }
    return false;
}

static void
claim_end(struct sl_counters *counters)
{
    atomic_store(&counters->header->claim_lock, 0);
}

static bool
is_idle(const struct counter_slot *slot, int64_t mono_ms)
{
    return atomic_load(&slot->touched_s) + COUNTER_IDLE_S <= mono_ms / 1000;
}

// A slot may change hands when its windows are over and nobody has used it for a while. What asks
// for a first call holds nothing but an answer, which can be asked for again.
static bool
is_claimable(const struct sl_counters *counters, uint32_t slot, int64_t mono_ms)
{
    const struct counter_slot *at = &counters->slots[slot];
    if (atomic_load(&at->tag) <= COUNTER_TAG_BUSY) {
        return true;
    }
    if (!is_idle(at, mono_ms) || at->window_s == SL_COUNTER_FIRST_S) {
        return is_idle(at, mono_ms);
    }
    int64_t lead_ms = (int64_t)counter_lead_of(&counters->names[slot]) * 1000;
    uint32_t window =
        sl_counter_window(sl_counters_clock(counters, mono_ms) + lead_ms, at->window_s);
    bool is_local = (at->shard & COUNTER_IS_LOCAL) != 0;
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        if (counter_window_of(atomic_load(
                is_local ? &at->units[i] : &counters->grants[slot].allowed[i])) >= window) {
            return false;
        }
    }
    return true;
}

// Takes the slot from its key; false when somebody came to use it at the last moment: they have
// touched it before they looked at its tag again (counter_keep_slot).
static bool
empty_slot(struct sl_counters *counters, uint32_t slot, bool overflow, int64_t mono_ms)
{
    struct counter_slot *at = &counters->slots[slot];
    uint64_t tag = atomic_exchange(&at->tag, COUNTER_TAG_BUSY);
    if (tag > COUNTER_TAG_BUSY && !is_idle(at, mono_ms)) {
        atomic_store(&at->tag, tag);
        return false;
    }
    if (tag > COUNTER_TAG_BUSY && !overflow) {
        remove_entry(counters, tag, slot);
    }
    return true;
}

// The tag comes last: until then nobody reads the slot.
static void
fill_slot(struct sl_counters *counters, uint32_t slot, const struct sl_counter_take *take,
          const struct counter_name *name, struct sl_str key, int64_t mono_ms)
{
    struct counter_slot *at = &counters->slots[slot];
    struct counter_grant *grant = &counters->grants[slot];
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        atomic_store_explicit(&at->units[i], 0, memory_order_relaxed);
        atomic_store_explicit(&at->low[i], 0, memory_order_relaxed);
        atomic_store_explicit(&grant->allowed[i], 0, memory_order_relaxed);
        atomic_store_explicit(&grant->others[i], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&at->wanted, 0, memory_order_relaxed);
    atomic_store_explicit(&at->touched_s, (uint32_t)(mono_ms / 1000), memory_order_relaxed);
    atomic_store_explicit(&at->limit, (uint32_t)take->limit, memory_order_relaxed);
    atomic_store_explicit(&grant->revision, take->revision, memory_order_relaxed);
    atomic_fetch_add(&at->turn, 1);
    at->window_s = take->window_s;
    at->shard = (uint16_t)(sl_counter_shard(key) | (take->lead_s > 0 ? COUNTER_HAS_LEAD : 0) |
                           (take->local ? COUNTER_IS_LOCAL : 0));
    counters->names[slot] = *name;
    atomic_store(&at->tag, counter_tag(counters, key));
}

// A slot of the pool that may be filled: a fresh one, else one of the next few from the hand on
// whose time is over. What the hand has passed is looked at again when it has been all around.
static uint32_t
pick_hashed(struct sl_counters *counters, int64_t mono_ms)
{
    struct counter_header *header = counters->header;
    uint32_t used = atomic_load(&header->used);
    if (used < counters->hashed_slots) {
        atomic_store(&header->used, used + 1);
        return used;
    }
    uint32_t slot = atomic_load(&header->hand);
    uint32_t picked = SL_COUNTER_NO_SLOT;
    for (uint32_t i = 0; i < COUNTER_LOOKS && picked == SL_COUNTER_NO_SLOT; i++) {
        slot = slot + 1 < counters->hashed_slots ? slot + 1 : 0;
        if (is_claimable(counters, slot, mono_ms) && empty_slot(counters, slot, false, mono_ms)) {
            picked = slot;
        }
    }
    atomic_store(&header->hand, slot);
    return picked;
}

static uint32_t
pick_overflow(struct sl_counters *counters, uint64_t tag, int64_t mono_ms)
{
    for (uint32_t i = 0; i < SL_COUNTER_OVERFLOWS; i++) {
        uint32_t slot = overflow_place(counters, tag, i);
        if (is_claimable(counters, slot, mono_ms) && empty_slot(counters, slot, true, mono_ms)) {
            return slot;
        }
    }
    return SL_COUNTER_NO_SLOT;
}

// Under the lock: the slot of a key that has none.
static uint32_t
claim(struct sl_counters *counters, const struct sl_counter_take *take,
      const struct sl_counter_key *key, uint64_t tag, bool overflow, int64_t mono_ms)
{
    struct counter_name name;
    _Atomic uint64_t *entry = overflow ? NULL : free_entry(counters, tag);
    if (!counter_pack_name(key, take->lead_s, &name) || (!overflow && entry == NULL)) {
        return SL_COUNTER_NO_SLOT;
    }
    uint32_t slot =
        overflow ? pick_overflow(counters, tag, mono_ms) : pick_hashed(counters, mono_ms);
    if (slot != SL_COUNTER_NO_SLOT) {
        fill_slot(counters, slot, take, &name, (struct sl_str){key->text, key->len}, mono_ms);
        if (entry != NULL) {
            atomic_store(entry, entry_of(tag, slot));
        }
    }
    return slot;
}

// What this process remembers of a key; a newcomer takes the place of another key. Saves the hash
// that strangers cannot foresee, which is most of what finding a slot costs.
static struct counter_memo *
memo_of(struct sl_counters *counters, const struct sl_counter_key *key)
{
    uint64_t seed = counters->header->hash_key[0];
    struct counter_memo *memo =
        &counters->memos[sl_hash(seed, key->text, key->len) % COUNTER_MEMOS];
    if (memo->key.len != key->len || memcmp(memo->key.text, key->text, key->len) != 0) {
        memo->key = *key;
        memo->tag = counter_tag(counters, (struct sl_str){key->text, key->len});
        memo->slot = SL_COUNTER_NO_SLOT;
    }
    return memo;
}

// The slot of a key that has one, kept from changing hands; else SL_COUNTER_NO_SLOT.
static uint32_t
held_slot(const struct sl_counters *counters, struct counter_memo *memo, bool overflow,
          int64_t mono_ms)
{
    if (memo->slot != SL_COUNTER_NO_SLOT &&
        counter_keep_slot(counters, memo->slot, memo->tag, mono_ms)) {
        return memo->slot;
    }
    memo->slot = counter_lookup(counters, memo->tag, overflow);
    if (memo->slot != SL_COUNTER_NO_SLOT &&
        !counter_keep_slot(counters, memo->slot, memo->tag, mono_ms)) {
        memo->slot = SL_COUNTER_NO_SLOT;
    }
    return memo->slot;
}

// The slot of a key, claimed when there is none.
static uint32_t
slot_of_key(struct sl_counters *counters, const struct sl_counter_take *take,
            const struct sl_counter_key *key, bool overflow, int64_t mono_ms)
{
    struct counter_memo *memo = memo_of(counters, key);
    uint32_t slot = held_slot(counters, memo, overflow, mono_ms);
    if (slot != SL_COUNTER_NO_SLOT) {
        return slot;
    }
    if (!claim_begin(counters)) {
        return SL_COUNTER_NO_SLOT;
    }
    slot = held_slot(counters, memo, overflow, mono_ms);
    if (slot == SL_COUNTER_NO_SLOT) {
        slot = claim(counters, take, key, memo->tag, overflow, mono_ms);
    }
    claim_end(counters);
    return slot;
}

bool
counter_keep_slot(const struct sl_counters *counters, uint32_t slot, uint64_t tag, int64_t mono_ms)
{
    struct counter_slot *at = &counters->slots[slot];
    uint32_t now_s = (uint32_t)(mono_ms / 1000);
    if (atomic_load_explicit(&at->touched_s, memory_order_relaxed) != now_s) {
        atomic_store(&at->touched_s, now_s);
    }
    return atomic_load(&at->tag) == tag;
}

// Takes over the limit of a newer image. Where it grew, "nothing more is to be had" no longer
// holds.
static void
set_limit(struct counter_slot *slot, struct counter_grant *grant,
          const struct sl_counter_take *take)
{
    uint32_t had = atomic_exchange(&slot->limit, (uint32_t)take->limit);
    atomic_store(&grant->revision, take->revision);
    bool is_more = had < (uint32_t)take->limit && !take->local;
    for (size_t i = 0; i < SL_COUNTER_WINDOWS && is_more; i++) {
        atomic_fetch_and(&slot->units[i], ~(uint64_t)COUNTER_EXHAUSTED);
    }
}

void
counter_find_slot(struct sl_counters *counters, struct sl_counter_take *take, int64_t mono_ms)
{
    take->slot = slot_of_key(counters, take, take->key, false, mono_ms);
    if (take->slot == SL_COUNTER_NO_SLOT) {
        struct sl_counter_key key;
        counter_overflow_key(&key, take);
        take->slot = slot_of_key(counters, take, &key, true, mono_ms);
    }
    if (take->slot == SL_COUNTER_NO_SLOT) {
        return;
    }
    struct counter_slot *slot = &counters->slots[take->slot];
    struct counter_grant *grant = &counters->grants[take->slot];
    if (atomic_load_explicit(&slot->limit, memory_order_relaxed) != (uint32_t)take->limit &&
        atomic_load(&grant->revision) <= take->revision) {
        set_limit(slot, grant, take);
    }
}
