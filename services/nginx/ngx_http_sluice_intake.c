// ngx_http_sluice_intake.c - request id, one canonical path, framing.
//
// nginx refuses malformed lines, duplicate Host, both Content-Length and Transfer-Encoding,
// HTTP/1.0 with Transfer-Encoding and CONNECT on its own (error_page leads those to _error.c). Here
// is what it lets pass and architecture.md 6 does not.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include "common/base/trace.h"
#include "services/nginx/ngx_http_sluice_path.h"

#define RANDOM_BUFFERED 4096   // bytes of randomness a worker fetches at a time
#define FIELD_MAX       32768  // bytes of a target, or of one header
#define HEADERS_MAX     131072 // bytes of the target and all headers
#define HEADER_MARKS    4      // bytes of ": " and CRLF

void
ngx_http_sluice_request_id(ngx_http_sluice_ctx_t *ctx)
{
    static u_char random[RANDOM_BUFFERED];
    static size_t left;

    if (left < sizeof(ctx->request_id) / 2) {
        sl_random(random, sizeof(random));
        left = sizeof(random);
    }
    left -= sizeof(ctx->request_id) / 2;
    sl_hex_encode(random + left, sizeof(ctx->request_id) / 2, ctx->request_id);
}

ngx_int_t
ngx_http_sluice_canonical(ngx_pool_t *pool, struct sl_str raw, bool keep_escapes,
                          struct sl_str *ret_path)
{
    char *room;
    bool is_fit;

    if (ngx_http_sluice_path_is_canonical(raw)) {
        *ret_path = raw;
        return NGX_OK;
    }
    room = ngx_pnalloc(pool, raw.len + 1);
    if (room == NULL) {
        return NGX_ERROR;
    }
    is_fit = keep_escapes ? ngx_http_sluice_path_raw(raw, room, ret_path)
                          : ngx_http_sluice_path_canonical(raw, room, ret_path);
    return is_fit ? NGX_OK : NGX_ABORT;
}

// Whether an absolute-form target names the host that the Host header names, port included.
static bool
target_agrees(const ngx_http_request_t *r)
{
    struct sl_str host;
    struct sl_str target;

    if (r->schema_start == NULL || r->host_start == NULL || r->headers_in.host == NULL) {
        return true;
    }
    host = ngx_http_sluice_view(&r->headers_in.host->value);
    target = (struct sl_str){(const char *)r->host_start, (size_t)(r->host_end - r->host_start)};
    if (r->port_end > r->host_end) {
        target.len = (size_t)(r->port_end - r->host_start);
    }
    return sl_str_equal_nocase(host, target);
}

// nginx bounds each line of HTTP/1. Of HTTP/2 it bounds the sum alone, and ends the connection with
// all its streams beyond; so nginx.conf.tmpl gives it twice the room, and the sum is judged here.
static ngx_int_t
check_sizes(const ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    const ngx_list_part_t *part = &r->headers_in.headers.part;
    size_t total = r->unparsed_uri.len;

    if (r->http_version != NGX_HTTP_VERSION_20) {
        return r->request_length > HEADERS_MAX
                   ? ngx_http_sluice_fail(ctx, SL_E_GW_HEADERS_TOO_LARGE)
                   : NGX_OK;
    }
    if (r->unparsed_uri.len > FIELD_MAX) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_URI_TOO_LARGE);
    }
    for (; part != NULL; part = part->next) {
        const ngx_table_elt_t *header = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            size_t len = header[i].key.len + header[i].value.len + HEADER_MARKS;

            total += len;
            if (len > FIELD_MAX || total > HEADERS_MAX) {
                return ngx_http_sluice_fail(ctx, SL_E_GW_HEADERS_TOO_LARGE);
            }
        }
    }
    return NGX_OK;
}

static bool
is_called(const ngx_table_elt_t *header, struct sl_str name)
{
    return header->key.len == name.len && ngx_memcmp(header->lowcase_key, name.ptr, name.len) == 0;
}

// Takes the caller's trace; without one the request's own id stays its name. Two headers are none:
// who sent them cannot mean both.
static void
take_trace(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    const ngx_list_part_t *part = &r->headers_in.headers.part;
    const ngx_table_elt_t *found = NULL;
    ngx_uint_t parents = 0;
    ngx_uint_t states = 0;

    if (!ngx_http_sluice_may_have(r, "traceparent", sizeof("traceparent") - 1) &&
        !ngx_http_sluice_may_have(r, "tracestate", sizeof("tracestate") - 1)) {
        return;
    }
    for (; part != NULL; part = part->next) {
        const ngx_table_elt_t *header = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (is_called(&header[i], SL_STR("traceparent"))) {
                found = &header[i];
                parents++;
            } else if (is_called(&header[i], SL_STR("tracestate"))) {
                states++;
            }
        }
    }
    ctx->traced =
        parents == 1 && sl_trace_parse(ngx_http_sluice_view(&found->value), &ctx->trace_id);
    ctx->trace_stale = !ctx->traced && parents + states > 0;
}

ngx_int_t
ngx_http_sluice_intake(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str raw = ngx_http_sluice_view(&r->unparsed_uri);
    const char *query;
    ngx_table_elt_t *mode;
    ngx_int_t rc;

    take_trace(r, ctx);
    if (r->http_version < NGX_HTTP_VERSION_10) {
        r->http_version = NGX_HTTP_VERSION_10; // so that the refusal has a status line
        return ngx_http_sluice_fail(ctx, SL_E_GW_BAD_REQUEST);
    }
    if (raw.len == 0 || memchr(raw.ptr, '#', raw.len) != NULL || !target_agrees(r)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_BAD_REQUEST);
    }
    rc = check_sizes(r, ctx);
    if (rc != NGX_OK) {
        return rc;
    }
    ctx->gateway = ngx_http_sluice_gateway(r);
    rc = ngx_http_sluice_body_watch(r, ctx);
    if (rc != NGX_OK) {
        return rc;
    }
    query = memchr(raw.ptr, '?', raw.len);
    if (query != NULL) {
        ctx->raw_query = (struct sl_str){query + 1, raw.len - (size_t)(query + 1 - raw.ptr)};
        raw.len = (size_t)(query - raw.ptr);
    }
    rc = ngx_http_sluice_custom_take(r, ctx);
    if (rc != NGX_OK) {
        return rc;
    }
    ctx->raw_path = sl_img_feature_on(ctx->gateway, SL_FEATURE_RAW_PATH);
    rc = ngx_http_sluice_canonical(r->pool, raw, ctx->raw_path, &ctx->path);
    if (rc != NGX_OK) {
        return rc == NGX_ABORT ? ngx_http_sluice_fail(ctx, SL_E_GW_BAD_REQUEST) : rc;
    }
    ctx->host = ngx_http_sluice_view(&r->headers_in.server); // nginx's: lower case, no port
    mode = ngx_http_sluice_header(r, "x-apig-mode", sizeof("x-apig-mode") - 1);
    ctx->debug = mode != NULL && mode->value.len == 5 &&
                 ngx_strncasecmp(mode->value.data, (u_char *)"debug", 5) == 0;
    return rc;
}
