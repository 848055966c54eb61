// auth_entries.h - the front's copy of the gateway `control`: users, keys, policies, projects.
//
// One writer (the bus client's callback thread, through the follower's hooks), any number of
// readers. Readers hold the lock while they use what entries_get() answers; they take copies of
// what outlives it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_AUTH_ENTRIES_H
#define SL_FRONT_AUTH_ENTRIES_H

#include "common/wire/follow.h"

#define ENTRIES_GATEWAY "control"
#define ENTRIES_READER  1 // newest min_reader that this build honours

enum entry_kind {
    ENTRY_ACCESS_KEY,
    ENTRY_INSTANCE,
    ENTRY_POLICY,
    ENTRY_PROJECT,
    ENTRY_TOKEN_KEY,
    ENTRY_USER,
    ENTRY_KINDS,
};

struct entries;

// An empty copy; `secret` is the front's CURVE secret key, to which content keys come boxed. NULL
// when memory is out.
struct entries *entries_new(const uint8_t secret[32]);

// Frees it and wipes the keys. Takes NULL.
void entries_free(struct entries **entries);

// The follower's hooks that keep this copy.
struct sl_follow_hooks entries_hooks(struct entries *entries);

// Whether a full set was taken over and heads confirmed it within `stale_ms`.
bool entries_fresh(const struct entries *entries, int64_t stale_ms);

// Between the two, what entries_get() answered stays as it is.
void entries_lock(struct entries *entries);
void entries_unlock(struct entries *entries);

// The body of an entry, borrowed until the unlock; NULL when there is none.
json_t *entries_get(const struct entries *entries, enum entry_kind kind, const char *key);

#endif
