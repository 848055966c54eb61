// stream.c - see stream.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/stream.h"

#include "common/wire/pack.h"

#include <string.h>

#define ENTRY_BYTES_MIN 8 // fewer bytes cannot hold an entry

static void
pack_entry(struct sl_buf *buf, const struct sl_wire_entry *entry)
{
    sl_pack_map(buf, 5);
    sl_pack_text(buf, "k");
    sl_pack_text(buf, entry->kind);
    sl_pack_text(buf, "key");
    sl_pack_text(buf, entry->key);
    sl_pack_text(buf, "rev");
    sl_pack_int(buf, (int64_t)entry->revision);
    sl_pack_text(buf, "mr");
    sl_pack_int(buf, entry->min_reader);
    sl_pack_text(buf, "b");
    if (entry->body.ptr == NULL) {
        sl_pack_nil(buf);
    } else {
        sl_pack_bin(buf, entry->body);
    }
}

static void
pack_number(struct sl_buf *buf, const char *name, uint64_t number)
{
    sl_pack_text(buf, name);
    sl_pack_int(buf, (int64_t)number);
}

void
sl_stream_pack(struct sl_buf *buf, const struct sl_stream *stream)
{
    sl_pack_map(buf, stream->is_answer ? 8 : 4);
    sl_pack_text(buf, "epoch");
    sl_pack_text(buf, stream->epoch);
    pack_number(buf, stream->is_answer ? "from" : "prev", stream->prev);
    pack_number(buf, "to", stream->to);
    if (stream->is_answer) {
        sl_pack_text(buf, "full");
        sl_pack_bool(buf, stream->full);
        sl_pack_text(buf, "more");
        sl_pack_bool(buf, stream->more);
        pack_number(buf, "at", stream->at);
        sl_pack_text(buf, "content_key");
        sl_pack_bin(buf, stream->content_key);
    }
    sl_pack_text(buf, "entries");
    sl_pack_array(buf, stream->count);
    for (size_t i = 0; i < stream->count; i++) {
        pack_entry(buf, &stream->entries[i]);
    }
}

static const char *
read_text(struct sl_arena *arena, struct sl_reader *reader)
{
    struct sl_str text;
    if (!sl_reader_text(reader, &text) || text.len > SL_KEY_MAX) {
        return NULL;
    }
    return sl_arena_dupn(arena, text.ptr, text.len);
}

static bool
read_number(struct sl_reader *reader, uint64_t *ret_number)
{
    int64_t number = 0;
    if (!sl_reader_int(reader, &number) || number < 0) {
        return false;
    }
    *ret_number = (uint64_t)number;
    return true;
}

static bool
read_body(struct sl_reader *reader, struct sl_str *ret_body)
{
    struct sl_item item;
    if (!sl_reader_next(reader, &item) || (item.type != SL_ITEM_NIL && item.type != SL_ITEM_BIN)) {
        return false;
    }
    *ret_body = item.text;
    return true;
}

static bool
read_min_reader(struct sl_reader *reader, uint32_t *ret_version)
{
    uint64_t number = 0;
    if (!read_number(reader, &number) || number > UINT32_MAX) {
        return false;
    }
    *ret_version = (uint32_t)number;
    return true;
}

static bool
read_entry_field(struct sl_arena *arena, struct sl_reader *reader, struct sl_wire_entry *entry)
{
    struct sl_str name;
    if (!sl_reader_text(reader, &name)) {
        return false;
    }
    if (sl_str_equal(name, SL_STR("k"))) {
        return (entry->kind = read_text(arena, reader)) != NULL;
    }
    if (sl_str_equal(name, SL_STR("key"))) {
        return (entry->key = read_text(arena, reader)) != NULL;
    }
    if (sl_str_equal(name, SL_STR("rev"))) {
        return read_number(reader, &entry->revision);
    }
    if (sl_str_equal(name, SL_STR("mr"))) {
        return read_min_reader(reader, &entry->min_reader);
    }
    return sl_str_equal(name, SL_STR("b")) ? read_body(reader, &entry->body)
                                           : sl_reader_skip(reader);
}

static bool
read_entries(struct sl_arena *arena, struct sl_reader *reader, struct sl_stream *stream)
{
    size_t count = 0;
    if (!sl_reader_array(reader, &count) || count > SL_STREAM_ENTRIES_MAX ||
        count > (size_t)(reader->end - reader->at) / ENTRY_BYTES_MIN + 1) {
        return false;
    }
    struct sl_wire_entry *entries = sl_arena_array(arena, count + 1, sizeof(*entries));
    for (size_t i = 0; entries != NULL && i < count; i++) {
        size_t pairs = 0;
        bool is_good = sl_reader_map(reader, &pairs);
        for (size_t n = 0; is_good && n < pairs; n++) {
            is_good = read_entry_field(arena, reader, &entries[i]);
        }
        if (!is_good || entries[i].kind == NULL || entries[i].key == NULL) {
            return false;
        }
    }
    stream->entries = entries;
    stream->count = count;
    return entries != NULL;
}

static bool
read_epoch(struct sl_reader *reader, char ret_epoch[SL_ID_SIZE])
{
    struct sl_str text;
    if (!sl_reader_text(reader, &text) || text.len >= SL_ID_SIZE) {
        return false;
    }
    memset(ret_epoch, 0, SL_ID_SIZE);
    memcpy(ret_epoch, text.ptr, text.len);
    return true;
}

static bool
read_extra(struct sl_reader *reader, struct sl_str name, json_t *extra)
{
    if (extra == NULL) {
        return sl_reader_skip(reader);
    }
    json_t *value = sl_reader_json(reader);
    return value != NULL && json_object_setn_new(extra, name.ptr, name.len, value) == 0;
}

static bool
read_field(struct sl_arena *arena, struct sl_reader *reader, struct sl_stream *stream,
           json_t *extra)
{
    struct sl_str name;
    if (!sl_reader_text(reader, &name)) {
        return false;
    }
    const struct {
        const char *name;
        uint64_t *member;
    } numbers[] = {
        {"prev", &stream->prev}, {"from", &stream->prev}, {"to", &stream->to}, {"at", &stream->at}};
    for (size_t i = 0; i < SL_COUNT(numbers); i++) {
        if (sl_str_equal(name, sl_str(numbers[i].name))) {
            return read_number(reader, numbers[i].member);
        }
    }
    if (sl_str_equal(name, SL_STR("epoch"))) {
        return read_epoch(reader, stream->epoch);
    }
    if (sl_str_equal(name, SL_STR("full"))) {
        stream->is_answer = true;
        return sl_reader_bool(reader, &stream->full);
    }
    if (sl_str_equal(name, SL_STR("more"))) {
        return sl_reader_bool(reader, &stream->more);
    }
    if (sl_str_equal(name, SL_STR("entries"))) {
        return read_entries(arena, reader, stream);
    }
    return read_extra(reader, name, extra);
}

static void
release_json(void *value)
{
    json_decref(value);
}

int
sl_stream_unpack(struct sl_arena *arena, struct sl_str bytes, struct sl_stream *ret_stream,
                 json_t **ret_extra, struct sl_error *err)
{
    struct sl_reader reader = sl_reader_of(bytes);
    struct sl_stream stream = {.count = 0};
    json_t *extra = ret_extra != NULL ? json_object() : NULL;
    if (extra != NULL && sl_arena_defer(arena, release_json, extra) != 0) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    size_t pairs = 0;
    bool is_good = sl_reader_map(&reader, &pairs);
    for (size_t i = 0; is_good && i < pairs; i++) {
        is_good = read_field(arena, &reader, &stream, extra);
    }
    if (!is_good || reader.at != reader.end || stream.epoch[0] == '\0') {
        return sl_fail(err, SL_E_BUS_MESSAGE, "revision");
    }
    *ret_stream = stream;
    if (ret_extra != NULL) {
        *ret_extra = extra;
    }
    return 0;
}

void
sl_head_pack(struct sl_buf *buf, const struct sl_revision *head)
{
    sl_pack_map(buf, 2);
    sl_pack_text(buf, "epoch");
    sl_pack_text(buf, head->epoch);
    pack_number(buf, "revision", head->number);
}

int
sl_head_unpack(struct sl_str bytes, struct sl_revision *ret_head, struct sl_error *err)
{
    struct sl_reader reader = sl_reader_of(bytes);
    struct sl_revision head = {.number = 0};
    size_t pairs = 0;
    bool is_good = sl_reader_map(&reader, &pairs);
    for (size_t i = 0; is_good && i < pairs; i++) {
        struct sl_str name;
        is_good = sl_reader_text(&reader, &name);
        if (is_good && sl_str_equal(name, SL_STR("epoch"))) {
            is_good = read_epoch(&reader, head.epoch);
        } else if (is_good && sl_str_equal(name, SL_STR("revision"))) {
            is_good = read_number(&reader, &head.number);
        } else if (is_good) {
            is_good = sl_reader_skip(&reader);
        }
    }
    if (!is_good || head.epoch[0] == '\0') {
        return sl_fail(err, SL_E_BUS_MESSAGE, "head");
    }
    *ret_head = head;
    return 0;
}
