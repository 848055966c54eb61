// base64.c - see base64.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void
sl_base64_encode(struct sl_str bytes, char *ret_text)
{
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | (uint8_t)bytes.ptr[i];
        held += 8;
        while (held >= 6) {
            held -= 6;
            *ret_text++ = alphabet[bits >> held & 63];
        }
    }
    if (held > 0) {
        *ret_text++ = alphabet[bits << (6 - held) & 63];
    }
    *ret_text = '\0';
}

// The value of one character, or -1.
static int
digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool
sl_base64_decode(struct sl_str text, void *ret_bytes, size_t size, size_t *ret_len)
{
    size_t len = text.len / 4 * 3 + (text.len % 4 * 6) / 8;
    if (text.len % 4 == 1 || len > size) {
        return false;
    }
    uint8_t *out = ret_bytes;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = digit(text.ptr[i]);
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *out++ = (uint8_t)(bits >> held);
        }
    }
    if ((bits & ((1U << held) - 1)) != 0) {
        return false;
    }
    *ret_len = len;
    return true;
}
