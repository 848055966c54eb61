// ngx_http_sluice_body.c - the request's body as it comes: its size, its digest, its deadline.
//
// A body that a signature speaks of is read whole before the decision goes on; while it waits it
// stands under the node's budget (_budget.c), and gives back what it took when its request ends.
//
// A body that stalls for client_body_timeout is answered with 408. nginx itself closes without a
// word, wherever the body was being read for; so the read events of a request with a body come here
// first.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define MS_PER_S        1000
#define SIGNED_BODY_MAX (12 * 1024 * 1024) // a body whose digest is checked, bytes

static ngx_http_request_body_filter_pt next_body_filter;

// nginx's own handler of a request's events, the same for all requests; NULL before the first.
static ngx_event_handler_pt request_handler;

// The rest of the body is not wanted. It must not be taken for the next request; nginx closes
// slowly, so that the answer is not lost to a reset.
static void
stop_reading(ngx_http_request_t *r)
{
    r->keepalive = 0;
    r->reading_body = 1;
    if (r->stream != NULL) {
        r->stream->skip_data = 1;
    }
}

// -- the deadline ---------------------------------------------------------------------------------

// Whether a read timer of this request can only be that of its body, and an answer still fits.
static bool
awaits_body(const ngx_http_request_t *r)
{
    return r == r->main && r->request_body != NULL && !r->discard_body && !r->header_sent &&
           !r->connection->close;
}

// Whether the client waits for us: HTTP/2 gave it no room to send in.
static bool
is_held_back(const ngx_http_request_t *r)
{
    return r->stream != NULL && r->request_body_no_buffering && r->stream->recv_window == 0;
}

// Lets go of the backend, which does not get the rest of the body.
static void
abandon_backend(ngx_http_request_t *r)
{
    if (r->upstream != NULL && r->upstream->cleanup != NULL) {
        r->main->count++; // the upstream's end gives one reference back
        (*r->upstream->cleanup)(r);
    }
}

static void
answer_timeout(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ngx_connection_t *c = r->connection;

    ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT, "client timed out sending the body");
    c->read->timedout = 0;
    abandon_backend(r);
    ctx->reading = 0;
    stop_reading(r);
    r->read_event_handler = ngx_http_block_reading;
    ngx_http_finalize_request(r, ngx_http_sluice_fail(ctx, SL_E_GW_REQUEST_TIMEOUT) == NGX_ABORT
                                     ? ngx_http_sluice_error(r)
                                     : NGX_ERROR);
    ngx_http_run_posted_requests(c);
}

static void
on_read(ngx_event_t *event)
{
    ngx_connection_t *c = event->data;
    ngx_http_request_t *r = c->data;
    ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);

    if (ctx == NULL || !event->timedout || !awaits_body(r)) {
        request_handler(event);
        return;
    }
    if (is_held_back(r)) {
        event->timedout = 0; // the backend's own timeout judges
        return;
    }
    answer_timeout(r, ctx);
}

ngx_int_t
ngx_http_sluice_body_patience(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx)
{
    ngx_http_core_loc_conf_t *own;

    if (ctx->body_timeout_ms == 0) {
        return NGX_OK;
    }
    own = ngx_palloc(r->pool, sizeof(*own));
    if (own == NULL) {
        return NGX_ERROR;
    }
    *own = *(const ngx_http_core_loc_conf_t *)ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    own->client_body_timeout = ctx->body_timeout_ms;
    return ngx_http_sluice_conf_put(r, &ngx_http_core_module, own);
}

ngx_int_t
ngx_http_sluice_body_watch(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ngx_event_t *event = r->connection->read;

    if (!ngx_http_sluice_has_body(r)) {
        return NGX_OK;
    }

    if (event->handler != on_read) {
        request_handler = event->handler;
        event->handler = on_read;
    }
    ctx->body_timeout_ms =
        (ngx_msec_t)sl_img_feature_number(ctx->gateway, SL_FEATURE_BODY_TIMEOUT, 0) * MS_PER_S;
    return ngx_http_sluice_body_patience(r, ctx);
}

// -- a body that is read before the decision ------------------------------------------------------

static void
body_is_read(ngx_http_request_t *r)
{
    ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    uint8_t digest[SL_SHA256_LEN];

    sl_sha256_final(ctx->body_hash, digest);
    sl_sha256_free(&ctx->body_hash);
    sl_hex_encode(digest, sizeof(digest), ctx->body_digest);
    ctx->reading = 0;
    r->preserve_body = 1;
    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}

ngx_int_t
ngx_http_sluice_body_read(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ngx_int_t rc;

    if (r->headers_in.content_length_n > SIGNED_BODY_MAX) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_BODY_TOO_LARGE);
    }
    if (ctx->body_max_bytes == 0 || ctx->body_max_bytes > SIGNED_BODY_MAX) {
        ctx->body_max_bytes = SIGNED_BODY_MAX;
    }
    ctx->body_hash = sl_sha256_new();
    if (ctx->body_hash == NULL) {
        return NGX_ERROR;
    }
    ctx->reading = 1;
    rc = ngx_http_read_client_request_body(r, body_is_read);
    if (rc >= NGX_HTTP_SPECIAL_RESPONSE || rc == NGX_ERROR) {
        return rc;
    }
    ngx_http_finalize_request(r, NGX_DONE); // gives back the reference that the reader took
    return NGX_DONE;
}

void
ngx_http_sluice_body_release(ngx_http_sluice_ctx_t *ctx)
{
    if (ctx->body_held > 0) {
        ngx_http_sluice_budget_give(
            ngx_http_get_module_main_conf(ctx->request, ngx_http_sluice_module), ctx->body_held);
        ctx->body_held = 0;
    }
    sl_sha256_free(&ctx->body_hash);
}

// Takes room for a part of a signed body; the status that ends the request when there is none.
static ngx_int_t
take_room(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, size_t len)
{
    if (ngx_http_sluice_budget_take(ngx_http_get_module_main_conf(r, ngx_http_sluice_module),
                                    len)) {
        ctx->body_held += len;
        return NGX_OK;
    }
    if (ngx_http_sluice_fail(ctx, SL_E_GW_BODY_BUDGET) != NGX_ABORT) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    return sl_error_status(ctx->error->code);
}

static ngx_int_t
take_part(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, struct sl_str part)
{
    ctx->body_bytes += (int64_t)part.len;
    if (ctx->body_max_bytes > 0 && ctx->body_bytes > ctx->body_max_bytes) {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }
    if (ctx->body_hash == NULL) {
        return NGX_OK;
    }
    sl_sha256_update(ctx->body_hash, part);
    return take_room(r, ctx, part.len);
}

static ngx_int_t
body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);

    if (ctx == NULL) {
        return next_body_filter(r, in);
    }
    for (const ngx_chain_t *cl = in; cl != NULL; cl = cl->next) {
        struct sl_str part = {(const char *)cl->buf->pos, (size_t)(cl->buf->last - cl->buf->pos)};
        ngx_int_t rc;

        if (!ngx_buf_in_memory(cl->buf) || part.len == 0) {
            continue;
        }
        rc = take_part(r, ctx, part);
        if (rc != NGX_OK) {
            stop_reading(r);
            return rc;
        }
    }
    return next_body_filter(r, in);
}

void
ngx_http_sluice_body_init(void)
{
    next_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = body_filter;
}
