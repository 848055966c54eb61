// pack.c - see pack.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/pack.h"

#include "common/base/limits.h"

#include <math.h>
#include <msgpack.h>
#include <string.h>

static int
write_to_buf(void *arg, const char *bytes, size_t len)
{
    struct sl_buf *buf = arg;
    sl_buf_add(buf, bytes, len);
    return buf->failed ? -1 : 0;
}

static msgpack_packer
packer_of(struct sl_buf *buf)
{
    return (msgpack_packer){.data = buf, .callback = write_to_buf};
}

void
sl_pack_map(struct sl_buf *buf, size_t pairs)
{
    msgpack_packer packer = packer_of(buf);
    msgpack_pack_map(&packer, pairs);
}

void
sl_pack_array(struct sl_buf *buf, size_t count)
{
    msgpack_packer packer = packer_of(buf);
    msgpack_pack_array(&packer, count);
}

void
sl_pack_nil(struct sl_buf *buf)
{
    msgpack_packer packer = packer_of(buf);
    msgpack_pack_nil(&packer);
}

void
sl_pack_bool(struct sl_buf *buf, bool value)
{
    msgpack_packer packer = packer_of(buf);
    if (value) {
        msgpack_pack_true(&packer);
    } else {
        msgpack_pack_false(&packer);
    }
}

void
sl_pack_int(struct sl_buf *buf, int64_t value)
{
    msgpack_packer packer = packer_of(buf);
    msgpack_pack_int64(&packer, value);
}

void
sl_pack_str(struct sl_buf *buf, struct sl_str text)
{
    msgpack_packer packer = packer_of(buf);
    msgpack_pack_str(&packer, text.len);
    sl_buf_add(buf, text.ptr, text.len);
}

void
sl_pack_text(struct sl_buf *buf, const char *text)
{
    if (text == NULL) {
        sl_pack_nil(buf);
    } else {
        sl_pack_str(buf, sl_str(text));
    }
}

void
sl_pack_bin(struct sl_buf *buf, struct sl_str bytes)
{
    msgpack_packer packer = packer_of(buf);
    msgpack_pack_bin(&packer, bytes.len);
    sl_buf_add(buf, bytes.ptr, bytes.len);
}

static bool pack_json_at(struct sl_buf *buf, const json_t *value, int depth);

static bool
pack_json_object(struct sl_buf *buf, const json_t *object, int depth)
{
    sl_pack_map(buf, json_object_size(object));
    // The iterators take a mutable object, yet leave it alone.
    json_t *mutable_object = (json_t *)(uintptr_t)object;
    for (void *it = json_object_iter(mutable_object); it != NULL;
         it = json_object_iter_next(mutable_object, it)) {
        sl_pack_text(buf, json_object_iter_key(it));
        if (!pack_json_at(buf, json_object_iter_value(it), depth + 1)) {
            return false;
        }
    }
    return true;
}

static bool
pack_json_array(struct sl_buf *buf, const json_t *array, int depth)
{
    size_t count = json_array_size(array);
    sl_pack_array(buf, count);
    for (size_t i = 0; i < count; i++) {
        if (!pack_json_at(buf, json_array_get(array, i), depth + 1)) {
            return false;
        }
    }
    return true;
}

static void
pack_real(struct sl_buf *buf, double value)
{
    msgpack_packer packer = packer_of(buf);
    msgpack_pack_double(&packer, value);
}

static bool
pack_json_at(struct sl_buf *buf, const json_t *value, int depth)
{
    if (depth > SL_JSON_DEPTH_MAX) {
        return false;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return pack_json_object(buf, value, depth);
    case JSON_ARRAY:
        return pack_json_array(buf, value, depth);
    case JSON_STRING:
        sl_pack_str(buf, (struct sl_str){json_string_value(value), json_string_length(value)});
        return true;
    case JSON_INTEGER:
        sl_pack_int(buf, json_integer_value(value));
        return true;
    case JSON_REAL:
        pack_real(buf, json_real_value(value));
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        sl_pack_bool(buf, json_is_true(value));
        return true;
    case JSON_NULL:
        sl_pack_nil(buf);
        return true;
    }
    return false;
}

int
sl_pack_json(struct sl_buf *buf, const json_t *value, struct sl_error *err)
{
    if (!pack_json_at(buf, value, 0)) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "JSON nests too deep");
    }
    return 0;
}

struct sl_reader
sl_reader_of(struct sl_str bytes)
{
    // An empty view may have no pointer; arithmetic on NULL is undefined.
    const char *from = bytes.ptr != NULL ? bytes.ptr : "";
    return (struct sl_reader){.at = from, .end = from + bytes.len};
}

// Reads `len` bytes as a big-endian number.
static bool
take_number(struct sl_reader *reader, size_t len, uint64_t *ret_value)
{
    if ((size_t)(reader->end - reader->at) < len) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value = (value << 8) | (uint8_t)reader->at[i];
    }
    reader->at += len;
    *ret_value = value;
    return true;
}

static bool
take_bytes(struct sl_reader *reader, enum sl_item_type type, uint64_t len, struct sl_item *item)
{
    if ((uint64_t)(reader->end - reader->at) < len) {
        return false;
    }
    item->type = type;
    item->text = (struct sl_str){reader->at, (size_t)len};
    reader->at += len;
    return true;
}

// Every member takes at least one byte: a count beyond the bytes left is a lie.
static bool
take_head(struct sl_reader *reader, enum sl_item_type type, uint64_t count, struct sl_item *item)
{
    uint64_t members = type == SL_ITEM_MAP ? count * 2 : count;
    if ((uint64_t)(reader->end - reader->at) < members) {
        return false;
    }
    item->type = type;
    item->count = (size_t)count;
    return true;
}

static bool
take_unsigned(struct sl_reader *reader, size_t len, struct sl_item *item)
{
    uint64_t value = 0;
    if (!take_number(reader, len, &value) || value > INT64_MAX) {
        return false;
    }
    item->type = SL_ITEM_INT;
    item->integer = (int64_t)value;
    return true;
}

static bool
take_signed(struct sl_reader *reader, size_t len, struct sl_item *item)
{
    uint64_t value = 0;
    if (!take_number(reader, len, &value)) {
        return false;
    }
    uint64_t sign = 1ULL << (len * 8 - 1);
    item->type = SL_ITEM_INT;
    item->integer = (int64_t)((value ^ sign) - sign);
    return true;
}

static bool
take_real(struct sl_reader *reader, size_t len, struct sl_item *item)
{
    uint64_t bits = 0;
    if (!take_number(reader, len, &bits)) {
        return false;
    }
    item->type = SL_ITEM_REAL;
    if (len == sizeof(float)) {
        uint32_t narrow = (uint32_t)bits;
        float value;
        memcpy(&value, &narrow, sizeof(value));
        item->real = (double)value;
    } else {
        memcpy(&item->real, &bits, sizeof(item->real));
    }
    // JSON has no other numbers.
    return isfinite(item->real);
}

// Types whose head says how long a length (or count) follows.
static bool
take_sized(struct sl_reader *reader, enum sl_item_type type, size_t len_bytes, struct sl_item *item)
{
    uint64_t len = 0;
    if (!take_number(reader, len_bytes, &len)) {
        return false;
    }
    bool has_members = type == SL_ITEM_ARRAY || type == SL_ITEM_MAP;
    return has_members ? take_head(reader, type, len, item) : take_bytes(reader, type, len, item);
}

// Heads from 0xc0 to 0xdf.
static bool
take_long_form(struct sl_reader *reader, uint8_t head, struct sl_item *item)
{
    switch (head) {
    case 0xc0:
        item->type = SL_ITEM_NIL;
        return true;
    case 0xc2:
    case 0xc3:
        item->type = SL_ITEM_BOOL;
        item->truth = head == 0xc3;
        return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return take_sized(reader, SL_ITEM_BIN, 1U << (head - 0xc4), item);
    case 0xca:
    case 0xcb:
        return take_real(reader, head == 0xca ? sizeof(float) : sizeof(double), item);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return take_unsigned(reader, 1U << (head - 0xcc), item);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return take_signed(reader, 1U << (head - 0xd0), item);
    case 0xd9:
    case 0xda:
    case 0xdb:
        return take_sized(reader, SL_ITEM_STR, 1U << (head - 0xd9), item);
    case 0xdc:
    case 0xdd:
        return take_sized(reader, SL_ITEM_ARRAY, 2U << (head - 0xdc), item);
    case 0xde:
    case 0xdf:
        return take_sized(reader, SL_ITEM_MAP, 2U << (head - 0xde), item);
    default:
        return false; // extension types, and 0xc1 that does not exist
    }
}

bool
sl_reader_next(struct sl_reader *reader, struct sl_item *ret_item)
{
    *ret_item = (struct sl_item){.type = SL_ITEM_NIL};
    if (reader->at == reader->end) {
        return false;
    }
    uint8_t head = (uint8_t)*reader->at++;
    if (head < 0x80 || head >= 0xe0) {
        ret_item->type = SL_ITEM_INT;
        ret_item->integer = head < 0x80 ? head : (int)head - 256;
        return true;
    }
    if (head < 0x90) {
        return take_head(reader, SL_ITEM_MAP, head & 0x0fU, ret_item);
    }
    if (head < 0xa0) {
        return take_head(reader, SL_ITEM_ARRAY, head & 0x0fU, ret_item);
    }
    if (head < 0xc0) {
        return take_bytes(reader, SL_ITEM_STR, head & 0x1fU, ret_item);
    }
    return take_long_form(reader, head, ret_item);
}

bool
sl_reader_skip(struct sl_reader *reader)
{
    size_t left[SL_PACK_DEPTH_MAX] = {1}; // values to go at each level
    size_t depth = 0;
    for (;;) {
        while (left[depth] == 0) {
            if (depth == 0) {
                return true;
            }
            depth--;
        }
        left[depth]--;
        struct sl_item item;
        if (!sl_reader_next(reader, &item)) {
            return false;
        }
        if (item.count > 0) {
            if (++depth == SL_PACK_DEPTH_MAX) {
                return false;
            }
            left[depth] = item.type == SL_ITEM_MAP ? item.count * 2 : item.count;
        }
    }
}

struct sl_str
sl_reader_span(struct sl_reader *reader)
{
    const char *from = reader->at;
    if (!sl_reader_skip(reader)) {
        return (struct sl_str){NULL, 0};
    }
    return (struct sl_str){from, (size_t)(reader->at - from)};
}

bool
sl_reader_text(struct sl_reader *reader, struct sl_str *ret_text)
{
    struct sl_item item;
    if (!sl_reader_next(reader, &item) || item.type != SL_ITEM_STR) {
        return false;
    }
    *ret_text = item.text;
    return true;
}

bool
sl_reader_bytes(struct sl_reader *reader, struct sl_str *ret_bytes)
{
    struct sl_item item;
    if (!sl_reader_next(reader, &item) || (item.type != SL_ITEM_STR && item.type != SL_ITEM_BIN)) {
        return false;
    }
    *ret_bytes = item.text;
    return true;
}

bool
sl_reader_int(struct sl_reader *reader, int64_t *ret_value)
{
    struct sl_item item;
    if (!sl_reader_next(reader, &item) || item.type != SL_ITEM_INT) {
        return false;
    }
    *ret_value = item.integer;
    return true;
}

bool
sl_reader_bool(struct sl_reader *reader, bool *ret_value)
{
    struct sl_item item;
    if (!sl_reader_next(reader, &item) || item.type != SL_ITEM_BOOL) {
        return false;
    }
    *ret_value = item.truth;
    return true;
}

bool
sl_reader_map(struct sl_reader *reader, size_t *ret_pairs)
{
    struct sl_item item;
    if (!sl_reader_next(reader, &item) || item.type != SL_ITEM_MAP) {
        return false;
    }
    *ret_pairs = item.count;
    return true;
}

bool
sl_reader_array(struct sl_reader *reader, size_t *ret_count)
{
    struct sl_item item;
    if (!sl_reader_next(reader, &item) || item.type != SL_ITEM_ARRAY) {
        return false;
    }
    *ret_count = item.count;
    return true;
}

static json_t *read_json_at(struct sl_reader *reader, int depth);

static json_t *
read_json_object(struct sl_reader *reader, size_t pairs, int depth)
{
    json_t *object = json_object();
    for (size_t i = 0; object != NULL && i < pairs; i++) {
        struct sl_str key;
        json_t *value = NULL;
        if (sl_reader_text(reader, &key)) {
            value = read_json_at(reader, depth + 1);
        }
        // The object takes the value whether it accepts it or not.
        if (value == NULL || json_object_setn_new(object, key.ptr, key.len, value) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *
read_json_array(struct sl_reader *reader, size_t count, int depth)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < count; i++) {
        if (json_array_append_new(array, read_json_at(reader, depth + 1)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *
read_json_at(struct sl_reader *reader, int depth)
{
    struct sl_item item;
    if (depth > SL_JSON_DEPTH_MAX || !sl_reader_next(reader, &item)) {
        return NULL;
    }
    switch (item.type) {
    case SL_ITEM_NIL:
        return json_null();
    case SL_ITEM_BOOL:
        return json_boolean(item.truth);
    case SL_ITEM_INT:
        return json_integer(item.integer);
    case SL_ITEM_REAL:
        return json_real(item.real);
    case SL_ITEM_STR:
        return json_stringn(item.text.ptr, item.text.len);
    case SL_ITEM_BIN:
        return json_stringn_nocheck(item.text.ptr, item.text.len);
    case SL_ITEM_ARRAY:
        return read_json_array(reader, item.count, depth);
    case SL_ITEM_MAP:
        return read_json_object(reader, item.count, depth);
    }
    return NULL;
}

json_t *
sl_reader_json(struct sl_reader *reader)
{
    return read_json_at(reader, 0);
}
