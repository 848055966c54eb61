// token.c - see token.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/token.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

#include "common/crypto/base64.h"
#include "common/crypto/crypto.h"

#define PREFIX        "sl1."
#define SIGNATURE_LEN 64
#define FIELDS        7

static void
pkey_drop(EVP_PKEY **pkey)
{
    EVP_PKEY_free(*pkey);
}

static void
md_ctx_drop(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

#define AUTO_PKEY   __attribute__((cleanup(pkey_drop))) EVP_PKEY *
#define AUTO_MD_CTX __attribute__((cleanup(md_ctx_drop))) EVP_MD_CTX *

void
sl_token_key_public(const uint8_t private_key[SL_TOKEN_KEY_LEN],
                    uint8_t ret_public[SL_TOKEN_KEY_LEN])
{
    AUTO_PKEY pkey =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private_key, SL_TOKEN_KEY_LEN);
    size_t len = SL_TOKEN_KEY_LEN;
    bool ok = pkey != NULL && EVP_PKEY_get_raw_public_key(pkey, ret_public, &len) == 1;
    assert(ok);
}

void
sl_token_key_new(uint8_t ret_private[SL_TOKEN_KEY_LEN], uint8_t ret_public[SL_TOKEN_KEY_LEN])
{
    sl_random(ret_private, SL_TOKEN_KEY_LEN);
    sl_token_key_public(ret_private, ret_public);
}

static bool
is_field(const char *field)
{
    for (const char *c = field; *c != '\0'; c++) {
        if (*c == '|' || *c < '!' || *c > '~') {
            return false;
        }
    }
    return true;
}

static bool
sign(struct sl_str message, const uint8_t private_key[SL_TOKEN_KEY_LEN],
     uint8_t ret_signature[SIGNATURE_LEN])
{
    AUTO_PKEY pkey =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private_key, SL_TOKEN_KEY_LEN);
    AUTO_MD_CTX ctx = EVP_MD_CTX_new();
    size_t len = SIGNATURE_LEN;
    return pkey != NULL && ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
           EVP_DigestSign(ctx, ret_signature, &len, (const uint8_t *)message.ptr, message.len) == 1;
}

int
sl_token_make(struct sl_arena *arena, const struct sl_token *token,
              const uint8_t private_key[SL_TOKEN_KEY_LEN], const char **ret_text,
              struct sl_error *err)
{
    if (!is_field(token->key_id) || !is_field(token->user_id) || !is_field(token->domain_id) ||
        !is_field(token->project_id) || !is_field(token->id)) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "a token's field holds a foreign character");
    }
    char *payload = sl_arena_printf(arena, "%s|%s|%s|%s|%" PRId64 "|%" PRId64 "|%s", token->key_id,
                                    token->user_id, token->domain_id, token->project_id,
                                    token->issued_s, token->expires_s, token->id);
    if (payload == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    size_t head_len = strlen(PREFIX) + SL_BASE64_LEN(strlen(payload));
    char *text = sl_arena_alloc(arena, head_len + 1 + SL_BASE64_LEN(SIGNATURE_LEN) + 1);
    uint8_t signature[SIGNATURE_LEN];
    if (text == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    memcpy(text, PREFIX, sizeof(PREFIX)); // the terminator is written over
    sl_base64_encode(sl_str(payload), text + strlen(PREFIX));
    if (!sign((struct sl_str){text, head_len}, private_key, signature)) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "signing a token failed");
    }
    text[head_len] = '.';
    sl_base64_encode((struct sl_str){(char *)signature, sizeof(signature)}, text + head_len + 1);
    *ret_text = text;
    return 0;
}

// Cuts a token into the part that is signed and the signature's text.
static bool
cut(struct sl_str text, struct sl_str *ret_head, struct sl_str *ret_signature)
{
    if (text.len > SL_TOKEN_TEXT_MAX || !sl_str_starts(text, SL_STR(PREFIX))) {
        return false;
    }
    const char *dot = memrchr(text.ptr, '.', text.len);
    size_t head_len = (size_t)(dot - text.ptr);
    if (head_len < strlen(PREFIX)) {
        return false;
    }
    *ret_head = (struct sl_str){text.ptr, head_len};
    *ret_signature = (struct sl_str){dot + 1, text.len - head_len - 1};
    return true;
}

static bool
copy_field(struct sl_str field, char ret_text[SL_TOKEN_FIELD_SIZE])
{
    if (field.len >= SL_TOKEN_FIELD_SIZE || memchr(field.ptr, '\0', field.len) != NULL) {
        return false;
    }
    memcpy(ret_text, field.ptr, field.len);
    ret_text[field.len] = '\0';
    return true;
}

bool
sl_token_parse(struct sl_str text, struct sl_token *ret_token)
{
    struct sl_str head;
    struct sl_str signature;
    char payload[SL_TOKEN_TEXT_MAX];
    size_t len = 0;
    if (!cut(text, &head, &signature)) {
        return false;
    }
    struct sl_str encoded = {head.ptr + strlen(PREFIX), head.len - strlen(PREFIX)};
    if (!sl_base64_decode(encoded, payload, sizeof(payload), &len)) {
        return false;
    }
    struct sl_str fields[FIELDS];
    struct sl_str rest = {payload, len};
    for (size_t i = 0; i < FIELDS; i++) {
        if (rest.ptr == NULL) {
            return false;
        }
        fields[i] = sl_str_split(&rest, '|');
    }
    struct sl_token token;
    if (rest.ptr != NULL || !copy_field(fields[0], token.key_id) ||
        !copy_field(fields[1], token.user_id) || !copy_field(fields[2], token.domain_id) ||
        !copy_field(fields[3], token.project_id) || !sl_str_int(fields[4], &token.issued_s) ||
        !sl_str_int(fields[5], &token.expires_s) || !copy_field(fields[6], token.id)) {
        return false;
    }
    *ret_token = token;
    return true;
}

bool
sl_token_verify(struct sl_str text, const uint8_t public_key[SL_TOKEN_KEY_LEN])
{
    struct sl_str head;
    struct sl_str encoded;
    uint8_t signature[SIGNATURE_LEN];
    size_t len = 0;
    if (!cut(text, &head, &encoded) ||
        !sl_base64_decode(encoded, signature, sizeof(signature), &len) || len != SIGNATURE_LEN) {
        return false;
    }
    AUTO_PKEY pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, SL_TOKEN_KEY_LEN);
    AUTO_MD_CTX ctx = EVP_MD_CTX_new();
    return pkey != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
           EVP_DigestVerify(ctx, signature, len, (const uint8_t *)head.ptr, head.len) == 1;
}
