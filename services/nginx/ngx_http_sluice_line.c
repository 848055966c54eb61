// ngx_http_sluice_line.c - the table of the access log's fields, and the two forms of a record.
//
// Every request pays for its line, so text is looked at sixteen bytes at a time and copied as it is
// up to the first byte that needs escaping.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_line.h"

#include <assert.h>
#include <string.h>

#define ID_LEN     32 // hex digits of an id
#define DIGITS_MAX 20 // of the numbers that are written

static const char hex[] = "0123456789ABCDEF";
static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
                            "34353637383940414243444546474849505152535455565758596061626364656667"
                            "6869707172737475767778798081828384858687888990919293949596979899";
static const char harmless[] = "................"; // a block of it

enum kind {
    ABSENT,  // of a feature that nodes do not have
    PLAIN,   // text of the gateway's own making: needs no escaping
    FOREIGN, // text from outside
    NUMBER,
    SECONDS,     // milliseconds, shown as seconds with three digits
    TRY_PLAIN,   // the same of each try
    TRY_NUMBER,  //
    TRY_SECONDS, //
};

struct field {
    const char *name;
    struct sl_str key; // `,"name":`
    enum kind kind;
    bool quoted;   // in the line
    size_t offset; // in the record, or in a try
};

#define NAME(text) (text), .key = {",\"" text "\":", sizeof(text) + 3}
#define AT(member) .offset = offsetof(struct ngx_http_sluice_record, member)
#define OF(member) .offset = offsetof(struct ngx_http_sluice_try, member)

static const struct field fields[NGX_HTTP_SLUICE_FIELDS] = {
    {NAME("remote_addr"), PLAIN, AT(remote_addr)},
    {NAME("request_id"), PLAIN, AT(request_id)},
    {NAME("api_id"), PLAIN, AT(api_id)},
    {NAME("user_id"), PLAIN, AT(user_id)},
    {NAME("app_id"), PLAIN, AT(app_id)},
    {NAME("time_local"), PLAIN, true, AT(time_local)},
    {NAME("request_time"), SECONDS, AT(request_ms)},
    {NAME("request_method"), FOREIGN, AT(request_method)},
    {NAME("scheme"), PLAIN, AT(scheme)},
    {NAME("host"), FOREIGN, AT(host)},
    {NAME("router_uri"), FOREIGN, AT(router_uri)},
    {NAME("server_protocol"), FOREIGN, AT(server_protocol)},
    {NAME("status"), NUMBER, AT(status)},
    {NAME("bytes_sent"), NUMBER, AT(bytes_sent)},
    {NAME("request_length"), NUMBER, AT(request_length)},
    {NAME("http_user_agent"), FOREIGN, true, AT(user_agent)},
    {NAME("http_x_forwarded_for"), FOREIGN, true, AT(forwarded_for)},
    {NAME("upstream_addr"), TRY_PLAIN, true, OF(addr)},
    {NAME("upstream_uri"), FOREIGN, AT(upstream_uri)},
    {NAME("upstream_status"), TRY_NUMBER, true, OF(status)},
    {NAME("upstream_connect_time"), TRY_SECONDS, true, OF(connect_ms)},
    {NAME("upstream_header_time"), TRY_SECONDS, true, OF(header_ms)},
    {NAME("upstream_response_time"), TRY_SECONDS, true, OF(response_ms)},
    {NAME("region_id"), ABSENT},
    {NAME("all_upstream_response_time"), SECONDS, AT(upstream_ms)},
    {NAME("errorType"), NUMBER, AT(error_type)},
    {NAME("auth_type"), PLAIN, AT(auth_type)},
    {NAME("access_model1"), PLAIN, AT(access_model)},
    {NAME("access_model2"), ABSENT},
    {NAME("inner_time"), SECONDS, AT(inner_ms)},
    {NAME("proxy_protocol_vni"), ABSENT},
    {NAME("proxy_protocol_vpce_id"), ABSENT},
    {NAME("proxy_protocol_addr"), ABSENT},
    {NAME("body_bytes_sent"), NUMBER, AT(body_bytes_sent)},
    {NAME("api_name"), FOREIGN, true, AT(api_name)},
    {NAME("app_name"), FOREIGN, true, AT(app_name)},
    {NAME("provider_app_id"), ABSENT},
    {NAME("provider_app_name"), ABSENT},
    {NAME("custom_data_log1"), FOREIGN, AT(customs[0])},
    {NAME("custom_data_log2"), FOREIGN, AT(customs[1])},
    {NAME("custom_data_log3"), FOREIGN, AT(customs[2])},
    {NAME("custom_data_log4"), FOREIGN, AT(customs[3])},
    {NAME("custom_data_log5"), FOREIGN, AT(customs[4])},
    {NAME("custom_data_log6"), FOREIGN, AT(customs[5])},
    {NAME("custom_data_log7"), FOREIGN, AT(customs[6])},
    {NAME("custom_data_log8"), FOREIGN, AT(customs[7])},
    {NAME("custom_data_log9"), FOREIGN, AT(customs[8])},
    {NAME("custom_data_log10"), FOREIGN, AT(customs[9])},
    {NAME("response_source"), PLAIN, AT(response_source)},
    {NAME("gzip_ratio"), PLAIN, AT(gzip_ratio)},
    {NAME("upstream_scheme"), PLAIN, AT(upstream_scheme)},
    {NAME("group_id"), PLAIN, AT(group_id)},
    {NAME("apig_err_code"), PLAIN, AT(error_code)},
    {NAME("function_urn"), FOREIGN, AT(function_urn)},
};

// What JSON has beside them.
static const struct field additions[] = {
    {NAME("time"), PLAIN, AT(time_iso)},     {NAME("node_id"), PLAIN, AT(node_id)},
    {NAME("env"), FOREIGN, AT(env)},         {NAME("publish_id"), PLAIN, AT(publish_id)},
    {NAME("trace_id"), PLAIN, AT(trace_id)},
};

typedef unsigned char *(*escape_fn)(unsigned char *out, struct sl_str text, bool quoted);

// -- pieces ---------------------------------------------------------------------------------------

static inline unsigned char *
put(unsigned char *out, struct sl_str text)
{
    if (text.len == ID_LEN) { // most texts are ids, and a fixed size is faster
        memcpy(out, text.ptr, ID_LEN);
    } else {
        memcpy(out, text.ptr, text.len);
    }
    return out + text.len;
}

static inline unsigned char *
put_pair(unsigned char *out, uint32_t number)
{
    memcpy(out, pairs + 2 * number, 2);
    return out + 2;
}

// Numbers of many digits, and padded ones.
static unsigned char *
put_digits(unsigned char *out, uint64_t number, size_t least)
{
    char digits[DIGITS_MAX];
    size_t at = sizeof(digits);

    for (; number > 0 || sizeof(digits) - at < least; number /= 10) {
        digits[--at] = (char)('0' + number % 10);
    }
    memcpy(out, digits + at, sizeof(digits) - at);
    return out + sizeof(digits) - at;
}

unsigned char *
ngx_http_sluice_digits(unsigned char *out, uint64_t number, size_t least)
{
    uint32_t rest = (uint32_t)number;

    if (number >= 100000 || (least > 1 && (least != 3 || number >= 1000))) {
        return put_digits(out, number, least);
    }
    if (rest >= 10000) {
        *out++ = (unsigned char)('0' + rest / 10000);
        rest %= 10000;
        return put_pair(put_pair(out, rest / 100), rest % 100);
    }
    if (rest >= 1000) {
        return put_pair(put_pair(out, rest / 100), rest % 100);
    }
    if (rest >= 100 || least == 3) {
        *out++ = (unsigned char)('0' + rest / 100);
        return put_pair(out, rest % 100);
    }
    if (rest >= 10) {
        return put_pair(out, rest);
    }
    *out = (unsigned char)('0' + rest);
    return out + 1;
}

static unsigned char *
put_seconds(unsigned char *out, uint64_t ms)
{
    if (ms == 0) { // most of them
        return put(out, SL_STR("0.000"));
    }
    if (ms < 1000) {
        *out++ = '0';
        *out++ = '.';
    } else {
        out = ngx_http_sluice_digits(out, ms / 1000, 1);
        *out++ = '.';
        ms %= 1000;
    }
    return ngx_http_sluice_digits(out, ms, 3);
}

// Sixteen bytes that are judged at once; what is not ASCII is negative.
typedef signed char block_t __attribute__((vector_size(16)));

static inline bool
is_harmless(unsigned char byte, bool quoted)
{
    return byte >= ' ' && byte < 0x7f && byte != '"' && byte != '\\' && (quoted || byte != ' ');
}

static inline bool
are_harmless(const char *bytes, bool quoted)
{
    block_t block;
    uint64_t bad[2];

    memcpy(&block, bytes, sizeof(block));
    block_t marks = (block < ' ') | (block == 0x7f) | (block == '"') | (block == '\\');
    if (!quoted) {
        marks |= block == ' ';
    }
    memcpy(bad, &marks, sizeof(bad));
    return (bad[0] | bad[1]) == 0;
}

// Bytes from the beginning on that both forms take as they are.
static inline size_t
harmless_bytes(struct sl_str text, bool quoted)
{
    size_t i = 0;

    while (i + sizeof(block_t) <= text.len && are_harmless(text.ptr + i, quoted)) {
        i += sizeof(block_t);
    }
    if (i + sizeof(block_t) > text.len && text.len >= sizeof(block_t) &&
        are_harmless(text.ptr + text.len - sizeof(block_t), quoted)) {
        return text.len; // the last block overlaps the one before
    }
    while (i < text.len && is_harmless((unsigned char)text.ptr[i], quoted)) {
        i++;
    }
    return i;
}

static unsigned char *
escape_line(unsigned char *out, struct sl_str text, bool quoted)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];

        if (is_harmless(byte, quoted)) {
            *out++ = byte;
            continue;
        }
        *out++ = '\\';
        *out++ = 'x';
        *out++ = (unsigned char)hex[byte >> 4];
        *out++ = (unsigned char)hex[byte & 15];
    }
    return out;
}

// Bytes of the UTF-8 character that begins `text`; 0 when there is none. The controls U+0080 to
// U+009F are none: terminals obey them.
static size_t
utf8_bytes(struct sl_str text)
{
    size_t len = sl_utf8_char(text);

    return len == 2 && (unsigned char)text.ptr[0] == 0xc2 && (unsigned char)text.ptr[1] < 0xa0
               ? 0
               : len;
}

static unsigned char *
escape_json(unsigned char *out, struct sl_str text, bool quoted)
{
    (void)quoted;
    while (text.len > 0) {
        unsigned char byte = (unsigned char)*text.ptr;
        size_t len = 1;

        if (is_harmless(byte, true)) {
            *out++ = byte;
        } else if (byte == '"' || byte == '\\') {
            *out++ = '\\';
            *out++ = byte;
        } else if (byte <= 0x7f) {
            out = put(out, SL_STR("\\u00"));
            *out++ = (unsigned char)hex[byte >> 4];
            *out++ = (unsigned char)hex[byte & 15];
        } else if ((len = utf8_bytes(text)) > 0) {
            out = put(out, (struct sl_str){text.ptr, len});
        } else {
            len = 1;
            out = put(out, SL_STR("\\uFFFD"));
        }
        text.ptr += len;
        text.len -= len;
    }
    return out;
}

// Copies a text shorter than a block; the words of it that may overlap are judged as one block.
static inline bool
copy_short(unsigned char *out, struct sl_str text, bool quoted)
{
    union {
        char block[sizeof(block_t)];
        uint64_t longs[2];
        uint32_t words[4];
    } copy;

    if (text.len >= sizeof(copy.longs[0])) {
        memcpy(&copy.longs[0], text.ptr, sizeof(copy.longs[0]));
        memcpy(&copy.longs[1], text.ptr + text.len - sizeof(copy.longs[0]), sizeof(copy.longs[0]));
        memcpy(out, &copy.longs[0], sizeof(copy.longs[0]));
        memcpy(out + text.len - sizeof(copy.longs[0]), &copy.longs[1], sizeof(copy.longs[0]));
    } else if (text.len >= sizeof(copy.words[0])) {
        memcpy(&copy.words[0], text.ptr, sizeof(copy.words[0]));
        memcpy(&copy.words[1], text.ptr + text.len - sizeof(copy.words[0]), sizeof(copy.words[0]));
        memcpy(out, &copy.words[0], sizeof(copy.words[0]));
        memcpy(out + text.len - sizeof(copy.words[0]), &copy.words[1], sizeof(copy.words[0]));
        copy.longs[1] = copy.longs[0];
    } else {
        memcpy(copy.block, harmless, sizeof(copy.block));
        for (size_t i = 0; i < text.len; i++) {
            out[i] = (unsigned char)(copy.block[i] = text.ptr[i]);
        }
    }
    return are_harmless(copy.block, quoted);
}

static unsigned char *
put_foreign(unsigned char *out, struct sl_str text, bool quoted, escape_fn escape)
{
    size_t len;

    if (text.len < sizeof(block_t) && copy_short(out, text, quoted)) {
        return out + text.len;
    }
    if (text.len > NGX_HTTP_SLUICE_TEXT_MAX) {
        text.len = NGX_HTTP_SLUICE_TEXT_MAX;
    }
    len = harmless_bytes(text, quoted);
    out = put(out, (struct sl_str){text.ptr, len});
    return len == text.len ? out
                           : escape(out, (struct sl_str){text.ptr + len, text.len - len}, quoted);
}

// -- values ---------------------------------------------------------------------------------------

static inline struct sl_str
text_at(const void *base, const struct field *field)
{
    return *(const struct sl_str *)((const char *)base + field->offset);
}

static inline int64_t
number_at(const void *base, const struct field *field)
{
    return *(const int64_t *)((const char *)base + field->offset);
}

static unsigned char *
put_number(unsigned char *out, int64_t number, struct sl_str absent)
{
    return number < 0 ? put(out, absent) : ngx_http_sluice_digits(out, (uint64_t)number, 1);
}

static unsigned char *
put_duration(unsigned char *out, int64_t ms, struct sl_str absent)
{
    return ms < 0 ? put(out, absent) : put_seconds(out, (uint64_t)ms);
}

// One try's part of a field.
static unsigned char *
put_try(unsigned char *out, const struct ngx_http_sluice_try *try, const struct field *field,
        struct sl_str absent)
{
    switch (field->kind) {
    case TRY_NUMBER:
        return put_number(out, number_at(try, field), absent);
    case TRY_SECONDS:
        return put_duration(out, number_at(try, field), absent);
    default:
        return put(out, text_at(try, field).len > 0 ? text_at(try, field) : absent);
    }
}

// -- the line -------------------------------------------------------------------------------------

static unsigned char *
put_tries_line(unsigned char *out, const struct ngx_http_sluice_record *record,
               const struct field *field)
{
    if (record->try_count == 0) {
        *out++ = '-';
    }
    for (size_t i = 0; i < record->try_count; i++) {
        if (i > 0) {
            out = put(out, SL_STR(", "));
        }
        out = put_try(out, &record->tries[i], field, SL_STR("-"));
    }
    return out;
}

static inline __attribute__((always_inline)) unsigned char *
put_line_value(unsigned char *out, const struct ngx_http_sluice_record *record,
               const struct field *field)
{
    struct sl_str text;

    switch (field->kind) {
    case PLAIN:
        text = text_at(record, field);
        return put(out, text.len > 0 ? text : SL_STR("-"));
    case FOREIGN:
        text = text_at(record, field);
        return text.len > 0 ? put_foreign(out, text, field->quoted, escape_line)
                            : put(out, SL_STR("-"));
    case NUMBER:
        return put_number(out, number_at(record, field), SL_STR("-"));
    case SECONDS:
        return put_duration(out, number_at(record, field), SL_STR("-"));
    default:
        return put_tries_line(out, record, field);
    }
}

// A field between its quotes and before the space that parts it from the next one.
static inline __attribute__((always_inline)) unsigned char *
put_line_field(unsigned char *out, const struct ngx_http_sluice_record *record,
               const struct field *field)
{
    if (field->quoted) {
        *out++ = '"';
    }
    if (field->kind == ABSENT) {
        *out++ = '-';
    } else {
        out = put_line_value(out, record, field);
    }
    if (field->quoted) {
        *out++ = '"';
    }
    *out++ = ' ';
    return out;
}

// Unrolled, each field is code of its own: its kind, its place and what stands between it and the
// next one are known to the compiler, and nothing is looked up in the table.
unsigned char *
ngx_http_sluice_line(unsigned char *out, const struct ngx_http_sluice_record *record)
{
#pragma GCC unroll 54
    for (size_t i = 0; i < NGX_HTTP_SLUICE_FIELDS; i++) {
        out = put_line_field(out, record, &fields[i]);
    }
    return out - 1; // the space after the last one
}

// -- JSON -----------------------------------------------------------------------------------------

static unsigned char *
put_tries_json(unsigned char *out, const struct ngx_http_sluice_record *record,
               const struct field *field)
{
    for (size_t i = 0; i < record->try_count; i++) {
        *out++ = i == 0 ? '[' : ',';
        if (field->kind == TRY_PLAIN) {
            *out++ = '"';
            out = put_try(out, &record->tries[i], field, SL_STR(""));
            *out++ = '"';
        } else {
            out = put_try(out, &record->tries[i], field, SL_STR("null"));
        }
    }
    *out = ']';
    return out + 1;
}

static bool
is_present(const struct ngx_http_sluice_record *record, const struct field *field)
{
    switch (field->kind) {
    case ABSENT:
        return false;
    case PLAIN:
    case FOREIGN:
        return text_at(record, field).len > 0;
    case NUMBER:
    case SECONDS:
        return number_at(record, field) >= 0;
    default:
        return record->try_count > 0;
    }
}

static unsigned char *
put_json_value(unsigned char *out, const struct ngx_http_sluice_record *record,
               const struct field *field)
{
    switch (field->kind) {
    case PLAIN:
    case FOREIGN:
        *out++ = '"';
        out = field->kind == PLAIN ? put(out, text_at(record, field))
                                   : put_foreign(out, text_at(record, field), true, escape_json);
        *out = '"';
        return out + 1;
    case NUMBER:
        return put_number(out, number_at(record, field), SL_STR(""));
    case SECONDS:
        return put_duration(out, number_at(record, field), SL_STR(""));
    default:
        return put_tries_json(out, record, field);
    }
}

static unsigned char *
put_member(unsigned char *out, const struct ngx_http_sluice_record *record,
           const struct field *field)
{
    return is_present(record, field) ? put_json_value(put(out, field->key), record, field) : out;
}

unsigned char *
ngx_http_sluice_json(unsigned char *out, const struct ngx_http_sluice_record *record)
{
    unsigned char *begin = out;

    for (size_t i = 0; i < SL_COUNT(additions); i++) {
        out = put_member(out, record, &additions[i]);
    }
    for (size_t i = 0; i < NGX_HTTP_SLUICE_FIELDS; i++) {
        out = put_member(out, record, &fields[i]);
    }
    if (out == begin) {
        *out++ = ',';
    }
    *begin = '{'; // where the first comma is
    *out = '}';
    return out + 1;
}

const char *
ngx_http_sluice_field_name(size_t index)
{
    assert(index < NGX_HTTP_SLUICE_FIELDS);
    return fields[index].name;
}
