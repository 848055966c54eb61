// counter.h - the counters that limits are counted in, shared by nginx workers and the agent.
//
// One file in /dev/shm a node, "/dev/shm/sluice-<name>-counters-<layout>-<keys>": created O_EXCL,
// initialised under flock, never truncated, mapped by every worker and by the agent. Another size
// is another file; the agent that begins with it retires the others. A counter is a slot; of each
// of four neighbouring windows it holds one 64-bit word (window:32, exhausted:1, remaining:31) that
// workers lower by compare-and-swap, and one (window:32, allowed:32) that says how many units the
// node may spend in all. What was used is their difference, so that a crash between two stores can
// only lower a limit. Units come from the agent (counter_agent.h) or, for windows that begin long
// enough after the last contact with accounting, from the node's own share, which a worker installs
// itself: a dead agent stops nothing.
//
// Everything here is lock-free but the claim of a slot for a new key. When all slots are in use,
// what has none counts in one counter of its policy ("overflow") until windows end. Any process,
// any thread; a mapping is freed by the process that opened it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_COUNTER_H
#define SL_RUNTIME_COUNTER_H

#include "common/base/error.h"
#include "common/base/limits.h"
#include "common/base/str.h"

#define SL_COUNTER_LAYOUT    2          // part of the file's name
#define SL_COUNTER_KEYS      32768      // counters of a node when the opener does not choose
#define SL_COUNTER_KEYS_MIN  16         // fewest that one may choose
#define SL_COUNTER_KEYS_TOP  16777216   // most
#define SL_COUNTER_KEY_MAX   119        // characters of a key
#define SL_COUNTER_WINDOWS   4          // windows of a slot: the last, this one, two ahead
#define SL_COUNTER_UNITS_MAX 2147483647 // units that a word can hold
#define SL_COUNTER_NO_SLOT   UINT32_MAX // no such counter
#define SL_COUNTER_SHARE_MS  3000       // from a confirmed contact to the first own share
#define SL_COUNTER_MEMBERS   64         // nodes of a gateway that shares are divided among
#define SL_COUNTER_FIRST_S   2100000000 // window of a key that counts nothing but asks for a time

struct sl_counters; // a mapping

// What a counter counts; with the ids it makes the key (proto/runtime.md, Limits).
enum sl_counter_dimension {
    SL_COUNT_API,
    SL_COUNT_USER,
    SL_COUNT_APP,
    SL_COUNT_IP,
};

// A key as text, terminated.
struct sl_counter_key {
    char text[SL_COUNTER_KEY_MAX + 1];
    uint32_t len; // characters
};

// One counter of a request: what to take a unit of, and what came of it.
struct sl_counter_take {
    const struct sl_counter_key *key; // borrowed for the call
    const char *policy_id;            // SL_ID_LEN characters: whose overflow counter to fall to
    int64_t limit;                    // units a window, at least 1
    uint64_t revision;                // of the image that the limit is from
    uint32_t window_s;                // length of the window, seconds
    uint32_t lead_s;                  // its windows begin so much before aligned ones; its key's
    bool count_only;                  // takes a unit when there is one, never refuses
    bool local;                       // this node alone counts it; its key's
    // Answers:
    bool taken;      // a unit was taken
    uint32_t slot;   // the counter
    uint32_t window; // the window's number
};

enum sl_counter_answer {
    SL_COUNTER_TAKEN,   // a unit of every counter
    SL_COUNTER_WAIT,    // nothing taken; units were asked for and may come within milliseconds
    SL_COUNTER_REFUSED, // nothing taken; waiting would not help
};

// Which attempt of a request this is.
enum sl_counter_attempt {
    SL_COUNTER_FIRST, // counts as demand
    SL_COUNTER_AGAIN, // after waiting: the demand is known
    SL_COUNTER_LAST,  // it will not wait any longer: a setting of the gateway (default limit,
                      // debugging domain) then divides as if accounting were down, for these limits
                      // protect and must not refuse because accounting is slow
};

// Opens the counters called `name` with room for `keys` of them, making the file (mode 0660, memory
// allocated: 206 bytes a key) when there is none. `keys`: SL_COUNTER_KEYS_MIN to
// SL_COUNTER_KEYS_TOP, 0 for SL_COUNTER_KEYS. NULL with *err filled.
struct sl_counters *sl_counters_open(const char *name, size_t keys, struct sl_error *err);

// The path of that file, terminated, as far as it fits.
void sl_counters_path(const char *name, size_t keys, char *ret_path, size_t size);

// Unmaps; the file stays. Empties the pointer.
void sl_counters_free(struct sl_counters **counters);

// The key of a policy's counter. `publish_id` NULL: the policy's scope is shared by all APIs bound
// to it. `subject`: the app, account or address (at most 39 characters); NULL for SL_COUNT_API.
void sl_counter_policy_key(struct sl_counter_key *ret_key, const char policy_id[SL_ID_LEN],
                           const char *publish_id, enum sl_counter_dimension dimension,
                           const struct sl_str *subject, uint32_t window_s);

// The key of an API's default limit, over all its environments; windows of one second.
void sl_counter_default_key(struct sl_counter_key *ret_key, const char api_id[SL_ID_LEN]);

// The key of a debugging domain's daily limit (a group has one such domain).
void sl_counter_domain_key(struct sl_counter_key *ret_key, const char group_id[SL_ID_LEN]);

// The key of an app's quota: one counter over all APIs. Its windows begin `lead_s` seconds (below
// `window_s`) before those that are aligned to the epoch, and the key ends in "@<lead_s>".
void sl_counter_quota_key(struct sl_counter_key *ret_key, const char quota_id[SL_ID_LEN],
                          const char app_id[SL_ID_LEN], uint32_t window_s, uint32_t lead_s);

// The key by which nodes ask when an app called first since it has its quota: a quota's key of a
// window that no quota has, and that holds all of the time. Nobody is granted a unit of it: whoever
// asks is told the time, the same for all and for ever. `number` tells one having of a quota from
// another of the same app; it is a lead such that the window has the number 1.
void sl_counter_first_key(struct sl_counter_key *ret_key, const char quota_id[SL_ID_LEN],
                          const char app_id[SL_ID_LEN], uint32_t number);

// By how many seconds windows that begin at `start_s` (since the Unix epoch, not negative), or any
// number of windows later, begin before aligned ones.
uint32_t sl_counter_lead_of(int64_t start_s, uint32_t window_s);

// What was told to who asked by sl_counter_first_key(): seconds since the Unix epoch; 0: nothing
// yet. `take` has been through sl_counters_take().
int64_t sl_counters_first(const struct sl_counters *counters, const struct sl_counter_take *take);

// Seconds by which the windows of a key begin before those that are aligned to the epoch: what
// follows its '@'; 0 without one. Add it to the clock before asking for the window's number, and
// take it off the window's start.
uint32_t sl_counter_lead(struct sl_str key);

// Makes the key of a policy's or a default limit one that each node counts alone: the whole limit
// is this node's, nobody is asked and nobody is told.
void sl_counter_local_key(struct sl_counter_key *key);

// Takes a unit of every counter in `takes` (in the order api, user, app, ip), or of none. `mono_ms`
// is sl_mono_ms(), possibly a few milliseconds old. When nothing was taken *ret_first is the
// first counter without a unit. At most 8 takes.
enum sl_counter_answer sl_counters_take(struct sl_counters *counters, struct sl_counter_take *takes,
                                        size_t count, int64_t mono_ms,
                                        enum sl_counter_attempt attempt, size_t *ret_first);

// Whether asking again would bring anything: for a counter that sl_counters_take() lacked a unit
// of. TAKEN: there is a unit, or another window. Takes and asks nothing.
enum sl_counter_answer sl_counters_peek(const struct sl_counters *counters,
                                        const struct sl_counter_take *take, int64_t mono_ms);

// Units left of a counter's limit after sl_counters_take, over all nodes as far as this node knows.
int64_t sl_counters_remain(const struct sl_counters *counters, const struct sl_counter_take *take);

// The accounting clock now: milliseconds since the Unix epoch as the accounting service counts.
int64_t sl_counters_clock(const struct sl_counters *counters, int64_t mono_ms);

// The number of the window of `window_s` seconds that holds `clock_ms`; windows are aligned to the
// Unix epoch.
uint32_t sl_counter_window(int64_t clock_ms, uint32_t window_s);

// First millisecond of a window.
int64_t sl_counter_window_start(uint32_t window, uint32_t window_s);

// The shard that a key belongs to, 0 to SL_SHARDS - 1.
uint32_t sl_counter_shard(struct sl_str key);

// A node's number in the division of shares.
uint64_t sl_counter_member(struct sl_str node_id);

// What of `limit` belongs to member `self` (an index) when every one of `count` members is on its
// own: limit / count, the remainder to those who come first by the hash of key and member.
int64_t sl_counter_share(struct sl_str key, int64_t limit, const uint64_t *members, size_t count,
                         size_t self);

#endif
