// validate.h - path, query, headers and body against the generated schemas.
//
// The first fault, in the contract's order, names its parameter: missing PARAM_MISSING, a number
// outside its range PARAM_RANGE, any other of the body PARAM_INVALID, of path, query and headers
// PARAM_QUERY, a documented field without effect FIELD_UNSUPPORTED. A nested parameter is named by
// its path, "req_params[0].name". Fields that the contract does not know are dropped, null counts
// as absent, defaults are filled in (not at the top of an update).
//
// A validator is immutable once made: any thread may use it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_VALIDATE_H
#define SL_FRONT_VALIDATE_H

#include <jansson.h>

#include "common/base/arena.h"
#include "services/front/route.h"

struct validator;

// Compiles the contract's patterns. NULL with *err filled.
struct validator *validate_new(struct sl_error *err);
void validate_free(struct validator **validator);

// Looks a request header up; NULL where it is absent.
typedef const char *validate_header_fn(void *arg, const char *name);

// What came in. Borrowed for the call.
struct validate_input {
    const struct route_match *match;
    struct sl_str raw_query;    // after '?', undecoded
    const char *content_type;   // NULL: none given
    struct sl_str body;         // raw; empty: none
    validate_header_fn *header; //
    void *header_arg;           //
};

// What goes on the bus. References that the arena releases; NULL where there is none.
struct validate_output {
    json_t *path;  // object: parameter → string
    json_t *query; // object: parameter → typed value
    json_t *body;  // object
};

// Checks everything. `parsed` is the body as validate_parse gave it, or NULL.
int validate_request(const struct validator *validator, const struct validate_input *input,
                     json_t *parsed, struct sl_arena *arena, struct validate_output *ret_output,
                     struct sl_error *err) SL_MUST_CHECK;

// Parses a body: BODY_MALFORMED, BODY_DUPLICATE, BODY_DEPTH, PARAM_RANGE for a number that no type
// holds, PARAM_INVALID when it is not an object. The reference is the arena's.
int validate_parse(struct sl_str body, struct sl_arena *arena, json_t **ret_value,
                   struct sl_error *err) SL_MUST_CHECK;

#endif
