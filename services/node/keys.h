// keys.h - the content keys that entry bodies are sealed under.
//
// A node gets its gateway's content key boxed to its own CURVE key, keeps the last few (a rotation
// meets entries under both), and writes them to the store sealed under a key derived from its own.
// One thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_KEYS_H
#define SL_NODE_KEYS_H

#include "common/crypto/seal.h"
#include "common/runtime/store.h"

#define KEYS_MAX    8 // content keys kept; the oldest goes
#define KEYS_ID_LEN 4 // bytes of a key's id in what it sealed (seal.h)

struct keys {
    uint8_t secret[32];                    // our CURVE secret key
    struct sl_seal_key own;                // seals content keys in the store
    struct sl_seal_key contents[KEYS_MAX]; // newest last
    uint8_t ids[KEYS_MAX][KEYS_ID_LEN];    // of the same keys
    size_t count;                          //
    bool unsaved;                          // the store does not have them all
};

// Starts without content keys. Refuses (CONFIG) a secret key that is not Z85.
int keys_init(struct keys *keys, const char *secret_z85, struct sl_error *err) SL_MUST_CHECK;
// Wipes them.
void keys_clear(struct keys *keys);

// Takes a content key boxed to us; one that is known already changes nothing.
int keys_take(struct keys *keys, struct sl_str box, struct sl_error *err) SL_MUST_CHECK;

// Opens a sealed body with the key that its id names. Refuses (SEAL_BROKEN) when it is not there.
int keys_unseal(const struct keys *keys, struct sl_arena *arena, struct sl_str context,
                struct sl_str sealed, struct sl_str *ret_plain, struct sl_error *err) SL_MUST_CHECK;

// Writes the content keys into the store's open change; reads them back at start.
int keys_save(const struct keys *keys, struct sl_store *store, struct sl_error *err) SL_MUST_CHECK;
int keys_load(struct keys *keys, struct sl_store *store, struct sl_error *err) SL_MUST_CHECK;

#endif
