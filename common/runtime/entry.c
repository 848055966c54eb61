// entry.c - runtime entries ⇄ msgpack, from one list of fields.
//
// A field stands once, in the tables below; encoding, decoding and copying walk them. The order of
// a table is the order on the wire. What must hold between fields is in check_api().
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/entry.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "common/runtime/unpack.h"

enum field_type {
    FIELD_TEXT,  // const char *
    FIELD_ID,    // const char *: "" or SL_ID_LEN characters
    FIELD_BOOL,  // bool
    FIELD_INT,   // any integer member, within min..max
    FIELD_WORD,  // an enum, by name
    FIELD_MAP,   // a struct of its own table, embedded
    FIELD_TEXTS, // const char *const *, with a count
    FIELD_LIST,  // structs of another table, with a count
};

struct table;

struct field {
    const char *name;         // on the wire
    enum field_type type;     //
    bool required;            // TEXT, ID: not empty
    size_t offset, size;      // of the member
    size_t count_offset;      // TEXTS, LIST: of the size_t beside it
    int64_t min, max;         // INT
    const char *const *words; // WORD: names in the order of the enum, ending in NULL
    const struct table *sub;  // MAP, LIST
};

struct table {
    const struct field *fields;
    size_t count;
    size_t size; // bytes of the struct
};

// Where a member lies. The one macro here: it keeps a row on a line.
#define AT(type, member)                                                                           \
    .offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

static const char *const method_words[] = {"GET",   "POST",    "PUT", "DELETE", "HEAD",
                                           "PATCH", "OPTIONS", "ANY", NULL};
static const char *const match_words[] = {"NORMAL", "SWA", NULL};
static const char *const auth_words[] = {"NONE", "APP", "IAM", "AUTHORIZER", NULL};
static const char *const backend_words[] = {"HTTP", "MOCK", "FUNCTION", "GRPC", NULL};
static const char *const location_words[] = {"PATH", "QUERY", "HEADER", NULL};
static const char *const origin_words[] = {"REQUEST", "CONSTANT", "SYSTEM", NULL};

// clang-format off
static const struct field http_fields[] = {
    {"host", FIELD_TEXT, AT(sl_http_backend, host)},
    {"path", FIELD_TEXT, AT(sl_http_backend, path)},
    {"port", FIELD_INT, AT(sl_http_backend, port), .min = 1, .max = UINT16_MAX},
    {"tls", FIELD_BOOL, AT(sl_http_backend, tls)},
    {"method", FIELD_WORD, AT(sl_http_backend, method), .words = method_words},
    {"timeout_ms", FIELD_INT, AT(sl_http_backend, timeout_ms), .min = 1, .max = 600000},
    {"retry_count", FIELD_INT, AT(sl_http_backend, retry_count), .min = -1, .max = 10},
};
static const struct table http_table = {http_fields, SL_COUNT(http_fields), sizeof(struct sl_http_backend)};

static const struct field mock_fields[] = {
    {"body", FIELD_TEXT, AT(sl_mock_backend, body)},
    {"status", FIELD_INT, AT(sl_mock_backend, status), .min = 100, .max = 599},
};
static const struct table mock_table = {mock_fields, SL_COUNT(mock_fields), sizeof(struct sl_mock_backend)};

static const struct field req_param_fields[] = {
    {"name", FIELD_TEXT, .required = true, AT(sl_req_param, name)},
    {"default", FIELD_TEXT, AT(sl_req_param, default_value)},
    {"location", FIELD_WORD, AT(sl_req_param, location), .words = location_words},
    {"required", FIELD_BOOL, AT(sl_req_param, required)},
    {"pass_through", FIELD_BOOL, AT(sl_req_param, pass_through)},
};
static const struct table req_param_table = {req_param_fields, SL_COUNT(req_param_fields), sizeof(struct sl_req_param)};

static const struct field backend_param_fields[] = {
    {"name", FIELD_TEXT, .required = true, AT(sl_backend_param, name)},
    {"value", FIELD_TEXT, AT(sl_backend_param, value)},
    {"location", FIELD_WORD, AT(sl_backend_param, location), .words = location_words},
    {"origin", FIELD_WORD, AT(sl_backend_param, origin), .words = origin_words},
};
static const struct table backend_param_table = {backend_param_fields, SL_COUNT(backend_param_fields), sizeof(struct sl_backend_param)};

static const struct field api_fields[] = {
    {"publish_id", FIELD_ID, .required = true, AT(sl_api, publish_id)},
    {"api_id", FIELD_ID, .required = true, AT(sl_api, api_id)},
    {"name", FIELD_TEXT, AT(sl_api, name)},
    {"group_id", FIELD_ID, .required = true, AT(sl_api, group_id)},
    {"env_id", FIELD_TEXT, .required = true, AT(sl_api, env_id)},
    {"env_name", FIELD_TEXT, .required = true, AT(sl_api, env_name)},
    {"version_id", FIELD_TEXT, AT(sl_api, version_id)},
    {"path", FIELD_TEXT, .required = true, AT(sl_api, path)},
    {"throttle_id", FIELD_ID, AT(sl_api, throttle_id)},
    {"method", FIELD_WORD, AT(sl_api, method), .words = method_words},
    {"match_mode", FIELD_WORD, AT(sl_api, match_mode), .words = match_words},
    {"schemes", FIELD_INT, AT(sl_api, schemes), .min = 1, .max = 7},
    {"auth", FIELD_WORD, AT(sl_api, auth), .words = auth_words},
    {"app_code", FIELD_BOOL, AT(sl_api, app_code)},
    {"backend_type", FIELD_WORD, AT(sl_api, backend_type), .words = backend_words},
    {"http", FIELD_MAP, AT(sl_api, http), .sub = &http_table},
    {"mock", FIELD_MAP, AT(sl_api, mock), .sub = &mock_table},
    {"req_params", FIELD_LIST, AT(sl_api, req_params), .count_offset = offsetof(struct sl_api, req_param_count), .sub = &req_param_table},
    {"backend_params", FIELD_LIST, AT(sl_api, backend_params), .count_offset = offsetof(struct sl_api, backend_param_count), .sub = &backend_param_table},
};

static const struct field group_fields[] = {
    {"id", FIELD_ID, .required = true, AT(sl_group, id)},
    {"name", FIELD_TEXT, AT(sl_group, name)},
    {"is_default", FIELD_BOOL, AT(sl_group, is_default)},
    {"sl_domain_enabled", FIELD_BOOL, AT(sl_group, sl_domain_enabled)},
};

static const struct field host_fields[] = {
    {"name", FIELD_TEXT, .required = true, AT(sl_host, name)},
    {"group_id", FIELD_ID, .required = true, AT(sl_host, group_id)},
    {"debugging", FIELD_BOOL, AT(sl_host, debugging)},
};

static const struct field app_fields[] = {
    {"id", FIELD_ID, .required = true, AT(sl_app, id)},
    {"name", FIELD_TEXT, AT(sl_app, name)},
    {"key", FIELD_TEXT, .required = true, AT(sl_app, key)},
    {"secret", FIELD_TEXT, AT(sl_app, secret)},
    {"domain_id", FIELD_TEXT, AT(sl_app, domain_id)},
    {"codes", FIELD_TEXTS, AT(sl_app, codes), .count_offset = offsetof(struct sl_app, code_count)},
    {"publish_ids", FIELD_TEXTS, AT(sl_app, publish_ids), .count_offset = offsetof(struct sl_app, publish_id_count)},
};

static const struct field special_fields[] = {
    {"object_id", FIELD_TEXT, .required = true, AT(sl_special, object_id)},
    {"limit", FIELD_INT, AT(sl_special, limit), .min = 0, .max = INT64_MAX},
    {"is_user", FIELD_BOOL, AT(sl_special, is_user)},
};
static const struct table special_table = {special_fields, SL_COUNT(special_fields), sizeof(struct sl_special)};

static const struct field throttle_fields[] = {
    {"id", FIELD_ID, .required = true, AT(sl_throttle, id)},
    {"shared", FIELD_BOOL, AT(sl_throttle, shared)},
    {"window_s", FIELD_INT, AT(sl_throttle, window_s), .min = 1, .max = UINT32_MAX},
    {"interval", FIELD_INT, AT(sl_throttle, interval), .min = 0, .max = UINT32_MAX},
    {"unit", FIELD_TEXT, AT(sl_throttle, unit)},
    {"api_limit", FIELD_INT, AT(sl_throttle, api_limit), .min = 0, .max = INT64_MAX},
    {"user_limit", FIELD_INT, AT(sl_throttle, user_limit), .min = 0, .max = INT64_MAX},
    {"app_limit", FIELD_INT, AT(sl_throttle, app_limit), .min = 0, .max = INT64_MAX},
    {"ip_limit", FIELD_INT, AT(sl_throttle, ip_limit), .min = 0, .max = INT64_MAX},
    {"specials", FIELD_LIST, AT(sl_throttle, specials), .count_offset = offsetof(struct sl_throttle, special_count), .sub = &special_table},
};

static const struct field gateway_fields[] = {
    {"id", FIELD_ID, .required = true, AT(sl_gateway, id)},
    {"domain_call_limit", FIELD_INT, AT(sl_gateway, domain_call_limit), .min = 0, .max = INT64_MAX},
    {"api_default_limit", FIELD_INT, AT(sl_gateway, api_default_limit), .min = 0, .max = INT64_MAX},
    {"body_max_bytes", FIELD_INT, AT(sl_gateway, body_max_bytes), .min = 0, .max = INT64_MAX},
    {"timeout_max_ms", FIELD_INT, AT(sl_gateway, timeout_max_ms), .min = 0, .max = INT64_MAX},
    {"addresses", FIELD_TEXTS, AT(sl_gateway, addresses), .count_offset = offsetof(struct sl_gateway, address_count)},
    {"restricted", FIELD_TEXTS, AT(sl_gateway, restricted), .count_offset = offsetof(struct sl_gateway, restricted_count)},
    {"node_ids", FIELD_TEXTS, AT(sl_gateway, node_ids), .count_offset = offsetof(struct sl_gateway, node_count)},
    {"membership", FIELD_INT, AT(sl_gateway, membership), .min = 0, .max = INT64_MAX},
};

// One row a kind: its name, its fields, where the struct lies in struct sl_entry.
static const struct kind {
    const char *name;
    struct table table;
} kinds[SL_KIND_COUNT] = {
    [SL_KIND_API] = {"api", {api_fields, SL_COUNT(api_fields), sizeof(struct sl_api)}},
    [SL_KIND_GROUP] = {"group", {group_fields, SL_COUNT(group_fields), sizeof(struct sl_group)}},
    [SL_KIND_HOST] = {"host", {host_fields, SL_COUNT(host_fields), sizeof(struct sl_host)}},
    [SL_KIND_APP] = {"app", {app_fields, SL_COUNT(app_fields), sizeof(struct sl_app)}},
    [SL_KIND_THROTTLE] = {"throttle", {throttle_fields, SL_COUNT(throttle_fields), sizeof(struct sl_throttle)}},
    [SL_KIND_GATEWAY] = {"gateway", {gateway_fields, SL_COUNT(gateway_fields), sizeof(struct sl_gateway)}},
};
// clang-format on

const char *
sl_kind_name(enum sl_kind kind)
{
    return kind < SL_KIND_COUNT ? kinds[kind].name : "unknown";
}

enum sl_kind
sl_kind_find(const char *name)
{
    enum sl_kind kind = SL_KIND_API;
    while (kind < SL_KIND_COUNT && strcmp(kinds[kind].name, name) != 0) {
        kind++;
    }
    return kind;
}

uint32_t
sl_entry_min_reader(const struct sl_entry *entry)
{
    assert(entry->kind < SL_KIND_COUNT);
    return 1;
}

// -- members of any width

static const char *
text_of(const void *member)
{
    const char *text = *(const char *const *)member;
    return text == NULL ? "" : text;
}

static size_t
count_of(const struct field *field, const void *base)
{
    return field->count_offset == 0 ? 0
                                    : *(const size_t *)((const char *)base + field->count_offset);
}

static int64_t
int_of(const struct field *field, const void *member)
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
int_set(const struct field *field, void *member, int64_t number)
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

static void pack_struct(msgpack_packer *pack, const struct table *table, const void *base);

static void
pack_text(msgpack_packer *pack, const char *text)
{
    size_t len = strlen(text);
    msgpack_pack_str(pack, len);
    msgpack_pack_str_body(pack, text, len);
}

// Whether a field says nothing, so that it is left out: what decoding gives an absent one.
static bool
is_none(const struct field *field, const void *base)
{
    const char *member = (const char *)base + field->offset;
    switch (field->type) {
    case FIELD_TEXT:
    case FIELD_ID:
        return text_of(member)[0] == '\0';
    case FIELD_BOOL:
        return !*(const bool *)member;
    case FIELD_INT:
        return int_of(field, member) == 0;
    case FIELD_WORD:
        return *(const unsigned *)member == 0;
    case FIELD_MAP:
        for (size_t i = 0; i < field->sub->count; i++) {
            if (!is_none(&field->sub->fields[i], member)) {
                return false;
            }
        }
        return true;
    case FIELD_TEXTS:
    case FIELD_LIST:
        return count_of(field, base) == 0;
    }
    return false;
}

static void
pack_list(msgpack_packer *pack, const struct field *field, const void *base)
{
    const char *item = *(const char *const *)((const char *)base + field->offset);
    size_t count = count_of(field, base);
    msgpack_pack_array(pack, count);
    for (size_t i = 0; i < count; i++) {
        if (field->type == FIELD_LIST) {
            pack_struct(pack, field->sub, item + i * field->sub->size);
        } else {
            pack_text(pack, text_of(item + i * sizeof(const char *)));
        }
    }
}

static void
pack_field(msgpack_packer *pack, const struct field *field, const void *base)
{
    const char *member = (const char *)base + field->offset;
    pack_text(pack, field->name);
    switch (field->type) {
    case FIELD_TEXT:
    case FIELD_ID:
        pack_text(pack, text_of(member));
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
    case FIELD_MAP:
        pack_struct(pack, field->sub, member);
        break;
    case FIELD_TEXTS:
    case FIELD_LIST:
        pack_list(pack, field, base);
        break;
    }
}

static void
pack_struct(msgpack_packer *pack, const struct table *table, const void *base)
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
    pack_struct(&pack, &kinds[entry->kind].table, &entry->api);
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

static int decode_struct(struct decoder *decoder, const struct table *table, void *base,
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
decode_text(struct decoder *decoder, const struct field *field, void *member)
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
decode_scalar(struct decoder *decoder, const struct field *field, void *member)
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
decode_word(struct decoder *decoder, const struct field *field, void *member)
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
decode_list(struct decoder *decoder, const struct field *field, void *base)
{
    struct sl_unpack_value value;
    if (!sl_unpack_next(&decoder->cursor, &value) || value.type != SL_UNPACK_ARRAY) {
        return broken(decoder, field->name);
    }
    size_t size = field->type == FIELD_LIST ? field->sub->size : sizeof(const char *);
    char *items = sl_arena_array(decoder->arena, value.count, size);
    if (items == NULL && value.count > 0) {
        return sl_arena_check(decoder->arena, decoder->err);
    }
    for (size_t i = 0; i < value.count; i++) {
        void *item = items + i * size;
        int status = field->type == FIELD_LIST
                         ? decode_struct(decoder, field->sub, item, field->name)
                         : take_text(decoder, field->name, (const char **)item);
        if (status != 0) {
            return -1;
        }
    }
    *(char **)((char *)base + field->offset) = items;
    *(size_t *)((char *)base + field->count_offset) = value.count;
    return 0;
}

static int
decode_field(struct decoder *decoder, const struct field *field, void *base)
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
    case FIELD_MAP:
        return decode_struct(decoder, field->sub, member, field->name);
    case FIELD_TEXTS:
    case FIELD_LIST:
        return decode_list(decoder, field, base);
    }
    return broken(decoder, field->name);
}

static const struct field *
find_field(const struct table *table, struct sl_str name)
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
fill_texts(const struct table *table, void *base)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct field *field = &table->fields[i];
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
decode_pairs(struct decoder *decoder, const struct table *table, void *base, const char *where)
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
        const struct field *field = find_field(table, name.bytes);
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
decode_struct(struct decoder *decoder, const struct table *table, void *base, const char *where)
{
    if (decode_pairs(decoder, table, base, where) != 0) {
        return -1;
    }
    fill_texts(table, base);
    for (size_t i = 0; i < table->count; i++) {
        const struct field *field = &table->fields[i];
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
    if (api->path[0] != '/') {
        return broken(decoder, "path");
    }
    if (api->schemes == 0) {
        return broken(decoder, "schemes");
    }
    if (api->backend_type == SL_BACKEND_HTTP &&
        (api->http.host[0] == '\0' || api->http.path[0] != '/' || api->http.port == 0 ||
         api->http.timeout_ms == 0)) {
        return broken(decoder, "http");
    }
    if (api->backend_type == SL_BACKEND_MOCK && api->mock.status == 0) {
        return broken(decoder, "mock");
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
    for (size_t i = 0; entry->kind == SL_KIND_APP && i < entry->app.publish_id_count; i++) {
        if (strlen(entry->app.publish_ids[i]) != SL_ID_LEN) {
            return broken(decoder, "publish_ids");
        }
    }
    return 0;
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
    if (decode_struct(&decoder, &kinds[kind].table, &entry.api, "body") != 0) {
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

// -- copying

// Walks an entry twice: without a block to measure, with one to fill it.
struct copier {
    char *block; // NULL while measuring
    size_t used; // bytes placed
};

static void *
place(struct copier *copier, size_t size, size_t align)
{
    size_t at = (copier->used + align - 1) / align * align;
    copier->used = at + size;
    return copier->block == NULL ? NULL : copier->block + at;
}

static const char *
place_text(struct copier *copier, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = place(copier, size, 1);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

static void copy_struct(struct copier *copier, const struct table *table, void *copy,
                        const void *base);

static void *
copy_list(struct copier *copier, const struct field *field, const void *base)
{
    const char *from = *(const char *const *)((const char *)base + field->offset);
    size_t size = field->type == FIELD_LIST ? field->sub->size : sizeof(const char *);
    size_t count = count_of(field, base);
    char *items = place(copier, count * size, _Alignof(max_align_t));
    for (size_t i = 0; i < count; i++) {
        void *item = items == NULL ? NULL : items + i * size;
        if (field->type == FIELD_LIST) {
            copy_struct(copier, field->sub, item, from + i * size);
            continue;
        }
        const char *text = place_text(copier, text_of(from + i * size));
        if (item != NULL) {
            *(const char **)item = text;
        }
    }
    return items;
}

static void
copy_struct(struct copier *copier, const struct table *table, void *copy, const void *base)
{
    if (copy != NULL) {
        memcpy(copy, base, table->size);
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct field *field = &table->fields[i];
        const char *member = (const char *)base + field->offset;
        void *target = copy == NULL ? NULL : (char *)copy + field->offset;
        const void *moved = NULL;
        if (field->type == FIELD_MAP) {
            copy_struct(copier, field->sub, target, member);
            continue;
        }
        if (field->type == FIELD_TEXT || field->type == FIELD_ID) {
            moved = place_text(copier, text_of(member));
        } else if (field->type == FIELD_TEXTS || field->type == FIELD_LIST) {
            moved = copy_list(copier, field, base);
        } else {
            continue;
        }
        if (target != NULL) {
            *(const void **)target = moved;
        }
    }
}

struct sl_entry *
sl_entry_copy(const struct sl_entry *entry)
{
    assert(entry->kind < SL_KIND_COUNT);
    const struct table *table = &kinds[entry->kind].table;
    struct copier copier = {NULL, sizeof(*entry)};
    copy_struct(&copier, table, NULL, &entry->api);
    struct sl_entry *copy = calloc(1, copier.used);
    if (copy != NULL) {
        copy->kind = entry->kind;
        copier = (struct copier){(char *)copy, sizeof(*entry)};
        copy_struct(&copier, table, &copy->api, &entry->api);
    }
    return copy;
}
