// health.h - the second listener: /healthz, /readyz, /metrics.
//
// healthz: the process runs. readyz: 200 when a bus answers and the identity entries are current,
// 503 with the reason when not, or when it drains. Plain HTTP; carries no secrets.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_HEALTH_H
#define SL_FRONT_HEALTH_H

#include "services/front/front.h"

struct health;

// Why the front is not ready, a line of text; NULL when it is. Any thread.
const char *health_reason(struct front *front);

// Starts listening on "address:port". NULL with *err filled.
struct health *health_new(struct front *front, const char *listen, struct sl_error *err);

// Stops and frees. Empties the pointer.
void health_free(struct health **health);

#endif
