// jwt.h - compact JSON Web Tokens (RFC 7519) under HS256: what app_jwt accepts.
//
// No I/O, no clock. What was read is not to be believed before sl_jwt_verify() says so.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_JWT_H
#define SL_CRYPTO_JWT_H

#include "common/crypto/crypto.h"

#define SL_JWT_TEXT_MAX 4096 // bytes; longer is refused
#define SL_JWT_KEY_SIZE 129  // of an app key, with terminator

struct sl_jwt {
    struct sl_str head;                  // what is signed; a view into the text
    uint8_t signature[SL_SHA256_LEN];    //
    char key[SL_JWT_KEY_SIZE];           // claim `appId`, else `iss`: whose secret signed
    int64_t at_ms;                       // claim `timestamp` (ms), else `iat` (s); 0: neither
    int64_t not_before_ms, not_after_ms; // claims `nbf` and `exp`; INT64_MIN and MAX without
};

// Reads a token. False when it is none, its algorithm is not HS256, it names no key, or a claim
// named above has another type or is out of range.
bool sl_jwt_parse(struct sl_str text, struct sl_jwt *ret_jwt);

// Whether the secret behind `hmac` signed it. Takes constant time.
bool sl_jwt_verify(const struct sl_jwt *jwt, const struct sl_hmac *hmac);

// Whether its claims let it be used at `now_ms`: `at_ms` no further than `skew_ms` away, not before
// `nbf`, before `exp`.
bool sl_jwt_is_timely(const struct sl_jwt *jwt, int64_t now_ms, int64_t skew_ms);

#endif
