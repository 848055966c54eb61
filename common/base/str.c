// str.c - see str.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/str.h"

#include "common/base/hash.h"

#include <ctype.h>
#include <endian.h>
#include <string.h>

struct sl_str
sl_str(const char *text)
{
    return (struct sl_str){text, text == NULL ? 0 : strlen(text)};
}

// Eight bytes at once. The difference may be the bit of the case, where both are letters.
static bool
words_equal_nocase(uint64_t a, uint64_t b)
{
    const uint64_t each = 0x0101010101010101ULL;
    uint64_t difference = a ^ b;
    if (difference == 0) { // most often
        return true;
    }
    uint64_t lower = a | each * 0x20;
    uint64_t low_bits = lower & each * 0x7f;
    uint64_t from_a = low_bits + each * (0x80 - 'a');  // the high bit says: at least 'a'
    uint64_t after_z = low_bits + each * (0x7f - 'z'); // the high bit says: beyond 'z'
    uint64_t letters = from_a & ~after_z & ~lower & each * 0x80;
    return (difference & ~(letters >> 2)) == 0;
}

static uint64_t
load_word(const char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

bool
sl_str_equal_nocase(struct sl_str a, struct sl_str b)
{
    if (a.len != b.len) {
        return false;
    }
    if (a.len < sizeof(uint64_t)) {
        return words_equal_nocase(hash_tail(a.ptr, a.len), hash_tail(b.ptr, b.len));
    }
    for (size_t i = 0; i + sizeof(uint64_t) <= a.len; i += sizeof(uint64_t)) {
        if (!words_equal_nocase(load_word(a.ptr + i), load_word(b.ptr + i))) {
            return false;
        }
    }
    size_t last = a.len - sizeof(uint64_t); // overlaps what was compared
    return words_equal_nocase(load_word(a.ptr + last), load_word(b.ptr + last));
}

bool
sl_str_starts(struct sl_str s, struct sl_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct sl_str
sl_str_trim(struct sl_str s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

struct sl_str
sl_str_split(struct sl_str *rest, char separator)
{
    struct sl_str part = *rest;
    const char *at = rest->len == 0 ? NULL : memchr(rest->ptr, separator, rest->len);
    if (at == NULL) {
        *rest = (struct sl_str){NULL, 0};
        return part;
    }
    part.len = (size_t)(at - rest->ptr);
    rest->ptr = at + 1;
    rest->len -= part.len + 1;
    return part;
}

bool
sl_str_int(struct sl_str s, int64_t *ret_value)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    size_t i = negative || (s.len > 0 && s.ptr[0] == '+') ? 1 : 0;
    if (i == s.len) {
        return false;
    }
    int64_t value = 0;
    for (; i < s.len; i++) {
        if (!isdigit((unsigned char)s.ptr[i])) {
            return false;
        }
        int digit = s.ptr[i] - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value)) {
            return false;
        }
    }
    *ret_value = value;
    return true;
}

size_t
sl_utf8_char(struct sl_str s)
{
    const unsigned char *at = (const unsigned char *)s.ptr;
    unsigned char low = 0x80; // bounds of the second byte; tighter for overlong forms, surrogates
    unsigned char high = 0xbf;
    size_t length = 0;
    if (s.len == 0 || at[0] < 0x80) {
        return s.len == 0 ? 0 : 1;
    }
    if (at[0] >= 0xc2 && at[0] <= 0xdf) {
        length = 2;
    } else if ((at[0] & 0xf0U) == 0xe0) {
        length = 3;
        low = at[0] == 0xe0 ? 0xa0 : low;
        high = at[0] == 0xed ? 0x9f : high;
    } else if (at[0] >= 0xf0 && at[0] <= 0xf4) {
        length = 4;
        low = at[0] == 0xf0 ? 0x90 : low;
        high = at[0] == 0xf4 ? 0x8f : high;
    }
    if (length == 0 || s.len < length || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xc0U) != 0x80) {
            return 0;
        }
    }
    return length;
}

// Sixteen bytes that are worked on at once.
typedef unsigned char block_t __attribute__((vector_size(16)));

void
sl_hex_encode(const void *bytes, size_t len, char *ret_hex)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;
    size_t i = 0;
    for (; i + sizeof(block_t) <= len; i += sizeof(block_t)) {
        block_t block;
        memcpy(&block, from + i, sizeof(block));
        block_t high = block >> 4;
        block_t low = block & 15;
        high += '0' + ((high > 9) & ('a' - '0' - 10));
        low += '0' + ((low > 9) & ('a' - '0' - 10));
        block_t first = __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21,
                                                6, 22, 7, 23);
        block_t second = __builtin_shufflevector(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                                 13, 29, 14, 30, 15, 31);
        memcpy(ret_hex + 2 * i, &first, sizeof(first));
        memcpy(ret_hex + 2 * i + sizeof(first), &second, sizeof(second));
    }
    for (; i < len; i++) {
        ret_hex[2 * i] = digits[from[i] >> 4];
        ret_hex[2 * i + 1] = digits[from[i] & 15];
    }
    ret_hex[2 * len] = '\0';
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
sl_hex_decode(struct sl_str hex, void *ret_bytes, size_t len)
{
    unsigned char *to = ret_bytes;
    if (hex.len != 2 * len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(hex.ptr[2 * i]);
        int low = hex_value(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        to[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
