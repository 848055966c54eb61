// identity.h - who may call APIs of authentication IAM: entries of gateways that have such APIs.
//
// Users, access keys and token keys change in `control`. A gateway joins when it first publishes an
// API of IAM; from then on what changes there is marked for it, too.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_IDENTITY_H
#define SL_PUBLISHER_IDENTITY_H

#include "services/publisher/compile.h"

// Lets the gateway join: marks all users and keys for it, before anything that is marked later in
// this transaction. Joining again does nothing.
int identity_join(struct sl_tx *tx, struct sl_arena *arena, const char *gateway,
                  struct sl_error *err) SL_MUST_CHECK;

// Marks a key of `control` for the gateways that joined, if it is one that they know. Inside the
// transaction that makes the revision of `control`.
int identity_spread(struct sl_tx *tx, struct sl_arena *arena, const char *kind, const char *key,
                    struct sl_error *err) SL_MUST_CHECK;

// The entries of a gateway; as in compile.h. A gateway that did not join has tombstones.
int compile_user(const struct compile *compile, const char *key, struct sl_entry *entry,
                 bool *ret_found, struct sl_error *err) SL_MUST_CHECK;
int compile_access_key(const struct compile *compile, const char *key, struct sl_entry *entry,
                       bool *ret_found, struct sl_error *err) SL_MUST_CHECK;
int compile_token_key(const struct compile *compile, const char *key, struct sl_entry *entry,
                      bool *ret_found, struct sl_error *err) SL_MUST_CHECK;

#endif
