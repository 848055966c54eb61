// ngx_http_sluice_gzip.c - answers go out compressed (runtime.md 13.3).
//
// nginx compresses; the gateway says whether, by the feature `gzip`, and what: the documented types
// alone. nginx's filter reads the level from a location's configuration, so nginx.conf declares one
// location a level and the request borrows the filter's part of it. That part says the rest: what
// is 1 KB or less stays as it is, and so does what a backend encoded.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

extern ngx_module_t ngx_http_gzip_filter_module;

static const struct sl_str types[] = {
    {"text/xml", 8},
    {"text/plain", 10},
    {"text/css", 8},
    {"application/javascript", 22},
    {"application/x-javascript", 24},
    {"application/rss+xml", 19},
    {"text/javascript", 15},
    {"image/tiff", 10},
    {"image/svg+xml", 13},
    {"application/json", 16},
    {"application/xml", 15},
};

static bool
is_compressed_type(const ngx_str_t *content_type)
{
    struct sl_str rest = ngx_http_sluice_view(content_type);
    struct sl_str type = sl_str_trim(sl_str_split(&rest, ';'));

    for (size_t i = 0; i < SL_COUNT(types); i++) {
        if (sl_str_equal_nocase(types[i], type)) {
            return true;
        }
    }
    return false;
}

ngx_int_t
ngx_http_sluice_gzip(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);

    if (ctx->gzip_level == 0 || ctx->gzip_level > NGX_HTTP_SLUICE_LEVELS ||
        !is_compressed_type(&r->headers_out.content_type)) {
        return NGX_OK;
    }
    ctx->gzipped = 1;
    return ngx_http_sluice_conf_put(
        r, &ngx_http_gzip_filter_module,
        smcf->levels[ctx->gzip_level - 1]->loc_conf[ngx_http_gzip_filter_module.ctx_index]);
}

char *
ngx_http_sluice_gzip_declare(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sluice_main_conf_t *smcf = conf;
    const ngx_str_t *args = cf->args->elts;
    ngx_int_t level = ngx_atoi(args[1].data, args[1].len);

    (void)cmd;
    if (level < 1 || level > NGX_HTTP_SLUICE_LEVELS) {
        return "must be a number from 1 to 9";
    }
    smcf->levels[level - 1] = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    return NGX_CONF_OK;
}

ngx_int_t
ngx_http_sluice_gzip_init(ngx_conf_t *cf, ngx_http_sluice_main_conf_t *smcf)
{
    ngx_str_t name = ngx_string("gzip_ratio");

    for (ngx_uint_t i = 0; i < NGX_HTTP_SLUICE_LEVELS; i++) {
        if (smcf->levels[i] == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "sluice needs a location with \"sluice_gzip_level %ui\"", i + 1);
            return NGX_ERROR;
        }
    }
    smcf->gzip_ratio = ngx_http_get_variable_index(cf, &name);
    return smcf->gzip_ratio == NGX_ERROR ? NGX_ERROR : NGX_OK;
}

struct sl_str
ngx_http_sluice_gzip_ratio(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);
    const ngx_http_variable_value_t *value =
        ctx->gzipped ? ngx_http_get_indexed_variable(r, (ngx_uint_t)smcf->gzip_ratio) : NULL;

    return value == NULL || value->not_found
               ? (struct sl_str){NULL, 0}
               : (struct sl_str){(const char *)value->data, value->len};
}
