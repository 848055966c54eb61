// app_token.c - see app_token.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/app_token.h"

#include <inttypes.h>
#include <string.h>

#include "common/crypto/base64.h"

#define KEY_LABEL "app_token_key"
#define TAG_LABEL "app_token_tag"
#define LABEL_LEN (sizeof(KEY_LABEL) - 1)

static const struct sl_str context = {"app_token", 9};
static const char kinds[] = {[SL_APP_TOKEN_ACCESS] = 'a', [SL_APP_TOKEN_REFRESH] = 'r'};

// A digest over a label and the secret's digest, so that what is derived for one purpose serves no
// other.
static void
derive(struct sl_str secret, const char label[LABEL_LEN + 1], uint8_t ret_bytes[SL_SHA256_LEN])
{
    uint8_t block[LABEL_LEN + SL_SHA256_LEN];
    memcpy(block, label, LABEL_LEN);
    sl_sha256(secret, block + LABEL_LEN);
    sl_sha256((struct sl_str){(const char *)block, sizeof(block)}, ret_bytes);
    sl_wipe(block, sizeof(block));
}

void
sl_app_token_key(struct sl_str text, struct sl_seal_key *ret_key)
{
    derive(text, KEY_LABEL, ret_key->bytes);
}

void
sl_app_token_tag(struct sl_str secret, char ret_tag[SL_APP_TOKEN_TAG + 1])
{
    uint8_t bytes[SL_SHA256_LEN];
    derive(secret, TAG_LABEL, bytes);
    sl_hex_encode(bytes, SL_APP_TOKEN_TAG / 2, ret_tag);
}

int
sl_app_token_make(struct sl_arena *arena, const struct sl_seal_key *key,
                  const struct sl_app_token *token, const char **ret_text, struct sl_error *err)
{
    struct sl_str sealed;
    const char *head =
        sl_arena_printf(arena, "%c|%s|%s|%" PRId64 "|%" PRId64 "|", kinds[token->kind],
                        token->app_id, token->tag, token->issued_s, token->expires_s);
    size_t len = head == NULL ? 0 : strlen(head);
    char *plain = sl_arena_alloc(arena, len + token->scope.len + 1);
    if (head == NULL || plain == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    memcpy(plain, head, len);
    if (token->scope.len > 0) {
        memcpy(plain + len, token->scope.ptr, token->scope.len); // any bytes, as they were sent
    }
    if (sl_seal(arena, key, context, (struct sl_str){plain, len + token->scope.len}, &sealed,
                err) != 0) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    char *text = sl_arena_alloc(arena, SL_BASE64_LEN(sealed.len) + 1);
    if (text == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    sl_base64_encode(sealed, text);
    *ret_text = text;
    return 0;
}

static bool
copy_exactly(struct sl_str from, char *to, size_t len)
{
    if (from.len != len) {
        return false;
    }
    memcpy(to, from.ptr, len);
    to[len] = '\0';
    return true;
}

bool
sl_app_token_open(struct sl_arena *arena, const struct sl_seal_key *key, struct sl_str text,
                  struct sl_app_token *ret_token)
{
    struct sl_error err;
    struct sl_str plain;
    struct sl_app_token token = {.kind = SL_APP_TOKEN_ACCESS};
    size_t len = 0;
    if (text.len == 0 || text.len > SL_APP_TOKEN_TEXT_MAX) {
        return false;
    }
    char *sealed = sl_arena_alloc(arena, text.len);
    if (sealed == NULL || !sl_base64_decode(text, sealed, text.len, &len) ||
        sl_unseal(arena, key, context, (struct sl_str){sealed, len}, &plain, &err) != 0) {
        return false;
    }
    // What opens is ours: its form is believed no further than memory goes.
    struct sl_str kind = sl_str_split(&plain, '|');
    bool good = copy_exactly(sl_str_split(&plain, '|'), token.app_id, sizeof(token.app_id) - 1) &&
                copy_exactly(sl_str_split(&plain, '|'), token.tag, SL_APP_TOKEN_TAG) &&
                sl_str_int(sl_str_split(&plain, '|'), &token.issued_s) &&
                sl_str_int(sl_str_split(&plain, '|'), &token.expires_s) && plain.ptr != NULL;
    if (!good || kind.len != 1) {
        return false;
    }
    token.kind =
        kind.ptr[0] == kinds[SL_APP_TOKEN_ACCESS] ? SL_APP_TOKEN_ACCESS : SL_APP_TOKEN_REFRESH;
    token.scope = plain;
    *ret_token = token;
    return true;
}
