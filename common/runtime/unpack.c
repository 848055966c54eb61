// unpack.c - reading msgpack in place.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/unpack.h"

struct sl_unpack
sl_unpack_of(struct sl_str bytes)
{
    const unsigned char *start = (const unsigned char *)bytes.ptr;
    return (struct sl_unpack){start, bytes.len == 0 ? start : start + bytes.len};
}

bool
sl_unpack_done(const struct sl_unpack *cursor)
{
    return cursor->at == cursor->end;
}

static size_t
left(const struct sl_unpack *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

// Reads `width` bytes as a big-endian number.
static bool
take_number(struct sl_unpack *cursor, size_t width, uint64_t *ret_number)
{
    if (left(cursor) < width) {
        return false;
    }
    uint64_t number = 0;
    for (size_t i = 0; i < width; i++) {
        number = number << 8 | *cursor->at++;
    }
    *ret_number = number;
    return true;
}

static bool
take_bytes(struct sl_unpack *cursor, uint64_t len, enum sl_unpack_type type,
           struct sl_unpack_value *ret_value)
{
    if (left(cursor) < len) {
        return false;
    }
    ret_value->type = type;
    ret_value->bytes = (struct sl_str){(const char *)cursor->at, (size_t)len};
    cursor->at += len;
    return true;
}

// Every value takes a byte at least, so a count beyond what is left is a lie.
static bool
take_count(struct sl_unpack *cursor, uint64_t count, enum sl_unpack_type type,
           struct sl_unpack_value *ret_value)
{
    uint64_t values = type == SL_UNPACK_MAP ? 2 * count : count;
    if (values > left(cursor)) {
        return false;
    }
    ret_value->type = type;
    ret_value->count = (size_t)count;
    return true;
}

static bool
take_unsigned(struct sl_unpack *cursor, size_t width, struct sl_unpack_value *ret_value)
{
    uint64_t number = 0;
    if (!take_number(cursor, width, &number) || number > INT64_MAX) {
        return false;
    }
    ret_value->type = SL_UNPACK_INT;
    ret_value->number = (int64_t)number;
    return true;
}

static bool
take_signed(struct sl_unpack *cursor, size_t width, struct sl_unpack_value *ret_value)
{
    uint64_t number = 0;
    if (!take_number(cursor, width, &number)) {
        return false;
    }
    ret_value->type = SL_UNPACK_INT;
    switch (width) {
    case 1:
        ret_value->number = (int64_t)number - (number >= 0x80 ? 0x100 : 0);
        break;
    case 2:
        ret_value->number = (int16_t)number;
        break;
    case 4:
        ret_value->number = (int32_t)number;
        break;
    default:
        ret_value->number = (int64_t)number;
        break;
    }
    return true;
}

// Formats 0xc4 to 0xdf whose length or count stands in the bytes that follow.
struct shape {
    unsigned char width;      // bytes of the length
    unsigned char extra;      // bytes beside the length that belong to the value (ext type)
    enum sl_unpack_type type; //
    bool fixed;               // no length: `width` bytes are the value
};

static const struct shape shapes[] = {
    [0xc4 - 0xc4] = {1, 0, SL_UNPACK_BIN, false},   [0xc5 - 0xc4] = {2, 0, SL_UNPACK_BIN, false},
    [0xc6 - 0xc4] = {4, 0, SL_UNPACK_BIN, false},   [0xc7 - 0xc4] = {1, 1, SL_UNPACK_OTHER, false},
    [0xc8 - 0xc4] = {2, 1, SL_UNPACK_OTHER, false}, [0xc9 - 0xc4] = {4, 1, SL_UNPACK_OTHER, false},
    [0xca - 0xc4] = {4, 0, SL_UNPACK_OTHER, true},  [0xcb - 0xc4] = {8, 0, SL_UNPACK_OTHER, true},
    [0xcc - 0xc4] = {1, 0, SL_UNPACK_INT, true},    [0xcd - 0xc4] = {2, 0, SL_UNPACK_INT, true},
    [0xce - 0xc4] = {4, 0, SL_UNPACK_INT, true},    [0xcf - 0xc4] = {8, 0, SL_UNPACK_INT, true},
    [0xd0 - 0xc4] = {1, 1, SL_UNPACK_INT, true},    [0xd1 - 0xc4] = {2, 1, SL_UNPACK_INT, true},
    [0xd2 - 0xc4] = {4, 1, SL_UNPACK_INT, true},    [0xd3 - 0xc4] = {8, 1, SL_UNPACK_INT, true},
    [0xd4 - 0xc4] = {2, 0, SL_UNPACK_OTHER, true},  [0xd5 - 0xc4] = {3, 0, SL_UNPACK_OTHER, true},
    [0xd6 - 0xc4] = {5, 0, SL_UNPACK_OTHER, true},  [0xd7 - 0xc4] = {9, 0, SL_UNPACK_OTHER, true},
    [0xd8 - 0xc4] = {17, 0, SL_UNPACK_OTHER, true}, [0xd9 - 0xc4] = {1, 0, SL_UNPACK_TEXT, false},
    [0xda - 0xc4] = {2, 0, SL_UNPACK_TEXT, false},  [0xdb - 0xc4] = {4, 0, SL_UNPACK_TEXT, false},
    [0xdc - 0xc4] = {2, 0, SL_UNPACK_ARRAY, false}, [0xdd - 0xc4] = {4, 0, SL_UNPACK_ARRAY, false},
    [0xde - 0xc4] = {2, 0, SL_UNPACK_MAP, false},   [0xdf - 0xc4] = {4, 0, SL_UNPACK_MAP, false},
};

static bool
take_shaped(struct sl_unpack *cursor, const struct shape *shape, struct sl_unpack_value *ret_value)
{
    if (shape->fixed && shape->type == SL_UNPACK_INT) {
        // In the rows of integers `extra` marks the signed ones.
        return shape->extra != 0 ? take_signed(cursor, shape->width, ret_value)
                                 : take_unsigned(cursor, shape->width, ret_value);
    }
    if (shape->fixed) {
        return take_bytes(cursor, shape->width, shape->type, ret_value);
    }
    uint64_t len = 0;
    if (!take_number(cursor, shape->width, &len)) {
        return false;
    }
    if (shape->type == SL_UNPACK_ARRAY || shape->type == SL_UNPACK_MAP) {
        return take_count(cursor, len, shape->type, ret_value);
    }
    return take_bytes(cursor, len + shape->extra, shape->type, ret_value);
}

bool
sl_unpack_next(struct sl_unpack *cursor, struct sl_unpack_value *ret_value)
{
    if (cursor->at == cursor->end) {
        return false;
    }
    unsigned char head = *cursor->at++;
    *ret_value = (struct sl_unpack_value){.type = SL_UNPACK_INT};
    if (head < 0x80) {
        ret_value->number = head;
        return true;
    }
    if (head < 0x90) {
        return take_count(cursor, head & 0x0f, SL_UNPACK_MAP, ret_value);
    }
    if (head < 0xa0) {
        return take_count(cursor, head & 0x0f, SL_UNPACK_ARRAY, ret_value);
    }
    if (head < 0xc0) {
        return take_bytes(cursor, head & 0x1f, SL_UNPACK_TEXT, ret_value);
    }
    if (head >= 0xe0) {
        ret_value->number = (int64_t)head - 0x100;
        return true;
    }
    if (head >= 0xc4) {
        return take_shaped(cursor, &shapes[head - 0xc4], ret_value);
    }
    ret_value->type = head == 0xc0 ? SL_UNPACK_NIL : SL_UNPACK_BOOL;
    ret_value->truth = head == 0xc3;
    return head != 0xc1; // the one byte that msgpack never uses
}

bool
sl_unpack_skip(struct sl_unpack *cursor)
{
    for (size_t pending = 1; pending > 0; pending--) {
        struct sl_unpack_value value;
        if (!sl_unpack_next(cursor, &value)) {
            return false;
        }
        // Bounded by the input: each count was checked against the bytes that were left.
        pending += value.type == SL_UNPACK_MAP ? 2 * value.count : value.count;
    }
    return true;
}
