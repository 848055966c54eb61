// crypto.h - random bytes, digests and comparisons that everything else in the room rests on.
//
// Libcrypto underneath; algorithms are fetched once, never per call. Everything here may be called
// from any thread; one object is used by one thread at a time, but for a struct sl_hmac, which is
// immutable.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_CRYPTO_H
#define SL_CRYPTO_CRYPTO_H

#include "common/base/error.h"
#include "common/base/str.h"

#define SL_SHA256_LEN 32
#define SL_SHA256_HEX 65 // with terminator

// Fetches the algorithms; asserts that OpenSSL has them. The others do it when they are first used,
// so this only moves the work to a process's start.
void sl_crypto_init(void);

// Random bytes from the operating system's generator; asserts on failure.
void sl_random(void *ret_bytes, size_t len);

// A fresh id: 32 lower-case hex digits and a terminator.
void sl_random_id(char ret_id[33]);

// SHA-256, raw and as lower-case hex.
void sl_sha256(struct sl_str bytes, uint8_t ret_digest[SL_SHA256_LEN]);
void sl_sha256_hex(struct sl_str bytes, char ret_hex[SL_SHA256_HEX]);

// A running SHA-256 (request bodies). init/update/final; final may be called once.
struct sl_sha256_ctx;
struct sl_sha256_ctx *sl_sha256_new(void);
void sl_sha256_free(struct sl_sha256_ctx **ctx);
void sl_sha256_reset(struct sl_sha256_ctx *ctx);
void sl_sha256_update(struct sl_sha256_ctx *ctx, struct sl_str bytes);
void sl_sha256_final(struct sl_sha256_ctx *ctx, uint8_t ret_digest[SL_SHA256_LEN]);

// HMAC-SHA256 with the key's two inner states kept, so that many messages under one key are cheap.
// Immutable once made: threads may share one.
struct sl_hmac;
struct sl_hmac *sl_hmac_new(struct sl_str key);
void sl_hmac_free(struct sl_hmac **hmac);
void sl_hmac_sign(const struct sl_hmac *hmac, struct sl_str message,
                  uint8_t ret_mac[SL_SHA256_LEN]);

// Overwrites memory that held a secret; never optimised away.
void sl_wipe(void *bytes, size_t len);

// Equality in time that depends on the lengths only.
bool sl_crypto_equal(struct sl_str a, struct sl_str b);

#endif
