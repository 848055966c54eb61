// health.c - what the front says of itself.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/health.h"

// Of the thread that sees the fewest.
static size_t
live_buses(const struct front *front)
{
    size_t fewest = SL_BUSES_MAX;
    for (size_t i = 0; i < front->bus_count; i++) {
        size_t live = sl_bus_client_live(front->buses[i]);
        fewest = live < fewest ? live : fewest;
    }
    return fewest;
}

const char *
health_reason(struct front *front)
{
    if (atomic_load(&front->draining)) {
        return "draining\n";
    }
    if (live_buses(front) == 0) {
        return "no bus answers\n";
    }
    return auth_fresh(front->auth) ? NULL : "the identity entries are not current\n";
}

static void
write_metrics(void *arg, struct sl_buf *text)
{
    struct front *front = arg;
    const struct metrics_gauges gauges = {
        .in_flight = atomic_load(&front->in_flight),
        .bus_live = (int64_t)live_buses(front),
        .auth_fresh = auth_fresh(front->auth),
        .draining = atomic_load(&front->draining),
    };
    metrics_write(front->metrics, &gauges, text);
}

static const char *
reason(void *arg)
{
    return health_reason(arg);
}

struct sl_health *
health_new(struct front *front, const char *listen, struct sl_error *err)
{
    const struct sl_health_answers answers = {reason, write_metrics, front};
    return sl_health_new(listen, &answers, err);
}
