// pack.h - msgpack, written into a buffer and read where it lies.
//
// Writing uses msgpack-c. Reading is a cursor of ours: it builds no tree, allocates nothing, never
// believes a length beyond the bytes that are there, and lets the bus rewrite an envelope without
// decoding the body. Integers above INT64_MAX and extension types are refused.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_PACK_H
#define SL_WIRE_PACK_H

#include <jansson.h>

#include "common/base/arena.h"
#include "common/base/buf.h"

#define SL_PACK_DEPTH_MAX 64 // nesting that a reader walks: a JSON body inside an envelope

// Appends one value (of a map or array: its head; its members follow). Failures stick in the
// buffer. sl_pack_text packs NULL as nil.
void sl_pack_map(struct sl_buf *buf, size_t pairs);
void sl_pack_array(struct sl_buf *buf, size_t count);
void sl_pack_nil(struct sl_buf *buf);
void sl_pack_bool(struct sl_buf *buf, bool value);
void sl_pack_int(struct sl_buf *buf, int64_t value);
void sl_pack_str(struct sl_buf *buf, struct sl_str text);
void sl_pack_text(struct sl_buf *buf, const char *text);
void sl_pack_bin(struct sl_buf *buf, struct sl_str bytes);

// Appends a JSON value; -1 (BUS_MESSAGE) when it nests deeper than SL_JSON_DEPTH_MAX.
int sl_pack_json(struct sl_buf *buf, const json_t *value, struct sl_error *err) SL_MUST_CHECK;

enum sl_item_type {
    SL_ITEM_NIL,
    SL_ITEM_BOOL,
    SL_ITEM_INT,
    SL_ITEM_REAL,
    SL_ITEM_STR,
    SL_ITEM_BIN,
    SL_ITEM_ARRAY,
    SL_ITEM_MAP,
};

// One value, or the head of an array or map whose members are read next.
struct sl_item {
    enum sl_item_type type;
    bool truth;         // BOOL
    int64_t integer;    // INT
    double real;        // REAL
    struct sl_str text; // STR and BIN; a view of the message
    size_t count;       // ARRAY: members; MAP: pairs
};

// A cursor over bytes that someone else owns.
struct sl_reader {
    const char *at;  // next byte
    const char *end; // one after the last
};

// A cursor at the start of `bytes`.
struct sl_reader sl_reader_of(struct sl_str bytes);

// Reads the next value or head. False at the end and on anything malformed.
bool sl_reader_next(struct sl_reader *reader, struct sl_item *ret_item);

// Steps over the next value with all its members; false when it is malformed or too deep.
bool sl_reader_skip(struct sl_reader *reader);

// Steps over the next value and answers its bytes; ptr NULL when it is malformed.
struct sl_str sl_reader_span(struct sl_reader *reader);

// Reads a value of one type; false (cursor moved) when it is another. sl_reader_bytes takes STR and
// BIN.
bool sl_reader_text(struct sl_reader *reader, struct sl_str *ret_text);
bool sl_reader_bytes(struct sl_reader *reader, struct sl_str *ret_bytes);
bool sl_reader_int(struct sl_reader *reader, int64_t *ret_value);
bool sl_reader_bool(struct sl_reader *reader, bool *ret_value);
bool sl_reader_map(struct sl_reader *reader, size_t *ret_pairs);
bool sl_reader_array(struct sl_reader *reader, size_t *ret_count);

// Reads the next value as JSON: a new reference, NULL when malformed, deeper than
// SL_JSON_DEPTH_MAX or with a key that is no string. BIN becomes a string of those bytes.
json_t *sl_reader_json(struct sl_reader *reader);

#endif
