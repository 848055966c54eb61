// auth_entries.c - see auth_entries.h.
//
// A kind is one JSON object, key → body. Reading such an object changes nothing in it, so readers
// share it under a read lock; the writer opens and unpacks entries before it takes the lock.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/auth_entries.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/crypto/crypto.h"
#include "common/crypto/seal.h"

#define MAGIC_NUMBER    0xa07e7135
#define CONTENT_KEYS    4 // the newest, and those that entries on the way may still be sealed under
#define APPLY_ARENA_MAX (64 * 1024 * 1024)

struct entries {
    SL_MAGIC;
    uint8_t secret[32];                    // opens content keys
    struct sl_seal_key keys[CONTENT_KEYS]; // newest first
    size_t key_count;                      //
    pthread_rwlock_t lock;                 // guards `live`
    json_t *live[ENTRY_KINDS];             // objects: key → body
    json_t *loading[ENTRY_KINDS];          // a full set that arrives; NULL when none does
    atomic_bool complete;                  // a full set was taken over
    _Atomic int64_t confirmed_ms;          // sl_mono_ms() of the last head
};

static const char *const kind_names[ENTRY_KINDS] = {
    [ENTRY_ACCESS_KEY] = "access_key", [ENTRY_INSTANCE] = "instance",   [ENTRY_POLICY] = "policy",
    [ENTRY_PROJECT] = "project",       [ENTRY_TOKEN_KEY] = "token_key", [ENTRY_USER] = "user",
};

static bool
make_set(json_t *set[ENTRY_KINDS])
{
    bool ok = true;
    for (size_t i = 0; i < ENTRY_KINDS; i++) {
        set[i] = json_object();
        ok = ok && set[i] != NULL;
    }
    return ok;
}

static void
drop_set(json_t *set[ENTRY_KINDS])
{
    for (size_t i = 0; i < ENTRY_KINDS; i++) {
        json_decref(set[i]);
        set[i] = NULL;
    }
}

struct entries *
entries_new(const uint8_t secret[32])
{
    struct entries *entries = calloc(1, sizeof(*entries));
    pthread_rwlockattr_t attributes;
    if (entries == NULL) {
        return NULL;
    }
    entries->magic = MAGIC_NUMBER;
    memcpy(entries->secret, secret, sizeof(entries->secret));
    // Writers are few and must not wait for a pause between readers.
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&entries->lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    if (!make_set(entries->live)) {
        entries_free(&entries);
    }
    return entries;
}

void
entries_free(struct entries **entries)
{
    if (entries == NULL || *entries == NULL) {
        return;
    }
    drop_set((*entries)->live);
    drop_set((*entries)->loading);
    pthread_rwlock_destroy(&(*entries)->lock);
    sl_wipe(*entries, sizeof(**entries));
    free(*entries);
    *entries = NULL;
}

static enum entry_kind
find_kind(const char *name)
{
    for (size_t i = 0; i < ENTRY_KINDS; i++) {
        if (strcmp(kind_names[i], name) == 0) {
            return (enum entry_kind)i;
        }
    }
    return ENTRY_KINDS;
}

// Opens and unpacks a body; NULL when no key of ours opens it. The value is the arena's.
static json_t *
open_body(struct entries *entries, struct sl_arena *arena, const struct sl_wire_entry *entry)
{
    char *context = sl_arena_printf(arena, ENTRIES_GATEWAY "/%s/%s", entry->kind, entry->key);
    struct sl_error err;
    sl_fail(&err, SL_E_SEAL_BROKEN);
    for (size_t i = 0; context != NULL && i < entries->key_count; i++) {
        struct sl_str plain;
        json_t *value = NULL;
        if (sl_unseal(arena, &entries->keys[i], sl_str(context), entry->body, &plain, &err) != 0) {
            continue;
        }
        return sl_json_unpack(arena, plain, &value, &err) == 0 ? value : NULL;
    }
    return NULL;
}

// Puts entries whose bodies are open into a set. A NULL body is a tombstone.
static void
put_entries(json_t *set[ENTRY_KINDS], const struct sl_wire_entry *entries, size_t count,
            json_t *const *bodies)
{
    for (size_t i = 0; i < count; i++) {
        enum entry_kind kind = find_kind(entries[i].kind);
        if (kind == ENTRY_KINDS) {
            continue; // a newer build's; min_reader says when it must not be passed over
        }
        if (bodies[i] == NULL) {
            json_object_del(set[kind], entries[i].key);
        } else {
            json_object_set(set[kind], entries[i].key, bodies[i]);
        }
    }
}

// Opens all bodies, or none: -1 and nothing has changed.
static int
open_all(struct entries *entries, struct sl_arena *arena, const struct sl_wire_entry *list,
         size_t count, json_t **bodies)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].min_reader > ENTRIES_READER) {
            return -1;
        }
        if (list[i].body.ptr == NULL || find_kind(list[i].kind) == ENTRY_KINDS) {
            continue;
        }
        bodies[i] = open_body(entries, arena, &list[i]);
        if (bodies[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

static int
on_apply(void *arg, const struct sl_wire_entry *list, size_t count, const struct sl_revision *to)
{
    struct entries *entries = SL_CAST(entries, MAGIC_NUMBER, arg);
    SL_AUTO(sl_arena) arena = sl_arena_new(APPLY_ARENA_MAX);
    json_t **bodies = arena != NULL ? sl_arena_array(arena, count + 1, sizeof(*bodies)) : NULL;
    (void)to;
    if (bodies == NULL || open_all(entries, arena, list, count, bodies) != 0) {
        sl_log(SL_WARNING, "identity entries cannot be taken over", SL_LOG_INT("count", count));
        return -1;
    }
    if (entries->loading[0] != NULL) {
        put_entries(entries->loading, list, count, bodies);
        return 0;
    }
    pthread_rwlock_wrlock(&entries->lock);
    put_entries(entries->live, list, count, bodies);
    pthread_rwlock_unlock(&entries->lock);
    return 0;
}

static void
on_full_begin(void *arg)
{
    struct entries *entries = SL_CAST(entries, MAGIC_NUMBER, arg);
    drop_set(entries->loading);
    if (!make_set(entries->loading)) {
        drop_set(entries->loading);
    }
}

static int
on_full_end(void *arg, const struct sl_revision *at)
{
    struct entries *entries = SL_CAST(entries, MAGIC_NUMBER, arg);
    json_t *old[ENTRY_KINDS];
    (void)at;
    if (entries->loading[0] == NULL) {
        return -1;
    }
    pthread_rwlock_wrlock(&entries->lock);
    memcpy(old, entries->live, sizeof(old));
    memcpy(entries->live, entries->loading, sizeof(entries->live));
    pthread_rwlock_unlock(&entries->lock);
    memset(entries->loading, 0, sizeof(entries->loading));
    drop_set(old);
    atomic_store(&entries->complete, true);
    atomic_store(&entries->confirmed_ms, sl_mono_ms());
    return 0;
}

static bool
has_key(const struct entries *entries, const struct sl_seal_key *key)
{
    for (size_t i = 0; i < entries->key_count; i++) {
        if (memcmp(&entries->keys[i], key, sizeof(*key)) == 0) {
            return true;
        }
    }
    return false;
}

static void
on_extra(void *arg, json_t *reply)
{
    struct entries *entries = SL_CAST(entries, MAGIC_NUMBER, arg);
    const json_t *boxed = json_object_get(reply, "content_key");
    struct sl_str box = {json_string_value(boxed), json_string_length(boxed)};
    SL_AUTO(sl_arena) arena = sl_arena_new(65536);
    struct sl_str plain;
    struct sl_seal_key key;
    if (box.len == 0 || arena == NULL) {
        return;
    }
    if (sl_box_open(arena, entries->secret, box, &plain, NULL) != 0 ||
        plain.len != sizeof(key.bytes)) {
        sl_log(SL_WARNING, "content key cannot be opened");
        return;
    }
    memcpy(key.bytes, plain.ptr, sizeof(key.bytes));
    if (!has_key(entries, &key)) {
        memmove(&entries->keys[1], &entries->keys[0], sizeof(key) * (CONTENT_KEYS - 1));
        entries->keys[0] = key;
        entries->key_count += entries->key_count < CONTENT_KEYS;
    }
    sl_wipe(&key, sizeof(key));
}

static void
on_confirmed(void *arg, const struct sl_revision *head)
{
    struct entries *entries = SL_CAST(entries, MAGIC_NUMBER, arg);
    (void)head;
    atomic_store(&entries->confirmed_ms, sl_mono_ms());
}

struct sl_follow_hooks
entries_hooks(struct entries *entries)
{
    return (struct sl_follow_hooks){
        .full_begin = on_full_begin,
        .apply = on_apply,
        .full_end = on_full_end,
        .extra = on_extra,
        .confirmed = on_confirmed,
        .arg = entries,
    };
}

bool
entries_fresh(const struct entries *entries, int64_t stale_ms)
{
    return atomic_load(&entries->complete) &&
           sl_mono_ms() - atomic_load(&entries->confirmed_ms) < stale_ms;
}

void
entries_lock(struct entries *entries)
{
    pthread_rwlock_rdlock(&entries->lock);
}

void
entries_unlock(struct entries *entries)
{
    pthread_rwlock_unlock(&entries->lock);
}

json_t *
entries_get(const struct entries *entries, enum entry_kind kind, const char *key)
{
    return json_object_get(entries->live[kind], key);
}
