// base64.h - base64url without padding (RFC 4648 section 5), strict: one spelling for each value.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_BASE64_H
#define SL_CRYPTO_BASE64_H

#include "common/base/str.h"

// Characters that `len` bytes become.
#define SL_BASE64_LEN(len) (((len)*4 + 2) / 3)

// Writes SL_BASE64_LEN(bytes.len) characters and a terminator.
void sl_base64_encode(struct sl_str bytes, char *ret_text);

// Decodes `text` into at most `size` bytes. False on a foreign character, a length that no value
// has, spare bits that are set, or more bytes than fit.
bool sl_base64_decode(struct sl_str text, void *ret_bytes, size_t size, size_t *ret_len);

#endif
