// seal.h - secrets at rest and on the wire: AES-256-GCM, and boxes to an X25519 (CURVE) key.
//
// Sealed form: one version byte 1, key id (4 bytes, big endian), 12-byte nonce, ciphertext, 16-byte
// tag. The key id is the first 4 bytes of SHA-256(key), so a wrong key is told from damage.
// `context` is authenticated, not stored ("app_secret:<id>"): a value moved elsewhere does not
// open.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_SEAL_H
#define SL_CRYPTO_SEAL_H

#include "common/base/arena.h"

#define SL_SEAL_KEY_LEN  32
#define SL_SEAL_OVERHEAD (1 + 4 + 12 + 16)

struct sl_seal_key {
    uint8_t bytes[SL_SEAL_KEY_LEN];
};

// Reads a key file: 64 hex digits and an optional newline, mode without access for others.
int sl_seal_key_load(const char *path, struct sl_seal_key *ret_key,
                     struct sl_error *err) SL_MUST_CHECK;

// Seals `plain`; the result is plain.len + SL_SEAL_OVERHEAD bytes from the arena.
int sl_seal(struct sl_arena *arena, const struct sl_seal_key *key, struct sl_str context,
            struct sl_str plain, struct sl_str *ret_sealed, struct sl_error *err) SL_MUST_CHECK;

// Opens it. Refuses (SEAL_BROKEN) another key, another context, damage.
int sl_unseal(struct sl_arena *arena, const struct sl_seal_key *key, struct sl_str context,
              struct sl_str sealed, struct sl_str *ret_plain, struct sl_error *err) SL_MUST_CHECK;

// A keyed hash (HMAC-SHA256, hex) for columns that look a secret up or keep it unique.
void sl_seal_lookup(const struct sl_seal_key *key, struct sl_str context, struct sl_str plain,
                    char ret_hex[65]);

// Seals `plain` to the holder of a CURVE secret key: ephemeral X25519 public key (32 bytes), then
// the sealed form under HKDF-SHA256(shared secret, ephemeral || recipient). Keys are raw 32 bytes.
int sl_box_seal(struct sl_arena *arena, const uint8_t recipient_public[32], struct sl_str plain,
                struct sl_str *ret_box, struct sl_error *err) SL_MUST_CHECK;
int sl_box_open(struct sl_arena *arena, const uint8_t recipient_secret[32], struct sl_str box,
                struct sl_str *ret_plain, struct sl_error *err) SL_MUST_CHECK;

#endif
