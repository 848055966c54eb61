// debug_call.h - one HTTP request to this machine's nginx, and its answer as text.
//
// Blocking; for a thread of its own.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_DEBUG_CALL_H
#define SL_NODE_DEBUG_CALL_H

#include "common/base/str.h"

#include <stdatomic.h>

#define DEBUG_CALL_BODY_MAX ((size_t)2097152) // bytes of a body that are kept

struct debug_call {
    const char *listen;    // address:port that nginx listens at; an unspecified address is loopback
    struct sl_str request; // bytes
    bool tls;              // the certificate is not looked at: it is our own nginx
    int64_t timeout_ms;    // for all of it
    _Atomic int fd;        // the connection, for debug_call_break(); -1: none
};

// Makes the call. Answers what the reply of 3.5.8 shows, owned by the caller: status line and
// headers with \n, an empty line, the body, which is cut and marked "[TRUNCATED]" beyond the limit;
// what is no UTF-8 is '?'. NULL when there was no answer, or memory is out.
char *debug_call_make(struct debug_call *call);

// Ends a call from another thread.
void debug_call_break(struct debug_call *call);

// The text of the raw bytes of an answer, as above. NULL when they have no head.
char *debug_call_text(struct sl_str raw);

#endif
