// counter_layout.h - how the counters lie in their file. Only counter*.c and their tests include
// it; a change of anything here is a new SL_COUNTER_LAYOUT.
//
// A counter is a slot, and a slot lies in three arrays: what every request touches (one cache
// line), what the agent and rare requests touch, and the packed key, which only reports read. Slots
// come from a pool in order; buckets lead from a key to its slot, so that a full pool costs no
// longer searches. 193 bytes a counter, and 12.8 bytes of buckets.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_COUNTER_LAYOUT_H
#define SL_RUNTIME_COUNTER_LAYOUT_H

#include <stdatomic.h>
#include <sys/types.h>

#include "common/runtime/counter_agent.h"

#define COUNTER_MAGIC       0x736c6374756e6974ULL // "slctunit": the file is complete
#define COUNTER_LOOKS       32                    // slots looked at for one that may change hands
#define COUNTER_BUCKET      8                     // counters that a bucket leads to
#define COUNTER_MEMOS       1024                  // keys that a process remembers
#define COUNTER_TAG_FREE    0                     // a slot that was never used
#define COUNTER_TAG_BUSY    1                     // a slot that changes hands
#define COUNTER_EXHAUSTED   0x80000000U           // bit of a units word
#define COUNTER_IDLE_S      5                     // a slot rests this long before it changes hands
#define COUNTER_BEAT_MS     1000                  // an agent silent for longer is dead
#define COUNTER_HAS_LEAD    0x8000U               // bit of a slot's shard: windows of its own
#define COUNTER_IS_LOCAL    0x4000U               // another one: this node alone counts
#define COUNTER_ID_BYTES    (SL_ID_LEN / 2)       // of an id in a packed key
#define COUNTER_SUBJECT_MAX 39                    // characters of a key's subject

// All that taking a unit touches: one cache line.
struct counter_slot {
    _Alignas(64) _Atomic uint64_t tag; // SipHash of the key, or COUNTER_TAG_*
    // window:32, exhausted:1, remaining:31; of a local counter window:32, used:32
    _Atomic uint64_t units[SL_COUNTER_WINDOWS];
    _Atomic uint8_t low[SL_COUNTER_WINDOWS]; // left units at which to ask: 0, else 2^(low-1)
    _Atomic uint32_t wanted;                 // requests that found no unit, for the agent
    _Atomic uint32_t touched_s;              // monotonic seconds: last use
    _Atomic uint32_t limit;                  // units a window, by the newest image
    uint32_t window_s;                       // seconds; set before tag
    uint16_t shard;                          // with COUNTER_HAS_LEAD, _IS_LOCAL; set before tag
    _Atomic uint16_t turn;                   // how often it changed hands, modulo 65,536
};
_Static_assert(sizeof(struct counter_slot) == 64, "a slot is a cache line");

// What is behind it: only the agent writes it, but for a share.
struct counter_grant {
    _Atomic uint64_t allowed[SL_COUNTER_WINDOWS]; // window:32, units:32
    _Atomic uint64_t revision;                    // of the image that `limit` is from
    _Atomic uint32_t others[SL_COUNTER_WINDOWS];  // units spent elsewhere, of `allowed`'s window
};
_Static_assert(sizeof(struct counter_grant) == 56, "no padding");

// A key in few bytes; set before the slot's tag.
struct counter_name {
    uint8_t id[2][COUNTER_ID_BYTES];   // policy, API or group; then the publication
    char subject[COUNTER_SUBJECT_MAX]; // app, account or address; or a lead's 4 bytes
    uint8_t subject_len;               //
    uint8_t form;                      // COUNTER_FORM_*, with a policy's dimension and scope
};
_Static_assert(sizeof(struct counter_name) == 73, "no padding");

#define COUNTER_FORM_POLICY    0    // t/…
#define COUNTER_FORM_DEFAULT   1    // d/…
#define COUNTER_FORM_DOMAIN    2    // h/…
#define COUNTER_FORM_OVERFLOW  3    // o/…
#define COUNTER_FORM_QUOTA     4    // q/…
#define COUNTER_FORM_LOCAL     5    // from here on: counted by this node alone; l/…, as t/…
#define COUNTER_FORM_OWN       6    // n/…, as d/…
#define COUNTER_FORM_SPILL     7    // v/…, as o/…
#define COUNTER_FORM_MASK      0x07 //
#define COUNTER_FORM_SHARED    0x08 // the policy's scope is all APIs bound to it
#define COUNTER_FORM_DIMENSION 0x10 // times the dimension

// Where counters are found: two buckets a key, by its tag. An entry is (high half of the tag:32,
// slot + 1:32), or 0.
struct counter_bucket {
    _Alignas(64) _Atomic uint64_t entries[COUNTER_BUCKET];
};

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
    _Atomic uint32_t retired;             // another memory has its place: nothing is divided here
    uint64_t hash_key[2];                 // random
    char boot[SL_ID_SIZE];                // random id of this memory
    _Atomic int64_t offset_ms;            // accounting clock less monotonic clock
    _Atomic int64_t beat_ms;              // mono: the agent lived
    _Atomic uint32_t awake;               // the agent has been woken and has not looked yet
    _Atomic int32_t claim_lock;           // pid of the process that claims a slot, 0 none
    _Atomic uint32_t used;                // slots of the pool that were ever claimed; by the lock
    _Atomic uint32_t hand;                // next to look at for one to claim again; by the lock
    struct counter_members sharing;       //
    _Atomic int64_t confirmed[SL_SHARDS]; // clock ms of accounting's last answer
    _Atomic uint64_t up[SL_SHARDS / 64];  // bit: waiting for units makes sense
};

// Where a process found a key the last time.
struct counter_memo {
    struct sl_counter_key key; // len 0: none
    uint32_t slot;             // that held it, or SL_COUNTER_NO_SLOT
    uint64_t tag;              // of the key
};

struct sl_counters {
    struct counter_header *header; // start of the mapping
    _Atomic uint64_t *asked;       // a bit a slot: its workers asked for units
    _Atomic uint64_t *asked_top;   // a bit for each word of `asked` that is not 0
    _Atomic uint64_t *changed;     // a bit a slot: what it holds or spent has changed
    struct counter_bucket *buckets;
    struct counter_slot *slots;   //
    struct counter_grant *grants; // of the slot with the same number
    struct counter_name *names;   // the same
    size_t mapped_bytes;          //
    uint32_t bucket_count;        //
    uint32_t hashed_slots;        // without the overflow slots
    int fd;                       // of the file; the agent's lock is on it
    int wake_fd;                  // datagram socket: the agent's to read, a worker's to write
    bool is_agent;                //
    char path[256];               // of the file
    char wake_path[108];          // where the agent listens
    struct counter_memo memos[COUNTER_MEMOS]; // this process's own
};

static inline uint64_t
counter_pack(uint32_t window, uint32_t units)
{
    return (uint64_t)window << 32 | units;
}

static inline uint32_t
counter_shard_of(const struct counter_slot *slot)
{
    return slot->shard & ~(COUNTER_HAS_LEAD | COUNTER_IS_LOCAL);
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

// Sets the slot's bit. Comes after the change that it announces: whoever clears the bit and looks
// then sees the change.
static inline void
counter_set_bit(_Atomic uint64_t *words, uint32_t slot)
{
    uint64_t bit = 1ULL << (slot % 64);
    if ((atomic_load(&words[slot / 64]) & bit) == 0) {
        atomic_fetch_or(&words[slot / 64], bit);
    }
}

// -- counter_key.c

// Packs a key whose windows begin `lead_s` earlier; false when it is none of the forms in
// proto/runtime.md.
bool counter_pack_name(const struct sl_counter_key *key, uint32_t lead_s,
                       struct counter_name *ret_name);
// The key that was packed, of windows of `window_s` seconds.
void counter_unpack_name(const struct counter_name *name, uint32_t window_s,
                         struct sl_counter_key *ret_key);
// Seconds by which the windows of a packed key begin earlier.
uint32_t counter_lead_of(const struct counter_name *name);
// The key of the counter that a take falls to when the table is full.
void counter_overflow_key(struct sl_counter_key *ret_key, const struct sl_counter_take *take);

// -- counter_table.c

// The hash of a key in this file; never a reserved tag.
uint64_t counter_tag(const struct sl_counters *counters, struct sl_str key);
// The slot with this tag, or SL_COUNTER_NO_SLOT.
uint32_t counter_lookup(const struct sl_counters *counters, uint64_t tag, bool overflow);
// Finds or claims the counter of a take: its own, or its policy's overflow counter when the table
// is full; sets take->slot (SL_COUNTER_NO_SLOT: neither), which then does not change hands for
// COUNTER_IDLE_S.
void counter_find_slot(struct sl_counters *counters, struct sl_counter_take *take, int64_t mono_ms);
// Keeps the slot from changing hands for COUNTER_IDLE_S; false when it holds another counter.
bool counter_keep_slot(const struct sl_counters *counters, uint32_t slot, uint64_t tag,
                       int64_t mono_ms);

#endif
