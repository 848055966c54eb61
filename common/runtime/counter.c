// counter.c - the node's own shares, and the taking of units; see counter.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/counter.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/runtime/counter_layout.h"

#define TAKES_MAX 8 // counters of one request

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
    const struct counter_members *from = &counters->header->sharing;
    uint64_t members[SL_COUNTER_MEMBERS];
    uint32_t turn = atomic_load(&from->turn);
    uint32_t count = atomic_load(&from->count);
    uint32_t self = atomic_load(&from->self);
    bool may = atomic_load(&from->may_share) != 0;
    bool soft = is_soft(take->key);
    if (atomic_load(&counters->header->retired) != 0 && !soft) {
        return -1; // accounting counts this memory as lost
    }
    if (count == 0 || count > SL_COUNTER_MEMBERS || self >= count) {
        return soft ? take->limit : -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        members[i] = atomic_load(&from->members[i]);
    }
    if ((turn & 1) != 0 || atomic_load(&from->turn) != turn || (!may && !soft)) {
        return -1;
    }
    // Of the counter that is taken from, which may be the policy's overflow counter.
    struct sl_counter_key key;
    counter_unpack_name(&counters->names[take->slot], take->window_s, &key);
    struct sl_str text = {key.text, key.len};
    return sl_counter_share(text, take->limit, members, count, self);
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
    counter_set_bit(counters->asked, slot);
    counter_set_bit(counters->asked_top, slot / 64);
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
install_share(struct sl_counters *counters, const struct sl_counter_take *take, uint32_t share)
{
    size_t i = take->window % SL_COUNTER_WINDOWS;
    struct counter_slot *slot = &counters->slots[take->slot];
    struct counter_grant *grant = &counters->grants[take->slot];
    uint64_t allowed = atomic_load(&grant->allowed[i]);
    uint64_t units = atomic_load(&slot->units[i]);
    uint32_t window = take->window;
    uint32_t has = counter_window_of(allowed) == window ? counter_units_of(allowed) : 0;
    if (counter_window_of(allowed) > window || counter_window_of(units) > window || has >= share) {
        return false;
    }
    if (counter_window_of(allowed) < window) {
        atomic_store(&grant->others[i], 0); // of a window that is over
    }
    if (!atomic_compare_exchange_strong(&grant->allowed[i], &allowed,
                                        counter_pack(window, share))) {
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
    uint64_t allowed = atomic_load(&counters->grants[take->slot].allowed[i]);
    int64_t confirmed = atomic_load(&counters->header->confirmed[counter_shard_of(slot)]);
    int64_t start_ms = sl_counter_window_start(take->window, take->window_s) - lead_ms(take);
    bool alone =
        confirmed + SL_COUNTER_SHARE_MS <= start_ms && counter_window_of(allowed) < take->window;
    bool is_helpless =
        is_soft(take->key) && !may_come && !(is_current && (units & COUNTER_EXHAUSTED) != 0);
    int64_t share = alone || is_helpless ? own_share(counters, take) : 0;
    bool is_installed = share > 0 && install_share(counters, take, (uint32_t)share);
    if (share > 0) {
        counter_set_bit(counters->changed, take->slot);
    }
    return is_installed;
}

// Whether so few units are left that it is time to ask for more, before a request has to wait.
static bool
runs_low(const struct counter_slot *slot, size_t i, uint64_t units)
{
    uint8_t low = atomic_load_explicit(&slot->low[i], memory_order_relaxed);
    uint32_t threshold = low == 0 ? 0 : 1U << (low - 1);
    return (units & COUNTER_EXHAUSTED) == 0 && counter_units_of(units) == threshold;
}

// -- counters of this node alone

// Units of the window that this node spent.
static uint32_t
local_used(const struct sl_counters *counters, const struct sl_counter_take *take)
{
    uint64_t units =
        atomic_load(&counters->slots[take->slot].units[take->window % SL_COUNTER_WINDOWS]);
    return counter_window_of(units) == take->window ? (uint32_t)units : 0;
}

static bool
take_local(struct sl_counters *counters, struct sl_counter_take *take)
{
    _Atomic uint64_t *word = &counters->slots[take->slot].units[take->window % SL_COUNTER_WINDOWS];
    uint64_t units = atomic_load(word);
    uint64_t next;
    do {
        if (counter_window_of(units) > take->window) {
            return false; // a process that is behind the time
        }
        next =
            (counter_window_of(units) == take->window ? units : counter_pack(take->window, 0)) + 1;
        if ((uint32_t)next > take->limit) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(word, &units, next));
    take->taken = true;
    return true;
}

// -- taking

static bool
take_unit(struct sl_counters *counters, struct sl_counter_take *take)
{
    struct counter_slot *slot = &counters->slots[take->slot];
    size_t i = take->window % SL_COUNTER_WINDOWS;
    if (take->local) {
        return take_local(counters, take);
    }
    uint64_t units = atomic_load(&slot->units[i]);
    do {
        if (counter_window_of(units) != take->window || counter_units_of(units) == 0) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&slot->units[i], &units, units - 1));
    take->taken = true;
    counter_set_bit(counters->changed, take->slot);
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
           !atomic_compare_exchange_weak(word, &units, take->local ? units - 1 : units + 1)) {
    }
    if (!take->local) {
        counter_set_bit(counters->changed, take->slot);
    }
    take->taken = false;
}

static enum sl_counter_answer
lacking(const struct sl_counters *counters, const struct sl_counter_take *take, bool up)
{
    if (take->slot == SL_COUNTER_NO_SLOT || !up || take->local) {
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
        counter_find_slot(counters, take, mono_ms);
        bool found = take->slot != SL_COUNTER_NO_SLOT;
        bool up =
            found && shard_is_up(counters, counter_shard_of(&counters->slots[take->slot]), mono_ms);
        if (found && take->local && local_used(counters, take) < take->limit) {
            continue;
        }
        if (found && !take->local && has_unit(counters, take, up && attempt != SL_COUNTER_LAST)) {
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
        shortage.askable |= takes[i].local ? 0 : 1U << i; // another process was faster
        shortage.first = i;
        answer = takes[i].local ? SL_COUNTER_REFUSED : SL_COUNTER_WAIT;
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
    return lacking(counters, take, shard_is_up(counters, counter_shard_of(slot), mono_ms));
}

int64_t
sl_counters_remain(const struct sl_counters *counters, const struct sl_counter_take *take)
{
    if (take->slot == SL_COUNTER_NO_SLOT) {
        return 0;
    }
    const struct counter_grant *grant = &counters->grants[take->slot];
    size_t i = take->window % SL_COUNTER_WINDOWS;
    uint64_t allowed = atomic_load(&grant->allowed[i]);
    uint64_t units = atomic_load(&counters->slots[take->slot].units[i]);
    if (take->local) {
        int64_t spent = local_used(counters, take);
        return spent < take->limit ? take->limit - spent : 0;
    }
    int64_t used = 0;
    if (counter_window_of(allowed) == take->window) {
        used = counter_units_of(allowed);
        used -= counter_window_of(units) == take->window ? counter_units_of(units) : 0;
        used += atomic_load(&grant->others[i]);
    }
    return used < take->limit ? take->limit - used : 0;
}

// Who is told is told of a window without units, and of so many seconds of it.
int64_t
sl_counters_first(const struct sl_counters *counters, const struct sl_counter_take *take)
{
    if (take->slot == SL_COUNTER_NO_SLOT) {
        return 0;
    }
    size_t i = take->window % SL_COUNTER_WINDOWS;
    uint64_t units = atomic_load(&counters->slots[take->slot].units[i]);
    int64_t passed_s = atomic_load(&counters->grants[take->slot].others[i]);
    bool is_told = counter_window_of(units) == take->window && (units & COUNTER_EXHAUSTED) != 0;
    int64_t start_s = sl_counter_window_start(take->window, take->window_s) / 1000 - take->lead_s;
    return is_told && passed_s > 0 ? start_s + passed_s : 0;
}
