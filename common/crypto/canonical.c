// canonical.c - see canonical.h.
//
// On the path of every signed request: one allocation for the text, bounded beforehand, and two for
// a query's parameters.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/canonical.h"

#include <stdlib.h>
#include <string.h>

// One query parameter, decoded and encoded again.
struct param {
    struct sl_str name;
    struct sl_str value;
    struct sl_str encoded_name;
    struct sl_str encoded_value;
};

// A name of SignedHeaders, and the headers that it means.
struct naming {
    struct sl_str name;
    size_t first; // the first of them
    size_t count; // how many there are
};

// RFC 3986 section 2.3; and the slash, which paths keep.
enum {
    RESERVED,
    UNRESERVED,
    SLASH
};
static const uint8_t kinds[256] = {
    ['0' ... '9'] = UNRESERVED, ['A' ... 'Z'] = UNRESERVED,
    ['a' ... 'z'] = UNRESERVED, ['-'] = UNRESERVED,
    ['.'] = UNRESERVED,         ['_'] = UNRESERVED,
    ['~'] = UNRESERVED,         ['/'] = SLASH,
};

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Percent-decodes into `out`; an escape that is none stays as it is. Answers the end.
static char *
decode(struct sl_str raw, bool plus_is_space, char *out)
{
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '%' && i + 2 < raw.len) {
            int high = hex_value(raw.ptr[i + 1]);
            int low = hex_value(raw.ptr[i + 2]);
            if (high >= 0 && low >= 0) {
                *out++ = (char)(high << 4 | low);
                i += 2;
                continue;
            }
        }
        *out++ = c == '+' && plus_is_space ? ' ' : c;
    }
    return out;
}

// Percent-encodes into `out` all but unreserved bytes, and slashes where they are kept. Answers the
// end.
static char *
encode(struct sl_str text, bool keep_slash, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.ptr[i];
        if (kinds[c] == UNRESERVED || (keep_slash && kinds[c] == SLASH)) {
            *out++ = (char)c;
        } else {
            *out++ = '%';
            *out++ = digits[c >> 4];
            *out++ = digits[c & 15];
        }
    }
    return out;
}

static char *
put(struct sl_str text, char *out)
{
    if (text.len > 0) {
        memcpy(out, text.ptr, text.len);
    }
    return out + text.len;
}

static char *
put_lower(struct sl_str text, char *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        *out++ = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return out;
}

static char *
put_upper(struct sl_str text, char *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        *out++ = c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
    }
    return out;
}

// The path: decoded, encoded again with its slashes kept, and closed by one. `scratch` takes the
// decoded path.
static char *
put_path(struct sl_str raw, char *scratch, char *out)
{
    char *start = out;
    size_t plain = 0; // bytes that stay as they are: most often all
    while (plain < raw.len && kinds[(uint8_t)raw.ptr[plain]] != RESERVED) {
        plain++;
    }
    out = put((struct sl_str){raw.ptr, plain}, out);
    if (plain < raw.len) {
        struct sl_str rest = {raw.ptr + plain, raw.len - plain};
        struct sl_str decoded = {scratch, (size_t)(decode(rest, false, scratch) - scratch)};
        out = encode(decoded, true, out);
    }
    if (out == start || out[-1] != '/') {
        *out++ = '/';
    }
    return out;
}

static int
compare(struct sl_str a, struct sl_str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;
    if (order != 0) {
        return order;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

static int
by_decoded(const void *a, const void *b)
{
    const struct param *left = a;
    const struct param *right = b;
    int order = compare(left->name, right->name);
    return order != 0 ? order : compare(left->value, right->value);
}

static int
by_encoded(const void *a, const void *b)
{
    const struct param *left = a;
    const struct param *right = b;
    int order = compare(left->encoded_name, right->encoded_name);
    return order != 0 ? order : compare(left->encoded_value, right->encoded_value);
}

static size_t
count_params(struct sl_str raw_query)
{
    size_t count = raw_query.len > 0;
    for (size_t i = 0; i < raw_query.len; i++) {
        count += raw_query.ptr[i] == '&';
    }
    return count;
}

// Decodes and encodes one half of a parameter, both into *scratch, which moves on. What need not be
// escaped, most often all, is both as it stands.
static void
recode(struct sl_str raw, bool plus_is_space, char **scratch, struct sl_str ret[2])
{
    size_t plain = 0;
    while (plain < raw.len && kinds[(uint8_t)raw.ptr[plain]] == UNRESERVED) {
        plain++;
    }
    if (plain == raw.len) {
        ret[0] = ret[1] = raw;
        return;
    }
    char *end = decode(raw, plus_is_space, *scratch);
    ret[0] = (struct sl_str){*scratch, (size_t)(end - *scratch)};
    *scratch = encode(ret[0], false, end);
    ret[1] = (struct sl_str){end, (size_t)(*scratch - end)};
}

// The sorted parameters of the query; *ret_count may be less than count_params() (empty ones).
static struct param *
parse_query(struct sl_arena *arena, struct sl_str raw, const struct canonical_variant *variant,
            size_t *ret_count)
{
    size_t max = count_params(raw);
    struct param *params = sl_arena_array(arena, max + 1, sizeof(*params));
    char *scratch = sl_arena_alloc(arena, raw.len * 4 + 1);
    if (params == NULL || scratch == NULL) {
        return NULL;
    }
    size_t count = 0;
    struct sl_str rest = raw;
    while (rest.ptr != NULL && rest.len > 0) {
        struct sl_str value = sl_str_split(&rest, '&');
        if (value.len == 0) {
            continue;
        }
        struct sl_str name = sl_str_split(&value, '=');
        struct sl_str pair[2];
        recode(name, variant->plus_is_space, &scratch, pair);
        params[count].name = pair[0];
        params[count].encoded_name = pair[1];
        recode(value, variant->plus_is_space, &scratch, pair);
        params[count].value = pair[0];
        params[count].encoded_value = pair[1];
        count++;
    }
    if (count > 1) {
        qsort(params, count, sizeof(*params), variant->sort_by_encoded ? by_encoded : by_decoded);
    }
    *ret_count = count;
    return params;
}

static char *
put_query(const struct param *params, size_t count, char *out)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            *out++ = '&';
        }
        out = put(params[i].encoded_name, out);
        *out++ = '=';
        out = put(params[i].encoded_value, out);
    }
    return out;
}

// Finds what a name means; false when no header has it.
static bool
resolve(const struct sl_sign_request *request, struct sl_str name, struct naming *ret_naming,
        size_t *bytes)
{
    ret_naming->name = name;
    ret_naming->count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        if (request->headers[i].name.len != name.len ||
            !sl_str_equal_nocase(request->headers[i].name, name)) {
            continue;
        }
        if (ret_naming->count++ == 0) {
            ret_naming->first = i;
        }
        *bytes += request->headers[i].value.len + 1;
    }
    *bytes += name.len + 2;
    return ret_naming->count > 0;
}

// Finds what the names mean, and how long the text can become at most: each naming costs all
// headers of that name. False when a name is empty or absent, or there are too many.
static bool
resolve_all(const struct sl_sign_request *request, struct sl_str signed_headers,
            struct naming ret_namings[SL_SIGN_HEADERS_MAX], size_t *ret_count, size_t *bytes)
{
    size_t count = 0;
    struct sl_str rest = signed_headers;
    while (rest.ptr != NULL) {
        struct sl_str name = sl_str_split(&rest, ';');
        if (name.len == 0 || count == SL_SIGN_HEADERS_MAX ||
            !resolve(request, name, &ret_namings[count++], bytes)) {
            return false;
        }
    }
    *ret_count = count;
    return true;
}

// One line `name:value`; several headers of the name are joined by ','.
static char *
put_header(const struct sl_sign_request *request, const struct naming *naming, char *out)
{
    size_t left = naming->count;
    out = put_lower(naming->name, out);
    *out++ = ':';
    for (size_t i = naming->first; left > 0; i++) {
        const struct sl_sign_header *header = &request->headers[i];
        if (i > naming->first && !sl_str_equal_nocase(header->name, naming->name)) {
            continue;
        }
        out = put(sl_str_trim(header->value), out);
        if (--left > 0) {
            *out++ = ',';
        }
    }
    *out++ = '\n';
    return out;
}

// What does not depend on which headers are signed.
static size_t
bytes_beside_headers(const struct sl_sign_request *request, struct sl_str signed_headers,
                     const struct canonical_variant *variant)
{
    return request->method.len + request->raw_path.len * 3 + request->raw_query.len * 3 +
           2 * count_params(request->raw_query) + signed_headers.len + variant->payload.len + 16;
}

bool
canonical_build(struct sl_arena *arena, const struct sl_sign_request *request,
                struct sl_str signed_headers, const struct canonical_variant *variant,
                struct sl_str *ret_text)
{
    struct naming namings[SL_SIGN_HEADERS_MAX];
    struct param *params = NULL;
    size_t param_count = 0;
    size_t name_count = 0;
    size_t bytes = bytes_beside_headers(request, signed_headers, variant);
    if (signed_headers.len == 0 ||
        !resolve_all(request, signed_headers, namings, &name_count, &bytes)) {
        return false;
    }
    if (request->raw_query.len > 0) {
        params = parse_query(arena, request->raw_query, variant, &param_count);
        if (params == NULL) {
            return false;
        }
    }
    // The path is decoded behind the text, where there is room for it.
    char *text = sl_arena_alloc(arena, bytes + request->raw_path.len);
    if (text == NULL) {
        return false;
    }
    char *out = put_upper(request->method, text);
    *out++ = '\n';
    out = put_path(request->raw_path, text + bytes, out);
    *out++ = '\n';
    out = put_query(params, param_count, out);
    *out++ = '\n';
    for (size_t i = 0; i < name_count; i++) {
        out = put_header(request, &namings[i], out);
    }
    *out++ = '\n';
    out = put(signed_headers, out);
    *out++ = '\n';
    out = put(variant->payload, out);
    *out = '\0';
    assert((size_t)(out - text) < bytes);
    *ret_text = (struct sl_str){text, (size_t)(out - text)};
    return true;
}

struct sl_str
canonical_header(const struct sl_sign_request *request, struct sl_str name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (request->headers[i].name.len == name.len &&
            sl_str_equal_nocase(request->headers[i].name, name)) {
            struct sl_str value = sl_str_trim(request->headers[i].value);
            return value.ptr != NULL ? value : SL_STR("");
        }
    }
    return (struct sl_str){NULL, 0};
}
