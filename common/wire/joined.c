// joined.c - see joined.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/joined.h"

#include <string.h>

#define BETWEEN ' '
#define LAST    '\n' // before the payload

static bool
is_text(struct sl_str part)
{
    return part.len == 0 || (memchr(part.ptr, BETWEEN, part.len) == NULL &&
                             memchr(part.ptr, LAST, part.len) == NULL);
}

static char *
append(char *at, struct sl_str part)
{
    if (part.len > 0) {
        memcpy(at, part.ptr, part.len);
    }
    return at + part.len;
}

bool
sl_join(const struct sl_str *parts, size_t count, zmq_msg_t *ret_message)
{
    assert(count >= 2);
    size_t size = count - 1;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && !is_text(parts[i])) {
            return false;
        }
        size += parts[i].len;
    }
    if (zmq_msg_init_size(ret_message, size) != 0) {
        return false;
    }
    char *at = zmq_msg_data(ret_message);
    for (size_t i = 0; i < count; i++) {
        at = append(at, parts[i]);
        if (i + 1 < count) {
            *at++ = i + 2 < count ? BETWEEN : LAST;
        }
    }
    return true;
}

size_t
sl_split(struct sl_str message, struct sl_str *ret_parts, size_t max)
{
    assert(max >= 2);
    const char *end = message.len > 0 ? memchr(message.ptr, LAST, message.len) : NULL;
    if (end == NULL) {
        return 0;
    }
    struct sl_str texts = {message.ptr, (size_t)(end - message.ptr)};
    size_t count = 0;
    do {
        if (count + 1 == max) {
            return max + 1;
        }
        ret_parts[count++] = sl_str_split(&texts, BETWEEN);
    } while (texts.ptr != NULL);
    ret_parts[count++] = (struct sl_str){end + 1, message.len - (size_t)(end + 1 - message.ptr)};
    return count;
}
