// ngx_http_sluice_custom.c - headers, query strings and cookies that an operator wants in the
// access log: the feature custom_log (runtime.md 18.1).
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_param.h"

#define SHOWN_MAX 2048 // bytes of a value

// Credentials stay out of logs, whoever asks.
static bool
is_secret(struct sl_str name)
{
    static const char *const names[] = {
        "access_token", "authorization",       "x-apig-appcode", "x-apig-debug",
        "x-auth-token", "proxy-authorization", "x-hw-appkey",    "x-security-token",
    };

    for (size_t i = 0; i < SL_COUNT(names); i++) {
        if (sl_str_equal_nocase(sl_str(names[i]), name)) {
            return true;
        }
    }
    return false;
}

static bool
find_header(const ngx_http_request_t *r, struct sl_str name, struct sl_str *ret_text)
{
    const ngx_list_part_t *part = &r->headers_in.headers.part;

    for (; part != NULL; part = part->next) {
        const ngx_table_elt_t *header = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (sl_str_equal_nocase(ngx_http_sluice_view(&header[i].key), name)) {
                *ret_text = ngx_http_sluice_view(&header[i].value);
                return true;
            }
        }
    }
    return false;
}

// As it came: an escape stays one.
static bool
find_query(struct sl_str query, struct sl_str wanted, struct sl_str *ret_text)
{
    struct sl_str pair;
    struct sl_str name;

    while (ngx_http_sluice_query_next(&query, &pair, &name, ret_text)) {
        if (sl_str_equal(name, wanted)) {
            return true;
        }
    }
    return false;
}

static bool
find(const ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx, struct sl_str location,
     struct sl_str name, struct sl_str *ret_text)
{
    if (is_secret(name)) {
        return false;
    }
    if (sl_str_equal(location, SL_STR("query"))) {
        return find_query(ctx->raw_query, name, ret_text);
    }
    if (sl_str_equal(location, SL_STR("cookie"))) {
        return ngx_http_sluice_cookie(r, name, ret_text);
    }
    return find_header(r, name, ret_text);
}

// A space would end the field: it is shown as '+'.
static struct sl_str
shown(ngx_pool_t *pool, struct sl_str text)
{
    u_char *out;

    text.len = ngx_min(text.len, SHOWN_MAX);
    if (text.len == 0 || memchr(text.ptr, ' ', text.len) == NULL) {
        return text;
    }
    out = ngx_pnalloc(pool, text.len);
    for (size_t i = 0; out != NULL && i < text.len; i++) {
        out[i] = text.ptr[i] == ' ' ? '+' : (u_char)text.ptr[i];
    }
    return (struct sl_str){(const char *)out, out == NULL ? 0 : text.len};
}

ngx_int_t
ngx_http_sluice_custom_take(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str rest = sl_img_feature_text(ctx->gateway, SL_FEATURE_CUSTOM_LOG);

    if (rest.len == 0) {
        return NGX_OK;
    }
    ctx->customs = ngx_pcalloc(r->pool, NGX_HTTP_SLUICE_CUSTOMS * sizeof(*ctx->customs));
    if (ctx->customs == NULL) {
        return NGX_ERROR;
    }
    for (size_t i = 0; i < NGX_HTTP_SLUICE_CUSTOMS && rest.ptr != NULL; i++) {
        struct sl_str name = sl_str_split(&rest, ',');
        struct sl_str location = sl_str_split(&name, ' ');
        struct sl_str text;

        if (find(r, ctx, location, name, &text)) {
            ctx->customs[i] = shown(r->pool, text);
        }
    }
    return NGX_OK;
}
