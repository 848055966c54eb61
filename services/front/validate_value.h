// validate_value.h - one JSON value against one schema.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_VALIDATE_VALUE_H
#define SL_FRONT_VALIDATE_VALUE_H

#include "services/front/validate.h"

// Where a value stands, outermost last; lives on the stack of the walk.
struct trail {
    const struct trail *outer; // NULL: top
    const char *name;          // property; NULL: an array's element
    size_t index;              // of the element
};

// Checks `object` (changed in place: unknown keys and nulls go, defaults come when `fill`).
int validate_object(const struct validator *validator, const struct schema *schema, bool fill,
                    json_t *object, struct sl_error *err) SL_MUST_CHECK;

// Checks one value; `invalid` is the row for what is neither missing nor out of range.
int validate_value(const struct validator *validator, const struct schema *schema, json_t *value,
                   const struct trail *trail, enum sl_code invalid,
                   struct sl_error *err) SL_MUST_CHECK;

// Refuses (FIELD_UNSUPPORTED) a value that has no effect here. *ret_empty (may be NULL) says
// whether it is one of the empty values, which nothing needs to keep.
int validate_support(const struct property *property, const json_t *value,
                     const struct trail *trail, bool *ret_empty,
                     struct sl_error *err) SL_MUST_CHECK;

// Fails with `code` naming the trail; always -1.
int validate_fail(const struct trail *trail, enum sl_code code, struct sl_error *err);

#endif
