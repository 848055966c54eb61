// metrics.h - what this front has done, for /metrics.
//
// Counters are atomics: any thread counts, any thread reads.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_METRICS_H
#define SL_FRONT_METRICS_H

#include "common/base/buf.h"
#include "common/base/error.h"

struct metrics;

// What is known only when asked.
struct metrics_gauges {
    int64_t in_flight;  // requests being worked on
    int64_t bus_live;   // buses that answer
    int64_t auth_fresh; // 1: the identity entries are current
    int64_t draining;   // 1: going away
};

// All zero. NULL with *err filled.
struct metrics *metrics_new(struct sl_error *err);
void metrics_free(struct metrics **metrics);

// Counts one finished request.
void metrics_count(struct metrics *metrics, int status, int64_t took_us);

// Appends everything in Prometheus' text format.
void metrics_write(const struct metrics *metrics, const struct metrics_gauges *gauges,
                   struct sl_buf *text);

#endif
