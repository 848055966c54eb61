// keys.c - the content keys that entry bodies are sealed under.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/keys.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "common/crypto/crypto.h"

#define KEYS_ARENA_MAX 16384
#define KEY_ID_AT      1 // of the key's id in a sealed value (seal.h)
#define OWN_CONTEXT    "node store"
#define NAME_SIZE      40 // of a blob's name

int
keys_init(struct keys *keys, const char *secret_z85, struct sl_error *err)
{
    memset(keys, 0, sizeof(*keys));
    if (strlen(secret_z85) != 40 || zmq_z85_decode(keys->secret, secret_z85) == NULL) {
        return sl_fail(err, SL_E_CONFIG, "secret_key");
    }
    char input[sizeof(OWN_CONTEXT) + sizeof(keys->secret)] = OWN_CONTEXT;
    memcpy(input + sizeof(OWN_CONTEXT), keys->secret, sizeof(keys->secret));
    sl_sha256((struct sl_str){input, sizeof(input)}, keys->own.bytes);
    explicit_bzero(input, sizeof(input));
    return 0;
}

void
keys_clear(struct keys *keys)
{
    explicit_bzero(keys, sizeof(*keys));
}

// The id that values sealed under a key carry.
static void
key_id(const struct sl_seal_key *key, uint8_t ret_id[KEYS_ID_LEN])
{
    uint8_t digest[SL_SHA256_LEN];
    sl_sha256((struct sl_str){(const char *)key->bytes, sizeof(key->bytes)}, digest);
    memcpy(ret_id, digest, KEYS_ID_LEN);
}

static void
add(struct keys *keys, const struct sl_seal_key *key)
{
    if (keys->count == KEYS_MAX) {
        memmove(keys->contents, keys->contents + 1, (KEYS_MAX - 1) * sizeof(*key));
        memmove(keys->ids, keys->ids + 1, (KEYS_MAX - 1) * sizeof(keys->ids[0]));
        keys->count--;
    }
    key_id(key, keys->ids[keys->count]);
    keys->contents[keys->count++] = *key;
}

static bool
is_known(const struct keys *keys, const struct sl_seal_key *key)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (memcmp(keys->contents[i].bytes, key->bytes, sizeof(key->bytes)) == 0) {
            return true;
        }
    }
    return false;
}

int
keys_take(struct keys *keys, struct sl_str box, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(KEYS_ARENA_MAX);
    struct sl_str plain;
    if (arena == NULL || sl_box_open(arena, keys->secret, box, &plain, err) != 0) {
        return -1;
    }
    struct sl_seal_key key;
    if (plain.len != sizeof(key.bytes)) {
        return sl_fail(err, SL_E_SEAL_BROKEN);
    }
    memcpy(key.bytes, plain.ptr, sizeof(key.bytes));
    if (!is_known(keys, &key)) {
        add(keys, &key);
        keys->unsaved = true;
    }
    return 0;
}

int
keys_unseal(const struct keys *keys, struct sl_arena *arena, struct sl_str context,
            struct sl_str sealed, struct sl_str *ret_plain, struct sl_error *err)
{
    for (size_t i = keys->count; i > 0 && sealed.len >= SL_SEAL_OVERHEAD; i--) {
        if (memcmp(keys->ids[i - 1], sealed.ptr + KEY_ID_AT, KEYS_ID_LEN) == 0) {
            return sl_unseal(arena, &keys->contents[i - 1], context, sealed, ret_plain, err);
        }
    }
    sl_fail(err, SL_E_SEAL_BROKEN);
    return sl_error_detail(err, "no content key for %.*s", SL_STR_FMT(context));
}

static void
blob_name(size_t index, char ret_name[NAME_SIZE])
{
    snprintf(ret_name, NAME_SIZE, "content-key/%zu", index);
}

int
keys_save(const struct keys *keys, struct sl_store *store, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(KEYS_ARENA_MAX);
    if (arena == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    for (size_t i = 0; i < keys->count; i++) {
        char name[NAME_SIZE];
        struct sl_str sealed;
        struct sl_str plain = {(const char *)keys->contents[i].bytes, SL_SEAL_KEY_LEN};
        blob_name(i, name);
        if (sl_seal(arena, &keys->own, SL_STR(OWN_CONTEXT), plain, &sealed, err) != 0 ||
            sl_store_put_blob(store, name, sealed, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void
load_one(void *arg, const char *name, struct sl_str bytes)
{
    struct keys *keys = arg;
    SL_AUTO(sl_arena) arena = sl_arena_new(KEYS_ARENA_MAX);
    struct sl_error err;
    struct sl_str plain;
    // One that does not open was sealed for another node key: its entries come again from the bus.
    if (arena == NULL || strncmp(name, "content-key/", 12) != 0 ||
        sl_unseal(arena, &keys->own, SL_STR(OWN_CONTEXT), bytes, &plain, &err) != 0 ||
        plain.len != SL_SEAL_KEY_LEN) {
        return;
    }
    struct sl_seal_key key;
    memcpy(key.bytes, plain.ptr, sizeof(key.bytes));
    add(keys, &key);
}

int
keys_load(struct keys *keys, struct sl_store *store, struct sl_error *err)
{
    return sl_store_blobs(store, load_one, keys, err);
}
