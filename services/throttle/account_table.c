// account_table.c - keys: found by name, listed by shard, waiting in queues; their windows.
//
// An owner may have a million of them. Whatever looks at many keys goes by shard or by queue, so
// that no message waits for a walk over all.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "common/base/siphash.h"
#include "services/throttle/account_state.h"

#define ROOM_FIRST 16 // keys that a shard's list begins with room for

void
account_table_open(struct account *account)
{
    for (size_t i = 0; i < SL_SHARDS; i++) {
        zhashx_t *names = account->shards[i].by_name = zhashx_new();
        zhashx_set_key_hasher(names, sl_siphash_text); // callers choose addresses
        zhashx_set_key_duplicator(names, NULL);        // a key holds its own name
        zhashx_set_key_destructor(names, NULL);
    }
    for (size_t i = 0; i < QUEUES; i++) {
        account->queues[i] = zlistx_new();
    }
}

void
account_table_close(struct account *account)
{
    for (size_t i = 0; i < SL_SHARDS; i++) {
        free(account->shards[i].keys);
        zhashx_destroy(&account->shards[i].by_name);
    }
    for (size_t i = 0; i < QUEUES; i++) {
        zlistx_destroy(&account->queues[i]);
    }
}

// -- queues

void
account_queue(struct account *account, struct key *key, enum queue queue)
{
    if (key->queued[queue] == NULL) {
        key->queued[queue] = zlistx_add_end(account->queues[queue], key);
    }
}

struct key *
account_next(struct account *account, enum queue queue)
{
    struct key *key = zlistx_detach(account->queues[queue], NULL);
    if (key != NULL) {
        key->queued[queue] = NULL;
    }
    return key;
}

// -- keys

static void
name_key(char *ret_name, size_t size, const struct gateway *gateway, const char *text)
{
    snprintf(ret_name, size, "%s/%s", gateway->id, text);
}

static struct key *
find_in(const struct shard *shard, const struct gateway *gateway, const char *text)
{
    char name[SL_ID_SIZE + SL_COUNTER_KEY_MAX + 2];
    name_key(name, sizeof(name), gateway, text);
    return zhashx_lookup(shard->by_name, name);
}

struct key *
account_find_key(struct account *account, struct gateway *gateway, const char *text)
{
    return find_in(&account->shards[sl_counter_shard(sl_str(text))], gateway, text);
}

struct key *
account_key_after(const struct account *account, const struct key *key)
{
    uint32_t shard = key != NULL ? key->shard : 0;
    uint32_t place = key != NULL ? key->place + 1 : 0;
    for (; shard < SL_SHARDS; shard++, place = 0) {
        if (place < account->shards[shard].key_count) {
            return account->shards[shard].keys[place];
        }
    }
    return NULL;
}

// Makes room for one more key in the shard's list; false when memory is out.
static bool
make_room(struct shard *shard)
{
    if (shard->key_count < shard->key_room) {
        return true;
    }
    uint32_t room = shard->key_room == 0 ? ROOM_FIRST : shard->key_room + shard->key_room / 2;
    struct key **grown = realloc(shard->keys, room * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    shard->keys = grown;
    shard->key_room = room;
    return true;
}

struct key *
account_get_key(struct account *account, struct gateway *gateway, const char *text,
                uint32_t window_s)
{
    struct sl_str name_text = {text, strlen(text)};
    uint32_t number = sl_counter_shard(name_text);
    struct shard *shard = &account->shards[number];
    struct key *key = find_in(shard, gateway, text);
    if (key != NULL || shard->epoch == 0 || name_text.len > SL_COUNTER_KEY_MAX) {
        return key;
    }
    size_t size = strlen(gateway->id) + name_text.len + 2;
    key = make_room(shard) ? calloc(1, sizeof(*key) + size) : NULL;
    if (key == NULL) {
        return NULL;
    }
    name_key(key->name, size, gateway, text);
    key->text = key->name + size - 1 - name_text.len;
    key->gateway = gateway;
    key->shard = number;
    key->place = shard->key_count;
    key->window_s = window_s;
    key->lead_ms = (int64_t)sl_counter_lead(name_text) * 1000;
    shard->keys[shard->key_count++] = key;
    zhashx_insert(shard->by_name, key->name, key);
    return key;
}

static void
drop_key(struct account *account, struct key *key)
{
    for (size_t i = 0; i < QUEUES; i++) {
        if (key->queued[i] != NULL) {
            zlistx_detach(account->queues[i], key->queued[i]);
        }
    }
    struct shard *shard = &account->shards[key->shard];
    struct key *last = shard->keys[--shard->key_count];
    shard->keys[key->place] = last;
    last->place = key->place;
    zhashx_delete(shard->by_name, key->name);
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        free(key->spans[i].holds);
    }
    free(key->flows);
    free(key);
}

void
account_drop_keys(struct account *account, uint32_t shard,
                  bool (*is_over)(const struct key *key, int64_t argument), int64_t argument)
{
    struct shard *from = &account->shards[shard];
    // From the end: the last one takes the place of one that goes.
    for (uint32_t i = from->key_count; i > 0; i--) {
        struct key *key = from->keys[i - 1];
        if (is_over == NULL || is_over(key, argument)) {
            drop_key(account, key);
        }
    }
}

// -- windows

struct span *
account_span(struct key *key, uint32_t window)
{
    struct span *span = &key->spans[window % SL_COUNTER_WINDOWS];
    if (span->window > window) {
        return NULL;
    }
    if (span->window < window) {
        free(span->holds);
        *span = (struct span){.window = window};
    }
    return span;
}

struct hold *
account_find_hold(const struct span *span, int node)
{
    for (uint32_t i = 0; i < span->hold_count; i++) {
        if (span->holds[i].node == (uint32_t)node) {
            return &span->holds[i];
        }
    }
    return NULL;
}

struct hold *
account_hold(struct span *span, int node)
{
    struct hold *hold = account_find_hold(span, node);
    if (hold == NULL) {
        span->holds = realloc(span->holds, (span->hold_count + 1) * sizeof(*span->holds));
        assert(span->holds != NULL); // a few hundred bytes; without them no promise can be kept
        hold = &span->holds[span->hold_count++];
        *hold = (struct hold){.node = (uint32_t)node};
    }
    return hold;
}

struct flow *
account_flow(struct key *key, int node)
{
    for (uint32_t i = 0; i < key->flow_count; i++) {
        if (key->flows[i].node == (uint32_t)node) {
            return &key->flows[i];
        }
    }
    key->flows = realloc(key->flows, (key->flow_count + 1) * sizeof(*key->flows));
    assert(key->flows != NULL);
    struct flow *flow = &key->flows[key->flow_count++];
    *flow = (struct flow){.node = (uint32_t)node};
    return flow;
}
