// ngx_http_sluice_forward.c - the headers that the gateway itself says to the backend.
//
// They are one text, the value of the variable $sluice_backend_headers: the Host, then whole lines
// "Name: value" with CRLF between them. nginx.conf.tmpl sends it as the value of Host and declares
// the other names empty, which keeps the client's own away. A proxy_set_header each would cost a
// tenth of the module's time. No part can hold a line break: nginx refuses them in what clients
// send, param.c in what mappings make, management in backend addresses.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/trace.h"
#include "services/nginx/ngx_http_sluice.h"
#include "services/nginx/ngx_http_sluice_sign.h"

#define SPAN_ID_LEN 16  // hex digits
#define FIXED_ROOM  448 // names, scheme, port, request id, hops, trace

void
ngx_http_sluice_hide(ngx_http_request_t *r, const char *name, size_t len)
{
    ngx_table_elt_t *header = ngx_http_sluice_header(r, name, len);

    while (header != NULL) {
        ngx_http_sluice_header_hide(header);
        header = ngx_http_sluice_header(r, name, len);
    }
}

// Hides what one Connection header names.
static void
hide_named(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, struct sl_str names)
{
    while (names.ptr != NULL) {
        struct sl_str name = sl_str_trim(sl_str_split(&names, ','));
        u_char lower[64];

        if (sl_str_equal_nocase(name, SL_STR("upgrade"))) {
            ctx->upgrades = 1;
        }
        // A hidden header is called Host.
        if (name.len > 0 && name.len <= sizeof(lower) &&
            !sl_str_equal_nocase(name, SL_STR("host"))) {
            ngx_strlow(lower, (u_char *)(uintptr_t)name.ptr, name.len);
            ngx_http_sluice_hide(r, (const char *)lower, name.len);
        }
    }
}

void
ngx_http_sluice_hop_by_hop(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    static const char connection[] = "connection";
    ngx_table_elt_t *header = ngx_http_sluice_header(r, connection, sizeof(connection) - 1);

    while (header != NULL) {
        ngx_http_sluice_header_hide(header);
        hide_named(r, ctx, ngx_http_sluice_view(&header->value));
        header = ngx_http_sluice_header(r, connection, sizeof(connection) - 1);
    }
}

// Whether the handshake of a WebSocket is asked for. Any other protocol, h2c above all, would be a
// tunnel past the gateway.
static bool
wants_websocket(const ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx)
{
    return ctx->upgrades && r->http_version == NGX_HTTP_VERSION_11 &&
           r->headers_in.upgrade != NULL &&
           sl_str_equal_nocase(ngx_http_sluice_view(&r->headers_in.upgrade->value),
                               SL_STR("websocket"));
}

static u_char *
append(u_char *out, struct sl_str text)
{
    return text.len == 0 ? out : ngx_cpymem(out, text.ptr, text.len);
}

static size_t
forwarded_room(const ngx_http_request_t *r)
{
    ngx_table_elt_t **headers = r->headers_in.x_forwarded_for.elts;
    size_t room = 0;

    for (ngx_uint_t i = 0; i < r->headers_in.x_forwarded_for.nelts; i++) {
        room += headers[i]->value.len + 2;
    }
    return room;
}

static u_char *
append_forwarded(u_char *out, const ngx_http_request_t *r)
{
    ngx_table_elt_t **headers = r->headers_in.x_forwarded_for.elts;

    out = append(out, SL_STR("\r\nX-Forwarded-For: "));
    for (ngx_uint_t i = 0; i < r->headers_in.x_forwarded_for.nelts; i++) {
        out = append(out, ngx_http_sluice_view(&headers[i]->value));
        out = append(out, SL_STR(", "));
    }
    return append(out, ngx_http_sluice_view(&r->connection->addr_text));
}

static u_char *
append_upgrade(u_char *out, struct sl_str protocol)
{
    out = append(out, SL_STR("\r\nConnection: upgrade\r\nUpgrade: "));
    return append(out, protocol);
}

// The gateway's own `traceparent` (W3C Trace Context): trace and span are named by the request's
// id. Sampled, because the access log records it; a backend that follows its caller's flag would
// else record nothing.
static u_char *
append_trace(u_char *out, const ngx_http_sluice_ctx_t *ctx)
{
    out = append(out, SL_STR("\r\ntraceparent: 00-"));
    out = append(out, (struct sl_str){ctx->request_id, SL_TRACE_ID_LEN});
    *out++ = '-';
    out = append(out, (struct sl_str){ctx->request_id + SPAN_ID_LEN, SPAN_ID_LEN});
    return append(out, SL_STR("-01"));
}

static u_char *
append_hops(u_char *out, const ngx_http_sluice_ctx_t *ctx)
{
    out = append(out, SL_STR("\r\nX-Sluice-Hops: "));
    out = ngx_http_sluice_digits(out, ctx->hops, 1);
    *out++ = ' ';
    return append(out, (struct sl_str){ctx->gateway->id, SL_ID_LEN});
}

// The value of a line "\r\nName: value".
static struct sl_str
value_of(const u_char *line, const u_char *end)
{
    const u_char *value = memchr(line, ':', (size_t)(end - line));

    return value == NULL ? (struct sl_str){NULL, 0}
                         : (struct sl_str){(const char *)value + 2, (size_t)(end - value) - 2};
}

void
ngx_http_sluice_withhold(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx)
{
    if (ctx->by_app) {
        ngx_http_sluice_hide(r, "x-hw-appkey", sizeof("x-hw-appkey") - 1);
    }
    if (ctx->secret_header.len > 0) {
        ngx_http_sluice_hide(r, ctx->secret_header.ptr, ctx->secret_header.len);
    }
    if (ctx->trace_stale) {
        ngx_http_sluice_hide(r, "traceparent", sizeof("traceparent") - 1);
        ngx_http_sluice_hide(r, "tracestate", sizeof("tracestate") - 1);
    }
}

// One header more of the request, in place of the client's own of this name.
static ngx_int_t
put_header(ngx_http_request_t *r, struct sl_str name, struct sl_str value)
{
    ngx_table_elt_t *header;

    ngx_http_sluice_hide(r, name.ptr, name.len);
    header = ngx_list_push(&r->headers_in.headers);
    if (header == NULL || value.ptr == NULL) {
        return NGX_ERROR;
    }
    header->hash = 1;
    header->key = (ngx_str_t){name.len, (u_char *)(uintptr_t)name.ptr};
    header->lowcase_key = header->key.data;
    header->value = (ngx_str_t){value.len, (u_char *)(uintptr_t)value.ptr};
    ngx_http_sluice_ctx(r)->names |= ngx_http_sluice_name_bit(header->lowcase_key, name.len);
    return NGX_OK;
}

// Which function is meant, and what every function is told (ngx_http_sluice_event.c). The image may
// go before the request does: the URN is copied.
static ngx_int_t
put_function(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str urn = sl_img_text(&ctx->target->function);

    if (urn.len == 0) { // the host itself answers
        return NGX_OK;
    }
    ctx->function = ngx_http_sluice_copy(r->pool, urn);
    if (put_header(r, SL_STR("x-cff-func-urn"), ngx_http_sluice_view(&ctx->function)) != NGX_OK ||
        put_header(r, SL_STR("x-apig-request-id"),
                   (struct sl_str){ctx->request_id, sizeof(ctx->request_id) - 1}) != NGX_OK ||
        put_header(r, SL_STR("x-apig-api-id"), (struct sl_str){ctx->api_id, SL_ID_LEN}) != NGX_OK ||
        put_header(r, SL_STR("x-apig-source-stage"), ctx->env_name) != NGX_OK) {
        return NGX_ERROR;
    }
    return put_header(r, SL_STR("x-apig-source-ip"), ngx_http_sluice_view(&ctx->client_addr));
}

// nginx's gRPC has no request line to write lines behind: each header is one of the request.
ngx_int_t
ngx_http_sluice_forward_grpc(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str address = ngx_http_sluice_view(&r->connection->addr_text);
    struct sl_str host = {"", 0};
    u_char *room = ngx_pnalloc(r->pool, FIXED_ROOM + address.len + forwarded_room(r));
    u_char *hops;
    u_char *port;
    u_char *trace;
    u_char *end;

    if (room == NULL) {
        return NGX_ERROR;
    }
    ngx_http_sluice_withhold(r, ctx);
    hops = append_forwarded(room, r); // texts behind each other, each after CRLF, name and blank
    port = append_hops(hops, ctx);
    trace = ngx_http_sluice_digits(port, ngx_inet_get_port(r->connection->local_sockaddr), 1);
    end = append_trace(trace, ctx);
    if (r->headers_in.host != NULL) {
        host = ngx_http_sluice_view(&r->headers_in.host->value);
    }
    ctx->backend_host = ngx_http_sluice_copy(r->pool, ngx_http_sluice_view(&ctx->backend_host));
    if (ctx->backend_host.data == NULL) {
        return NGX_ERROR;
    }
    if (put_header(r, SL_STR("x-forwarded-for"), value_of(room, hops)) != NGX_OK ||
        put_header(r, SL_STR(NGX_HTTP_SLUICE_HOPS_NAME), value_of(hops, port)) != NGX_OK ||
        put_header(r, SL_STR("x-forwarded-port"),
                   (struct sl_str){(char *)port, (size_t)(trace - port)}) != NGX_OK ||
        (!ctx->traced && put_header(r, SL_STR("traceparent"), value_of(trace, end)) != NGX_OK) ||
        put_header(r, SL_STR("x-forwarded-proto"), SL_STR("https")) != NGX_OK ||
        put_header(r, SL_STR("x-forwarded-host"), host) != NGX_OK ||
        put_header(r, SL_STR("x-real-ip"), address) != NGX_OK || put_function(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }
    return put_header(r, SL_STR("x-request-id"),
                      (struct sl_str){ctx->request_id, sizeof(ctx->request_id) - 1});
}

ngx_int_t
ngx_http_sluice_forward_event(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    const ngx_table_elt_t *trace =
        ctx->traced ? ngx_http_sluice_header(r, "traceparent", sizeof("traceparent") - 1) : NULL;
    size_t room = FIXED_ROOM + ctx->backend_host.len + (trace == NULL ? 0 : trace->value.len);
    u_char *out = ngx_pnalloc(r->pool, room);

    if (out == NULL) {
        return NGX_ERROR;
    }
    ctx->backend_headers.data = out;
    out = append(out, ngx_http_sluice_view(&ctx->backend_host));
    out = append(out, SL_STR("\r\nContent-Type: application/json\r\nX-Cff-Request-Version: v0"
                             "\r\nX-Request-Id: "));
    out = append(out, (struct sl_str){ctx->request_id, sizeof(ctx->request_id) - 1});
    out = append_hops(out, ctx);
    if (trace == NULL) {
        out = append_trace(out, ctx);
    } else {
        out = append(out, SL_STR("\r\ntraceparent: "));
        out = append(out, ngx_http_sluice_view(&trace->value));
    }
    ctx->backend_headers.len = (size_t)(out - ctx->backend_headers.data);
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_forward(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str host = {NULL, 0};
    struct sl_str upgrade = {NULL, 0};
    struct sl_str proof = {NULL, 0};
    struct sl_str address = ngx_http_sluice_view(&r->connection->addr_text);
    u_char *out;

    ngx_http_sluice_withhold(r, ctx);
    if (ctx->api->has_sign) {
        ngx_int_t rc = ngx_http_sluice_sign(r, ctx, &proof);

        if (rc != NGX_OK) {
            return rc;
        }
    }
    if (r->headers_in.host != NULL) {
        host = ngx_http_sluice_view(&r->headers_in.host->value);
    }
    if (wants_websocket(r, ctx)) {
        upgrade = ngx_http_sluice_view(&r->headers_in.upgrade->value);
    }
    out = ngx_pnalloc(r->pool, FIXED_ROOM + ctx->backend_host.len + host.len + upgrade.len +
                                   2 * address.len + forwarded_room(r) + proof.len);
    if (out == NULL) {
        return NGX_ERROR;
    }
    ctx->backend_headers.data = out;
    out = append(out, ngx_http_sluice_view(&ctx->backend_host));
    out = append(out, SL_STR("\r\nX-Request-Id: "));
    out = append(out, (struct sl_str){ctx->request_id, sizeof(ctx->request_id) - 1});
    out = append(out, SL_STR("\r\nX-Real-IP: "));
    out = append(out, address);
    out = append_forwarded(out, r);
    out = append(out, SL_STR("\r\nX-Forwarded-Proto: "));
    out = append(out, ngx_http_sluice_is_tls(r) ? SL_STR("https") : SL_STR("http"));
    out = append(out, SL_STR("\r\nX-Forwarded-Port: "));
    out = ngx_http_sluice_digits(out, ngx_inet_get_port(r->connection->local_sockaddr), 1);
    if (host.len > 0) {
        out = append(out, SL_STR("\r\nX-Forwarded-Host: "));
        out = append(out, host);
    }
    out = append_hops(out, ctx);
    if (!ctx->traced) {
        out = append_trace(out, ctx);
    }
    if (upgrade.len > 0) {
        out = append_upgrade(out, upgrade);
    }
    out = append(out, proof);
    ctx->backend_headers.len = (size_t)(out - ctx->backend_headers.data);
    return NGX_OK;
}
