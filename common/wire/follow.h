// follow.h - keeping a copy of one gateway's runtime entries up to date (architecture.md 5).
//
// Follows `rt/<gateway>` events, asks publisher.since after every (re)subscription, when a head or
// an event shows a gap, and page by page when a full set is needed; drops duplicates, holds
// out-of-order events for 50 ms. Entries are opaque here. Callbacks run on the bus client's
// callback thread, one at a time.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_FOLLOW_H
#define SL_WIRE_FOLLOW_H

#include "common/base/limits.h"
#include "common/wire/bus_client.h"

struct sl_follow;

// One entry as it travels (proto/runtime.md).
struct sl_wire_entry {
    const char *kind;    // "api"
    const char *key;     // at most SL_KEY_MAX characters
    uint64_t revision;   // that last changed it
    uint32_t min_reader; // reader version that it needs
    struct sl_str body;  // sealed; ptr NULL: a tombstone
};

struct sl_revision {
    char epoch[SL_ID_SIZE]; // database timeline; "" before the first answer
    uint64_t number;        // R
};

struct sl_follow_hooks {
    // A full set begins; what arrives until full_end replaces everything.
    void (*full_begin)(void *arg);
    // Entries of one revision step (or one page of a full set). -1: not applied (an entry cannot be
    // opened or needs a newer reader); the follower keeps its revision and tries again later.
    int (*apply)(void *arg, const struct sl_wire_entry *entries, size_t count,
                 const struct sl_revision *to);
    // The full set is complete: switch.
    int (*full_end)(void *arg, const struct sl_revision *at);
    // The full set will not be completed: what was there before full_begin still stands. May be
    // NULL.
    void (*full_abandon)(void *arg);
    // Extra keys of a since reply (content key, node list…), before its entries are applied.
    void (*extra)(void *arg, json_t *reply);
    // A head arrived: the copy was confirmed current at sl_mono_ms() now.
    void (*confirmed)(void *arg, const struct sl_revision *head);
    void *arg;
};

// Starts following `gateway` from `have` (zeroed: nothing). NULL with *err filled.
struct sl_follow *sl_follow_new(struct sl_bus_client *client, const char *gateway,
                                const struct sl_revision *have, const struct sl_follow_hooks *hooks,
                                struct sl_error *err);
void sl_follow_free(struct sl_follow **follow);

// Runs the follower's timers. With own_dispatch its owner calls it about every 10 ms on the thread
// that dispatches; otherwise the follower sees to it itself.
void sl_follow_tick(struct sl_follow *follow);

// A head that came another way (the reply to a report): as if its event had arrived. On the
// callback thread.
void sl_follow_heard(struct sl_follow *follow, const struct sl_revision *head);

// The copy came another way and is at `revision`: from here on only what changed since is asked
// for. Answers false, and does nothing, while a full set is on its way. On the callback thread.
bool sl_follow_take(struct sl_follow *follow, const struct sl_revision *revision);

// Whether no event, not even a head, has come for 2.5 s: what is newer is then known by asking
// only. On the callback thread.
bool sl_follow_is_deaf(const struct sl_follow *follow);

// Whether a full set is on its way. On the callback thread.
bool sl_follow_is_reading(const struct sl_follow *follow);

// The revision that the copy has.
struct sl_revision sl_follow_revision(const struct sl_follow *follow);

#endif
