// ngx_http_sluice_cors.c - answers that pages of any origin may read (runtime.md 3).
//
// What the backend says itself stays. An API that is declared for OPTIONS answers preflight
// requests: its answers say besides what a page may send.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define SIMPLE_ROWS 2 // of the table: what every answer says

static const struct {
    ngx_str_t name;
    ngx_str_t lower;
    ngx_str_t value;
} rows[] = {
    {ngx_string("Access-Control-Allow-Origin"), ngx_string("access-control-allow-origin"),
     ngx_string("*")},
    {ngx_string("Access-Control-Expose-Headers"), ngx_string("access-control-expose-headers"),
     ngx_string("X-Request-Id,X-Apig-Latency,X-Apig-Upstream-Latency,X-Apig-RateLimit-Api,"
                "X-Apig-RateLimit-User,X-Apig-RateLimit-App,X-Apig-RateLimit-Ip,"
                "X-Apig-RateLimit-Api-Allenv")},
    {ngx_string("Access-Control-Allow-Methods"), ngx_string("access-control-allow-methods"),
     ngx_string("GET,POST,PUT,DELETE,HEAD,OPTIONS,PATCH")},
    {ngx_string("Access-Control-Allow-Headers"), ngx_string("access-control-allow-headers"),
     ngx_string("X-Stage,X-Sdk-Date,X-Sdk-Nonce,X-Proxy-Signed-Headers,X-Sdk-Content-Sha256,"
                "X-Forwarded-For,Authorization,Content-Type,Accept,Accept-Ranges,Cache-Control,"
                "Range")},
    {ngx_string("Access-Control-Max-Age"), ngx_string("access-control-max-age"),
     ngx_string("172800")},
};

static bool
is_said(const ngx_http_request_t *r, const ngx_str_t *name)
{
    const ngx_list_part_t *part = &r->headers_out.headers.part;

    for (; part != NULL; part = part->next) {
        const ngx_table_elt_t *header = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (header[i].hash != 0 && header[i].key.len == name->len &&
                ngx_strncasecmp(header[i].key.data, name->data, name->len) == 0) {
                return true;
            }
        }
    }
    return false;
}

ngx_int_t
ngx_http_sluice_cors(ngx_http_request_t *r, bool preflight)
{
    size_t count = preflight ? SL_COUNT(rows) : SIMPLE_ROWS;

    for (size_t i = 0; i < count; i++) {
        ngx_table_elt_t *header;

        if (is_said(r, &rows[i].name)) {
            continue;
        }
        header = ngx_list_push(&r->headers_out.headers);
        if (header == NULL) {
            return NGX_ERROR;
        }
        header->hash = 1;
        header->key = rows[i].name;
        header->lowcase_key = rows[i].lower.data;
        header->value = rows[i].value;
    }
    return NGX_OK;
}
