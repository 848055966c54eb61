// app_token.h - the tokens of app_token: sealed statements that any node opens without a store.
//
// Text: base64url of the sealed form (seal.h) of `kind|app|secret tag|issued|expires|scope`, under
// the key that the gateway's operator gave. The tag of the app's secret stands in it, so that a
// secret that is reset ends the tokens that were got with it. No I/O, no clock.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_APP_TOKEN_H
#define SL_CRYPTO_APP_TOKEN_H

#include "common/crypto/crypto.h"
#include "common/crypto/seal.h"

#define SL_APP_TOKEN_TAG      16   // hex digits of a secret's tag
#define SL_APP_TOKEN_TEXT_MAX 4096 // bytes; longer is none of ours

enum sl_app_token_kind {
    SL_APP_TOKEN_ACCESS,  // a credential
    SL_APP_TOKEN_REFRESH, // gets another pair
};

struct sl_app_token {
    enum sl_app_token_kind kind;
    char app_id[33];                // whose
    char tag[SL_APP_TOKEN_TAG + 1]; // of the secret that it was got with
    int64_t issued_s, expires_s;    // seconds since the epoch; at `expires_s` it holds no more
    struct sl_str scope;            // what the app asked to be carried along; may be empty
};

// The sealing key that a gateway's `app_token_key` stands for.
void sl_app_token_key(struct sl_str text, struct sl_seal_key *ret_key);

// The tag of an app's secret.
void sl_app_token_tag(struct sl_str secret, char ret_tag[SL_APP_TOKEN_TAG + 1]);

// Makes the text, from the arena.
int sl_app_token_make(struct sl_arena *arena, const struct sl_seal_key *key,
                      const struct sl_app_token *token, const char **ret_text,
                      struct sl_error *err) SL_MUST_CHECK;

// Opens one; false for what this key did not seal. The scope is in the arena. Whether it still
// holds, and whose it is, the caller judges.
bool sl_app_token_open(struct sl_arena *arena, const struct sl_seal_key *key, struct sl_str text,
                       struct sl_app_token *ret_token);

#endif
