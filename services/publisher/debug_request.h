// debug_request.h - the HTTP request of a debugging call, from what 3.5.8 was asked.
//
// Pure: no database, no network. Strings come from the arena.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_DEBUG_REQUEST_H
#define SL_PUBLISHER_DEBUG_REQUEST_H

#include "common/base/arena.h"
#include "common/base/error.h"

#include <jansson.h>

struct debug_request {
    const char *shown; // as the reply shows it: lines end in \n
    const char *sent;  // as it goes out, with the secret
};

// What the body does not say.
struct debug_sending {
    const char *host;   // Host of the request
    const char *secret; // that leads the node to the API
    int64_t now_ms;     // time of a signature
};

// Builds the request of `body` (validated by the contract). Refuses, naming the parameter: a name
// or value that no header or query can have, one that the document reserves, a path with blanks,
// and app_key without app_secret.
int debug_request_make(struct sl_arena *arena, const json_t *body,
                       const struct debug_sending *sending, struct debug_request *ret_request,
                       struct sl_error *err) SL_MUST_CHECK;

#endif
