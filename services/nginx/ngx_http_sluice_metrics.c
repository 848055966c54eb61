// ngx_http_sluice_metrics.c - counts requests in memory that all workers share, and answers the
// health listener.
//
// /healthz: nginx answers. /readyz: a complete image is mapped, this worker does not end, and there
// is no file `draining` in nginx's prefix.
// /metrics: the node's figures as text for Prometheus, names as proto/metrics.yaml states them.
//
// SPDX-License-Identifier: Apache-2.0
#include "gen/metric.h"
#include "services/nginx/ngx_http_sluice.h"
#include "services/nginx/ngx_http_sluice_machine.h"
#include "services/nginx/ngx_http_sluice_tally.h"

#define METRICS_TEXT_MAX (4 * 1024 * 1024) // bytes of an answer with all rows
#define DRAINING_FILE    "draining"        // made by whoever is about to stop nginx

ngx_int_t
ngx_http_sluice_metrics_zone(ngx_conf_t *cf, ngx_http_sluice_main_conf_t *smcf)
{
    // Its name changes with its layout: a reload may bring another build of this module.
    ngx_str_t name = ngx_string("sluice_metrics_" NGX_HTTP_SLUICE_TALLY_LAYOUT);

    smcf->metrics_zone = ngx_http_sluice_zone(cf, &name, sizeof(struct ngx_http_sluice_tally));
    return smcf->metrics_zone == NULL ? NGX_ERROR : NGX_OK;
}

uint64_t *
ngx_http_sluice_metrics_idle(const ngx_http_sluice_main_conf_t *smcf)
{
    static uint64_t nowhere;
    struct ngx_http_sluice_tally *tally =
        smcf->metrics_zone == NULL ? NULL : smcf->metrics_zone->data;

    return tally != NULL && ngx_worker < NGX_HTTP_SLUICE_TALLY_WORKERS ? &tally->idle[ngx_worker]
                                                                       : &nowhere;
}

static struct ngx_http_sluice_tally *
tally_of(ngx_http_request_t *r)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);

    return smcf->metrics_zone == NULL ? NULL : smcf->metrics_zone->data;
}

static void
tell_backend(const ngx_http_request_t *r, struct ngx_http_sluice_tally_request *request)
{
    const ngx_http_upstream_state_t *states;

    if (r->upstream_states == NULL) {
        return;
    }
    states = r->upstream_states->elts;
    request->backend_calls = r->upstream_states->nelts;
    for (ngx_uint_t i = 0; i < r->upstream_states->nelts; i++) {
        request->backend_failures += states[i].header_time == (ngx_msec_t)-1;
    }
}

ngx_int_t
ngx_http_sluice_metrics_log(ngx_http_request_t *r)
{
    ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    struct ngx_http_sluice_tally *tally = tally_of(r);

    if (ctx == NULL || tally == NULL || ctx->counted) {
        return NGX_OK;
    }
    ctx->counted = 1;
    struct ngx_http_sluice_tally_request request = {
        .api_id = ctx->routed ? ctx->api_id : NULL,
        .status = (unsigned)r->headers_out.status,
        .refused = ctx->error != NULL,
        .throttled = ctx->throttled,
        .time_ms = ngx_http_sluice_elapsed_ms(r),
        .received_bytes = (uint64_t)r->request_length,
        .sent_bytes = (uint64_t)r->connection->sent,
        .at_s = ngx_time(),
    };
    tell_backend(r, &request);
    ngx_http_sluice_tally_count(tally, &request);
    return NGX_OK;
}

// -- the listener ---------------------------------------------------------------------------------

static void
free_text(void *data)
{
    sl_buf_clear(data);
}

static void
add_value(struct sl_buf *text, const char *head, const char *name, uint64_t value)
{
    sl_buf_addf(text, "%s%s %llu\n", head, name, (unsigned long long)value);
}

static ngx_int_t
send_metrics(ngx_http_request_t *r, const ngx_http_sluice_main_conf_t *smcf)
{
    const struct ngx_http_sluice_tally *tally = tally_of(r);
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, sizeof(struct sl_buf));
    struct sl_buf *text;

    if (cleanup == NULL || tally == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    text = cleanup->data;
    sl_buf_init(text, METRICS_TEXT_MAX);
    cleanup->handler = free_text;
    ngx_http_sluice_tally_write(tally, ngx_time(), text);
    ngx_http_sluice_machine_write(text);
    add_value(text, SL_METRIC(BODIES_HELD_BYTES), ngx_http_sluice_budget_held(smcf));
    add_value(text, SL_METRIC(BODIES_REFUSED_TOTAL), ngx_http_sluice_budget_refused(smcf));
    add_value(text, SL_METRIC(IMAGE_REVISION),
              sl_image_ready(smcf->image) ? sl_image_revision(smcf->image) : 0);
    if (text->failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    return ngx_http_sluice_send(r, NGX_HTTP_OK, SL_STR("text/plain; version=0.0.4"),
                                (struct sl_str){text->ptr, text->len});
}

// Whether somebody is about to stop nginx: new callers are to go elsewhere, and still served.
static bool
is_leaving(void)
{
    char path[NGX_MAX_PATH];
    ngx_file_info_t info;

    if (ngx_exiting || ngx_terminate) {
        return true;
    }
    snprintf(path, sizeof(path), "%.*s" DRAINING_FILE, (int)ngx_cycle->prefix.len,
             (const char *)ngx_cycle->prefix.data);
    return ngx_file_info(path, &info) != NGX_FILE_ERROR;
}

ngx_int_t
ngx_http_sluice_metrics_handler(ngx_http_request_t *r)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);
    struct sl_str path = ngx_http_sluice_view(&r->uri);
    ngx_int_t rc;

    if ((r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) == 0) {
        return NGX_HTTP_NOT_ALLOWED;
    }
    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }
    sl_image_refresh(smcf->image);
    if (sl_str_equal(path, SL_STR("/metrics"))) {
        return send_metrics(r, smcf);
    }
    if (sl_str_equal(path, SL_STR("/readyz"))) {
        bool ready = sl_image_ready(smcf->image) && !is_leaving();

        return ngx_http_sluice_send(r, ready ? NGX_HTTP_OK : NGX_HTTP_SERVICE_UNAVAILABLE,
                                    SL_STR("text/plain"),
                                    ready ? SL_STR("ready\n") : SL_STR("not ready\n"));
    }
    if (sl_str_equal(path, SL_STR("/healthz"))) {
        return ngx_http_sluice_send(r, NGX_HTTP_OK, SL_STR("text/plain"), SL_STR("ok\n"));
    }
    return NGX_HTTP_NOT_FOUND;
}
