// ngx_http_sluice_line.c - the access log's line, as the variable $sluice_log.
//
// One JSON object of texts. nginx could build it from some thirty variables of a log_format;
// written in one go it costs a third.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define NUMBER_SIZE 32 // bytes of a formatted number or time
#define NUMBERS     9  // fields that are numbers
#define FIELDS_MAX  32

// One member of the object.
struct field {
    struct sl_str key;
    struct sl_str value;
    bool foreign;   // from outside: may need escapes
    size_t escapes; // bytes that they add
};

struct line {
    struct field fields[FIELDS_MAX];
    size_t count;
    u_char numbers[NUMBERS][NUMBER_SIZE]; // what `value` of numbers points to
    size_t number_count;
};

static void
add(struct line *line, struct sl_str key, struct sl_str value)
{
    line->fields[line->count++] = (struct field){.key = key, .value = value};
}

static void
add_foreign(struct line *line, struct sl_str key, struct sl_str value)
{
    line->fields[line->count++] = (struct field){.key = key, .value = value, .foreign = true};
}

// Decimal digits, at least `least` of them, written backwards from `end`; answers where they begin.
static u_char *
digits_before(u_char *end, uint64_t number, size_t least)
{
    u_char *begin = end;

    while (number > 0 || (size_t)(end - begin) < least) {
        *--begin = (u_char)('0' + number % 10);
        number /= 10;
    }
    return begin;
}

static void
add_number(struct line *line, struct sl_str key, uint64_t number)
{
    u_char *end = line->numbers[line->number_count++] + NUMBER_SIZE;
    u_char *text = digits_before(end, number, 1);

    add(line, key, (struct sl_str){(const char *)text, (size_t)(end - text)});
}

// Seconds with three digits, from milliseconds; nothing for (ngx_msec_t)-1.
static void
add_seconds(struct line *line, struct sl_str key, ngx_msec_t ms)
{
    u_char *end = line->numbers[line->number_count++] + NUMBER_SIZE;
    u_char *text = end;

    if (ms != (ngx_msec_t)-1) {
        text = digits_before(end, ms % 1000, 3);
        *--text = '.';
        text = digits_before(text, ms / 1000, 1);
    }
    add(line, key, (struct sl_str){(const char *)text, (size_t)(end - text)});
}

static struct sl_str
header_value(const ngx_table_elt_t *header)
{
    return header != NULL ? ngx_http_sluice_view(&header->value) : (struct sl_str){NULL, 0};
}

static void
add_backend(struct line *line, const ngx_http_request_t *r)
{
    const ngx_http_upstream_state_t *state;

    if (r->upstream_states == NULL || r->upstream_states->nelts == 0) {
        return;
    }
    state = (const ngx_http_upstream_state_t *)r->upstream_states->elts +
            (r->upstream_states->nelts - 1);
    if (state->peer != NULL) {
        add(line, SL_STR("upstream_addr"), ngx_http_sluice_view(state->peer));
    }
    add_number(line, SL_STR("upstream_status"), state->status);
    add_seconds(line, SL_STR("upstream_connect_time"), state->connect_time);
    add_seconds(line, SL_STR("upstream_header_time"), state->header_time);
    add_seconds(line, SL_STR("upstream_response_time"), state->response_time);
}

static void
add_request(struct line *line, ngx_http_request_t *r)
{
    const ngx_time_t *now = ngx_timeofday();
    ngx_msec_int_t ms = (ngx_msec_int_t)((now->sec - r->start_sec) * 1000) +
                        ((ngx_msec_int_t)now->msec - (ngx_msec_int_t)r->start_msec);

    add_foreign(line, SL_STR("request_method"), ngx_http_sluice_view(&r->method_name));
    add(line, SL_STR("scheme"), ngx_http_sluice_is_tls(r) ? SL_STR("https") : SL_STR("http"));
    add_foreign(line, SL_STR("host"), header_value(r->headers_in.host));
    add_foreign(line, SL_STR("server_protocol"), ngx_http_sluice_view(&r->http_protocol));
    add_number(line, SL_STR("status"), r->err_status ? r->err_status : r->headers_out.status);
    add_seconds(line, SL_STR("request_time"), (ngx_msec_t)ngx_max(ms, 0));
    add_number(line, SL_STR("request_length"), (uint64_t)r->request_length);
    add_number(line, SL_STR("bytes_sent"), (uint64_t)r->connection->sent);
    add_foreign(line, SL_STR("http_user_agent"), header_value(r->headers_in.user_agent));
    if (r->headers_in.x_forwarded_for.nelts > 0) {
        ngx_table_elt_t **first = r->headers_in.x_forwarded_for.elts;
        add_foreign(line, SL_STR("http_x_forwarded_for"), header_value(*first));
    }
}

static void
add_decision(struct line *line, const ngx_http_sluice_ctx_t *ctx)
{
    static const struct {
        struct sl_str key;
        enum ngx_http_sluice_field field;
    } decided[] = {
        {{"request_id", 10}, NGX_HTTP_SLUICE_REQUEST_ID},
        {{"api_id", 6}, NGX_HTTP_SLUICE_API_ID},
        {{"app_id", 6}, NGX_HTTP_SLUICE_APP_ID},
        {{"group_id", 8}, NGX_HTTP_SLUICE_GROUP_ID},
        {{"auth", 4}, NGX_HTTP_SLUICE_AUTH},
        {{"error_code", 10}, NGX_HTTP_SLUICE_ERROR_CODE},
        {{"throttled", 9}, NGX_HTTP_SLUICE_THROTTLED},
        {{"response_source", 15}, NGX_HTTP_SLUICE_SOURCE},
    };

    for (size_t i = 0; i < SL_COUNT(decided); i++) {
        add(line, decided[i].key, ngx_http_sluice_field(ctx, decided[i].field));
    }
    add_foreign(line, SL_STR("env"), ctx->env_name);
    add_foreign(line, SL_STR("router_uri"), ctx->path);
}

static size_t
room_for(struct line *line)
{
    size_t room = sizeof("{}");

    for (size_t i = 0; i < line->count; i++) {
        struct field *field = &line->fields[i];

        room += field->key.len + field->value.len + sizeof("\"\":\"\",");
        if (field->foreign) {
            field->escapes =
                ngx_escape_json(NULL, (u_char *)(uintptr_t)field->value.ptr, field->value.len);
            room += field->escapes;
        }
    }
    return room;
}

static u_char *
write_line(const struct line *line, u_char *out)
{
    *out++ = '{';
    for (size_t i = 0; i < line->count; i++) {
        const struct field *field = &line->fields[i];

        *out++ = '"';
        out = ngx_cpymem(out, field->key.ptr, field->key.len);
        *out++ = '"';
        *out++ = ':';
        *out++ = '"';
        if (field->escapes > 0) {
            out = (u_char *)ngx_escape_json(out, (u_char *)(uintptr_t)field->value.ptr,
                                            field->value.len);
        } else if (field->value.len > 0) {
            out = ngx_cpymem(out, field->value.ptr, field->value.len);
        }
        *out++ = '"';
        *out++ = ',';
    }
    out[-1] = '}';
    return out;
}

ngx_int_t
ngx_http_sluice_line(ngx_http_request_t *r, struct sl_str *ret_line)
{
    ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    struct line line;
    u_char *text;

    line.count = 0;
    line.number_count = 0;
    add(&line, SL_STR("time"),
        (struct sl_str){(const char *)ngx_cached_http_log_iso8601.data,
                        ngx_cached_http_log_iso8601.len});
    add(&line, SL_STR("remote_addr"), ngx_http_sluice_view(&r->connection->addr_text));
    if (ctx != NULL) {
        add_decision(&line, ctx);
    }
    add_request(&line, r);
    add_backend(&line, r);
    text = ngx_pnalloc(r->pool, room_for(&line));
    if (text == NULL) {
        return NGX_ERROR;
    }
    *ret_line = (struct sl_str){(const char *)text, (size_t)(write_line(&line, text) - text)};
    return NGX_OK;
}
