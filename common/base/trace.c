// trace.c - the header `traceparent` of W3C Trace Context.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/trace.h"

// Where the parts of `00-<trace id>-<parent id>-<flags>` begin, and how long they are.
static const struct {
    size_t at;
    size_t len;
    bool zero_is_valid;
} parts[] = {
    {.at = 0, .len = 2, .zero_is_valid = true},
    {.at = 3, .len = SL_TRACE_ID_LEN},
    {.at = 36, .len = 16},
    {.at = 53, .len = 2, .zero_is_valid = true},
};

static bool
is_hex(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
}

// A part: lower-case hex digits, not all zero, and what separates it from the next.
static bool
part_holds(struct sl_str value, size_t at, size_t len, bool zero_is_valid)
{
    bool is_zero = true;

    for (size_t i = at; i < at + len; i++) {
        if (!is_hex(value.ptr[i])) {
            return false;
        }
        is_zero = is_zero && value.ptr[i] == '0';
    }
    return (!is_zero || zero_is_valid) && (value.len == at + len || value.ptr[at + len] == '-');
}

bool
sl_trace_parse(struct sl_str value, struct sl_str *ret_trace_id)
{
    if (value.len < SL_TRACE_LEN || sl_str_starts(value, SL_STR("ff"))) {
        return false;
    }
    // Version 00 ends here; what a later one appends is not ours to read.
    if (sl_str_starts(value, SL_STR("00")) && value.len != SL_TRACE_LEN) {
        return false;
    }
    for (size_t i = 0; i < SL_COUNT(parts); i++) {
        if (!part_holds(value, parts[i].at, parts[i].len, parts[i].zero_is_valid)) {
            return false;
        }
    }
    *ret_trace_id = (struct sl_str){value.ptr + parts[1].at, parts[1].len};
    return true;
}
