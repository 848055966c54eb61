// unpack.h - reading msgpack in place, one value at a time.
//
// A cursor over foreign bytes: allocates nothing, believes no length that the bytes do not hold,
// never recurses. msgpack-c's own unpacker allocates what an array's header claims; these bytes
// come from other machines. Private to the room.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_UNPACK_H
#define SL_RUNTIME_UNPACK_H

#include "common/base/str.h"

struct sl_unpack {
    const unsigned char *at;  // next byte
    const unsigned char *end; // first byte after
};

enum sl_unpack_type {
    SL_UNPACK_NIL,
    SL_UNPACK_BOOL,
    SL_UNPACK_INT,
    SL_UNPACK_TEXT,
    SL_UNPACK_BIN,
    SL_UNPACK_ARRAY, // `count` values follow
    SL_UNPACK_MAP,   // `count` pairs follow
    SL_UNPACK_OTHER, // a float or an extension; its bytes were passed over
};

struct sl_unpack_value {
    enum sl_unpack_type type;
    bool truth;          // BOOL
    int64_t number;      // INT; one above INT64_MAX is refused by the reader
    struct sl_str bytes; // TEXT, BIN: view into the input
    size_t count;        // ARRAY, MAP; never more than the bytes that are left
};

// A cursor at the start of `bytes`.
struct sl_unpack sl_unpack_of(struct sl_str bytes);

// Reads one value (the header of an array or a map). False when the bytes end early or are not
// msgpack; the cursor is then undefined.
bool sl_unpack_next(struct sl_unpack *cursor, struct sl_unpack_value *ret_value) SL_MUST_CHECK;

// Passes over one whole value, however nested.
bool sl_unpack_skip(struct sl_unpack *cursor) SL_MUST_CHECK;

// Whether all bytes were read.
bool sl_unpack_done(const struct sl_unpack *cursor);

#endif
