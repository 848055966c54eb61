// counter_agent.h - the agent's side of the counters: grants in, usage and requests out.
//
// One thread of one process, the agent, uses these functions (it holds a lock on the file).
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_COUNTER_AGENT_H
#define SL_RUNTIME_COUNTER_AGENT_H

#include "common/runtime/counter.h"

#define SL_COUNTER_OVERFLOWS 64 // overflow counters, the last slots

// One window of a counter.
struct sl_counter_span {
    uint32_t window;  // its number; 0: none
    uint32_t allowed; // units that the node may spend in all
    uint32_t used;    // units that it spent
};

// A counter as the agent sees it, but for its key.
struct sl_counter_state {
    uint64_t tag;                                     // of the key, in this memory
    uint16_t turn;                                    // grows when the slot changes hands
    int64_t limit;                                    // units a window, by the newest image
    uint64_t revision;                                // of that image
    uint32_t window_s;                                // seconds
    int64_t lead_ms;                                  // how far its windows lie before aligned ones
    uint32_t shard;                                   //
    struct sl_counter_span spans[SL_COUNTER_WINDOWS]; // by window number modulo 4
};

// Becomes the agent of these counters: locks the file (UNAVAILABLE when another process has), opens
// the socket that workers wake it by, and retires this node's counters of other sizes: workers that
// still have them spend what is there and divide nothing.
int sl_counters_attend(struct sl_counters *counters, struct sl_error *err) SL_MUST_CHECK;

// The socket: readable when workers ask for units.
int sl_counters_wake_fd(const struct sl_counters *counters);

// How many slots the file has; slots are numbered from 0.
uint32_t sl_counters_slots(const struct sl_counters *counters);

// Which memory this is: 32 hex digits that change when the file is made anew.
const char *sl_counters_boot(const struct sl_counters *counters);

// Which agent of this memory this is, from 1 on.
uint32_t sl_counters_incarnation(const struct sl_counters *counters);

// Empties the socket and collects up to `max` slots whose workers asked for units.
size_t sl_counters_asked(struct sl_counters *counters, uint32_t *ret_slots, size_t max);

// Moves the slots that changed since the last call into `news`, a bit a slot, beside those that are
// set there: something was taken, given back, granted, recalled or shared.
void sl_counters_changed(struct sl_counters *counters, uint64_t *news);

// Makes the slot one that changed.
void sl_counters_mark(struct sl_counters *counters, uint32_t slot);

// How many slots, from 0 on, may hold counters; overflow counters have the last
// SL_COUNTER_OVERFLOWS of all numbers besides.
uint32_t sl_counters_used(const struct sl_counters *counters);

// Reads a slot; false when it holds no counter, or one that this node counts alone.
bool sl_counters_read(const struct sl_counters *counters, uint32_t slot,
                      struct sl_counter_state *ret_state);

// The key of the counter that was read; false when the slot changed hands since.
bool sl_counters_key(const struct sl_counters *counters, uint32_t slot,
                     const struct sl_counter_state *state, struct sl_counter_key *ret_key);

// Takes the number of requests that found no unit since the last call.
uint32_t sl_counters_wanted(struct sl_counters *counters, uint32_t slot);

// The slot of a key, or SL_COUNTER_NO_SLOT. It does not change hands for some seconds.
uint32_t sl_counters_find(const struct sl_counters *counters, struct sl_str key);

// Makes `allowed` what the node may spend in `window`: raises it, or lowers it as far as units are
// unspent. `others`: units that other nodes spent. `exhausted`: nothing more is to be had until
// told otherwise. *ret_span is what then holds. A window that has no place any more is left alone,
// and *ret_span has window 0.
void sl_counters_apply(struct sl_counters *counters, uint32_t slot,
                       const struct sl_counter_span *grant, uint32_t others, bool exhausted,
                       struct sl_counter_span *ret_span);

// Says how far the accounting clock is ahead of the monotonic clock.
void sl_counters_set_offset(struct sl_counters *counters, int64_t offset_ms);

// Says that the agent lives; to be called at least every 200 ms.
void sl_counters_beat(struct sl_counters *counters, int64_t mono_ms);

// Accounting's owner of a shard answered at `clock_ms` of its clock: until SL_COUNTER_SHARE_MS
// later no window begins that the node may divide by itself. Never goes back.
void sl_counters_confirm(struct sl_counters *counters, uint32_t shard, int64_t clock_ms);

// The last such time of a shard.
int64_t sl_counters_confirmed(const struct sl_counters *counters, uint32_t shard);

// Whether waiting for units of a shard makes sense.
void sl_counters_set_up(struct sl_counters *counters, uint32_t shard, bool up);

// Who shares the gateway's limits. `may_share`: accounting knows that every member divides by this
// list; without it the node has no share of a policy's limit.
void sl_counters_set_members(struct sl_counters *counters, const uint64_t *members, size_t count,
                             size_t self, bool may_share);

#endif
