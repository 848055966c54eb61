// password.h - scrypt hashes that describe themselves.
//
// Text: `$scrypt$ln=15,r=8,p=1$<salt>$<hash>`, base64url. Costs memory (128·r·2^ln bytes) and about
// a tenth of a second of one core on purpose: call it on a bounded pool only.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_PASSWORD_H
#define SL_CRYPTO_PASSWORD_H

#include "common/base/arena.h"

#define SL_PASSWORD_HASH_SIZE 160 // of the text, with terminator
#define SL_PASSWORD_MAX       256 // bytes of a password

// Hashes `password` with a fresh salt. Refuses (INTERNAL) when memory is out.
int sl_password_hash(struct sl_str password, char ret_hash[SL_PASSWORD_HASH_SIZE],
                     struct sl_error *err) SL_MUST_CHECK;

// Whether `password` is the one behind `hash`. A text that is no hash, or whose costs are beyond
// reason (ln > 20, r > 32, p > 16), matches nothing.
bool sl_password_verify(struct sl_str password, const char *hash);

// A hash that no password matches and that costs as much as a real one: for accounts that do not
// exist, so that the answer takes the same time. Static.
const char *sl_password_decoy(void);

#endif
