// crypto.c - see crypto.h.
//
// SHA-256 goes through OpenSSL's low-level functions on purpose: a state is then plain memory that
// is copied by assignment, without allocation or provider look-up, and one HMAC over a short
// message costs its compressions and nothing else. OpenSSL 3 marks them deprecated, not removed.
//
// SPDX-License-Identifier: Apache-2.0
#define OPENSSL_SUPPRESS_DEPRECATED
#include "common/crypto/crypto.h"

#include <endian.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/crypto/fetched.h"

#define BLOCK_LEN  64 // of SHA-256, bytes
#define LENGTH_LEN 8  // at the end of its last block: bits of the message

struct sl_sha256_ctx {
    SHA256_CTX state;
};

struct sl_hmac {
    SHA256_CTX inner; // after key xor ipad
    SHA256_CTX outer; // after key xor opad
};

static pthread_once_t fetched_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *fetched_aes_gcm;

static void
fetch(void)
{
    fetched_aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    assert(fetched_aes_gcm != NULL);
}

void
sl_crypto_init(void)
{
    pthread_once(&fetched_once, fetch);
}

const EVP_CIPHER *
fetched_cipher(void)
{
    sl_crypto_init();
    return fetched_aes_gcm;
}

void
sl_random(void *ret_bytes, size_t len)
{
    // The kernel's generator itself: OpenSSL's own, which it seeds, takes three times as long for
    // an id, and longer when its state is not in the cache.
    uint8_t *at = ret_bytes;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        assert(got > 0 || errno == EINTR);
        at += got > 0 ? got : 0;
        len -= got > 0 ? (size_t)got : 0;
    }
}

void
sl_random_id(char ret_id[33])
{
    uint8_t bytes[16];
    sl_random(bytes, sizeof(bytes));
    sl_hex_encode(bytes, sizeof(bytes), ret_id);
}

// The rest of a message, and its end: after `before` bytes, whole blocks of it, that the state has.
// The padding is made here, so that OpenSSL sees whole blocks only and keeps none of them.
static void
finish(SHA256_CTX *state, size_t before, struct sl_str rest, uint8_t ret_digest[SL_SHA256_LEN])
{
    uint8_t last[2 * BLOCK_LEN] = {0};
    size_t tail = rest.len % BLOCK_LEN;
    size_t len = tail + 1 + LENGTH_LEN <= BLOCK_LEN ? BLOCK_LEN : 2 * BLOCK_LEN;
    uint64_t bits = htobe64((uint64_t)(before + rest.len) * 8);
    if (rest.len > tail) {
        SHA256_Update(state, rest.ptr, rest.len - tail);
    }
    if (tail > 0) {
        memcpy(last, rest.ptr + rest.len - tail, tail);
    }
    last[tail] = 0x80;
    memcpy(last + len - LENGTH_LEN, &bits, LENGTH_LEN);
    SHA256_Update(state, last, len);
    for (size_t i = 0; i < SL_SHA256_LEN / sizeof(uint32_t); i++) {
        uint32_t word = htobe32(state->h[i]);
        memcpy(ret_digest + i * sizeof(word), &word, sizeof(word));
    }
    explicit_bzero(last, sizeof(last)); // the message may be a key
}

void
sl_sha256(struct sl_str bytes, uint8_t ret_digest[SL_SHA256_LEN])
{
    SHA256_CTX state;
    SHA256_Init(&state);
    finish(&state, 0, bytes, ret_digest);
}

void
sl_sha256_hex(struct sl_str bytes, char ret_hex[SL_SHA256_HEX])
{
    uint8_t digest[SL_SHA256_LEN];
    sl_sha256(bytes, digest);
    sl_hex_encode(digest, sizeof(digest), ret_hex);
}

struct sl_sha256_ctx *
sl_sha256_new(void)
{
    struct sl_sha256_ctx *ctx = calloc(1, sizeof(*ctx));
    if (ctx != NULL) {
        SHA256_Init(&ctx->state);
    }
    return ctx;
}

void
sl_sha256_free(struct sl_sha256_ctx **ctx)
{
    if (ctx != NULL && *ctx != NULL) {
        sl_wipe(*ctx, sizeof(**ctx));
        free(*ctx);
        *ctx = NULL;
    }
}

void
sl_sha256_reset(struct sl_sha256_ctx *ctx)
{
    SHA256_Init(&ctx->state);
}

void
sl_sha256_update(struct sl_sha256_ctx *ctx, struct sl_str bytes)
{
    SHA256_Update(&ctx->state, bytes.ptr, bytes.len);
}

void
sl_sha256_final(struct sl_sha256_ctx *ctx, uint8_t ret_digest[SL_SHA256_LEN])
{
    SHA256_Final(ret_digest, &ctx->state);
}

// Starts a state with the key's block, every byte xor `pad`.
static void
absorb_key(SHA256_CTX *state, const uint8_t block[BLOCK_LEN], uint8_t pad)
{
    uint8_t padded[BLOCK_LEN];
    for (size_t i = 0; i < BLOCK_LEN; i++) {
        padded[i] = block[i] ^ pad;
    }
    SHA256_Init(state);
    SHA256_Update(state, padded, sizeof(padded));
    sl_wipe(padded, sizeof(padded));
}

struct sl_hmac *
sl_hmac_new(struct sl_str key)
{
    struct sl_hmac *hmac = calloc(1, sizeof(*hmac));
    if (hmac == NULL) {
        return NULL;
    }
    uint8_t block[BLOCK_LEN] = {0};
    if (key.len > BLOCK_LEN) {
        sl_sha256(key, block);
    } else if (key.len > 0) {
        memcpy(block, key.ptr, key.len);
    }
    absorb_key(&hmac->inner, block, 0x36);
    absorb_key(&hmac->outer, block, 0x5c);
    sl_wipe(block, sizeof(block));
    return hmac;
}

void
sl_hmac_free(struct sl_hmac **hmac)
{
    if (hmac != NULL && *hmac != NULL) {
        sl_wipe(*hmac, sizeof(**hmac));
        free(*hmac);
        *hmac = NULL;
    }
}

void
sl_hmac_sign(const struct sl_hmac *hmac, struct sl_str message, uint8_t ret_mac[SL_SHA256_LEN])
{
    uint8_t digest[SL_SHA256_LEN];
    SHA256_CTX state = hmac->inner;
    finish(&state, BLOCK_LEN, message, digest);
    state = hmac->outer;
    finish(&state, BLOCK_LEN, (struct sl_str){(const char *)digest, sizeof(digest)}, ret_mac);
}

void
sl_wipe(void *bytes, size_t len)
{
    OPENSSL_cleanse(bytes, len);
}

bool
sl_crypto_equal(struct sl_str a, struct sl_str b)
{
    if (a.len != b.len) {
        return false;
    }
    return a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0;
}
