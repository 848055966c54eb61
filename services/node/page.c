// page.c - a whole set of entries in pages.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/page.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "common/wire/pack.h"

#define PAGE_ENTRIES   1000
#define PAGE_BYTES     ((size_t)4 * 1024 * 1024)
#define PAGE_BYTES_MAX SL_MESSAGE_MAX

// -- making one

// The entries of a page, as the store gives them.
struct gathering {
    struct sl_arena *arena;
    struct sl_wire_entry *entries; // PAGE_ENTRIES of them
    size_t count;
    size_t bytes;
    bool more; // there was another one
};

static int
gather(void *arg, const struct sl_store_record *record, struct sl_error *err)
{
    struct gathering *gathering = arg;
    struct sl_arena *arena = gathering->arena;
    if (gathering->count == PAGE_ENTRIES || gathering->bytes >= PAGE_BYTES) {
        gathering->more = true;
        return 1;
    }
    gathering->entries[gathering->count++] = (struct sl_wire_entry){
        .kind = sl_arena_dup(arena, record->kind),
        .key = sl_arena_dup(arena, record->key),
        .revision = record->revision,
        .min_reader = record->min_reader,
        .body = {sl_arena_dupn(arena, record->body.ptr, record->body.len), record->body.len}};
    gathering->bytes += record->body.len;
    return sl_arena_check(arena, err);
}

// One reader's list: its key, then the content keys boxed to it.
static int
pack_reader(struct sl_buf *buf, struct sl_arena *arena, const struct page_source *source,
            const char *reader, struct sl_error *err)
{
    uint8_t recipient[32];
    if (strlen(reader) != SL_Z85_SIZE - 1 || zmq_z85_decode(recipient, reader) == NULL) {
        return sl_fail(err, SL_E_ENTRY_BROKEN, "gateway", "node_keys");
    }
    sl_pack_array(buf, 1 + source->keys->count);
    sl_pack_text(buf, reader);
    for (size_t i = 0; i < source->keys->count; i++) {
        struct sl_str plain = {(const char *)source->keys->contents[i].bytes, SL_SEAL_KEY_LEN};
        struct sl_str box;
        if (sl_box_seal(arena, recipient, plain, &box, err) != 0) {
            return -1;
        }
        sl_pack_bin(buf, box);
    }
    return 0;
}

static int
pack_page(struct sl_buf *buf, struct sl_arena *arena, const struct page_source *source,
          const struct sl_stream *set, struct sl_error *err)
{
    SL_AUTO_BUF packed;
    sl_buf_init(&packed, PAGE_BYTES_MAX);
    sl_stream_pack(&packed, set);
    sl_pack_map(buf, 3);
    sl_pack_text(buf, "gateway");
    sl_pack_text(buf, source->gateway_id);
    sl_pack_text(buf, "keys");
    sl_pack_array(buf, source->reader_count);
    for (size_t i = 0; i < source->reader_count; i++) {
        if (pack_reader(buf, arena, source, source->readers[i], err) != 0) {
            return -1;
        }
    }
    sl_pack_text(buf, "set");
    sl_pack_bin(buf, (struct sl_str){packed.ptr, packed.len});
    return buf->failed || packed.failed ? sl_fail(err, SL_E_INTERNAL) : 0;
}

int
page_build(struct sl_arena *arena, const struct page_source *source, const struct page_place *after,
           struct sl_str *ret_bytes, struct sl_error *err)
{
    struct sl_stream set = {.is_answer = true, .full = true};
    struct gathering gathering = {
        .arena = arena, .entries = sl_arena_array(arena, PAGE_ENTRIES, sizeof(*gathering.entries))};
    if (gathering.entries == NULL) {
        return sl_arena_check(arena, err);
    }
    sl_store_position(source->store, set.epoch, &set.to);
    if (set.epoch[0] == '\0') {
        return sl_fail(err, SL_E_UNAVAILABLE);
    }
    if (sl_store_each_after(source->store, after->kind, after->key, gather, &gathering, err) != 0) {
        return -1;
    }
    set.at = set.to;
    set.more = gathering.more;
    set.entries = gathering.entries;
    set.count = gathering.count;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, PAGE_BYTES_MAX);
    if (pack_page(&buf, arena, source, &set, err) != 0) {
        return -1;
    }
    *ret_bytes = (struct sl_str){sl_arena_dupn(arena, buf.ptr, buf.len), buf.len};
    return sl_arena_check(arena, err);
}

// -- reading one

// One reader's list; takes the boxes when they are ours.
static bool
read_reader(struct sl_reader *reader, struct sl_str ours, struct page *page)
{
    size_t count = 0;
    struct sl_str key;
    if (!sl_reader_array(reader, &count) || count == 0 || !sl_reader_text(reader, &key)) {
        return false;
    }
    bool is_ours = sl_str_equal(key, ours);
    for (size_t i = 1; i < count; i++) {
        struct sl_str box;
        if (!sl_reader_bytes(reader, &box)) {
            return false;
        }
        if (is_ours && page->box_count < KEYS_MAX) {
            page->boxes[page->box_count++] = box;
        }
    }
    return true;
}

static bool
read_readers(struct sl_reader *reader, struct sl_str ours, struct page *page)
{
    size_t count = 0;
    bool is_good = sl_reader_array(reader, &count);
    for (size_t i = 0; is_good && i < count; i++) {
        is_good = read_reader(reader, ours, page);
    }
    return is_good;
}

static bool
read_fields(struct sl_str bytes, struct sl_str ours, struct page *page, struct sl_str *ret_gateway,
            struct sl_str *ret_set)
{
    struct sl_reader reader = sl_reader_of(bytes);
    size_t pairs = 0;
    bool is_good = sl_reader_map(&reader, &pairs);
    for (size_t i = 0; is_good && i < pairs; i++) {
        struct sl_str name;
        is_good = sl_reader_text(&reader, &name);
        if (is_good && sl_str_equal(name, SL_STR("gateway"))) {
            is_good = sl_reader_text(&reader, ret_gateway);
        } else if (is_good && sl_str_equal(name, SL_STR("keys"))) {
            is_good = read_readers(&reader, ours, page);
        } else if (is_good && sl_str_equal(name, SL_STR("set"))) {
            is_good = sl_reader_bytes(&reader, ret_set);
        } else if (is_good) {
            is_good = sl_reader_skip(&reader);
        }
    }
    return is_good;
}

int
page_read(struct sl_arena *arena, struct sl_str bytes, const char *gateway_id,
          const char *public_z85, struct page *ret_page, struct sl_error *err)
{
    struct page page = {.box_count = 0};
    struct sl_str gateway = {"", 0};
    struct sl_str set = {"", 0};
    if (!read_fields(bytes, sl_str(public_z85), &page, &gateway, &set)) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "page");
    }
    if (!sl_str_equal(gateway, sl_str(gateway_id))) {
        sl_fail(err, SL_E_BUS_FORBIDDEN, "page");
        return sl_error_detail(err, "of gateway %.*s", SL_STR_FMT(gateway));
    }
    if (page.box_count == 0) {
        sl_fail(err, SL_E_BUS_FORBIDDEN, "page");
        return sl_error_detail(err, "no content key for this node");
    }
    if (sl_stream_unpack(arena, set, &page.set, NULL, err) != 0) {
        return -1;
    }
    *ret_page = page;
    return 0;
}

bool
page_next(const struct page *page, struct page_place *ret_place)
{
    if (!page->set.more || page->set.count == 0) {
        return false;
    }
    const struct sl_wire_entry *last = &page->set.entries[page->set.count - 1];
    if (strlen(last->kind) > PAGE_KIND_MAX || strlen(last->key) > SL_KEY_MAX) {
        return false;
    }
    snprintf(ret_place->kind, sizeof(ret_place->kind), "%s", last->kind);
    snprintf(ret_place->key, sizeof(ret_place->key), "%s", last->key);
    return true;
}
