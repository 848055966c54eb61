// buf.c - see buf.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
sl_buf_init(struct sl_buf *buf, size_t max_bytes)
{
    *buf = (struct sl_buf){.max_bytes = max_bytes};
}

void
sl_buf_clear(struct sl_buf *buf)
{
    free(buf->ptr);
    sl_buf_init(buf, buf->max_bytes);
}

void
sl_buf_reset(struct sl_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->ptr != NULL) {
        buf->ptr[0] = '\0';
    }
}

// Makes room for `len` more bytes and the terminator.
static bool
reserve(struct sl_buf *buf, size_t len)
{
    if (buf->failed || len > buf->max_bytes - buf->len) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->len + len + 1;
    if (need <= buf->cap) {
        return true;
    }
    size_t cap = buf->cap * 2 > need ? buf->cap * 2 : need;
    cap = cap < 64 ? 64 : cap;
    char *grown = realloc(buf->ptr, cap);
    if (grown == NULL) {
        buf->failed = true;
        return false;
    }
    buf->ptr = grown;
    buf->cap = cap;
    return true;
}

void
sl_buf_add(struct sl_buf *buf, const void *bytes, size_t len)
{
    if (reserve(buf, len)) {
        if (len > 0) {
            memcpy(buf->ptr + buf->len, bytes, len);
        }
        buf->len += len;
        buf->ptr[buf->len] = '\0';
    }
}

void
sl_buf_adds(struct sl_buf *buf, const char *text)
{
    sl_buf_add(buf, text, strlen(text));
}

void
sl_buf_addc(struct sl_buf *buf, char byte)
{
    sl_buf_add(buf, &byte, 1);
}

void
sl_buf_addf(struct sl_buf *buf, const char *fmt, ...)
{
    va_list values;
    va_list again;
    va_start(values, fmt);
    va_copy(again, values);
    int len = vsnprintf(NULL, 0, fmt, values);
    va_end(values);
    if (len >= 0 && reserve(buf, (size_t)len)) {
        vsnprintf(buf->ptr + buf->len, (size_t)len + 1, fmt, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

// How many bytes from `from` on stand for themselves in JSON, one by one.
static size_t
count_plain(struct sl_str s, size_t from)
{
    size_t at = from;
    while (at < s.len && s.ptr[at] >= 0x20 && s.ptr[at] < 0x7f && s.ptr[at] != '"' &&
           s.ptr[at] != '\\') {
        at++;
    }
    return at - from;
}

void
sl_buf_add_json(struct sl_buf *buf, struct sl_str s)
{
    for (size_t i = 0, length = 0; i < s.len; i += length == 0 ? 1 : length) {
        size_t plain = count_plain(s, i);
        if (plain > 0) { // most texts are nothing else
            sl_buf_add(buf, s.ptr + i, plain);
            length = plain;
            continue;
        }
        unsigned char c = (unsigned char)s.ptr[i];
        length = sl_utf8_char((struct sl_str){s.ptr + i, s.len - i});
        if (c == '"' || c == '\\') {
            sl_buf_addc(buf, '\\');
            sl_buf_addc(buf, (char)c);
        } else if (c < 0x20) {
            sl_buf_addf(buf, "\\u%04x", c);
        } else {
            sl_buf_add(buf, length == 0 ? "?" : s.ptr + i, length == 0 ? 1 : length);
        }
    }
}
