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

static ngx_int_t
take_header(ngx_pool_t *pool, const struct sl_img_header *from, ngx_table_elt_t *header)
{
    *header = (ngx_table_elt_t){.hash = 1,
                                .key = ngx_http_sluice_copy(pool, sl_img_text(&from->name)),
                                .value = ngx_http_sluice_copy(pool, sl_img_text(&from->value))};
    if (header->key.data == NULL || header->value.data == NULL) {
        return NGX_ERROR;
    }
    header->lowcase_key = ngx_pnalloc(pool, header->key.len);
    if (header->lowcase_key == NULL) {
        return NGX_ERROR;
    }
    ngx_strlow(header->lowcase_key, header->key.data, header->key.len);
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_mock_take(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    const struct sl_img_target *target = ctx->target;
    const struct sl_img_header *headers = sl_img_items(&target->mock_headers);
    uint32_t count = target->mock_headers.count;

    ctx->mock_status = target->mock_status;
    ctx->mock_body = ngx_http_sluice_copy(r->pool, sl_img_text(&target->mock_body));
    ctx->mock_headers =
        count > 0 ? ngx_array_create(r->pool, count, sizeof(ngx_table_elt_t)) : NULL;
    if (ctx->mock_body.data == NULL || (count > 0 && ctx->mock_headers == NULL)) {
        return NGX_ERROR;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (take_header(r->pool, &headers[i], ngx_array_push(ctx->mock_headers)) != NGX_OK) {
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}

static bool
is_called(const ngx_table_elt_t *header, const char *name)
{
    return header->key.len == ngx_strlen(name) &&
           ngx_memcmp(header->lowcase_key, name, header->key.len) == 0;
}

// Says the mock's headers; the last Content-Type is the answer's.
static ngx_int_t
say_headers(ngx_http_request_t *r, const ngx_array_t *headers, struct sl_str *type)
{
    const ngx_table_elt_t *header = headers->elts;

    for (ngx_uint_t i = 0; i < headers->nelts; i++) {
        if (is_called(&header[i], "content-type")) {
            *type = ngx_http_sluice_view(&header[i].value);
            continue;
        }
        ngx_table_elt_t *said = ngx_list_push(&r->headers_out.headers);
        if (said == NULL) {
            return NGX_ERROR;
        }
        *said = header[i];
        if (is_called(said, "content-encoding")) {
            r->headers_out.content_encoding = said; // nginx compresses nothing twice
        }
    }
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_mock(ngx_http_request_t *r)
{
    const ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    struct sl_str body = ngx_http_sluice_view(&ctx->mock_body);
    struct sl_str type = ngx_http_sluice_type_of(body);
    ngx_int_t rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }
    if (ctx->mock_headers != NULL && say_headers(r, ctx->mock_headers, &type) != NGX_OK) {
        return NGX_ERROR;
    }
    return ngx_http_sluice_send(r, ctx->mock_status, type, body);
}
