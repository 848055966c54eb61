// auth_token.c - X-Auth-Token: see auth_credential.h.
//
// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/crypto/token.h"
#include "services/front/auth_credential.h"

#define SLOTS 1024 // tokens remembered; a power of two

// A token that was verified, under the digest of its text.
struct slot {
    uint8_t digest[SL_SHA256_LEN];
    bool used;
    struct sl_token token;
};

struct tokens {
    pthread_mutex_t lock;
    struct slot slots[SLOTS];
};

struct tokens *
tokens_new(void)
{
    struct tokens *tokens = calloc(1, sizeof(*tokens));
    if (tokens != NULL) {
        pthread_mutex_init(&tokens->lock, NULL);
    }
    return tokens;
}

void
tokens_free(struct tokens **tokens)
{
    if (tokens != NULL && *tokens != NULL) {
        pthread_mutex_destroy(&(*tokens)->lock);
        free(*tokens);
        *tokens = NULL;
    }
}

static struct slot *
slot_of(struct tokens *tokens, const uint8_t digest[SL_SHA256_LEN])
{
    size_t index = (size_t)digest[0] << 8 | digest[1];
    return &tokens->slots[index % SLOTS];
}

static bool
recall(struct tokens *tokens, const uint8_t digest[SL_SHA256_LEN], struct sl_token *ret_token)
{
    pthread_mutex_lock(&tokens->lock);
    const struct slot *slot = slot_of(tokens, digest);
    bool known = slot->used && memcmp(slot->digest, digest, SL_SHA256_LEN) == 0;
    if (known) {
        *ret_token = slot->token;
    }
    pthread_mutex_unlock(&tokens->lock);
    return known;
}

static void
remember(struct tokens *tokens, const uint8_t digest[SL_SHA256_LEN], const struct sl_token *token)
{
    pthread_mutex_lock(&tokens->lock);
    struct slot *slot = slot_of(tokens, digest);
    memcpy(slot->digest, digest, SL_SHA256_LEN);
    slot->token = *token;
    slot->used = true;
    pthread_mutex_unlock(&tokens->lock);
}

static int
refuse(struct sl_error *err, enum sl_code code, const char *why)
{
    sl_fail(err, code);
    return sl_error_detail(err, "%s", why);
}

// Reads the token and checks its signature, unless that was done before.
static int
verify(const struct entries *entries, struct tokens *tokens, struct sl_str text,
       struct sl_token *ret_token, struct sl_error *err)
{
    uint8_t digest[SL_SHA256_LEN];
    uint8_t public_key[SL_TOKEN_KEY_LEN];
    sl_sha256(text, digest);
    bool known = recall(tokens, digest, ret_token);
    if (!known && !sl_token_parse(text, ret_token)) {
        return refuse(err, SL_E_TOKEN_INVALID, "not a token");
    }
    // A key that is withdrawn takes its tokens along, remembered or not.
    const json_t *key = entries_get(entries, ENTRY_TOKEN_KEY, ret_token->key_id);
    const char *hex = json_string_value(json_object_get(key, "public_key"));
    if (hex == NULL || !sl_hex_decode(sl_str(hex), public_key, sizeof(public_key))) {
        return refuse(err, SL_E_TOKEN_INVALID, "the token's key is not known");
    }
    if (!known) {
        if (!sl_token_verify(text, public_key)) {
            return refuse(err, SL_E_TOKEN_INVALID, "the token's signature does not hold");
        }
        remember(tokens, digest, ret_token);
    }
    return 0;
}

int
credential_of_token(const struct entries *entries, struct tokens *tokens, struct sl_str text,
                    struct sl_arena *arena, struct credential *ret_credential, struct sl_error *err)
{
    struct sl_token token;
    if (verify(entries, tokens, text, &token, err) != 0) {
        return -1;
    }
    if (token.expires_s <= sl_wall_ms() / 1000) {
        return refuse(err, SL_E_TOKEN_EXPIRED, "the token has expired");
    }
    json_t *user = entries_get(entries, ENTRY_USER, token.user_id);
    if (user == NULL || !json_is_true(json_object_get(user, "enabled"))) {
        return refuse(err, SL_E_TOKEN_INVALID, "the token's user is gone or disabled");
    }
    if (token.issued_s < json_integer_value(json_object_get(user, "not_before"))) {
        return refuse(err, SL_E_TOKEN_INVALID, "the token was ended");
    }
    char *project_id = sl_arena_dup(arena, token.project_id);
    if (project_id == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    *ret_credential = (struct credential){.user = user, .project_id = project_id, .is_token = true};
    return 0;
}
