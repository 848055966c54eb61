// ngx_http_sluice_grpc.c - what a refused gRPC call is told (runtime.md 2.6).
//
// A refusal keeps its HTTP status; grpc-status and grpc-message say the same to who does not read
// it. Who speaks gRPC gets no JSON body: stock clients take one for a broken message and tell that
// instead of the status.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define GRPC_INTERNAL 13 // the status of whatever the table does not list

static const struct {
    int http;
    ngx_uint_t grpc;
} statuses[] = {
    {NGX_HTTP_BAD_REQUEST, 3},       // INVALID_ARGUMENT
    {NGX_HTTP_UNAUTHORIZED, 16},     // UNAUTHENTICATED
    {NGX_HTTP_FORBIDDEN, 7},         // PERMISSION_DENIED
    {NGX_HTTP_NOT_FOUND, 12},        // UNIMPLEMENTED
    {NGX_HTTP_TOO_MANY_REQUESTS, 8}, // RESOURCE_EXHAUSTED
    {NGX_HTTP_BAD_GATEWAY, 14},      // UNAVAILABLE
    {NGX_HTTP_SERVICE_UNAVAILABLE, 14},
    {NGX_HTTP_GATEWAY_TIME_OUT, 4}, // DEADLINE_EXCEEDED
};

static ngx_uint_t
grpc_status(int http)
{
    for (size_t i = 0; i < SL_COUNT(statuses); i++) {
        if (statuses[i].http == http) {
            return statuses[i].grpc;
        }
    }
    return GRPC_INTERNAL;
}

static bool
speaks_grpc(const ngx_http_request_t *r)
{
    static const struct sl_str type = {"application/grpc", sizeof("application/grpc") - 1};

    return r->http_version == NGX_HTTP_VERSION_20 && r->headers_in.content_type != NULL &&
           sl_str_starts(ngx_http_sluice_view(&r->headers_in.content_type->value), type);
}

static ngx_int_t
add(ngx_http_request_t *r, ngx_str_t name, ngx_str_t value)
{
    ngx_table_elt_t *header = value.data == NULL ? NULL : ngx_list_push(&r->headers_out.headers);

    if (header == NULL) {
        return NGX_ERROR;
    }
    header->hash = 1;
    header->key = name;
    header->lowcase_key = name.data;
    header->value = value;
    return NGX_OK;
}

// Percent-encodes what a header of gRPC's may not hold.
static ngx_str_t
encoded(ngx_pool_t *pool, struct sl_str text)
{
    static const u_char hex[] = "0123456789ABCDEF";
    ngx_str_t out = {0, ngx_pnalloc(pool, 3 * text.len + 1)};

    for (size_t i = 0; out.data != NULL && i < text.len; i++) {
        u_char byte = (u_char)text.ptr[i];

        if (byte < ' ' || byte > '~' || byte == '%') {
            out.data[out.len++] = '%';
            out.data[out.len++] = hex[byte >> 4];
            byte = hex[byte & 15];
        }
        out.data[out.len++] = byte;
    }
    return out;
}

ngx_int_t
ngx_http_sluice_grpc_refusal(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx,
                             struct sl_str message)
{
    static const ngx_str_t status_name = ngx_string("grpc-status");
    static const ngx_str_t message_name = ngx_string("grpc-message");
    ngx_str_t status = {0, NULL};

    if (!ctx->grpc && !speaks_grpc(r)) {
        return NGX_OK;
    }
    status.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (status.data == NULL) {
        return NGX_ERROR;
    }
    status.len = (size_t)(ngx_http_sluice_digits(
                              status.data, grpc_status(sl_error_status(ctx->error->code)), 1) -
                          status.data);
    if (add(r, status_name, status) != NGX_OK ||
        add(r, message_name, encoded(r->pool, message)) != NGX_OK) {
        return NGX_ERROR;
    }
    return speaks_grpc(r) ? NGX_DONE : NGX_OK;
}
