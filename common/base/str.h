// str.h - a view of bytes that someone else owns.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BASE_STR_H
#define SL_BASE_STR_H

#include <string.h>

#include "common/base/base.h"

struct sl_str {
    const char *ptr; // not terminated; NULL only when len is 0
    size_t len;      // bytes
};

// For printf: `printf("%.*s", SL_STR_FMT(view))`.
#define SL_STR_FMT(s)   ((int)(s).len), (s).ptr
// A view of a string literal.
#define SL_STR(literal) ((struct sl_str){(literal), sizeof(literal) - 1})

// A view of a terminated string; NULL gives an empty view.
struct sl_str sl_str(const char *text);

// Same bytes.
static inline bool
sl_str_equal(struct sl_str a, struct sl_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

// Same bytes but for the case of ASCII letters.
bool sl_str_equal_nocase(struct sl_str a, struct sl_str b);

// Whether `s` begins with `prefix`.
bool sl_str_starts(struct sl_str s, struct sl_str prefix);

// `s` without ASCII blanks (space, tab) at both ends.
struct sl_str sl_str_trim(struct sl_str s);

// Cuts the part before the first `separator` off *rest and answers it; without one, all of *rest.
// Done when rest->ptr is NULL.
struct sl_str sl_str_split(struct sl_str *rest, char separator);

// Parses a whole decimal integer, sign allowed. False when `s` is anything else or out of range.
bool sl_str_int(struct sl_str s, int64_t *ret_value);

// Bytes (1 to 4) of the well-formed UTF-8 character (RFC 3629 section 4) that `s` begins with; 0
// when `s` is empty or begins with anything else: an overlong form, a surrogate, a cut character.
size_t sl_utf8_char(struct sl_str s);

// Writes 2*len lower-case hex digits and a terminator.
void sl_hex_encode(const void *bytes, size_t len, char *ret_hex);

// Reads len bytes from 2*len hex digits (either case). False on any other character.
bool sl_hex_decode(struct sl_str hex, void *ret_bytes, size_t len);

#endif
