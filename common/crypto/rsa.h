// rsa.h - RSA key pairs that sign by PKCS #1 v1.5 over SHA-256; keys travel as base64 text.
//
// The private key is DER (PKCS #8 or PKCS #1) in base64 with '+' and '/'; '=' at its end may be
// left out. A signer is for one thread at a time; one signature takes about 0.6 ms (2048 bits).
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_RSA_H
#define SL_CRYPTO_RSA_H

#include "common/base/arena.h"
#include "common/crypto/crypto.h"

#define SL_RSA_BITS    2048 // of the keys made here, and the fewest that are taken
#define SL_RSA_SIZE    1024 // bytes that hold a signature of any key that is taken
#define SL_RSA_PEM_MAX 2048 // bytes that hold a public key as PEM, with terminator

struct sl_rsa;

// Reads a private key. NULL when the text is none, or too short a key, or memory is out.
struct sl_rsa *sl_rsa_new(struct sl_str text);
void sl_rsa_free(struct sl_rsa **rsa);

// The public key as PEM (SubjectPublicKeyInfo), terminated; lives as long as the pair.
const char *sl_rsa_public(const struct sl_rsa *rsa);

// Signs a SHA-256 digest into at most SL_RSA_SIZE bytes. False when libcrypto refuses.
bool sl_rsa_sign(struct sl_rsa *rsa, const uint8_t digest[SL_SHA256_LEN],
                 uint8_t ret_signature[SL_RSA_SIZE], size_t *ret_len);

// A fresh private key as text, from the arena; NULL when memory is out. Takes tens of milliseconds.
const char *sl_rsa_generate(struct sl_arena *arena);

#endif
