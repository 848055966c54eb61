// auth_credential.h - from a token or a signature to a user: what auth.c judges by.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_AUTH_CREDENTIAL_H
#define SL_FRONT_AUTH_CREDENTIAL_H

#include "services/front/auth.h"
#include "services/front/auth_entries.h"

struct tokens;

// Who a credential belongs to. Borrowed from the entries (until the unlock) or the arena.
struct credential {
    json_t *user;           // entry
    const char *project_id; // to which it is bound; "" when it is not
    bool is_token;          // else a signature
};

// A cache of tokens whose signature was checked, so that a client's token costs its Ed25519
// verification once and not with every request. Everything else is judged each time.
struct tokens *tokens_new(void);
void tokens_free(struct tokens **tokens);

// The user of a token. Refuses TOKEN_INVALID, TOKEN_EXPIRED. The entries are locked.
int credential_of_token(const struct entries *entries, struct tokens *tokens, struct sl_str text,
                        struct sl_arena *arena, struct credential *ret_credential,
                        struct sl_error *err) SL_MUST_CHECK;

// The user whose access key signed the request. Refuses TOKEN_INVALID, TOKEN_EXPIRED. The entries
// are locked.
int credential_of_signature(const struct entries *entries, const struct auth_request *request,
                            struct sl_str authorization, struct sl_arena *arena,
                            struct credential *ret_credential, struct sl_error *err) SL_MUST_CHECK;

#endif
