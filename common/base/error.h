// error.h - one error type, from the failing statement to the client's line.
//
// An error is a row of the table made from proto/errors.yaml (wire code, HTTP status, message
// template), the template's arguments, and a detail that only our log may see. A struct sl_error
// is plain memory: owns nothing, needs no freeing, may be copied.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BASE_ERROR_H
#define SL_BASE_ERROR_H

#include "common/base/base.h"
#include "gen/error_code.h" // enum sl_code { SL_E_…, SL_E_COUNT }

#define SL_ERROR_ARGS    4
#define SL_ERROR_ARG_MAX 256

struct sl_error {
    enum sl_code code;                          // the row: wire code, HTTP status, template
    char args[SL_ERROR_ARGS][SL_ERROR_ARG_MAX]; // what fills {0}, {1}… of the template
    char detail[512];   // for our log only: errno text, SQLSTATE, constraint
    const char *origin; // "throttle.c:12"; static storage
};

#define SL_STRINGIFY_(x) #x
#define SL_STRINGIFY(x)  SL_STRINGIFY_(x)
#define SL_ORIGIN        __FILE_NAME__ ":" SL_STRINGIFY(__LINE__)

// Fills *err with row `code` and the template's arguments (strings, borrowed for the call, cut at
// SL_ERROR_ARG_MAX); is always -1, so `return sl_fail(err, SL_E_PARAM_INVALID, "time_interval");`.
// `err` may be NULL.
#define sl_fail(err, code, ...)                                                                    \
    sl_error_set((err), (code), SL_ORIGIN, (const char *const[]){"", ##__VA_ARGS__, NULL})

// The function behind sl_fail(). `args` begins with a filler and ends in NULL.
int sl_error_set(struct sl_error *err, enum sl_code code, const char *origin,
                 const char *const *args);

// Adds what only our log may see (printf-like, cut at the field's size); is always -1. Secrets
// never go in. `err` may be NULL.
int sl_error_detail(struct sl_error *err, const char *fmt, ...) SL_PRINTF(2, 3);

// The HTTP status of a row, 100 to 599.
int sl_error_status(enum sl_code code);

// The wire code of a row, as "APIG.2011"; static.
const char *sl_error_wire(enum sl_code code);

// The row's name, as "PARAM_INVALID"; static.
const char *sl_error_name(enum sl_code code);

// The row whose name is `name`, or SL_E_COUNT.
enum sl_code sl_error_find(const char *name);

// Writes the message with its arguments into `ret_text` (cut at `size`, always terminated);
// answers the length. An argument that was not given is empty.
size_t sl_error_message(const struct sl_error *err, char *ret_text, size_t size);

#endif
