// ngx_http_sluice_error.c - every refusal in the documented form.
//
// Refusals of the steps are in ctx->error. What nginx itself or its proxy refused arrives by
// error_page, with the status in r->err_status; a table gives it its row.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define MESSAGE_MAX    1024 // bytes of a rendered message without its tail
#define JSON_BYTES_MAX 6    // of one byte of text: \u001f

// What nginx's statuses mean here.
static const struct {
    ngx_uint_t status;
    enum sl_code code;
} status_codes[] = {
    {NGX_HTTP_BAD_REQUEST, SL_E_GW_BAD_REQUEST},
    {NGX_HTTP_NOT_ALLOWED, SL_E_GW_BAD_REQUEST},     // CONNECT and TRACE
    {NGX_HTTP_NOT_IMPLEMENTED, SL_E_GW_BAD_REQUEST}, // an unknown Transfer-Encoding
    {NGX_HTTP_VERSION_NOT_SUPPORTED, SL_E_GW_BAD_REQUEST},
    {NGX_HTTP_TO_HTTPS, SL_E_GW_BAD_REQUEST},
    {NGX_HTTP_REQUEST_TIME_OUT, SL_E_GW_REQUEST_TIMEOUT},
    {NGX_HTTP_REQUEST_ENTITY_TOO_LARGE, SL_E_GW_BODY_TOO_LARGE},
    {NGX_HTTP_REQUEST_URI_TOO_LARGE, SL_E_GW_URI_TOO_LARGE},
    {NGX_HTTP_REQUEST_HEADER_TOO_LARGE, SL_E_GW_HEADERS_TOO_LARGE},
    {NGX_HTTP_BAD_GATEWAY, SL_E_GW_BACKEND_UNAVAILABLE},
    {NGX_HTTP_GATEWAY_TIME_OUT, SL_E_GW_BACKEND_TIMEOUT},
};

// Whether the backend answered, but not in HTTP, or not in TLS.
static bool
backend_misspoke(const ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx)
{
    const ngx_http_upstream_state_t *states;

    if (ctx->tls_failed) {
        return true;
    }
    if (r->upstream_states == NULL || r->upstream_states->nelts == 0) {
        return false;
    }
    states = r->upstream_states->elts;
    return states[r->upstream_states->nelts - 1].bytes_received > 0;
}

static enum sl_code
code_of_status(const ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx)
{
    if (ctx->answer != NULL && r->err_status == NGX_HTTP_GATEWAY_TIME_OUT) {
        return SL_E_GW_FUNCTION_TIMEOUT;
    }
    if (r->err_status == NGX_HTTP_BAD_GATEWAY &&
        (ctx->answer != NULL || backend_misspoke(r, ctx))) {
        return SL_E_GW_BACKEND_PROTOCOL;
    }
    for (size_t i = 0; i < SL_COUNT(status_codes); i++) {
        if (status_codes[i].status == r->err_status) {
            return status_codes[i].code;
        }
    }
    return SL_E_GW_UNEXPECTED;
}

static u_char *
append(u_char *out, const char *text)
{
    return ngx_cpymem(out, text, strlen(text));
}

static u_char *
append_json(u_char *out, struct sl_str text)
{
    return (u_char *)ngx_escape_json(out, (u_char *)(uintptr_t)text.ptr, text.len);
}

ngx_int_t
ngx_http_sluice_error(ngx_http_request_t *r)
{
    ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    char message[MESSAGE_MAX];
    size_t length;
    u_char *body;
    u_char *end;
    ngx_int_t rc;

    if (ctx->error == NULL && ngx_http_sluice_fail(ctx, code_of_status(r, ctx)) != NGX_ABORT) {
        return NGX_ERROR;
    }
    r->expect_tested = 1;
    if (ngx_http_discard_request_body(r) != NGX_OK) {
        r->keepalive = 0;
    }
    length = sl_error_message(ctx->error, message, sizeof(message));
    body = ngx_pnalloc(r->pool, MESSAGE_MAX + JSON_BYTES_MAX * (length + ctx->error_tail.len));
    if (body == NULL) {
        return NGX_ERROR;
    }
    end = append(body, "{\"error_msg\":\"");
    end = append_json(end, (struct sl_str){message, length});
    end = append_json(end, ctx->error_tail);
    end = append(end, "\",\"error_code\":\"");
    end = append(end, sl_error_wire(ctx->error->code));
    end = append(end, "\",\"request_id\":\"");
    end = append(end, ctx->request_id);
    end = append(end, "\"}");
    ngx_http_clean_header(r);
    rc = ngx_http_sluice_grpc_refusal(r, ctx, (struct sl_str){message, length});
    if (rc == NGX_ERROR) {
        return rc;
    }
    r->err_status = (ngx_uint_t)sl_error_status(ctx->error->code);
    if (rc == NGX_DONE) {
        return ngx_http_sluice_send(r, r->err_status, SL_STR("application/grpc"), SL_STR(""));
    }
    return ngx_http_sluice_send(r, r->err_status, SL_STR("application/json"),
                                (struct sl_str){(const char *)body, (size_t)(end - body)});
}
