// ngx_http_sluice_address.c - whose call it is: the peer's, or who the peer says called it.
//
// Behind a load balancer the peer is the balancer. The features real_ip_header_getter and
// real_ip_from_xff say which header to believe (runtime.md 4.1); what is no address there is
// passed over for the peer's. Limits, conditions, apps' address lists and the log go by it.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include <arpa/inet.h>

#define GETTER "header:" // what the getter's text begins with

// Walks through the elements of all values together; answers how many there are, and in *ret_one
// the one with this index, when there is one.
static int64_t
walk_elements(const ngx_array_t *headers, int64_t index, struct sl_str *ret_one)
{
    ngx_table_elt_t *const *values = headers->elts;
    int64_t at = 0;

    for (ngx_uint_t i = 0; i < headers->nelts; i++) {
        struct sl_str rest = ngx_http_sluice_view(&values[i]->value);

        while (rest.ptr != NULL) {
            struct sl_str one = sl_str_split(&rest, ',');

            if (at == index) {
                *ret_one = sl_str_trim(one);
            }
            at++;
        }
    }
    return at;
}

// The n-th element, from 0; negative: from the end, -1 the last. NULL text when there is none.
static struct sl_str
element_at(const ngx_array_t *headers, int64_t index)
{
    struct sl_str one = {NULL, 0};
    int64_t count = walk_elements(headers, index, &one);

    if (index < 0) {
        (void)walk_elements(headers, count + index, &one);
    }
    return one;
}

// The first header that the getter names.
static struct sl_str
named(ngx_http_request_t *r, struct sl_str getter)
{
    u_char lower[NGX_HTTP_SLUICE_GETTER_MAX];
    size_t len = getter.len - (sizeof(GETTER) - 1);
    ngx_table_elt_t *header;

    if (getter.len < sizeof(GETTER) || len > sizeof(lower)) {
        return (struct sl_str){NULL, 0};
    }
    ngx_strlow(lower, (u_char *)(uintptr_t)getter.ptr + sizeof(GETTER) - 1, len);
    header = ngx_http_sluice_header(r, (const char *)lower, len);
    return header == NULL ? (struct sl_str){NULL, 0}
                          : sl_str_trim(ngx_http_sluice_view(&header->value));
}

// Writes an address as every spelling of it is written: limits count by the text.
static bool
spell(struct sl_str text, char ret_text[INET6_ADDRSTRLEN])
{
    char given[INET6_ADDRSTRLEN];
    struct in6_addr v6;
    struct in_addr v4;

    if (text.len == 0 || text.len >= sizeof(given)) {
        return false;
    }
    ngx_memcpy(given, text.ptr, text.len);
    given[text.len] = '\0';
    if (inet_pton(AF_INET, given, &v4) == 1) {
        return inet_ntop(AF_INET, &v4, ret_text, INET6_ADDRSTRLEN) != NULL;
    }
    if (inet_pton(AF_INET6, given, &v6) != 1) {
        return false;
    }
    return IN6_IS_ADDR_V4MAPPED(&v6)
               ? inet_ntop(AF_INET, &v6.s6_addr[12], ret_text, INET6_ADDRSTRLEN) != NULL
               : inet_ntop(AF_INET6, &v6, ret_text, INET6_ADDRSTRLEN) != NULL;
}

ngx_int_t
ngx_http_sluice_address(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str said;
    char text[INET6_ADDRSTRLEN];
    ngx_str_t copy;

    if (sl_img_feature_on(ctx->gateway, SL_FEATURE_REAL_IP_HEADER)) {
        said = named(r, sl_img_feature_text(ctx->gateway, SL_FEATURE_REAL_IP_GETTER));
    } else if (sl_img_feature_on(ctx->gateway, SL_FEATURE_REAL_IP_XFF)) {
        said = element_at(&r->headers_in.x_forwarded_for,
                          sl_img_feature_number(ctx->gateway, SL_FEATURE_REAL_IP_INDEX, -1));
    } else {
        return NGX_OK;
    }
    if (!spell(said, text)) {
        return NGX_OK;
    }
    copy = ngx_http_sluice_copy(r->pool, sl_str(text));
    if (copy.data == NULL) {
        return NGX_ERROR;
    }
    ctx->client_addr = copy;
    return NGX_OK;
}
