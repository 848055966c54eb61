// buf.h - a growing buffer that states its maximum when it is born.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BASE_BUF_H
#define SL_BASE_BUF_H

#include "common/base/str.h"

// Embedded; made by sl_buf_init, emptied by sl_buf_clear. Writes past the maximum (or when memory
// is out) are dropped and `failed` sticks, so a builder may check once at its end.
struct sl_buf {
    char *ptr;        // always terminated when not NULL
    size_t len;       // bytes, terminator not counted
    size_t cap;       // bytes allocated
    size_t max_bytes; // never more than this
    bool failed;      // something was dropped
};

// An empty buffer of at most `max_bytes`; allocates nothing yet.
void sl_buf_init(struct sl_buf *buf, size_t max_bytes);

// Frees the memory; the buffer is then as after sl_buf_init.
void sl_buf_clear(struct sl_buf *buf);

// Forgets the contents, keeps the memory.
void sl_buf_reset(struct sl_buf *buf);

// Appends bytes, a terminated string, a formatted string, one byte.
void sl_buf_add(struct sl_buf *buf, const void *bytes, size_t len);
void sl_buf_adds(struct sl_buf *buf, const char *text);
void sl_buf_addf(struct sl_buf *buf, const char *fmt, ...) SL_PRINTF(2, 3);
void sl_buf_addc(struct sl_buf *buf, char byte);

// Appends `s` with JSON's escapes (RFC 8259 section 7), without the quotes. A byte that is not part
// of well-formed UTF-8 becomes '?', so the result is JSON whatever strangers sent.
void sl_buf_add_json(struct sl_buf *buf, struct sl_str s);

// Ends a scope: `__attribute__((cleanup(sl_buf_clear)))` in one word.
#define SL_AUTO_BUF __attribute__((cleanup(sl_buf_clear))) struct sl_buf

#endif
