// limits.h - every number that bounds something, with its reason.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BASE_LIMITS_H
#define SL_BASE_LIMITS_H

#include <stddef.h>

#define SL_ID_LEN      32                         // hex digits of every id of ours
#define SL_ID_SIZE     (SL_ID_LEN + 1)            // with its terminator
#define SL_KEY_MAX     128                        // characters of a runtime entry's key
#define SL_BODY_MAX    ((size_t)1024 * 1024)      // management request body, bytes
#define SL_HEADERS_MAX ((size_t)16 * 1024)        // management request line and headers, bytes
#define SL_MESSAGE_MAX ((size_t)16 * 1024 * 1024) // one message on the bus, bytes
#define SL_COMMAND_ARENA_MAX                                                                       \
    ((size_t)64 * 1024 * 1024)     // what one command may hold in memory, bytes
#define SL_DEADLINE_MS       10000 // of a management command without wait_ms
#define SL_WAIT_MAX_MS       30000 // of wait_ms
#define SL_JSON_DEPTH_MAX    32    // nesting of a request body
#define SL_MEMBER_WEIGHT_MAX 10000 // of a channel's member
#define SL_SHARDS            1024  // limit keys are spread over (architecture.md 7)

#endif
