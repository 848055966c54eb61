// worker_health.h - what a worker process says of itself at /readyz and /metrics.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_WORKER_HEALTH_H
#define SL_WIRE_WORKER_HEALTH_H

#include "common/wire/health.h"
#include "common/wire/worker.h"

// Listens for a worker: ready while a bus answers, a handler thread can work, and it is not being
// stopped. `listen` as sl_health_new() takes it, or "": then nothing listens, *ret_health is NULL
// and the answer is 0. Free the listener before the worker.
int sl_worker_health_open(struct sl_worker *worker, const char *listen,
                          struct sl_health **ret_health, struct sl_error *err) SL_MUST_CHECK;

#endif
