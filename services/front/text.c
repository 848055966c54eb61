// text.c - a UTF-8 check that repairs.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/text.h"

// Length of the well-formed sequence at `at`, 0 when there is none. Stops at the terminator: it is
// no continuation byte.
static size_t
sequence_length(const unsigned char *at)
{
    unsigned char low = 0x80; // bounds of the second byte; tighter for overlong forms, surrogates
    unsigned char high = 0xbf;
    size_t length = 0;
    if (at[0] < 0x80) {
        return 1;
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
    if (length == 0 || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xc0U) != 0x80) {
            return 0;
        }
    }
    return length;
}

void
text_make_utf8(char *text)
{
    while (*text != '\0') {
        size_t length = sequence_length((const unsigned char *)text);
        if (length == 0) {
            *text = '?';
            length = 1;
        }
        text += length;
    }
}
