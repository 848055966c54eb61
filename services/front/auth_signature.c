// auth_signature.c - requests signed with an access key: see auth_credential.h.
//
// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "services/front/auth_credential.h"

#define ACCESS_SIZE 129 // of an access key, with terminator

static int
refuse(struct sl_error *err, enum sl_code code, const char *why)
{
    sl_fail(err, code);
    return sl_error_detail(err, "%s", why);
}

static const char *
member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

// The key's entry, if it holds now.
static const json_t *
find_key(const struct entries *entries, struct sl_str access)
{
    char name[ACCESS_SIZE];
    if (access.len >= sizeof(name)) {
        return NULL;
    }
    memcpy(name, access.ptr, access.len);
    name[access.len] = '\0';
    const json_t *key = entries_get(entries, ENTRY_ACCESS_KEY, name);
    int64_t expires_s = json_integer_value(json_object_get(key, "expires_at"));
    bool holds = json_is_true(json_object_get(key, "enabled")) &&
                 (expires_s == 0 || expires_s > sl_wall_ms() / 1000);
    return holds && member(key, "secret")[0] != '\0' ? key : NULL;
}

static int
check_form(const struct sl_sign_request *request, struct sl_str authorization,
           struct sl_sign_parts *ret_parts, struct sl_error *err)
{
    if (sl_sign_parse(authorization, ret_parts) != SL_SIGN_OK) {
        return refuse(err, SL_E_TOKEN_INVALID, "Authorization is no SDK-HMAC-SHA256 signature");
    }
    switch (sl_sign_precheck(request, ret_parts, sl_wall_ms())) {
    case SL_SIGN_OK:
        return 0;
    case SL_SIGN_EXPIRED:
        return refuse(err, SL_E_TOKEN_EXPIRED, "the signature's date is too far from now");
    default:
        return refuse(err, SL_E_TOKEN_INVALID, "the signature's headers or date are not in order");
    }
}

// A temporary key goes with its security token, any other with none. SDKs sign the header along,
// but who has both secrets may as well leave it out of the signature.
static bool
has_security_token(const struct auth_request *request, const json_t *key)
{
    struct sl_str given = {"", 0};
    for (size_t i = 0; i < request->header_count; i++) {
        if (sl_str_equal_nocase(request->headers[i].name, SL_STR("x-security-token"))) {
            given = sl_str_trim(request->headers[i].value);
        }
    }
    return sl_crypto_equal(given, sl_str(member(key, "security_token")));
}

int
credential_of_signature(const struct entries *entries, const struct auth_request *request,
                        struct sl_str authorization, struct sl_arena *arena,
                        struct credential *ret_credential, struct sl_error *err)
{
    char hash[SL_SHA256_HEX];
    struct sl_sign_parts parts;
    sl_sha256_hex(request->body, hash);
    const struct sl_sign_request signed_request = {
        .method = request->method,
        .raw_path = request->raw_path,
        .raw_query = request->raw_query,
        .headers = request->headers,
        .header_count = request->header_count,
        .body_hash = {hash, SL_SHA256_HEX - 1},
    };
    if (check_form(&signed_request, authorization, &parts, err) != 0) {
        return -1;
    }
    const json_t *key = find_key(entries, parts.access);
    if (key == NULL) {
        return refuse(err, SL_E_TOKEN_INVALID, "the access key is unknown, disabled or expired");
    }
    SL_AUTO(sl_hmac) hmac = sl_hmac_new(sl_str(member(key, "secret")));
    if (hmac == NULL || sl_sign_verify(arena, &signed_request, &parts, hmac, NULL) != SL_SIGN_OK) {
        return refuse(err, SL_E_TOKEN_INVALID, "the signature differs");
    }
    if (!has_security_token(request, key)) {
        return refuse(err, SL_E_TOKEN_INVALID, "X-Security-Token is not the access key's");
    }
    json_t *user = entries_get(entries, ENTRY_USER, member(key, "user_id"));
    if (user == NULL || !json_is_true(json_object_get(user, "enabled"))) {
        return refuse(err, SL_E_TOKEN_INVALID, "the access key's user is gone or disabled");
    }
    *ret_credential = (struct credential){
        .user = user, .project_id = member(key, "project_id"), .is_token = false};
    return 0;
}
