// jwt.c - see jwt.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/jwt.h"

#include <string.h>

#include "common/crypto/base64.h"
#include "common/crypto/json.h"

#define MS_PER_S 1000

// The object that a part of the token encodes; NULL when it is none.
static json_t *
part_object(struct sl_str part)
{
    char text[SL_JWT_TEXT_MAX];
    size_t len = 0;
    if (!sl_base64_decode(part, text, sizeof(text), &len)) {
        return NULL;
    }
    json_t *object = sl_json_read((struct sl_str){text, len}, JSON_REJECT_DUPLICATES);
    if (!json_is_object(object)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static bool
is_hs256(struct sl_str part)
{
    json_t *header = part_object(part);
    const char *algorithm = json_string_value(json_object_get(header, "alg"));
    // A `crit` names extensions that must be understood; none is.
    bool is = algorithm != NULL && strcmp(algorithm, "HS256") == 0 &&
              json_object_get(header, "crit") == NULL;
    json_decref(header);
    return is;
}

// A time claim in units of `unit_ms`, as a number or as digits in a string. True without it, and
// then *ret_ms stays.
static bool
read_time(const json_t *claims, const char *name, int64_t unit_ms, int64_t *ret_ms)
{
    const json_t *claim = json_object_get(claims, name);
    int64_t value = 0;
    if (claim == NULL) {
        return true;
    }
    if (json_is_integer(claim)) {
        value = json_integer_value(claim);
    } else if (json_is_real(claim)) {
        double real = json_real_value(claim);
        if (!(real >= 0 && real < 1e15)) {
            return false;
        }
        value = (int64_t)real;
    } else if (!sl_str_int(sl_str(json_string_value(claim)), &value)) {
        return false;
    }
    return value > 0 && !__builtin_mul_overflow(value, unit_ms, ret_ms);
}

static bool
read_key(const json_t *claims, char ret_key[SL_JWT_KEY_SIZE])
{
    const json_t *claim = json_object_get(claims, "appId");
    const char *key = json_string_value(claim != NULL ? claim : json_object_get(claims, "iss"));
    size_t len = key == NULL ? 0 : strlen(key);
    if (len == 0 || len >= SL_JWT_KEY_SIZE) {
        return false;
    }
    memcpy(ret_key, key, len + 1);
    return true;
}

static bool
read_claims(struct sl_str part, struct sl_jwt *jwt)
{
    json_t *claims = part_object(part);
    bool good = claims != NULL && read_key(claims, jwt->key) &&
                read_time(claims, "iat", MS_PER_S, &jwt->at_ms) &&
                read_time(claims, "timestamp", 1, &jwt->at_ms) &&
                read_time(claims, "nbf", MS_PER_S, &jwt->not_before_ms) &&
                read_time(claims, "exp", MS_PER_S, &jwt->not_after_ms);
    json_decref(claims);
    return good;
}

bool
sl_jwt_parse(struct sl_str text, struct sl_jwt *ret_jwt)
{
    struct sl_jwt jwt = {.not_before_ms = INT64_MIN, .not_after_ms = INT64_MAX};
    struct sl_str signature = text;
    size_t len = 0;
    if (text.len > SL_JWT_TEXT_MAX) {
        return false;
    }
    struct sl_str header = sl_str_split(&signature, '.');
    struct sl_str claims = sl_str_split(&signature, '.');
    if (signature.ptr == NULL ||
        !sl_base64_decode(signature, jwt.signature, sizeof(jwt.signature), &len) ||
        len != sizeof(jwt.signature) || !is_hs256(header) || !read_claims(claims, &jwt)) {
        return false;
    }
    jwt.head = (struct sl_str){text.ptr, header.len + 1 + claims.len};
    *ret_jwt = jwt;
    return true;
}

bool
sl_jwt_verify(const struct sl_jwt *jwt, const struct sl_hmac *hmac)
{
    uint8_t mac[SL_SHA256_LEN];
    sl_hmac_sign(hmac, jwt->head, mac);
    return sl_crypto_equal((struct sl_str){(const char *)mac, sizeof(mac)},
                           (struct sl_str){(const char *)jwt->signature, sizeof(jwt->signature)});
}

bool
sl_jwt_is_timely(const struct sl_jwt *jwt, int64_t now_ms, int64_t skew_ms)
{
    if (jwt->at_ms != 0 && (jwt->at_ms < now_ms - skew_ms || jwt->at_ms > now_ms + skew_ms)) {
        return false;
    }
    return now_ms >= jwt->not_before_ms && now_ms < jwt->not_after_ms;
}
