// canonical.h - the canonical request that a signature covers; for sign.c and its tests.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_CANONICAL_H
#define SL_CRYPTO_CANONICAL_H

#include "common/crypto/sign.h"

// What signers do differently; all false is the documented form.
struct canonical_variant {
    bool plus_is_space;    // '+' in the query stands for a blank
    bool sort_by_encoded;  // parameters are sorted after encoding, not before
    struct sl_str payload; // last line: the body's hash
};

// The canonical request over the ';'-joined `signed_headers`, terminated, from the arena. False
// when the arena is full or a named header is absent.
bool canonical_build(struct sl_arena *arena, const struct sl_sign_request *request,
                     struct sl_str signed_headers, const struct canonical_variant *variant,
                     struct sl_str *ret_text);

// The value of the first header of this name (any case), blanks cut; ptr NULL when absent.
struct sl_str canonical_header(const struct sl_sign_request *request, struct sl_str name);

#endif
