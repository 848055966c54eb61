// ngx_http_sluice_answer.h - what a function answered, read and judged (runtime.md 10.3).
//
// A JSON object {statusCode, headers, body, isBase64Encoded}. Needs no nginx, holds no state: any
// thread may read an answer, so that a large one keeps no worker from its other callers.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_ANSWER_H
#define NGX_HTTP_SLUICE_ANSWER_H

#include <jansson.h>

#include "common/base/str.h"

// A header that goes to the caller.
struct ngx_http_sluice_said_header {
    struct sl_str name;  // as the function spells it
    struct sl_str value; // no control characters but tabs
};

// An answer as it was read. The texts lie in what it holds.
struct ngx_http_sluice_said {
    int status;         // 200 to 599
    struct sl_str body; // decoded
    struct ngx_http_sluice_said_header *headers;
    size_t header_count;
    json_t *object; // what was read
    char *plain;    // the body that was base64; NULL: it was not
};

// Reads an answer. -1 when it is none, or memory is out; nothing is held then. Headers that the
// connection or the gateway itself says are left out. The text is not needed afterwards.
int ngx_http_sluice_said_read(struct sl_str text, struct ngx_http_sluice_said *ret_said);

// Frees what it holds; may be called twice.
void ngx_http_sluice_said_clear(struct ngx_http_sluice_said *said);

#endif
