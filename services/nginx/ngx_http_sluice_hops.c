// ngx_http_sluice_hops.c - how often a call has passed this gateway: an API may call another, not
// itself for ever (runtime.md 10.1).
//
// Each request to a backend carries "X-Sluice-Hops: <n> <gateway id>". Lines with another gateway's
// id are that gateway's and go through like any header, so a loop through two gateways ends as
// well. A caller who writes a line of ours himself can only shorten his own way.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define LEVELS_MAX 10  // of APIs that call each other below the first
#define COUNT_MAX  999 // what a line may say

// The count of a line of this gateway's; -1 when it is not one.
static ngx_int_t
count_of(const ngx_http_sluice_ctx_t *ctx, struct sl_str value)
{
    struct sl_str count = sl_str_split(&value, ' ');
    int64_t number = 0;

    if (!sl_str_equal(value, (struct sl_str){ctx->gateway->id, SL_ID_LEN}) ||
        !sl_str_int(count, &number) || number < 0 || number > COUNT_MAX) {
        return -1;
    }
    return (ngx_int_t)number;
}

ngx_int_t
ngx_http_sluice_hops(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    static const char name[] = NGX_HTTP_SLUICE_HOPS_NAME;
    ngx_list_part_t *part = &r->headers_in.headers.part;
    ngx_int_t passed = 0;

    if (!ngx_http_sluice_may_have(r, name, sizeof(name) - 1)) {
        part = NULL;
    }
    for (; part != NULL; part = part->next) {
        ngx_table_elt_t *header = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            ngx_int_t count;

            if (header[i].key.len != sizeof(name) - 1 ||
                ngx_memcmp(header[i].lowcase_key, name, sizeof(name) - 1) != 0) {
                continue;
            }
            count = count_of(ctx, ngx_http_sluice_view(&header[i].value));
            if (count >= 0) {
                ngx_http_sluice_header_hide(&header[i]);
                passed = ngx_max(passed, count);
            }
        }
    }
    if (passed > LEVELS_MAX) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_LOOP);
    }
    ctx->hops = (ngx_uint_t)passed + 1;
    return NGX_OK;
}
