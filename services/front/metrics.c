// metrics.c - counters by status class and a histogram of durations.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "gen/metric.h"

#define CLASSES 6 // 1xx … 5xx, and 0 for connections that broke

static const int64_t bounds_us[] = {1000,   2000,   5000,    10000,   25000,   50000,
                                    100000, 250000, 1000000, 5000000, 30000000};

struct metrics {
    _Atomic uint64_t by_class[CLASSES];
    _Atomic uint64_t by_bound[SL_COUNT(bounds_us) + 1]; // the last: longer than all
    _Atomic uint64_t sum_us;
};

struct metrics *
metrics_new(struct sl_error *err)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    if (metrics == NULL) {
        (void)sl_fail(err, SL_E_INTERNAL);
    }
    return metrics;
}

void
metrics_free(struct metrics **metrics)
{
    free(SL_TAKE(*metrics));
}

void
metrics_count(struct metrics *metrics, int status, int64_t took_us)
{
    size_t class = status > 0 ? (size_t)(status / 100) % CLASSES : 0;
    size_t bound = 0;
    while (bound < SL_COUNT(bounds_us) && took_us > bounds_us[bound]) {
        bound++;
    }
    atomic_fetch_add(&metrics->by_class[class], 1);
    atomic_fetch_add(&metrics->by_bound[bound], 1);
    atomic_fetch_add(&metrics->sum_us, (uint64_t)took_us);
}

static void
write_gauge(struct sl_buf *text, const char *head, const char *name, int64_t value)
{
    sl_buf_addf(text, "%s%s %" PRId64 "\n", head, name, value);
}

static void
write_requests(const struct metrics *metrics, struct sl_buf *text)
{
    static const char *const classes[CLASSES] = {"broken", "1xx", "2xx", "3xx", "4xx", "5xx"};
    sl_buf_adds(text, SL_METRIC_FRONT_REQUESTS_TOTAL_HEAD);
    for (size_t i = 0; i < CLASSES; i++) {
        sl_buf_addf(text, SL_METRIC_FRONT_REQUESTS_TOTAL "{status=\"%s\"} %" PRIu64 "\n",
                    classes[i], atomic_load(&metrics->by_class[i]));
    }
}

static void
write_durations(const struct metrics *metrics, struct sl_buf *text)
{
    uint64_t total = 0;
    sl_buf_adds(text, SL_METRIC_FRONT_REQUEST_SECONDS_HEAD);
    for (size_t i = 0; i < SL_COUNT(bounds_us); i++) {
        total += atomic_load(&metrics->by_bound[i]);
        sl_buf_addf(text, SL_METRIC_FRONT_REQUEST_SECONDS "_bucket{le=\"%g\"} %" PRIu64 "\n",
                    (double)bounds_us[i] / 1e6, total);
    }
    total += atomic_load(&metrics->by_bound[SL_COUNT(bounds_us)]);
    sl_buf_addf(text, SL_METRIC_FRONT_REQUEST_SECONDS "_bucket{le=\"+Inf\"} %" PRIu64 "\n", total);
    sl_buf_addf(text, SL_METRIC_FRONT_REQUEST_SECONDS "_sum %.6f\n",
                (double)atomic_load(&metrics->sum_us) / 1e6);
    sl_buf_addf(text, SL_METRIC_FRONT_REQUEST_SECONDS "_count %" PRIu64 "\n", total);
}

void
metrics_write(const struct metrics *metrics, const struct metrics_gauges *gauges,
              struct sl_buf *text)
{
    write_requests(metrics, text);
    write_durations(metrics, text);
    write_gauge(text, SL_METRIC(FRONT_IN_FLIGHT), gauges->in_flight);
    write_gauge(text, SL_METRIC(FRONT_BUS_LIVE), gauges->bus_live);
    write_gauge(text, SL_METRIC(FRONT_AUTH_FRESH), gauges->auth_fresh);
    write_gauge(text, SL_METRIC(FRONT_DRAINING), gauges->draining);
}
