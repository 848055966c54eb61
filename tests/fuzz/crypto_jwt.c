// crypto_jwt.c - fuzzes the bearer credentials of apps: JSON Web Tokens and access tokens.
//
// An input is lines: a token, then the claims of another. What parses is signed over a part of the
// text; claims that we sign ourselves verify when they parse at all; no text opens as an access
// token, but the one that was made with it as its scope.
//
// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/crypto/app_token.h"
#include "common/crypto/base64.h"
#include "common/crypto/jwt.h"

#define MEMORY     ((size_t)256 * 1024)
#define HEADER     "eyJhbGciOiJIUzI1NiJ9." // {"alg":"HS256"} and its end
#define CLAIMS_MAX 2048
#define SCOPE_MAX  300

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
parse_foreign(struct sl_str text)
{
    struct sl_jwt jwt;
    if (sl_jwt_parse(text, &jwt)) {
        assert(jwt.head.ptr == text.ptr && jwt.head.len < text.len);
        assert(jwt.key[0] != '\0' && strlen(jwt.key) < sizeof(jwt.key));
        assert(text.ptr[jwt.head.len] == '.' && jwt.at_ms >= 0);
        // An end that has passed has passed for good.
        assert(!sl_jwt_is_timely(&jwt, jwt.not_after_ms, INT64_MAX / 4));
    }
}

static void
sign_and_verify(struct sl_str claims, const struct sl_hmac *hmac)
{
    char text[SL_BASE64_LEN(CLAIMS_MAX) + 128];
    uint8_t mac[SL_SHA256_LEN];
    struct sl_jwt jwt;
    if (claims.len > CLAIMS_MAX) {
        return;
    }
    memcpy(text, HEADER, sizeof(HEADER));
    sl_base64_encode(claims, text + strlen(text));
    sl_hmac_sign(hmac, sl_str(text), mac);
    strncat(text, ".", 2);
    sl_base64_encode((struct sl_str){(const char *)mac, sizeof(mac)}, text + strlen(text));
    if (sl_jwt_parse(sl_str(text), &jwt)) {
        assert(sl_jwt_verify(&jwt, hmac));
        jwt.signature[0] ^= 1;
        assert(!sl_jwt_verify(&jwt, hmac));
    }
}

static void
open_access_tokens(struct sl_str text, struct sl_str scope)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(MEMORY);
    struct sl_app_token token = {.kind = SL_APP_TOKEN_ACCESS, .issued_s = 1, .expires_s = 2};
    struct sl_app_token opened;
    struct sl_seal_key key;
    struct sl_error err;
    const char *made = NULL;
    assert(arena != NULL);
    sl_app_token_key(SL_STR("a key of the operator"), &key);
    assert(!sl_app_token_open(arena, &key, text, &opened));
    memset(token.app_id, 'a', sizeof(token.app_id) - 1);
    sl_app_token_tag(SL_STR("secret"), token.tag);
    token.scope = (struct sl_str){scope.ptr, scope.len > SCOPE_MAX ? SCOPE_MAX : scope.len};
    if (sl_app_token_make(arena, &key, &token, &made, &err) == 0) {
        assert(sl_app_token_open(arena, &key, sl_str(made), &opened));
        assert(sl_str_equal(opened.scope, token.scope) && opened.expires_s == 2);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct sl_str claims = {(const char *)bytes, len};
    struct sl_str text = sl_str_split(&claims, '\n');
    struct sl_hmac *hmac = sl_hmac_new(SL_STR("0123456789abcdef"));
    assert(hmac != NULL);
    parse_foreign(text);
    sign_and_verify(claims.ptr != NULL ? claims : SL_STR(""), hmac);
    open_access_tokens(text, claims.ptr != NULL ? claims : SL_STR(""));
    sl_hmac_free(&hmac);
    return 0;
}
