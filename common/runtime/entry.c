// entry.c - runtime entries ⇄ msgpack, by the tables of entry_table.c.
//
// What must hold between the fields of an entry is in check_entry().
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/entry.h"

#include <msgpack.h>
#include <string.h>

#include "common/runtime/counter.h"
#include "common/runtime/entry_table.h"
#include "common/runtime/range.h"
#include "common/runtime/unpack.h"

static int64_t
int_of(const struct entry_field *field, const void *member)
{
    switch (field->size) {
    case 2:
        return *(const uint16_t *)member;
    case 4:
        // min tells signed members from unsigned ones.
        return field->min < 0 ? *(const int32_t *)member : (int64_t) * (const uint32_t *)member;
    default:
        return *(const int64_t *)member;
    }
}

static void
int_set(const struct entry_field *field, void *member, int64_t number)
{
    switch (field->size) {
    case 2:
        *(uint16_t *)member = (uint16_t)number;
        break;
    case 4:
        *(uint32_t *)member = (uint32_t)number;
        break;
    default:
        *(int64_t *)member = number;
        break;
    }
}

// -- encoding

static void pack_struct(msgpack_packer *pack, const struct entry_table *table, const void *base);

static void
pack_text(msgpack_packer *pack, const char *text)
{
    size_t len = strlen(text);
    msgpack_pack_str(pack, len);
    msgpack_pack_str_body(pack, text, len);
}

static void
pack_bin(msgpack_packer *pack, const struct sl_str *bytes)
{
    msgpack_pack_bin(pack, bytes->len);
    msgpack_pack_bin_body(pack, bytes->ptr, bytes->len);
}

// Whether a field says nothing, so that it is left out: what decoding gives an absent one.
static bool
is_none(const struct entry_field *field, const void *base)
{
    const char *member = (const char *)base + field->offset;
    switch (field->type) {
    case FIELD_TEXT:
    case FIELD_ID:
        return entry_text_of(member)[0] == '\0';
    case FIELD_BOOL:
        return !*(const bool *)member;
    case FIELD_INT:
        return int_of(field, member) == 0;
    case FIELD_WORD:
        return *(const unsigned *)member == 0;
    case FIELD_BIN:
        return ((const struct sl_str *)member)->len == 0;
    case FIELD_MAP:
        for (size_t i = 0; i < field->sub->count; i++) {
            if (!is_none(&field->sub->fields[i], member)) {
                return false;
            }
        }
        return true;
    case FIELD_BINS:
    case FIELD_TEXTS:
    case FIELD_LIST:
        return entry_count_of(field, base) == 0;
    }
    return false;
}

static void
pack_list(msgpack_packer *pack, const struct entry_field *field, const void *base)
{
    const char *item = *(const char *const *)((const char *)base + field->offset);
    size_t count = entry_count_of(field, base);
    msgpack_pack_array(pack, count);
    for (size_t i = 0; i < count; i++) {
        const void *one = item + i * entry_item_size(field);
        if (field->type == FIELD_LIST) {
            pack_struct(pack, field->sub, one);
        } else if (field->type == FIELD_BINS) {
            pack_bin(pack, one);
        } else {
            pack_text(pack, entry_text_of(one));
        }
    }
}

static void
pack_field(msgpack_packer *pack, const struct entry_field *field, const void *base)
{
    const char *member = (const char *)base + field->offset;
    pack_text(pack, field->name);
    switch (field->type) {
    case FIELD_TEXT:
    case FIELD_ID:
        pack_text(pack, entry_text_of(member));
        break;
    case FIELD_BOOL:
        if (*(const bool *)member) {
            msgpack_pack_true(pack);
        } else {
            msgpack_pack_false(pack);
        }
        break;
    case FIELD_INT:
        msgpack_pack_int64(pack, int_of(field, member));
        break;
    case FIELD_WORD:
        pack_text(pack, field->words[*(const unsigned *)member]);
        break;
    case FIELD_BIN:
        pack_bin(pack, (const void *)member);
        break;
    case FIELD_MAP:
        pack_struct(pack, field->sub, member);
        break;
    case FIELD_BINS:
    case FIELD_TEXTS:
    case FIELD_LIST:
        pack_list(pack, field, base);
        break;
    }
}

static void
pack_struct(msgpack_packer *pack, const struct entry_table *table, const void *base)
{
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++) {
        count += is_none(&table->fields[i], base) ? 0 : 1;
    }
    msgpack_pack_map(pack, count);
    for (size_t i = 0; i < table->count; i++) {
        if (!is_none(&table->fields[i], base)) {
            pack_field(pack, &table->fields[i], base);
        }
    }
}

int
sl_entry_encode(struct sl_arena *arena, const struct sl_entry *entry, struct sl_str *ret_bytes,
                struct sl_error *err)
{
    assert(entry->kind < SL_KIND_COUNT);
    msgpack_sbuffer buffer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer pack;
    msgpack_packer_init(&pack, &buffer, msgpack_sbuffer_write);
    pack_struct(&pack, &entry_kinds[entry->kind].table, &entry->api);
    char *copy = sl_arena_dupn(arena, buffer.data, buffer.size);
    size_t size = buffer.size;
    msgpack_sbuffer_destroy(&buffer);
    if (copy == NULL) {
        return sl_arena_check(arena, err);
    }
    *ret_bytes = (struct sl_str){copy, size};
    return 0;
}

// -- decoding

// What every step of decoding one entry needs.
struct decoder {
    struct sl_arena *arena;
    struct sl_unpack cursor;
    enum sl_kind kind;
    struct sl_error *err;
};

static int decode_struct(struct decoder *decoder, const struct entry_table *table, void *base,
                         const char *where);

static int
broken(struct decoder *decoder, const char *field)
{
    return sl_fail(decoder->err, SL_E_ENTRY_BROKEN, sl_kind_name(decoder->kind), field);
}

static int
take_text(struct decoder *decoder, const char *name, const char **ret_text)
{
    struct sl_unpack_value value;
    if (!sl_unpack_next(&decoder->cursor, &value) || value.type != SL_UNPACK_TEXT ||
        memchr(value.bytes.ptr, '\0', value.bytes.len) != NULL) {
        return broken(decoder, name);
    }
    const char *copy = sl_arena_dupn(decoder->arena, value.bytes.ptr, value.bytes.len);
    if (copy == NULL) {
        return sl_arena_check(decoder->arena, decoder->err);
    }
    *ret_text = copy;
    return 0;
}

static int
take_bin(struct decoder *decoder, const char *name, struct sl_str *ret_bytes)
{
    struct sl_unpack_value value;
    if (!sl_unpack_next(&decoder->cursor, &value) || value.type != SL_UNPACK_BIN) {
        return broken(decoder, name);
    }
    const char *copy = sl_arena_dupn(decoder->arena, value.bytes.ptr, value.bytes.len);
    if (copy == NULL) {
        return sl_arena_check(decoder->arena, decoder->err);
    }
    *ret_bytes = (struct sl_str){copy, value.bytes.len};
    return 0;
}

static int
decode_text(struct decoder *decoder, const struct entry_field *field, void *member)
{
    const char *text = "";
    if (take_text(decoder, field->name, &text) != 0) {
        return -1;
    }
    if (field->type == FIELD_ID && text[0] != '\0' && strlen(text) != SL_ID_LEN) {
        return broken(decoder, field->name);
    }
    *(const char **)member = text;
    return 0;
}

static int
decode_scalar(struct decoder *decoder, const struct entry_field *field, void *member)
{
    struct sl_unpack_value value;
    if (!sl_unpack_next(&decoder->cursor, &value)) {
        return broken(decoder, field->name);
    }
    if (field->type == FIELD_BOOL) {
        *(bool *)member = value.truth;
        return value.type == SL_UNPACK_BOOL ? 0 : broken(decoder, field->name);
    }
    if (value.type != SL_UNPACK_INT || value.number < field->min || value.number > field->max) {
        return broken(decoder, field->name);
    }
    int_set(field, member, value.number);
    return 0;
}

static int
decode_word(struct decoder *decoder, const struct entry_field *field, void *member)
{
    struct sl_unpack_value value;
    if (!sl_unpack_next(&decoder->cursor, &value) || value.type != SL_UNPACK_TEXT) {
        return broken(decoder, field->name);
    }
    for (unsigned i = 0; field->words[i] != NULL; i++) {
        if (sl_str_equal(value.bytes, sl_str(field->words[i]))) {
            *(unsigned *)member = i;
            return 0;
        }
    }
    return broken(decoder, field->name);
}

static int
decode_item(struct decoder *decoder, const struct entry_field *field, void *item)
{
    switch (field->type) {
    case FIELD_LIST:
        return decode_struct(decoder, field->sub, item, field->name);
    case FIELD_BINS:
        return take_bin(decoder, field->name, item);
    default:
        return take_text(decoder, field->name, item);
    }
}

static int
decode_list(struct decoder *decoder, const struct entry_field *field, void *base)
{
    struct sl_unpack_value value;
    if (!sl_unpack_next(&decoder->cursor, &value) || value.type != SL_UNPACK_ARRAY) {
        return broken(decoder, field->name);
    }
    size_t size = entry_item_size(field);
    char *items = sl_arena_array(decoder->arena, value.count, size);
    if (items == NULL && value.count > 0) {
        return sl_arena_check(decoder->arena, decoder->err);
    }
    for (size_t i = 0; i < value.count; i++) {
        if (decode_item(decoder, field, items + i * size) != 0) {
            return -1;
        }
    }
    *(char **)((char *)base + field->offset) = items;
    *(size_t *)((char *)base + field->count_offset) = value.count;
    return 0;
}

static int
decode_field(struct decoder *decoder, const struct entry_field *field, void *base)
{
    void *member = (char *)base + field->offset;
    switch (field->type) {
    case FIELD_TEXT:
    case FIELD_ID:
        return decode_text(decoder, field, member);
    case FIELD_BOOL:
    case FIELD_INT:
        return decode_scalar(decoder, field, member);
    case FIELD_WORD:
        return decode_word(decoder, field, member);
    case FIELD_BIN:
        return take_bin(decoder, field->name, member);
    case FIELD_MAP:
        return decode_struct(decoder, field->sub, member, field->name);
    case FIELD_BINS:
    case FIELD_TEXTS:
    case FIELD_LIST:
        return decode_list(decoder, field, base);
    }
    return broken(decoder, field->name);
}

static const struct entry_field *
find_field(const struct entry_table *table, struct sl_str name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (sl_str_equal(name, sl_str(table->fields[i].name))) {
            return &table->fields[i];
        }
    }
    return NULL;
}

// Strings of a struct that the bytes may not name: none is "", never NULL.
static void
fill_texts(const struct entry_table *table, void *base)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct entry_field *field = &table->fields[i];
        void *member = (char *)base + field->offset;
        if (field->type == FIELD_MAP) {
            fill_texts(field->sub, member);
        } else if (field->type <= FIELD_ID && *(const char **)member == NULL) {
            *(const char **)member = "";
        }
    }
}

// An absent field and a nil are the same.
static bool
passes_over_nil(struct sl_unpack *cursor)
{
    struct sl_unpack ahead = *cursor;
    struct sl_unpack_value value;
    if (!sl_unpack_next(&ahead, &value) || value.type != SL_UNPACK_NIL) {
        return false;
    }
    *cursor = ahead;
    return true;
}

static int
decode_pairs(struct decoder *decoder, const struct entry_table *table, void *base,
             const char *where)
{
    struct sl_unpack_value map;
    if (!sl_unpack_next(&decoder->cursor, &map) || map.type != SL_UNPACK_MAP) {
        return broken(decoder, where);
    }
    for (size_t i = 0; i < map.count; i++) {
        struct sl_unpack_value name;
        if (!sl_unpack_next(&decoder->cursor, &name) || name.type != SL_UNPACK_TEXT) {
            return broken(decoder, where);
        }
        const struct entry_field *field = find_field(table, name.bytes);
        if (field == NULL) {
            if (!sl_unpack_skip(&decoder->cursor)) {
                return broken(decoder, where);
            }
        } else if (!passes_over_nil(&decoder->cursor) && decode_field(decoder, field, base) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
decode_struct(struct decoder *decoder, const struct entry_table *table, void *base,
              const char *where)
{
    if (decode_pairs(decoder, table, base, where) != 0) {
        return -1;
    }
    fill_texts(table, base);
    for (size_t i = 0; i < table->count; i++) {
        const struct entry_field *field = &table->fields[i];
        if (field->required && is_none(field, base)) {
            return broken(decoder, field->name);
        }
    }
    return 0;
}

// What must hold between the fields of an API.
static int
check_api(struct decoder *decoder, const struct sl_api *api)
{
    assert(api->path != NULL && api->http.path != NULL); // fill_texts()
    if (api->path[0] != '/') {
        return broken(decoder, "path");
    }
    if (api->schemes == 0) {
        return broken(decoder, "schemes");
    }
    if (api->backend_type != SL_BACKEND_MOCK &&
        (api->http.path[0] != '/' || api->http.timeout_ms == 0 ||
         (api->http.port == 0 && api->http.channel[0] == '\0'))) {
        return broken(decoder, "http");
    }
    if (api->backend_type == SL_BACKEND_MOCK && api->mock.status == 0) {
        return broken(decoder, "mock");
    }
    return 0;
}

static bool
are_ids(const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(list[i]) != SL_ID_LEN) {
            return false;
        }
    }
    return true;
}

static int
check_app(struct decoder *decoder, const struct sl_app *app)
{
    if (!are_ids(app->publish_ids, app->publish_id_count)) {
        return broken(decoder, "publish_ids");
    }
    if (!are_ids(app->groups, app->group_count)) {
        return broken(decoder, "groups");
    }
    for (size_t i = 0; i < app->acl_count; i++) {
        struct sl_range range;
        if (!sl_range_parse(sl_str(app->acl[i]), &range)) {
            return broken(decoder, "acl");
        }
    }
    const struct sl_app_quota *quota = &app->quota;
    if (quota->limit > 0 && (quota->id[0] == '\0' || quota->lead_s >= quota->window_s ||
                             quota->first >= SL_COUNTER_FIRST_S)) {
        return broken(decoder, "quota");
    }
    return 0;
}

// An empty certificate in a list is none.
static bool
are_full(const struct sl_str *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].len == 0) {
            return false;
        }
    }
    return true;
}

static int
check_certificate(struct decoder *decoder, const struct sl_certificate *certificate)
{
    if (!are_full(certificate->chain, certificate->chain_count)) {
        return broken(decoder, "chain");
    }
    return are_full(certificate->ca, certificate->ca_count) ? 0 : broken(decoder, "ca");
}

static int
check_channel(struct decoder *decoder, const struct sl_channel *channel)
{
    const struct sl_health *health = &channel->health;
    if (health->protocol == SL_PROBE_NONE) {
        return 0;
    }
    bool asks = health->protocol != SL_PROBE_TCP;
    if (health->threshold_normal == 0 || health->threshold_abnormal == 0 ||
        health->timeout_s == 0 || health->interval_s == 0 ||
        (asks && (health->path[0] != '/' ||
                  (health->method != SL_METHOD_GET && health->method != SL_METHOD_HEAD)))) {
        return broken(decoder, "health");
    }
    return 0;
}

static int
check_entry(struct decoder *decoder, const struct sl_entry *entry)
{
    if (entry->kind == SL_KIND_API) {
        return check_api(decoder, &entry->api);
    }
    if (entry->kind == SL_KIND_THROTTLE && entry->throttle.window_s == 0) {
        return broken(decoder, "window_s");
    }
    if (entry->kind == SL_KIND_HOST &&
        !are_ids(entry->host.certificates, entry->host.certificate_count)) {
        return broken(decoder, "certificates");
    }
    if (entry->kind == SL_KIND_CERTIFICATE) {
        return check_certificate(decoder, &entry->certificate);
    }
    if (entry->kind == SL_KIND_CHANNEL) {
        return check_channel(decoder, &entry->channel);
    }
    return entry->kind == SL_KIND_APP ? check_app(decoder, &entry->app) : 0;
}

int
sl_entry_decode(struct sl_arena *arena, enum sl_kind kind, struct sl_str bytes,
                struct sl_entry *ret_entry, struct sl_error *err)
{
    assert(kind < SL_KIND_COUNT);
    struct decoder decoder = {arena, sl_unpack_of(bytes), kind, err};
    struct sl_entry entry;
    memset(&entry, 0, sizeof(entry));
    entry.kind = kind;
    if (decode_struct(&decoder, &entry_kinds[kind].table, &entry.api, "body") != 0) {
        return -1;
    }
    if (!sl_unpack_done(&decoder.cursor)) {
        return broken(&decoder, "body");
    }
    if (check_entry(&decoder, &entry) != 0) {
        return -1;
    }
    *ret_entry = entry;
    return 0;
}
