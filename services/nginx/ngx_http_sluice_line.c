// ngx_http_sluice_line.c - the access log's line, as the variable $sluice_log.
//
// One JSON object of texts. nginx could build it from some thirty variables of a log_format; every
// request pays for it, so it is written in one pass into room that is surely enough.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define FIXED_ROOM     1536 // all names, ids, numbers and addresses of a line
#define JSON_BYTES_MAX 6    // of one byte of text: \u001f

static inline u_char *
put(u_char *out, struct sl_str text)
{
    return text.len == 0 ? out : ngx_cpymem(out, text.ptr, text.len);
}

// A text from outside: escaped from the first byte on that needs it.
static u_char *
put_foreign(u_char *out, struct sl_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        u_char byte = (u_char)text.ptr[i];

        if (byte < ' ' || byte == '"' || byte == '\\' || byte == 0x7f) {
            return (u_char *)ngx_escape_json(out, (u_char *)(uintptr_t)text.ptr + i, text.len - i);
        }
        *out++ = byte;
    }
    return out;
}

// Seconds with three digits, from milliseconds; nothing for (ngx_msec_t)-1.
static u_char *
put_seconds(u_char *out, ngx_msec_t ms)
{
    if (ms == (ngx_msec_t)-1) {
        return out;
    }
    if (ms == 0) { // most of them
        return put(out, SL_STR("0.000"));
    }
    out = ngx_http_sluice_digits(out, ms / 1000, 1);
    *out++ = '.';
    return ngx_http_sluice_digits(out, ms % 1000, 3);
}

static struct sl_str
header_value(const ngx_table_elt_t *header)
{
    return header != NULL ? ngx_http_sluice_view(&header->value) : (struct sl_str){NULL, 0};
}

static struct sl_str
forwarded_for(const ngx_http_request_t *r)
{
    ngx_table_elt_t **first = r->headers_in.x_forwarded_for.elts;

    return r->headers_in.x_forwarded_for.nelts > 0 ? header_value(*first)
                                                   : (struct sl_str){NULL, 0};
}

static u_char *
put_backend(u_char *out, const ngx_http_request_t *r)
{
    const ngx_http_upstream_state_t *state;

    if (r->upstream_states == NULL || r->upstream_states->nelts == 0) {
        return out;
    }
    state = (const ngx_http_upstream_state_t *)r->upstream_states->elts +
            (r->upstream_states->nelts - 1);
    out = put(out, SL_STR("\",\"upstream_addr\":\""));
    if (state->peer != NULL) {
        out = put(out, ngx_http_sluice_view(state->peer));
    }
    out = put(out, SL_STR("\",\"upstream_status\":\""));
    out = ngx_http_sluice_digits(out, state->status, 1);
    out = put(out, SL_STR("\",\"upstream_connect_time\":\""));
    out = put_seconds(out, state->connect_time);
    out = put(out, SL_STR("\",\"upstream_header_time\":\""));
    out = put_seconds(out, state->header_time);
    out = put(out, SL_STR("\",\"upstream_response_time\":\""));
    return put_seconds(out, state->response_time);
}

// The method as it came: for an error page nginx turns the request into a GET.
static struct sl_str
method_name(const ngx_http_request_t *r)
{
    struct sl_str line = ngx_http_sluice_view(&r->request_line);
    struct sl_str first = sl_str_split(&line, ' ');

    return first.len > 0 && line.ptr != NULL ? first : ngx_http_sluice_view(&r->method_name);
}

static u_char *
put_request(u_char *out, const ngx_http_request_t *r)
{
    const ngx_time_t *now = ngx_timeofday();
    ngx_msec_int_t ms = (ngx_msec_int_t)((now->sec - r->start_sec) * 1000) +
                        ((ngx_msec_int_t)now->msec - (ngx_msec_int_t)r->start_msec);

    out = put(out, SL_STR("\",\"request_method\":\""));
    out = put_foreign(out, method_name(r));
    out = put(out, SL_STR("\",\"scheme\":\""));
    out = put(out, ngx_http_sluice_is_tls(r) ? SL_STR("https") : SL_STR("http"));
    out = put(out, SL_STR("\",\"host\":\""));
    out = put_foreign(out, header_value(r->headers_in.host));
    out = put(out, SL_STR("\",\"server_protocol\":\""));
    out = put_foreign(out, ngx_http_sluice_view(&r->http_protocol));
    out = put(out, SL_STR("\",\"status\":\""));
    out =
        ngx_http_sluice_digits(out, r->err_status != 0 ? r->err_status : r->headers_out.status, 1);
    out = put(out, SL_STR("\",\"request_time\":\""));
    out = put_seconds(out, (ngx_msec_t)ngx_max(ms, 0));
    out = put(out, SL_STR("\",\"request_length\":\""));
    out = ngx_http_sluice_digits(out, (uint64_t)r->request_length, 1);
    out = put(out, SL_STR("\",\"bytes_sent\":\""));
    out = ngx_http_sluice_digits(out, (uint64_t)r->connection->sent, 1);
    out = put(out, SL_STR("\",\"http_user_agent\":\""));
    out = put_foreign(out, header_value(r->headers_in.user_agent));
    out = put(out, SL_STR("\",\"http_x_forwarded_for\":\""));
    return put_foreign(out, forwarded_for(r));
}

static u_char *
put_decision(u_char *out, const ngx_http_sluice_ctx_t *ctx)
{
    out = put(out, SL_STR("\",\"request_id\":\""));
    out = put(out, (struct sl_str){ctx->request_id, sizeof(ctx->request_id) - 1});
    out = put(out, SL_STR("\",\"api_id\":\""));
    out = put(out, ngx_http_sluice_field(ctx, NGX_HTTP_SLUICE_API_ID));
    out = put(out, SL_STR("\",\"app_id\":\""));
    out = put(out, ngx_http_sluice_field(ctx, NGX_HTTP_SLUICE_APP_ID));
    out = put(out, SL_STR("\",\"group_id\":\""));
    out = put(out, ngx_http_sluice_field(ctx, NGX_HTTP_SLUICE_GROUP_ID));
    out = put(out, SL_STR("\",\"env\":\""));
    out = put_foreign(out, ctx->env_name);
    out = put(out, SL_STR("\",\"auth\":\""));
    out = put(out, ngx_http_sluice_field(ctx, NGX_HTTP_SLUICE_AUTH));
    out = put(out, SL_STR("\",\"router_uri\":\""));
    out = put_foreign(out, ctx->path);
    out = put(out, SL_STR("\",\"error_code\":\""));
    out = put(out, ngx_http_sluice_field(ctx, NGX_HTTP_SLUICE_ERROR_CODE));
    out = put(out, SL_STR("\",\"throttled\":\""));
    out = put(out, ngx_http_sluice_field(ctx, NGX_HTTP_SLUICE_THROTTLED));
    out = put(out, SL_STR("\",\"response_source\":\""));
    return put(out, ngx_http_sluice_field(ctx, NGX_HTTP_SLUICE_SOURCE));
}

ngx_int_t
ngx_http_sluice_line(ngx_http_request_t *r, struct sl_str *ret_line)
{
    const ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    size_t foreign = method_name(r).len + r->http_protocol.len +
                     header_value(r->headers_in.host).len +
                     header_value(r->headers_in.user_agent).len + forwarded_for(r).len;
    u_char *line;
    u_char *out;

    if (ctx != NULL) {
        foreign += ctx->env_name.len + ctx->path.len;
    }
    line = ngx_pnalloc(r->pool, FIXED_ROOM + JSON_BYTES_MAX * foreign);
    if (line == NULL) {
        return NGX_ERROR;
    }
    out = put(line, SL_STR("{\"time\":\""));
    out = ngx_cpymem(out, ngx_cached_http_log_iso8601.data, ngx_cached_http_log_iso8601.len);
    out = put(out, SL_STR("\",\"remote_addr\":\""));
    out = put(out, ngx_http_sluice_view(&r->connection->addr_text));
    if (ctx != NULL) {
        out = put_decision(out, ctx);
    }
    out = put_request(out, r);
    out = put_backend(out, r);
    out = put(out, SL_STR("\"}"));
    *ret_line = (struct sl_str){(const char *)line, (size_t)(out - line)};
    return NGX_OK;
}
