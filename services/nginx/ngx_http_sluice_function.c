// ngx_http_sluice_function.c - what a function answers becomes the answer to the caller
// (runtime.md 10.3).
//
// The function service answers with a JSON object (_answer.c). The answer's header waits until the
// whole object is there; then it is sent as the object says. Large ones are read by a thread, since
// that takes tens of milliseconds, and a worker has other callers. Anything else is
// GW_FUNCTION_ANSWER. A service that refuses or cannot be reached is GW_BACKEND_PROTOCOL, one that
// is too slow GW_FUNCTION_TIMEOUT (_error.c).
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"
#include "services/nginx/ngx_http_sluice_answer.h"

#define ANSWER_MAX    (8 * 1024 * 1024) // bytes of an answer: 6 MB of body in base64
#define ANSWER_FIRST  16384             // bytes of the first room
// Bytes of an answer that the worker reads itself, in a fraction of a millisecond.
#define READ_HERE_MAX 65536
#define BUFFERED_HERE 0x08U // of r->buffered: the image filter's bit, which is not loaded
#define BUFFERED_ALL  0x0fU // bits that it has

enum state {
    AWAITED,    // the service has not answered
    COLLECTING, // its answer comes
    READING,    // a thread reads it
    READ,       // and has read it
    SENT,       // ours is on its way
};

struct ngx_http_sluice_answer {
    enum state state;
    bool async;
    bool truncated; // too large, or cut off
    bool is_read;   // `said` holds it
    u_char *data;
    size_t len, room;
    struct ngx_http_sluice_said said;
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

// -- the answer -----------------------------------------------------------------------------------

static ngx_int_t
add_header(ngx_http_request_t *r, const struct ngx_http_sluice_said_header *from)
{
    ngx_table_elt_t *header = ngx_list_push(&r->headers_out.headers);

    if (header == NULL) {
        return NGX_ERROR;
    }
    header->hash = 1;
    header->key = ngx_http_sluice_copy(r->pool, from->name);
    header->value = ngx_http_sluice_copy(r->pool, from->value);
    header->lowcase_key = header->key.data;
    if (header->key.data == NULL || header->value.data == NULL) {
        return NGX_ERROR;
    }
    if (sl_str_equal_nocase(from->name, SL_STR("content-type"))) { // nginx writes it from elsewhere
        header->hash = 0;
        r->headers_out.content_type = header->value;
    }
    return NGX_OK;
}

static ngx_int_t
send_said(ngx_http_request_t *r, struct ngx_http_sluice_answer *answer)
{
    const struct ngx_http_sluice_said *said = &answer->said;

    answer->state = SENT;
    ngx_http_clean_header(r);
    r->headers_out.content_type.len = 0;
    for (size_t i = 0; i < said->header_count; i++) {
        if (add_header(r, &said->headers[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }
    return ngx_http_sluice_send(r, (ngx_uint_t)said->status,
                                r->headers_out.content_type.len > 0
                                    ? ngx_http_sluice_view(&r->headers_out.content_type)
                                    : ngx_http_sluice_type_of(said->body),
                                said->body);
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

// What was read goes out, if it could be read.
static ngx_int_t
finish(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    r->buffered &= BUFFERED_ALL ^ BUFFERED_HERE;
    return ctx->answer->is_read ? send_said(r, ctx->answer) : refuse(r, ctx);
}

static void
read_said(struct ngx_http_sluice_answer *answer)
{
    struct sl_str text = {(const char *)answer->data, answer->len};

    answer->is_read = ngx_http_sluice_said_read(text, &answer->said) == 0;
}

static void
clear_said(void *data)
{
    struct ngx_http_sluice_answer *answer = data;

    ngx_http_sluice_said_clear(&answer->said);
}

// -- large answers: a thread reads them -----------------------------------------------------------

struct reading {
    ngx_http_sluice_aside_t job;
    ngx_http_request_t *request;
    struct ngx_http_sluice_answer *answer;
};

static void
read_aside(void *data)
{
    const struct reading *reading = data;

    read_said(reading->answer);
}

// Back in the worker: the request goes on with its writing, or ends if its client went away.
static void
on_read_aside(void *data)
{
    const struct reading *reading = data;
    ngx_http_request_t *r = reading->request;
    ngx_connection_t *c = r->connection;

    r->main->blocked--;
    r->aio = 0;
    reading->answer->state = READ;
    r->write_event_handler(r);
    ngx_http_run_posted_requests(c);
}

static ngx_int_t
start_reading(ngx_http_request_t *r, struct ngx_http_sluice_answer *answer)
{
    struct reading *reading = ngx_palloc(r->pool, sizeof(*reading));

    if (reading == NULL) {
        return NGX_ERROR;
    }
    *reading = (struct reading){{NULL, read_aside, on_read_aside, reading}, r, answer};
    if (ngx_http_sluice_aside(&reading->job) != NGX_OK) {
        return NGX_ERROR;
    }
    answer->state = READING;
    r->main->blocked++;
    r->aio = 1;
    r->buffered |= BUFFERED_HERE;
    return NGX_AGAIN;
}

static ngx_int_t
deliver(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct ngx_http_sluice_answer *answer = ctx->answer;
    ngx_pool_cleanup_t *cleanup;

    if (answer->async) { // the service took it
        ngx_http_clean_header(r);
        answer->state = SENT;
        return ngx_http_sluice_send(r, NGX_HTTP_ACCEPTED, SL_STR("text/plain"),
                                    (struct sl_str){"", 0});
    }
    if (answer->truncated || answer->len == 0) {
        return refuse(r, ctx);
    }
    cleanup = ngx_pool_cleanup_add(r->pool, 0);
    if (cleanup == NULL) {
        return NGX_ERROR;
    }
    cleanup->handler = clear_said;
    cleanup->data = answer;
    if (answer->len > READ_HERE_MAX) {
        return start_reading(r, answer);
    }
    read_said(answer);
    return finish(r, ctx);
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

    if (ctx != NULL && ctx->whole && in != NULL && !in->buf->last_buf) {
        in = ngx_http_sluice_whole(r, ctx, in);
        return in == NULL ? NGX_ERROR : next_body_filter(r, in);
    }
    if (ctx == NULL || ctx->answer == NULL || ctx->answer->state == AWAITED ||
        ctx->answer->state == SENT) {
        return next_body_filter(r, in);
    }
    if (ctx->answer->state != COLLECTING) {
        return ctx->answer->state == READ ? finish(r, ctx) : NGX_AGAIN;
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
