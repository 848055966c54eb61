// validate_query.h - the text parameters: path segments, query, headers.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_VALIDATE_QUERY_H
#define SL_FRONT_VALIDATE_QUERY_H

#include "services/front/validate.h"

// Decodes and checks the path's parameters into `path`.
int validate_path(const struct validator *validator, const struct route_match *match,
                  struct sl_arena *arena, json_t *path, struct sl_error *err) SL_MUST_CHECK;

// Decodes, checks and completes the query into `query`. A declared parameter that stands twice is
// refused; others are dropped.
int validate_query(const struct validator *validator, const struct rest_row *row,
                   struct sl_str raw_query, struct sl_arena *arena, json_t *query,
                   struct sl_error *err) SL_MUST_CHECK;

// Checks the declared headers and adds them to `query` under their own names.
int validate_headers(const struct validator *validator, const struct validate_input *input,
                     json_t *query, struct sl_error *err) SL_MUST_CHECK;

// Undoes percent-encoding (and '+' where `plus`). NULL: malformed, or the arena is full.
char *validate_decode(struct sl_arena *arena, struct sl_str text, bool plus);

#endif
