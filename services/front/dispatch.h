// dispatch.h - a checked request becomes a command on the bus, and its reply an answer.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_DISPATCH_H
#define SL_FRONT_DISPATCH_H

#include "services/front/front.h"

// Suspends the request's connection, sends the command under a fresh id, and resumes the
// connection once its answer stands. The request may be answered before this returns.
void dispatch_request(struct request *request, const struct sl_actor *actor,
                      const struct validate_output *input);

// Has a suspended request go on, on its thread; from any. It may be gone when this returns.
void dispatch_resume(struct request *request);

#endif
