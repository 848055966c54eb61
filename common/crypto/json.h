// json.h - JSON that decides who may do what: read whole or not at all.
//
// The library drops bytes of a text that it finds no room for, and goes on: a claim would be gone,
// a value another. Here memory that runs out is noticed. Any thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_JSON_H
#define SL_CRYPTO_JSON_H

#include <jansson.h>

#include "common/base/str.h"

// Reads a text with the library's `flags`; the caller's reference. NULL when it is malformed, or
// memory is out.
json_t *sl_json_read(struct sl_str text, size_t flags);

#endif
