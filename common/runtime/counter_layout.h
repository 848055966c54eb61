// counter_layout.h - how the counters lie in their file. Only counter*.c and their tests include
// it; a change of anything here is a new SL_COUNTER_LAYOUT.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_COUNTER_LAYOUT_H
#define SL_RUNTIME_COUNTER_LAYOUT_H

#include <stdatomic.h>
#include <sys/types.h>

#include "common/runtime/counter.h"

#define COUNTER_MAGIC     0x736c6374756e6974ULL // "slctunit": the file is complete
#define COUNTER_PROBES    16                    // places where a key may lie, from its hash on
#define COUNTER_OVERFLOW  64                    // slots at the end that only overflow counters use
#define COUNTER_TAG_FREE  0                     // a slot that was never used
#define COUNTER_TAG_BUSY  1                     // a slot that changes hands
#define COUNTER_EXHAUSTED 0x80000000U           // bit of a units word
#define COUNTER_IDLE_S    5                     // a slot rests this long before it changes hands
#define COUNTER_BEAT_MS   1000                  // an agent silent for longer is dead

// Four cache lines. The first is all that taking a unit touches.
struct counter_slot {
    _Alignas(64) _Atomic uint64_t tag;          // SipHash of the key, or COUNTER_TAG_*
    _Atomic uint64_t units[SL_COUNTER_WINDOWS]; // window:32, exhausted:1, remaining:31
    _Atomic uint8_t low[SL_COUNTER_WINDOWS];    // left units at which to ask: 0, else 2^(low-1)
    _Atomic uint32_t wanted;                    // requests that found no unit, for the agent
    _Atomic uint32_t touched_s;                 // monotonic seconds: last use
    _Atomic uint32_t limit;                     // units a window, by the newest image
    uint32_t window_s;                          // seconds; set before tag
    uint16_t shard;                             // set before tag
    uint16_t key_len;                           // set before tag
    // The second: what only the agent writes, but for a share.
    _Alignas(64) _Atomic uint64_t allowed[SL_COUNTER_WINDOWS]; // window:32, units:32
    _Atomic uint64_t others[SL_COUNTER_WINDOWS];               // window:32, spent elsewhere:32
    // The rest: who the counter is.
    _Alignas(64) _Atomic uint64_t revision; // of the image that `limit` is from
    char key[SL_COUNTER_KEY_MAX + 1];       // set before tag
};
_Static_assert(sizeof(struct counter_slot) == 256, "a slot is four cache lines");

// Who shares the limits; guarded by `turn`, which is odd while it is being written.
struct counter_members {
    _Atomic uint32_t turn;
    _Atomic uint32_t count;                       // 0: not known yet
    _Atomic uint32_t self;                        // index of this node
    _Atomic uint32_t may_share;                   // accounting knows that all divide like this
    _Atomic uint64_t members[SL_COUNTER_MEMBERS]; // sl_counter_member() of each
};

struct counter_header {
    _Atomic uint64_t magic;               // COUNTER_MAGIC once everything else is set
    uint32_t layout;                      // SL_COUNTER_LAYOUT
    uint32_t slot_count;                  // with the overflow slots
    _Atomic uint32_t attended;            // how many agents this memory has had
    uint64_t hash_key[2];                 // random
    char boot[SL_ID_SIZE];                // random id of this memory
    _Atomic int64_t offset_ms;            // accounting clock less monotonic clock
    _Atomic int64_t beat_ms;              // mono: the agent lived
    _Atomic uint32_t awake;               // the agent has been woken and has not looked yet
    _Atomic int32_t claim_lock;           // pid of the process that claims a slot, 0 none
    struct counter_members sharing;       //
    _Atomic int64_t confirmed[SL_SHARDS]; // clock ms of accounting's last answer
    _Atomic uint64_t up[SL_SHARDS / 64];  // bit: waiting for units makes sense
};

struct sl_counters {
    struct counter_header *header; // start of the mapping
    _Atomic uint64_t *asked;       // a bit a slot: its workers asked for units
    struct counter_slot *slots;    //
    size_t mapped_bytes;           //
    uint32_t hashed_slots;         // without the overflow slots; a power of two
    int fd;                        // of the file; the agent's lock is on it
    int wake_fd;                   // datagram socket: the agent's to read, a worker's to write
    bool is_agent;                 //
    char wake_path[108];           // where the agent listens
};

static inline uint64_t
counter_pack(uint32_t window, uint32_t units)
{
    return (uint64_t)window << 32 | units;
}

static inline uint32_t
counter_window_of(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

// Without the exhausted bit.
static inline uint32_t
counter_units_of(uint64_t word)
{
    return (uint32_t)word & ~COUNTER_EXHAUSTED;
}

// The key of the counter that a take falls to when the table is full.
void counter_overflow_key(struct sl_counter_key *ret_key, const struct sl_counter_take *take);

// The hash of a key in this file; never a reserved tag.
uint64_t counter_tag(const struct sl_counters *counters, struct sl_str key);

// The slot with this tag, or SL_COUNTER_NO_SLOT.
uint32_t counter_lookup(const struct sl_counters *counters, uint64_t tag, bool overflow);

#endif
