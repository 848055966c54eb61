// trace.h - the header `traceparent` of W3C Trace Context.
//
// Pure text: allocates nothing.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BASE_TRACE_H
#define SL_BASE_TRACE_H

#include "common/base/str.h"

#define SL_TRACE_ID_LEN 32 // hex digits
#define SL_TRACE_LEN    55 // bytes of a value of version 00

// Finds the trace id in a value. False when the value does not hold (Trace Context, 3.2): its
// receiver then begins a new trace. *ret_trace_id is a view into it.
bool sl_trace_parse(struct sl_str value, struct sl_str *ret_trace_id);

#endif
