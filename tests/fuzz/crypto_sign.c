// crypto_sign.c - fuzzes what a stranger sends to be recognised: the Authorization header, the
// request that it covers, and tokens.
//
// An input is lines: Authorization, method, path, query, then `name: value` headers up to an empty
// line; the rest is the body. Whatever comes in, a signature by our own signer over it verifies.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/sign.h"
#include "common/crypto/token.h"

#define NOW_MS INT64_C(1704164645000) // 20240102T030405Z

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static size_t
read_headers(struct sl_str *rest, struct sl_sign_header *headers, size_t max)
{
    size_t count = 0;
    while (rest->ptr != NULL && count < max) {
        struct sl_str value = sl_str_split(rest, '\n');
        if (value.len == 0) {
            break;
        }
        headers[count].name = sl_str_split(&value, ':');
        headers[count].value = value;
        count++;
    }
    return count;
}

// Signs the same request and verifies it.
static void
sign_and_verify(struct sl_arena *arena, const struct sl_sign_request *request,
                const struct sl_hmac *key)
{
    struct sl_error err;
    const char *authorization = NULL;
    struct sl_sign_parts parts;
    if (sl_sign_make(arena, request, SL_STR("key"), key, &authorization, &err) != 0) {
        return;
    }
    enum sl_sign_result result = sl_sign_parse(sl_str(authorization), &parts);
    assert(result == SL_SIGN_OK);
    result = sl_sign_verify(arena, request, &parts, key, NULL);
    // The digest in a header that is not the body's is refused whoever signed it.
    bool has_digest = false;
    for (size_t i = 0; i < request->header_count; i++) {
        has_digest = has_digest ||
                     sl_str_equal_nocase(request->headers[i].name, SL_STR("x-sdk-content-sha256"));
    }
    assert(result == SL_SIGN_OK || sl_arena_failed(arena) || has_digest);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct sl_sign_header headers[SL_SIGN_HEADERS_MAX + 4];
    struct sl_str rest = {(const char *)bytes, len};
    struct sl_sign_parts parts;
    struct sl_token token;
    char hash[SL_SHA256_HEX];
    static const uint8_t public_key[SL_TOKEN_KEY_LEN] = {1};
    SL_AUTO(sl_arena) arena = sl_arena_new(16 * 1024 * 1024);
    SL_AUTO(sl_hmac) key = sl_hmac_new(SL_STR("secret"));
    struct sl_str authorization = sl_str_split(&rest, '\n');
    struct sl_sign_request request = {.headers = headers};
    request.method = sl_str_split(&rest, '\n');
    request.raw_path = sl_str_split(&rest, '\n');
    request.raw_query = sl_str_split(&rest, '\n');
    request.header_count = read_headers(&rest, headers, SL_COUNT(headers));
    sl_sha256_hex(rest, hash);
    request.body_hash = sl_str(hash);
    if (sl_token_parse(authorization, &token)) {
        (void)sl_token_verify(authorization, public_key);
    }
    if (sl_sign_parse(authorization, &parts) == SL_SIGN_OK) {
        const char *canonical = NULL;
        (void)sl_sign_precheck(&request, &parts, NOW_MS);
        (void)sl_sign_verify(arena, &request, &parts, key, &canonical);
    }
    sign_and_verify(arena, &request, key);
    return 0;
}
