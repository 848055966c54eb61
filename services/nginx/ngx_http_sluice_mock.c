// ngx_http_sluice_mock.c - answers of MOCK backends.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

static bool
is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

// Whether the text looks like a JSON document: an object or an array from end to end. The content
// is the operator's; a misjudged type harms nobody.
static bool
is_json(struct sl_str text)
{
    size_t begin = 0;
    size_t end = text.len;

    while (begin < end && is_blank(text.ptr[begin])) {
        begin++;
    }
    while (end > begin && is_blank(text.ptr[end - 1])) {
        end--;
    }
    return end - begin >= 2 && ((text.ptr[begin] == '{' && text.ptr[end - 1] == '}') ||
                                (text.ptr[begin] == '[' && text.ptr[end - 1] == ']'));
}

struct sl_str
ngx_http_sluice_type_of(struct sl_str body)
{
    return is_json(body) ? SL_STR("application/json") : SL_STR("text/plain");
}

ngx_int_t
ngx_http_sluice_mock(ngx_http_request_t *r)
{
    const ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    struct sl_str body = ngx_http_sluice_view(&ctx->mock_body);
    ngx_int_t rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }
    return ngx_http_sluice_send(r, ctx->mock_status, ngx_http_sluice_type_of(body), body);
}
