// counter.c - slots, the node's own shares, and the taking of units; see counter.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/counter.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/runtime/counter_layout.h"
#include "common/runtime/siphash.h"

#define TAKES_MAX   8    // counters of one request
#define CLAIM_SPINS 4000 // looks at the claim lock before giving up for this time

// -- windows and shares

// A setting of the gateway rather than a policy: protects, and must not stop a node on its own.
static bool
is_soft(const struct sl_counter_key *key)
{
    return key->text[0] == 'd' || key->text[0] == 'h';
}

int64_t
sl_counters_clock(const struct sl_counters *counters, int64_t mono_ms)
{
    return mono_ms + atomic_load_explicit(&counters->header->offset_ms, memory_order_relaxed);
}

static int64_t
lead_ms(const struct sl_counter_take *take)
{
    return (int64_t)take->lead_s * 1000;
}

// The node's share, or -1 while it has none. A list that is being written counts as none: the
// request that meets it asks again a moment later.
static int64_t
own_share(const struct sl_counters *counters, const struct sl_counter_take *take)
{
    const struct counter_slot *slot = &counters->slots[take->slot];
    const struct counter_members *from = &counters->header->sharing;
    uint64_t members[SL_COUNTER_MEMBERS];
    uint32_t turn = atomic_load(&from->turn);
    uint32_t count = atomic_load(&from->count);
    uint32_t self = atomic_load(&from->self);
    bool may = atomic_load(&from->may_share) != 0;
    bool soft = is_soft(take->key);
    if (count == 0 || count > SL_COUNTER_MEMBERS || self >= count) {
        return soft ? take->limit : -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        members[i] = atomic_load(&from->members[i]);
    }
    if ((turn & 1) != 0 || atomic_load(&from->turn) != turn || (!may && !soft)) {
        return -1;
    }
    struct sl_str key = {slot->key, slot->key_len};
    return sl_counter_share(key, take->limit, members, count, self);
}

// -- slots

uint64_t
counter_tag(const struct sl_counters *counters, struct sl_str key)
{
    uint64_t tag = sl_siphash(counters->header->hash_key, key);
    return tag > COUNTER_TAG_BUSY ? tag : tag + 2;
}

// Where the key with this tag may lie.
static uint32_t
place(const struct sl_counters *counters, uint64_t tag, bool overflow, uint32_t probe)
{
    if (overflow) {
        return counters->hashed_slots + ((uint32_t)tag + probe) % COUNTER_OVERFLOW;
    }
    return ((uint32_t)tag + probe) & (counters->hashed_slots - 1);
}

uint32_t
counter_lookup(const struct sl_counters *counters, uint64_t tag, bool overflow)
{
    uint32_t probes = overflow ? COUNTER_OVERFLOW : COUNTER_PROBES;
    for (uint32_t i = 0; i < probes; i++) {
        uint32_t slot = place(counters, tag, overflow, i);
        uint64_t found = atomic_load_explicit(&counters->slots[slot].tag, memory_order_acquire);
        if (found == tag) {
            return slot;
        }
        if (found == COUNTER_TAG_FREE) {
            break; // places are taken in this order and never become free again
        }
    }
    return SL_COUNTER_NO_SLOT;
}

static bool
claim_begin(struct sl_counters *counters)
{
    int32_t own = (int32_t)getpid();
    for (unsigned i = 0; i < CLAIM_SPINS; i++) {
        int32_t holder = 0;
        if (atomic_compare_exchange_strong(&counters->header->claim_lock, &holder, own)) {
            return true;
        }
        // A holder that died can have left one slot BUSY, which nobody reads.
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

// A slot may change hands when its windows are over and nobody has used it for a while.
static bool
is_claimable(const struct sl_counters *counters, struct counter_slot *slot, int64_t mono_ms)
{
    uint64_t tag = atomic_load(&slot->tag);
    if (tag <= COUNTER_TAG_BUSY) {
        return true;
    }
    if (atomic_load(&slot->touched_s) + COUNTER_IDLE_S > mono_ms / 1000) {
        return false;
    }
    int64_t lead_ms = (int64_t)sl_counter_lead((struct sl_str){slot->key, slot->key_len}) * 1000;
    uint32_t window =
        sl_counter_window(sl_counters_clock(counters, mono_ms) + lead_ms, slot->window_s);
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        if (counter_window_of(atomic_load(&slot->allowed[i])) >= window) {
            return false;
        }
    }
    return true;
}

static void
fill_slot(struct counter_slot *slot, uint64_t tag, const struct sl_counter_take *take,
          const struct sl_counter_key *key, int64_t mono_ms)
{
    atomic_store(&slot->tag, COUNTER_TAG_BUSY);
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        atomic_store(&slot->units[i], 0);
        atomic_store(&slot->allowed[i], 0);
        atomic_store(&slot->others[i], 0);
        atomic_store(&slot->low[i], 0);
    }
    atomic_store(&slot->wanted, 0);
    atomic_store(&slot->touched_s, (uint32_t)(mono_ms / 1000));
    atomic_store(&slot->limit, (uint32_t)take->limit);
    atomic_store(&slot->revision, take->revision);
    slot->window_s = take->window_s;
    slot->key_len = (uint16_t)key->len;
    memcpy(slot->key, key->text, (size_t)key->len + 1);
    slot->shard = (uint16_t)sl_counter_shard((struct sl_str){key->text, key->len});
    atomic_store(&slot->tag, tag);
}

// The slot of a key, claimed when there is none.
static uint32_t
slot_of_key(struct sl_counters *counters, const struct sl_counter_take *take,
            const struct sl_counter_key *key, bool overflow, int64_t mono_ms)
{
    uint64_t tag = counter_tag(counters, (struct sl_str){key->text, key->len});
    uint32_t slot = counter_lookup(counters, tag, overflow);
    if (slot != SL_COUNTER_NO_SLOT || !claim_begin(counters)) {
        return slot;
    }
    slot = counter_lookup(counters, tag, overflow);
    uint32_t probes = overflow ? COUNTER_OVERFLOW : COUNTER_PROBES;
    for (uint32_t i = 0; i < probes && slot == SL_COUNTER_NO_SLOT; i++) {
        uint32_t candidate = place(counters, tag, overflow, i);
        if (is_claimable(counters, &counters->slots[candidate], mono_ms)) {
            fill_slot(&counters->slots[candidate], tag, take, key, mono_ms);
            slot = candidate;
        }
    }
    claim_end(counters);
    return slot;
}

// Takes over the limit of a newer image. Where it grew, "nothing more is to be had" no longer
// holds.
static void
set_limit(struct counter_slot *slot, const struct sl_counter_take *take)
{
    uint32_t had = atomic_exchange(&slot->limit, (uint32_t)take->limit);
    atomic_store(&slot->revision, take->revision);
    for (size_t i = 0; i < SL_COUNTER_WINDOWS && had < (uint32_t)take->limit; i++) {
        atomic_fetch_and(&slot->units[i], ~(uint64_t)COUNTER_EXHAUSTED);
    }
}

// Finds the counter of a take: its own, or its policy's overflow counter when the table is full.
static void
find_slot(struct sl_counters *counters, struct sl_counter_take *take, int64_t mono_ms)
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
    uint32_t now_s = (uint32_t)(mono_ms / 1000);
    if (atomic_load_explicit(&slot->touched_s, memory_order_relaxed) != now_s) {
        atomic_store_explicit(&slot->touched_s, now_s, memory_order_relaxed);
    }
    if (atomic_load_explicit(&slot->limit, memory_order_relaxed) != (uint32_t)take->limit &&
        atomic_load(&slot->revision) <= take->revision) {
        set_limit(slot, take);
    }
}

// -- units

static bool
shard_is_up(const struct sl_counters *counters, uint32_t shard, int64_t mono_ms)
{
    const struct counter_header *header = counters->header;
    return mono_ms - atomic_load(&header->beat_ms) < COUNTER_BEAT_MS &&
           (atomic_load(&header->up[shard / 64]) >> (shard % 64) & 1) != 0;
}

// Asks the agent to look at a slot; wakes it unless someone has.
static void
ask(struct sl_counters *counters, uint32_t slot)
{
    uint64_t bit = 1ULL << (slot % 64);
    if ((atomic_load(&counters->asked[slot / 64]) & bit) == 0) {
        atomic_fetch_or(&counters->asked[slot / 64], bit);
    }
    if (atomic_exchange(&counters->header->awake, 1) == 0) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        memcpy(to.sun_path, counters->wake_path, sizeof(to.sun_path));
        ssize_t sent = sendto(counters->wake_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL,
                              (struct sockaddr *)&to, sizeof(to));
        if (sent < 0) {
            atomic_store(&counters->header->awake, 0); // the agent's own tick will find the bit
        }
    }
}

// Makes the share what the node may spend, when it may spend less: `allowed` first, so that a
// process that dies in between has only lost units. True when that made units.
static bool
install_share(struct counter_slot *slot, size_t i, uint32_t window, uint32_t share)
{
    uint64_t allowed = atomic_load(&slot->allowed[i]);
    uint64_t units = atomic_load(&slot->units[i]);
    uint32_t has = counter_window_of(allowed) == window ? counter_units_of(allowed) : 0;
    if (counter_window_of(allowed) > window || counter_window_of(units) > window || has >= share ||
        !atomic_compare_exchange_strong(&slot->allowed[i], &allowed, counter_pack(window, share))) {
        return false;
    }
    uint64_t next;
    do {
        bool is_fresh = counter_window_of(units) < window;
        if (counter_window_of(units) > window || (is_fresh && has > 0)) {
            return false; // what is left unmade counts as spent
        }
        next = is_fresh ? counter_pack(window, share) : units + (share - has);
    } while (!atomic_compare_exchange_weak(&slot->units[i], &units, next));
    return true;
}

// Whether the slot has a unit of the window. Installs the node's own share when that is due: in a
// window that nothing was granted of and that began long enough after the last contact, or, for a
// setting of the gateway, when units will not come.
static bool
has_unit(struct sl_counters *counters, struct sl_counter_take *take, bool may_come)
{
    struct counter_slot *slot = &counters->slots[take->slot];
    size_t i = take->window % SL_COUNTER_WINDOWS;
    uint64_t units = atomic_load_explicit(&slot->units[i], memory_order_relaxed);
    bool is_current = counter_window_of(units) == take->window;
    if (is_current && counter_units_of(units) > 0) {
        return true;
    }
    uint64_t allowed = atomic_load(&slot->allowed[i]);
    int64_t confirmed = atomic_load(&counters->header->confirmed[slot->shard]);
    int64_t start_ms = sl_counter_window_start(take->window, take->window_s) - lead_ms(take);
    bool alone =
        confirmed + SL_COUNTER_SHARE_MS <= start_ms && counter_window_of(allowed) < take->window;
    bool is_helpless =
        is_soft(take->key) && !may_come && !(is_current && (units & COUNTER_EXHAUSTED) != 0);
    int64_t share = alone || is_helpless ? own_share(counters, take) : 0;
    return share > 0 && install_share(slot, i, take->window, (uint32_t)share);
}

// Whether so few units are left that it is time to ask for more, before a request has to wait.
static bool
runs_low(const struct counter_slot *slot, size_t i, uint64_t units)
{
    uint8_t low = atomic_load_explicit(&slot->low[i], memory_order_relaxed);
    uint32_t threshold = low == 0 ? 0 : 1U << (low - 1);
    return (units & COUNTER_EXHAUSTED) == 0 && counter_units_of(units) == threshold;
}

static bool
take_unit(struct sl_counters *counters, struct sl_counter_take *take)
{
    struct counter_slot *slot = &counters->slots[take->slot];
    size_t i = take->window % SL_COUNTER_WINDOWS;
    uint64_t units = atomic_load(&slot->units[i]);
    do {
        if (counter_window_of(units) != take->window || counter_units_of(units) == 0) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&slot->units[i], &units, units - 1));
    take->taken = true;
    if (runs_low(slot, i, units - 1)) {
        ask(counters, take->slot);
    }
    return true;
}

// Only into the same window: a unit of a window that is over is worth nothing.
static void
give_back(struct sl_counters *counters, struct sl_counter_take *take)
{
    struct counter_slot *slot = &counters->slots[take->slot];
    _Atomic uint64_t *word = &slot->units[take->window % SL_COUNTER_WINDOWS];
    uint64_t units = atomic_load(word);
    while (counter_window_of(units) == take->window &&
           !atomic_compare_exchange_weak(word, &units, units + 1)) {
    }
    take->taken = false;
}

static enum sl_counter_answer
lacking(const struct sl_counters *counters, const struct sl_counter_take *take, bool up)
{
    if (take->slot == SL_COUNTER_NO_SLOT || !up) {
        return SL_COUNTER_REFUSED;
    }
    uint64_t units =
        atomic_load(&counters->slots[take->slot].units[take->window % SL_COUNTER_WINDOWS]);
    bool exhausted = counter_window_of(units) == take->window && (units & COUNTER_EXHAUSTED) != 0;
    return exhausted ? SL_COUNTER_REFUSED : SL_COUNTER_WAIT;
}

// What a look at all counters found to be missing.
struct shortage {
    unsigned askable; // bits: counters that lack a unit which may come
    size_t first;     // the first counter that keeps the request from passing
};

// Looks at every counter and takes nothing.
static enum sl_counter_answer
look(struct sl_counters *counters, struct sl_counter_take *takes, size_t count, int64_t mono_ms,
     enum sl_counter_attempt attempt, struct shortage *ret_shortage)
{
    int64_t clock_ms = sl_counters_clock(counters, mono_ms);
    enum sl_counter_answer answer = SL_COUNTER_TAKEN;
    *ret_shortage = (struct shortage){0, 0};
    for (size_t i = 0; i < count; i++) {
        struct sl_counter_take *take = &takes[i];
        take->taken = false;
        take->window = sl_counter_window(clock_ms + lead_ms(take), take->window_s);
        find_slot(counters, take, mono_ms);
        bool found = take->slot != SL_COUNTER_NO_SLOT;
        bool up = found && shard_is_up(counters, counters->slots[take->slot].shard, mono_ms);
        if (found && has_unit(counters, take, up && attempt != SL_COUNTER_LAST)) {
            continue;
        }
        enum sl_counter_answer lack = lacking(counters, take, up);
        ret_shortage->askable |= lack == SL_COUNTER_WAIT ? 1U << i : 0;
        if (!take->count_only && lack > answer) {
            answer = lack;
            ret_shortage->first = i;
        }
    }
    return answer;
}

static void
ask_missing(struct sl_counters *counters, const struct sl_counter_take *takes, size_t count,
            unsigned askable, bool again)
{
    for (size_t i = 0; i < count; i++) {
        if ((askable >> i & 1) == 0) {
            continue;
        }
        if (!again) {
            atomic_fetch_add(&counters->slots[takes[i].slot].wanted, 1);
        }
        ask(counters, takes[i].slot);
    }
}

enum sl_counter_answer
sl_counters_take(struct sl_counters *counters, struct sl_counter_take *takes, size_t count,
                 int64_t mono_ms, enum sl_counter_attempt attempt, size_t *ret_first)
{
    assert(count <= TAKES_MAX);
    struct shortage shortage;
    enum sl_counter_answer answer = look(counters, takes, count, mono_ms, attempt, &shortage);
    if (answer == SL_COUNTER_REFUSED) {
        *ret_first = shortage.first;
        return answer; // what a refused request lacks besides is no demand
    }
    for (size_t i = 0; i < count && answer == SL_COUNTER_TAKEN; i++) {
        bool found = takes[i].slot != SL_COUNTER_NO_SLOT;
        if ((found && take_unit(counters, &takes[i])) || takes[i].count_only) {
            continue;
        }
        shortage.askable |= 1U << i; // another process was faster
        shortage.first = i;
        answer = SL_COUNTER_WAIT;
    }
    for (size_t i = count; i > 0 && answer != SL_COUNTER_TAKEN; i--) {
        if (takes[i - 1].taken) {
            give_back(counters, &takes[i - 1]);
        }
    }
    ask_missing(counters, takes, count, shortage.askable, attempt != SL_COUNTER_FIRST);
    *ret_first = shortage.first;
    return answer;
}

enum sl_counter_answer
sl_counters_peek(const struct sl_counters *counters, const struct sl_counter_take *take,
                 int64_t mono_ms)
{
    if (take->slot == SL_COUNTER_NO_SLOT) {
        return SL_COUNTER_REFUSED;
    }
    const struct counter_slot *slot = &counters->slots[take->slot];
    uint64_t units = atomic_load(&slot->units[take->window % SL_COUNTER_WINDOWS]);
    uint32_t window =
        sl_counter_window(sl_counters_clock(counters, mono_ms) + lead_ms(take), take->window_s);
    if (window != take->window ||
        (counter_window_of(units) == take->window && counter_units_of(units) > 0)) {
        return SL_COUNTER_TAKEN;
    }
    return lacking(counters, take, shard_is_up(counters, slot->shard, mono_ms));
}

int64_t
sl_counters_remain(const struct sl_counters *counters, const struct sl_counter_take *take)
{
    if (take->slot == SL_COUNTER_NO_SLOT) {
        return 0;
    }
    const struct counter_slot *slot = &counters->slots[take->slot];
    size_t i = take->window % SL_COUNTER_WINDOWS;
    uint64_t allowed = atomic_load(&slot->allowed[i]);
    uint64_t units = atomic_load(&slot->units[i]);
    uint64_t others = atomic_load(&slot->others[i]);
    int64_t used = 0;
    if (counter_window_of(allowed) == take->window) {
        used = counter_units_of(allowed);
        used -= counter_window_of(units) == take->window ? counter_units_of(units) : 0;
    }
    used += counter_window_of(others) == take->window ? counter_units_of(others) : 0;
    return used < take->limit ? take->limit - used : 0;
}
