// token.h - what X-Auth-Token carries: a signed statement that anyone with a public key can check.
//
// Text: `sl1.` base64url(payload) `.` base64url(Ed25519 signature over everything before the last
// dot). The payload is `key|user|domain|project|issued|expires|id`, times in seconds. A token says
// who logged in and when; whether the user still may is the verifier's question. No I/O, no clock.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_TOKEN_H
#define SL_CRYPTO_TOKEN_H

#include "common/base/arena.h"

#define SL_TOKEN_KEY_LEN    32             // of an Ed25519 key, private seed or public, bytes
#define SL_TOKEN_LIFETIME_S (24 * 60 * 60) // from issue to expiry
#define SL_TOKEN_FIELD_SIZE 65             // of one id, with terminator
#define SL_TOKEN_TEXT_MAX   1024           // longer is no token of ours

struct sl_token {
    char key_id[SL_TOKEN_FIELD_SIZE];     // which key signed
    char user_id[SL_TOKEN_FIELD_SIZE];    // who logged in
    char domain_id[SL_TOKEN_FIELD_SIZE];  // the account of the user
    char project_id[SL_TOKEN_FIELD_SIZE]; // scope; "" when scoped to the account
    char id[SL_TOKEN_FIELD_SIZE];         // makes the token unique; its audit id
    int64_t issued_s;                     // seconds since the epoch
    int64_t expires_s;                    // first second at which it holds no more
};

// Makes a key pair.
void sl_token_key_new(uint8_t ret_private[SL_TOKEN_KEY_LEN], uint8_t ret_public[SL_TOKEN_KEY_LEN]);

// The public key that belongs to a private one.
void sl_token_key_public(const uint8_t private_key[SL_TOKEN_KEY_LEN],
                         uint8_t ret_public[SL_TOKEN_KEY_LEN]);

// Signs `token`; the text is from the arena. Refuses (INTERNAL) a field with a '|'.
int sl_token_make(struct sl_arena *arena, const struct sl_token *token,
                  const uint8_t private_key[SL_TOKEN_KEY_LEN], const char **ret_text,
                  struct sl_error *err) SL_MUST_CHECK;

// Reads the fields without believing them: to find the key by its id. False for what is not a
// token.
bool sl_token_parse(struct sl_str text, struct sl_token *ret_token);

// Whether the text of a token carries the signature of this key.
bool sl_token_verify(struct sl_str text, const uint8_t public_key[SL_TOKEN_KEY_LEN]);

#endif
