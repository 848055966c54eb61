// token_key.h - the keys that sign tokens: private ones are opened here and nowhere else.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_IDENTITY_TOKEN_KEY_H
#define SL_IDENTITY_TOKEN_KEY_H

#include "common/crypto/token.h"
#include "services/identity/identity.h"

// Makes a key when there is none that signs. Safe against other processes doing the same.
int token_key_ensure(struct identity *identity, struct sl_db *db,
                     struct sl_error *err) SL_MUST_CHECK;

// The key that signs. The caller wipes it.
int token_key_current(struct task *task, const char **ret_id, uint8_t ret_private[SL_TOKEN_KEY_LEN],
                      struct sl_error *err) SL_MUST_CHECK;

// The public key of this id; false in *ret_found when there is none.
int token_key_find(struct task *task, const char *id, bool *ret_found,
                   uint8_t ret_public[SL_TOKEN_KEY_LEN], struct sl_error *err) SL_MUST_CHECK;

#endif
