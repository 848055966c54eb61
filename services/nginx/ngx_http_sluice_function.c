// ngx_http_sluice_function.c - what a function answers becomes the answer to the caller
// (runtime.md 10.3).
//
// The function service answers with a JSON object {statusCode, headers, body, isBase64Encoded}. The
// answer's header waits until the whole object is there; then it is sent as the object says.
// Anything else is GW_FUNCTION_ANSWER. A service that refuses or cannot be reached is
// GW_BACKEND_PROTOCOL, one that is too slow GW_FUNCTION_TIMEOUT (_error.c).
//
// SPDX-License-Identifier: Apache-2.0
#include <jansson.h>

#include "services/nginx/ngx_http_sluice.h"

#define ANSWER_MAX   (8 * 1024 * 1024) // bytes of an answer: 6 MB of body in base64
#define ANSWER_FIRST 16384             // bytes of the first room
#define STATUS_MIN   200
#define STATUS_MAX   599

enum state {
    AWAITED,    // the service has not answered
    COLLECTING, // its answer comes
    SENT,       // ours is on its way
};

struct ngx_http_sluice_answer {
    enum state state;
    bool async;
    bool truncated; // too large, or cut off
    u_char *data;
    size_t len, room;
};

static ngx_http_output_body_filter_pt next_body_filter;

// -- the way there --------------------------------------------------------------------------------

ngx_int_t
ngx_http_sluice_function_body(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    return r->request_body == NULL && ngx_http_sluice_has_body(r)
               ? ngx_http_sluice_body_read(r, ctx)
               : NGX_OK;
}

ngx_int_t
ngx_http_sluice_function(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ctx->answer = ngx_pcalloc(r->pool, sizeof(*ctx->answer));
    if (ctx->answer == NULL) {
        return NGX_ERROR;
    }
    ctx->answer->async = ctx->target->async != 0;
    return ngx_http_sluice_forward_event(r, ctx);
}

// -- headers of the answer ------------------------------------------------------------------------

// What the connection or the gateway itself says.
static bool
is_not_the_functions(const char *name)
{
    static const char *const names[] = {
        "connection", "content-length",    "date",    "keep-alive",   "server",
        "trailer",    "transfer-encoding", "upgrade", "x-request-id",
    };

    for (size_t i = 0; i < SL_COUNT(names); i++) {
        if (strcasecmp(name, names[i]) == 0) {
            return true;
        }
    }
    return strncasecmp(name, "x-apig-", sizeof("x-apig-") - 1) == 0;
}

static bool
is_name(const char *name)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    return name[0] != '\0' && strspn(name, token) == strlen(name);
}

static bool
is_value(const json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);

    for (size_t i = 0; i < len; i++) {
        u_char byte = (u_char)text[i];

        if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            return false;
        }
    }
    return text != NULL;
}

static ngx_int_t
add_header(ngx_http_request_t *r, const char *name, const json_t *value)
{
    ngx_table_elt_t *header;

    if (!is_name(name) || !is_value(value)) {
        return NGX_DECLINED;
    }
    if (is_not_the_functions(name)) {
        return NGX_OK;
    }
    header = ngx_list_push(&r->headers_out.headers);
    if (header == NULL) {
        return NGX_ERROR;
    }
    header->hash = 1;
    header->key = ngx_http_sluice_copy(r->pool, sl_str(name));
    header->value = ngx_http_sluice_copy(
        r->pool, (struct sl_str){json_string_value(value), json_string_length(value)});
    header->lowcase_key = header->key.data;
    if (header->key.data == NULL || header->value.data == NULL) {
        return NGX_ERROR;
    }
    if (strcasecmp(name, "content-type") == 0) { // nginx writes it from elsewhere
        header->hash = 0;
        r->headers_out.content_type = header->value;
    }
    return NGX_OK;
}

// A header of the answer: a text, or a list of texts.
static ngx_int_t
add_headers(ngx_http_request_t *r, const char *name, const json_t *value)
{
    ngx_int_t rc = NGX_OK;

    if (!json_is_array(value)) {
        return add_header(r, name, value);
    }
    for (size_t i = 0; i < json_array_size(value) && rc == NGX_OK; i++) {
        rc = add_header(r, name, json_array_get(value, i));
    }
    return rc;
}

// -- the answer -----------------------------------------------------------------------------------

// The body that the object describes. NGX_DECLINED when it describes none.
static ngx_int_t
read_body(ngx_http_request_t *r, const json_t *object, struct sl_str *ret_body)
{
    const json_t *body = json_object_get(object, "body");
    const json_t *encoded = json_object_get(object, "isBase64Encoded");
    ngx_str_t text;
    ngx_str_t plain;

    if ((body != NULL && !json_is_string(body) && !json_is_null(body)) ||
        (encoded != NULL && !json_is_boolean(encoded))) {
        return NGX_DECLINED;
    }
    text = ngx_http_sluice_copy(
        r->pool, json_is_string(body)
                     ? (struct sl_str){json_string_value(body), json_string_length(body)}
                     : SL_STR(""));
    if (text.data == NULL) {
        return NGX_ERROR;
    }
    if (!json_is_true(encoded)) {
        *ret_body = ngx_http_sluice_view(&text);
        return NGX_OK;
    }
    plain.data = ngx_pnalloc(r->pool, ngx_base64_decoded_length(text.len) + 1);
    if (plain.data == NULL) {
        return NGX_ERROR;
    }
    plain.len = 0;
    if (text.len > 0 && ngx_decode_base64(&plain, &text) != NGX_OK) {
        return NGX_DECLINED;
    }
    *ret_body = ngx_http_sluice_view(&plain);
    return NGX_OK;
}

// Sends what the object says; NGX_DECLINED when it is not an answer.
static ngx_int_t
send_object(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, const json_t *object)
{
    const json_t *status = json_object_get(object, "statusCode");
    json_t *headers = json_object_get(object, "headers");
    struct sl_str body = {"", 0};
    ngx_int_t rc = NGX_DECLINED;
    const char *name;
    json_t *value;

    if (json_is_integer(status) && json_integer_value(status) >= STATUS_MIN &&
        json_integer_value(status) <= STATUS_MAX &&
        (headers == NULL || json_is_null(headers) || json_is_object(headers))) {
        rc = read_body(r, object, &body);
    }
    ngx_http_clean_header(r);
    r->headers_out.content_type.len = 0;
    json_object_foreach(headers, name, value)
    {
        rc = rc == NGX_OK ? add_headers(r, name, value) : rc;
    }
    if (rc != NGX_OK) {
        return rc;
    }
    ctx->answer->state = SENT;
    return ngx_http_sluice_send(r, (ngx_uint_t)json_integer_value(status),
                                r->headers_out.content_type.len > 0
                                    ? ngx_http_sluice_view(&r->headers_out.content_type)
                                    : ngx_http_sluice_type_of(body),
                                body);
}

static ngx_int_t
refuse(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ctx->answer->state = SENT;
    if (ngx_http_sluice_fail(ctx, SL_E_GW_FUNCTION_ANSWER) != NGX_ABORT) {
        return NGX_ERROR;
    }
    return ngx_http_filter_finalize_request(r, &ngx_http_sluice_module,
                                            sl_error_status(SL_E_GW_FUNCTION_ANSWER));
}

static ngx_int_t
deliver(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct ngx_http_sluice_answer *answer = ctx->answer;
    json_t *object;
    ngx_int_t rc;

    if (answer->async) { // the service took it
        ngx_http_clean_header(r);
        answer->state = SENT;
        return ngx_http_sluice_send(r, NGX_HTTP_ACCEPTED, SL_STR("text/plain"),
                                    (struct sl_str){"", 0});
    }
    if (answer->truncated || answer->len == 0) {
        return refuse(r, ctx);
    }
    object = json_loadb((const char *)answer->data, answer->len, JSON_ALLOW_NUL, NULL);
    rc = json_is_object(object) ? send_object(r, ctx, object) : NGX_DECLINED;
    json_decref(object);
    return rc == NGX_DECLINED ? refuse(r, ctx) : rc;
}

// -- filters --------------------------------------------------------------------------------------

ngx_int_t
ngx_http_sluice_function_header(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    if (ctx->answer == NULL || ctx->answer->state != AWAITED || ctx->error != NULL ||
        r->upstream == NULL || r->err_status != 0) {
        return NGX_DECLINED;
    }
    ctx->answer->state = COLLECTING;
    r->filter_need_in_memory = 1;
    return NGX_OK;
}

static void
collect(ngx_http_request_t *r, struct ngx_http_sluice_answer *answer, const u_char *bytes,
        size_t len)
{
    size_t room = ngx_max(answer->room, ANSWER_FIRST);
    u_char *larger;

    if (answer->truncated || len == 0) {
        return;
    }
    if (len > ANSWER_MAX - answer->len) {
        answer->truncated = true;
        return;
    }
    while (room < answer->len + len) {
        room *= 2;
    }
    if (room > answer->room) {
        larger = ngx_palloc(r->pool, room);
        if (larger == NULL) {
            answer->truncated = true;
            return;
        }
        if (answer->data != NULL) {
            ngx_memcpy(larger, answer->data, answer->len);
            ngx_pfree(r->pool, answer->data);
        }
        answer->data = larger;
        answer->room = room;
    }
    ngx_memcpy(answer->data + answer->len, bytes, len);
    answer->len += len;
}

static ngx_int_t
body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_sluice_ctx_t *ctx = r == r->main ? ngx_http_sluice_ctx(r) : NULL;
    bool is_last = false;

    if (ctx == NULL || ctx->answer == NULL || ctx->answer->state != COLLECTING) {
        return next_body_filter(r, in);
    }
    for (; in != NULL; in = in->next) {
        ngx_buf_t *buffer = in->buf;

        if (ngx_buf_in_memory(buffer)) {
            collect(r, ctx->answer, buffer->pos, (size_t)(buffer->last - buffer->pos));
        }
        if (buffer->flush && ngx_buf_special(buffer)) { // nginx gives up in the middle of a body
            ctx->answer->truncated = is_last = true;
        }
        buffer->pos = buffer->last;
        is_last = is_last || buffer->last_buf;
    }
    return is_last ? deliver(r, ctx) : NGX_OK;
}

void
ngx_http_sluice_function_init(void)
{
    next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = body_filter;
}
