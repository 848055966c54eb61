// ngx_http_sluice_response.c - the gateway's own response headers, and whole responses of ours.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define RATE_TEXT_MAX 96 // bytes of "remain:9,limit:10,time:10 second"

static ngx_http_output_header_filter_pt next_header_filter;

// -- headers --------------------------------------------------------------------------------------

static ngx_table_elt_t *
add_header(ngx_http_request_t *r, const char *name, size_t name_len, ngx_str_t value)
{
    ngx_table_elt_t *header = ngx_list_push(&r->headers_out.headers);

    if (header != NULL) {
        header->hash = 1;
        header->key.data = (u_char *)(uintptr_t)name;
        header->key.len = name_len;
        header->value = value;
        header->lowcase_key = header->key.data;
    }
    return header;
}

static ngx_int_t
add_number(ngx_http_request_t *r, const char *name, size_t name_len, ngx_msec_t number)
{
    ngx_str_t value = {0, ngx_pnalloc(r->pool, NGX_INT_T_LEN)};

    if (value.data == NULL) {
        return NGX_ERROR;
    }
    value.len = (size_t)(ngx_sprintf(value.data, "%M", number) - value.data);
    return add_header(r, name, name_len, value) == NULL ? NGX_ERROR : NGX_OK;
}

static ngx_int_t
add_rate(ngx_http_request_t *r, const ngx_http_sluice_rate_t *rate)
{
    static const char prefix[] = "X-Apig-RateLimit-";
    u_char *name = ngx_pnalloc(r->pool, sizeof(prefix) + rate->name.len);
    ngx_str_t value = {0, ngx_pnalloc(r->pool, RATE_TEXT_MAX)};

    if (name == NULL || value.data == NULL) {
        return NGX_ERROR;
    }
    ngx_memcpy(ngx_cpymem(name, prefix, sizeof(prefix) - 1), rate->name.data, rate->name.len);
    value.len = (size_t)(ngx_snprintf(value.data, RATE_TEXT_MAX, "remain:%L,limit:%L,time:%uD %s",
                                      rate->remain, rate->limit, rate->interval, rate->unit) -
                         value.data);
    return add_header(r, (const char *)name, sizeof(prefix) - 1 + rate->name.len, value) == NULL
               ? NGX_ERROR
               : NGX_OK;
}

// What `X-Apig-Mode: debug` asks for.
static ngx_int_t
add_debug_headers(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx)
{
    static const char latency[] = "X-Apig-Latency";
    static const char upstream[] = "X-Apig-Upstream-Latency";

    if (add_number(r, latency, sizeof(latency) - 1, ngx_http_sluice_elapsed_ms(r)) != NGX_OK) {
        return NGX_ERROR;
    }
    if (ctx->backend_called && r->upstream != NULL && r->upstream->state != NULL &&
        r->upstream->state->header_time != (ngx_msec_t)-1 &&
        add_number(r, upstream, sizeof(upstream) - 1, r->upstream->state->header_time) != NGX_OK) {
        return NGX_ERROR;
    }
    for (ngx_uint_t i = 0; i < ctx->rate_count; i++) {
        if (add_rate(r, &ctx->rates[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}

// Takes every header called `name` out of the answer.
static void
hide(ngx_http_request_t *r, struct sl_str name)
{
    ngx_list_part_t *part = &r->headers_out.headers.part;

    for (; part != NULL; part = part->next) {
        ngx_table_elt_t *headers = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (sl_str_equal_nocase(ngx_http_sluice_view(&headers[i].key), name)) {
                headers[i].hash = 0;
            }
        }
    }
}

static void
hide_named(ngx_http_request_t *r, struct sl_str names)
{
    while (names.ptr != NULL) {
        struct sl_str name = sl_str_trim(sl_str_split(&names, ','));

        if (name.len > 0) {
            hide(r, name);
        }
    }
}

// What a backend says to its neighbour alone stays here: the headers that its Connection names, and
// the offer of another protocol, which HTTP/2 forbids and clients trip over. The answer to a
// WebSocket's handshake is made of both. nginx itself passes neither Connection nor Keep-Alive on.
static void
hide_hops(ngx_http_request_t *r)
{
    ngx_list_part_t *part;

    if (r->upstream == NULL || r->headers_out.status == NGX_HTTP_SWITCHING_PROTOCOLS) {
        return;
    }
    hide(r, SL_STR("upgrade"));
    hide(r, SL_STR("proxy-connection"));
    if (r->upstream->headers_in.connection == NULL) {
        return;
    }
    for (part = &r->upstream->headers_in.headers.part; part != NULL; part = part->next) {
        ngx_table_elt_t *headers = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (sl_str_equal_nocase(ngx_http_sluice_view(&headers[i].key), SL_STR("connection"))) {
                hide_named(r, ngx_http_sluice_view(&headers[i].value));
            }
        }
    }
}

static bool
is_event_stream(const ngx_str_t *type)
{
    static const ngx_str_t wanted = ngx_string("text/event-stream");

    return type->len >= wanted.len && ngx_strncasecmp(type->data, wanted.data, wanted.len) == 0;
}

// Whether nginx read all of a backend's answer together with its header, for a client that goes on
// calling. What a backend said before the gateway gave it up (no connection) is nobody's answer.
static bool
is_whole(const ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx)
{
    const ngx_http_upstream_t *u = r->upstream;

    return u->buffering && r->keepalive && u->peer.connection != NULL && ctx->answer == NULL &&
           u->headers_in.content_length_n > 0 &&
           u->headers_in.content_length_n == u->buffer.last - u->buffer.pos;
}

// Has the answer passed on as its kind wants it. What is there already needs no pipe between
// backend and client.
static void
set_buffering(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    if (is_whole(r, ctx)) {
        ctx->whole = 1;
        r->upstream->buffering = 0;
    } else if (ctx->unbuffered || is_event_stream(&r->headers_out.content_type)) {
        r->upstream->buffering = 0;
    }
}

static ngx_int_t
header_filter(ngx_http_request_t *r)
{
    static const char id_name[] = "X-Request-Id";
    static const char server_name[] = "Server";
    static const ngx_str_t server = ngx_string("api-gateway");
    ngx_http_sluice_ctx_t *ctx = r == r->main ? ngx_http_sluice_ctx(r) : NULL;
    ngx_str_t id;

    if (ctx == NULL) {
        return next_header_filter(r);
    }
    if (ngx_http_sluice_function_header(r, ctx) == NGX_OK) {
        return NGX_OK;
    }
    hide_hops(r);
    id = (ngx_str_t){sizeof(ctx->request_id) - 1, (u_char *)ctx->request_id};
    r->headers_out.server = add_header(r, server_name, sizeof(server_name) - 1, server);
    if (r->headers_out.server == NULL || add_header(r, id_name, sizeof(id_name) - 1, id) == NULL) {
        return NGX_ERROR;
    }
    if (ctx->cors && ngx_http_sluice_cors(r, ctx->preflight) != NGX_OK) {
        return NGX_ERROR;
    }
    if (ctx->debug && add_debug_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }
    if (ngx_http_sluice_gzip(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }
    if (r->upstream != NULL) {
        set_buffering(r, ctx);
    }
    return next_header_filter(r);
}

// nginx without its pipe holds a backend until the client took the answer. Its memory is the
// request's and stays, so another buffer with the same bytes lets it go at once.
ngx_chain_t *
ngx_http_sluice_whole(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, const ngx_chain_t *in)
{
    ngx_chain_t *out = ngx_alloc_chain_link(r->pool);
    ngx_buf_t *buffer = ngx_calloc_buf(r->pool);

    ctx->whole = 0;
    if (out == NULL || buffer == NULL) {
        return NULL;
    }
    buffer->start = buffer->pos = in->buf->pos;
    buffer->end = buffer->last = in->buf->last;
    buffer->memory = 1;
    in->buf->pos = in->buf->last;
    out->buf = buffer;
    out->next = NULL;
    return out;
}

ngx_int_t
ngx_http_sluice_send(ngx_http_request_t *r, ngx_uint_t status, struct sl_str type,
                     struct sl_str body)
{
    ngx_buf_t *buffer;
    ngx_chain_t out = {NULL, NULL};
    ngx_int_t rc;

    r->headers_out.status = status;
    r->headers_out.content_type = (ngx_str_t){type.len, (u_char *)(uintptr_t)type.ptr};
    r->headers_out.content_type_len = type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_length_n = (off_t)body.len;
    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }
    buffer = ngx_calloc_buf(r->pool);
    if (buffer == NULL) {
        return NGX_ERROR;
    }
    buffer->start = buffer->pos = (u_char *)(uintptr_t)body.ptr;
    buffer->end = buffer->last = buffer->pos + body.len;
    buffer->memory = body.len > 0;
    buffer->last_buf = 1;
    buffer->last_in_chain = 1;
    out.buf = buffer;
    return ngx_http_output_filter(r, &out);
}

void
ngx_http_sluice_response_init(void)
{
    next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = header_filter;
}
