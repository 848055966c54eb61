// health.h - the listener of every process for /healthz, /readyz and /metrics.
//
// healthz: the process runs. readyz: 200 when it can work, 503 with the reason when not. metrics:
// text for Prometheus, names as proto/metrics.yaml states them. Plain HTTP on a thread of its own;
// carries no secrets.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_HEALTH_H
#define SL_WIRE_HEALTH_H

#include "common/base/buf.h"
#include "common/base/error.h"

struct sl_health;

// What a process says of itself; both run on the listener's thread.
struct sl_health_answers {
    const char *(*reason)(void *arg); // why it is not ready, a line of text; NULL when it is
    void (*metrics)(void *arg, struct sl_buf *text); // writes them
    void *arg;
};

// Starts listening on "address:port" or "unix:path". NULL with *err filled.
struct sl_health *sl_health_new(const char *listen, const struct sl_health_answers *answers,
                                struct sl_error *err);

// Stops and frees. Empties the pointer; takes NULL.
void sl_health_free(struct sl_health **health);

#endif
