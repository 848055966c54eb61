// health.h - the second listener: /healthz, /readyz, /metrics.
//
// healthz: the process runs. readyz: 200 when a bus answers and the identity entries are current,
// 503 with the reason when not, or when it drains. Plain HTTP; carries no secrets.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_HEALTH_H
#define SL_FRONT_HEALTH_H

#include "common/wire/health.h"
#include "services/front/front.h"

// Why the front is not ready, a line of text; NULL when it is. Any thread.
const char *health_reason(struct front *front);

// Starts listening, as sl_health_new() does. NULL with *err filled; sl_health_free() ends it.
struct sl_health *health_new(struct front *front, const char *listen, struct sl_error *err);

#endif
