// error_row.h - the shape of the generated error table; only error.c and the table include it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BASE_ERROR_ROW_H
#define SL_BASE_ERROR_ROW_H

#include "gen/error_code.h"

struct sl_error_row {
    const char *name;    // "PARAM_INVALID"
    const char *wire;    // "APIG.2011"
    int status;          // HTTP status, 100..599
    const char *message; // template with {0}, {1}…
};

extern const struct sl_error_row sl_error_rows[SL_E_COUNT];

#endif
