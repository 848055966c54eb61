// ngx_http_sluice_metrics.c - counters that all workers share, and the health listener's answers.
//
// /healthz: nginx answers. /readyz: a complete image is mapped and this worker is not draining.
// /metrics: the counters as text for Prometheus, names as proto/metrics.yaml states them.
//
// SPDX-License-Identifier: Apache-2.0
#include "gen/metric.h"
#include "services/nginx/ngx_http_sluice.h"

#define ZONE_BYTES       (16 * 4096) // the counters, with nginx's slab bookkeeping
#define STATUS_CLASSES   6           // 1xx … 5xx, 0: none sent
#define BUCKETS          10          // of request time
#define METRICS_TEXT_MAX 8192        // bytes of an answer

// Upper bounds of the request-time buckets, milliseconds.
static const ngx_msec_t bucket_ms[BUCKETS] = {1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000};

struct counters {
    ngx_atomic_t requests[STATUS_CLASSES];
    ngx_atomic_t refused;   // answered with an error of ours
    ngx_atomic_t throttled; //
    ngx_atomic_t backend;   // calls of backends, retries included
    ngx_atomic_t backend_failed;
    ngx_atomic_t time_ms;
    ngx_atomic_t bytes_in;
    ngx_atomic_t bytes_out;
    ngx_atomic_t buckets[BUCKETS];
};

static ngx_int_t
init_zone(ngx_shm_zone_t *zone, void *old)
{
    ngx_slab_pool_t *slab = (ngx_slab_pool_t *)zone->shm.addr;

    if (old != NULL) { // a reload goes on counting
        zone->data = old;
        return NGX_OK;
    }
    zone->data = zone->shm.exists ? slab->data : ngx_slab_calloc(slab, sizeof(struct counters));
    slab->data = zone->data;
    return zone->data == NULL ? NGX_ERROR : NGX_OK;
}

ngx_int_t
ngx_http_sluice_metrics_zone(ngx_conf_t *cf, ngx_http_sluice_main_conf_t *smcf)
{
    ngx_str_t name = ngx_string("sluice_metrics");

    smcf->metrics_zone = ngx_shared_memory_add(cf, &name, ZONE_BYTES, &ngx_http_sluice_module);
    if (smcf->metrics_zone == NULL) {
        return NGX_ERROR;
    }
    smcf->metrics_zone->init = init_zone;
    return NGX_OK;
}

static struct counters *
counters_of(ngx_http_request_t *r)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);

    return smcf->metrics_zone == NULL ? NULL : smcf->metrics_zone->data;
}

static void
count(ngx_atomic_t *counter, ngx_atomic_int_t by)
{
    (void)ngx_atomic_fetch_add(counter, by);
}

static void
count_time(struct counters *counters, ngx_http_request_t *r)
{
    const ngx_time_t *now = ngx_timeofday();
    ngx_msec_int_t ms = (ngx_msec_int_t)((now->sec - r->start_sec) * 1000) +
                        ((ngx_msec_int_t)now->msec - (ngx_msec_int_t)r->start_msec);

    ms = ngx_max(ms, 0);
    count(&counters->time_ms, ms);
    for (size_t i = 0; i < BUCKETS; i++) {
        if ((ngx_msec_t)ms <= bucket_ms[i]) {
            count(&counters->buckets[i], 1);
            return;
        }
    }
}

static void
count_backend(struct counters *counters, const ngx_http_request_t *r)
{
    const ngx_http_upstream_state_t *states;

    if (r->upstream_states == NULL) {
        return;
    }
    states = r->upstream_states->elts;
    count(&counters->backend, (ngx_atomic_int_t)r->upstream_states->nelts);
    for (ngx_uint_t i = 0; i < r->upstream_states->nelts; i++) {
        if (states[i].header_time == (ngx_msec_t)-1) {
            count(&counters->backend_failed, 1);
        }
    }
}

ngx_int_t
ngx_http_sluice_metrics_log(ngx_http_request_t *r)
{
    ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    struct counters *counters = counters_of(r);
    ngx_uint_t class = r->headers_out.status / 100;

    if (ctx == NULL || counters == NULL || ctx->counted) {
        return NGX_OK;
    }
    ctx->counted = 1;
    count(&counters->requests[class < STATUS_CLASSES ? class : 0], 1);
    count(&counters->bytes_in, (ngx_atomic_int_t)r->request_length);
    count(&counters->bytes_out, (ngx_atomic_int_t)r->connection->sent);
    if (ctx->error != NULL) {
        count(&counters->refused, 1);
    }
    if (ctx->throttled) {
        count(&counters->throttled, 1);
    }
    count_time(counters, r);
    count_backend(counters, r);
    return NGX_OK;
}

// -- the listener ---------------------------------------------------------------------------------

static u_char *
append_requests(u_char *out, u_char *end, const struct counters *counters)
{
    ngx_atomic_uint_t total = 0;

    out = ngx_slprintf(out, end, "%s", SL_METRIC_REQUESTS_TOTAL_HEAD);
    for (ngx_uint_t i = 1; i < STATUS_CLASSES; i++) {
        out = ngx_slprintf(out, end, SL_METRIC_REQUESTS_TOTAL "{class=\"%uixx\"} %uA\n", i,
                           counters->requests[i]);
    }
    out = ngx_slprintf(out, end, "%s", SL_METRIC_REQUEST_SECONDS_HEAD);
    for (size_t i = 0; i < BUCKETS; i++) {
        total += counters->buckets[i];
        out = ngx_slprintf(out, end, SL_METRIC_REQUEST_SECONDS "_bucket{le=\"%M.%03M\"} %uA\n",
                           bucket_ms[i] / 1000, bucket_ms[i] % 1000, total);
    }
    total = 0;
    for (ngx_uint_t i = 0; i < STATUS_CLASSES; i++) {
        total += counters->requests[i];
    }
    return ngx_slprintf(out, end,
                        SL_METRIC_REQUEST_SECONDS
                        "_bucket{le=\"+Inf\"} %uA\n" SL_METRIC_REQUEST_SECONDS
                        "_sum %uA.%03uA\n" SL_METRIC_REQUEST_SECONDS "_count %uA\n",
                        total, counters->time_ms / 1000, counters->time_ms % 1000, total);
}

static u_char *
append_value(u_char *out, u_char *end, const char *head, const char *name, uint64_t value)
{
    return ngx_slprintf(out, end, "%s%s %uL\n", head, name, value);
}

static ngx_int_t
send_metrics(ngx_http_request_t *r, const ngx_http_sluice_main_conf_t *smcf)
{
    const struct counters *counters = counters_of(r);
    u_char *text = ngx_pnalloc(r->pool, METRICS_TEXT_MAX);
    u_char *end;
    u_char *out = text;

    if (text == NULL || counters == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    end = text + METRICS_TEXT_MAX;
    out = append_requests(out, end, counters);
    out = append_value(out, end, SL_METRIC(REFUSED_TOTAL), counters->refused);
    out = append_value(out, end, SL_METRIC(THROTTLED_TOTAL), counters->throttled);
    out = append_value(out, end, SL_METRIC(BACKEND_CALLS_TOTAL), counters->backend);
    out = append_value(out, end, SL_METRIC(BACKEND_FAILURES_TOTAL), counters->backend_failed);
    out = append_value(out, end, SL_METRIC(RECEIVED_BYTES_TOTAL), counters->bytes_in);
    out = append_value(out, end, SL_METRIC(SENT_BYTES_TOTAL), counters->bytes_out);
    out = append_value(out, end, SL_METRIC(BACKEND_IDLE_CONNECTIONS), ngx_http_sluice_pool_count());
    out = append_value(out, end, SL_METRIC(BODIES_HELD_BYTES), ngx_http_sluice_budget_held(smcf));
    out = append_value(out, end, SL_METRIC(BODIES_REFUSED_TOTAL),
                       ngx_http_sluice_budget_refused(smcf));
    out = append_value(out, end, SL_METRIC(IMAGE_REVISION),
                       sl_image_ready(smcf->image) ? sl_image_revision(smcf->image) : 0);
    return ngx_http_sluice_send(r, NGX_HTTP_OK, SL_STR("text/plain; version=0.0.4"),
                                (struct sl_str){(const char *)text, (size_t)(out - text)});
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
        bool ready = sl_image_ready(smcf->image) && !ngx_exiting && !ngx_terminate;

        return ngx_http_sluice_send(r, ready ? NGX_HTTP_OK : NGX_HTTP_SERVICE_UNAVAILABLE,
                                    SL_STR("text/plain"),
                                    ready ? SL_STR("ready\n") : SL_STR("not ready\n"));
    }
    if (sl_str_equal(path, SL_STR("/healthz"))) {
        return ngx_http_sluice_send(r, NGX_HTTP_OK, SL_STR("text/plain"), SL_STR("ok\n"));
    }
    return NGX_HTTP_NOT_FOUND;
}
