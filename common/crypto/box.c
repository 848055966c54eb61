// box.c - boxes to an X25519 key; see seal.h.
//
// The box is ephemeral public key || sealed form. Its key is HKDF-SHA256 (RFC 5869, no salt) of the
// shared secret with ephemeral || recipient as info, so a box is bound to both keys.
//
// SPDX-License-Identifier: Apache-2.0
#include <openssl/evp.h>
#include <string.h>

#include "common/crypto/crypto.h"
#include "common/crypto/seal.h"

#define KEY_LEN 32 // of X25519, public, secret and shared

static void
pkey_drop(EVP_PKEY **pkey)
{
    EVP_PKEY_free(*pkey);
}

static void
pkey_ctx_drop(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

#define AUTO_PKEY     __attribute__((cleanup(pkey_drop))) EVP_PKEY *
#define AUTO_PKEY_CTX __attribute__((cleanup(pkey_ctx_drop))) EVP_PKEY_CTX *

static const struct sl_str box_context = {"box", 3};

static void
hmac_once(struct sl_str key, struct sl_str message, uint8_t ret_mac[SL_SHA256_LEN])
{
    struct sl_hmac *hmac = sl_hmac_new(key);
    assert(hmac != NULL);
    sl_hmac_sign(hmac, message, ret_mac);
    sl_hmac_free(&hmac);
}

// One block of HKDF is as long as the key that is wanted.
static void
derive(const uint8_t shared[KEY_LEN], const uint8_t ephemeral[KEY_LEN],
       const uint8_t recipient[KEY_LEN], struct sl_seal_key *ret_key)
{
    static const char no_salt[SL_SHA256_LEN] = {0};
    uint8_t prk[SL_SHA256_LEN];
    hmac_once((struct sl_str){no_salt, sizeof(no_salt)},
              (struct sl_str){(const char *)shared, KEY_LEN}, prk);
    uint8_t info[2 * KEY_LEN + 1];
    memcpy(info, ephemeral, KEY_LEN);
    memcpy(info + KEY_LEN, recipient, KEY_LEN);
    info[2 * KEY_LEN] = 1;
    hmac_once((struct sl_str){(const char *)prk, sizeof(prk)},
              (struct sl_str){(const char *)info, sizeof(info)}, ret_key->bytes);
    sl_wipe(prk, sizeof(prk));
}

// The shared secret of our private and their public key; false for a key that OpenSSL refuses (a
// point of small order gives all zeroes, which it refuses too).
static bool
agree(EVP_PKEY *ours, const uint8_t theirs[KEY_LEN], uint8_t ret_shared[KEY_LEN])
{
    AUTO_PKEY peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, theirs, KEY_LEN);
    AUTO_PKEY_CTX ctx = EVP_PKEY_CTX_new(ours, NULL);
    size_t len = KEY_LEN;
    return peer != NULL && ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
           EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
           EVP_PKEY_derive(ctx, ret_shared, &len) == 1 && len == KEY_LEN;
}

int
sl_box_seal(struct sl_arena *arena, const uint8_t recipient_public[KEY_LEN], struct sl_str plain,
            struct sl_str *ret_box, struct sl_error *err)
{
    uint8_t secret[KEY_LEN];
    uint8_t ephemeral[KEY_LEN];
    uint8_t shared[KEY_LEN];
    sl_random(secret, sizeof(secret));
    AUTO_PKEY ours = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, KEY_LEN);
    sl_wipe(secret, sizeof(secret));
    size_t len = KEY_LEN;
    if (ours == NULL || EVP_PKEY_get_raw_public_key(ours, ephemeral, &len) != 1 ||
        !agree(ours, recipient_public, shared)) {
        sl_fail(err, SL_E_SEAL_BROKEN);
        return sl_error_detail(err, "no box to this key");
    }
    struct sl_seal_key key;
    derive(shared, ephemeral, recipient_public, &key);
    sl_wipe(shared, sizeof(shared));
    struct sl_str sealed = {NULL, 0};
    int rc = sl_seal(arena, &key, box_context, plain, &sealed, err);
    sl_wipe(&key, sizeof(key));
    if (rc != 0) {
        return -1;
    }
    char *box = sl_arena_alloc(arena, KEY_LEN + sealed.len);
    if (box == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    memcpy(box, ephemeral, KEY_LEN);
    memcpy(box + KEY_LEN, sealed.ptr, sealed.len);
    *ret_box = (struct sl_str){box, KEY_LEN + sealed.len};
    return 0;
}

int
sl_box_open(struct sl_arena *arena, const uint8_t recipient_secret[KEY_LEN], struct sl_str box,
            struct sl_str *ret_plain, struct sl_error *err)
{
    if (box.len < KEY_LEN + SL_SEAL_OVERHEAD) {
        sl_fail(err, SL_E_SEAL_BROKEN);
        return sl_error_detail(err, "not a box");
    }
    const uint8_t *ephemeral = (const uint8_t *)box.ptr;
    uint8_t recipient[KEY_LEN];
    uint8_t shared[KEY_LEN];
    AUTO_PKEY ours = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, recipient_secret, KEY_LEN);
    size_t len = KEY_LEN;
    if (ours == NULL || EVP_PKEY_get_raw_public_key(ours, recipient, &len) != 1 ||
        !agree(ours, ephemeral, shared)) {
        sl_fail(err, SL_E_SEAL_BROKEN);
        return sl_error_detail(err, "the box's key is not one");
    }
    struct sl_seal_key key;
    derive(shared, ephemeral, recipient, &key);
    sl_wipe(shared, sizeof(shared));
    struct sl_str sealed = {box.ptr + KEY_LEN, box.len - KEY_LEN};
    int rc = sl_unseal(arena, &key, box_context, sealed, ret_plain, err);
    sl_wipe(&key, sizeof(key));
    return rc;
}
