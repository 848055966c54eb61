// ngx_http_sluice_log.c - the variables $sluice_*: what the proxy sends and what the access log
// says.
//
// One table; each row says which field of the request's context it shows. Absent values are "not
// found", which log formats print as nothing and proxy_set_header leaves out.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define DIGITS_MAX 19 // of the numbers that are written

static const struct {
    ngx_str_t name;
    enum ngx_http_sluice_field field;
} variables[] = {
    {ngx_string("sluice_log"), NGX_HTTP_SLUICE_LINE},
    {ngx_string("sluice_request_id"), NGX_HTTP_SLUICE_REQUEST_ID},
    {ngx_string("sluice_api_id"), NGX_HTTP_SLUICE_API_ID},
    {ngx_string("sluice_app_id"), NGX_HTTP_SLUICE_APP_ID},
    {ngx_string("sluice_group_id"), NGX_HTTP_SLUICE_GROUP_ID},
    {ngx_string("sluice_env"), NGX_HTTP_SLUICE_ENV},
    {ngx_string("sluice_path"), NGX_HTTP_SLUICE_PATH},
    {ngx_string("sluice_error_code"), NGX_HTTP_SLUICE_ERROR_CODE},
    {ngx_string("sluice_auth"), NGX_HTTP_SLUICE_AUTH},
    {ngx_string("sluice_throttled"), NGX_HTTP_SLUICE_THROTTLED},
    {ngx_string("sluice_source"), NGX_HTTP_SLUICE_SOURCE},
    {ngx_string("sluice_backend_method"), NGX_HTTP_SLUICE_BACKEND_METHOD},
    {ngx_string("sluice_backend_headers"), NGX_HTTP_SLUICE_BACKEND_HEADERS},
    {ngx_string("sluice_backend_tls_name"), NGX_HTTP_SLUICE_TLS_NAME},
};

static const struct sl_str proof_names[] = {
    [NGX_HTTP_SLUICE_PROOF_NONE] = {"none", 4},
    [NGX_HTTP_SLUICE_PROOF_APPCODE] = {"appcode", 7},
    [NGX_HTTP_SLUICE_PROOF_SIGNATURE] = {"signature", 9},
};

u_char *
ngx_http_sluice_digits(u_char *out, uint64_t number, size_t least)
{
    size_t count = least;
    uint64_t bound = 10;

    for (size_t i = 1; i < least; i++) {
        bound *= 10;
    }
    while (number >= bound && count < DIGITS_MAX) {
        count++;
        bound *= 10;
    }
    for (size_t i = count; i > 0; i--) {
        out[i - 1] = (u_char)('0' + number % 10);
        number /= 10;
    }
    return out + count;
}

struct sl_str
ngx_http_sluice_field(const ngx_http_sluice_ctx_t *ctx, enum ngx_http_sluice_field field)
{
    static const struct sl_str none = {NULL, 0};

    switch (field) {
    case NGX_HTTP_SLUICE_REQUEST_ID:
        return (struct sl_str){ctx->request_id, sizeof(ctx->request_id) - 1};
    case NGX_HTTP_SLUICE_API_ID:
        return ctx->routed ? (struct sl_str){ctx->api_id, SL_ID_LEN} : none;
    case NGX_HTTP_SLUICE_APP_ID:
        return ctx->has_app ? (struct sl_str){ctx->app_id, SL_ID_LEN} : none;
    case NGX_HTTP_SLUICE_GROUP_ID:
        return ctx->routed ? (struct sl_str){ctx->group_id, SL_ID_LEN} : none;
    case NGX_HTTP_SLUICE_ENV:
        return ctx->env_name;
    case NGX_HTTP_SLUICE_PATH:
        return ctx->path;
    case NGX_HTTP_SLUICE_ERROR_CODE:
        return ctx->error != NULL ? sl_str(sl_error_wire(ctx->error->code)) : none;
    case NGX_HTTP_SLUICE_AUTH:
        return proof_names[ctx->proof];
    case NGX_HTTP_SLUICE_THROTTLED:
        return ctx->throttled ? SL_STR("1") : SL_STR("0");
    case NGX_HTTP_SLUICE_SOURCE:
        return ctx->backend_called && ctx->error == NULL ? SL_STR("remote") : SL_STR("local");
    case NGX_HTTP_SLUICE_BACKEND_METHOD:
        return ngx_http_sluice_view(&ctx->backend_method);
    case NGX_HTTP_SLUICE_BACKEND_HEADERS:
        return ngx_http_sluice_view(&ctx->backend_headers);
    case NGX_HTTP_SLUICE_TLS_NAME:
        return ngx_http_sluice_view(&ctx->tls_name);
    case NGX_HTTP_SLUICE_LINE:
    default:
        return none;
    }
}

static ngx_int_t
get_variable(ngx_http_request_t *r, ngx_http_variable_value_t *value, uintptr_t data)
{
    const ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    struct sl_str text = {NULL, 0};

    if (data == NGX_HTTP_SLUICE_LINE) {
        if (ngx_http_sluice_line(r, &text) != NGX_OK) {
            return NGX_ERROR;
        }
    } else if (ctx != NULL) {
        text = ngx_http_sluice_field(ctx, (enum ngx_http_sluice_field)data);
    }
    value->not_found = text.ptr == NULL;
    value->valid = text.ptr != NULL;
    value->no_cacheable = 0;
    value->data = (u_char *)(uintptr_t)text.ptr;
    value->len = (unsigned)(text.len & 0x0fffffff);
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_variables(ngx_conf_t *cf)
{
    for (size_t i = 0; i < SL_COUNT(variables); i++) {
        ngx_str_t name = variables[i].name;
        ngx_http_variable_t *variable = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);

        if (variable == NULL) {
            return NGX_ERROR;
        }
        variable->get_handler = get_variable;
        variable->data = (uintptr_t)variables[i].field;
    }
    return NGX_OK;
}
