// route.h - method and path to the contract's row.
//
// A walk through the generated trie; reads constants only, safe from any thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_ROUTE_H
#define SL_FRONT_ROUTE_H

#include "common/base/error.h"
#include "common/base/str.h"
#include "services/front/table.h"

#define ROUTE_PARAMS_MAX   8  // parameters of one path
#define ROUTE_SEGMENTS_MAX 16 // segments of one path

struct route_match {
    const struct rest_row *row;             // the operation
    struct sl_str params[ROUTE_PARAMS_MAX]; // segments as they came, in the order of the path
    size_t param_count;                     //
};

// Finds the operation of `method` on `path` (undecoded, without query). HEAD is served as GET; a
// literal segment beats a parameter. Refuses PATH_UNKNOWN, and METHOD_UNKNOWN, whose argument is
// the value of Allow.
int route_find(struct sl_str method, struct sl_str path, struct route_match *ret_match,
               struct sl_error *err) SL_MUST_CHECK;

#endif
