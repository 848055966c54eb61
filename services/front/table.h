// table.h - the shape of the generated contract: routes, actions, schemas.
//
// proto/gen writes gen/rest_table.c from proto/rest. Everything is constant; nothing is owned.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_TABLE_H
#define SL_FRONT_TABLE_H

#include <limits.h>

#include "common/base/base.h"
#include "common/base/error.h"

#define SCHEMA_NO_MIN     INT64_MIN
#define SCHEMA_NO_MAX     INT64_MAX
#define SCHEMA_NO_PATTERN (-1)

enum schema_kind {
    SCHEMA_STRING,
    SCHEMA_INTEGER,
    SCHEMA_NUMBER,
    SCHEMA_BOOLEAN,
    SCHEMA_ARRAY,
    SCHEMA_OBJECT,
};

// How much of a documented property has an effect here.
enum schema_support {
    SUPPORT_FULL,
    SUPPORT_DEFAULT, // only the default and empty values; others are refused with 501
    SUPPORT_SOME,    // all but the values in `refused`
};

struct schema;

// One property of an object, or one parameter.
struct property {
    const char *name;
    const struct schema *schema;
    bool required;
    const char *fallback;        // default as JSON text; NULL: none
    const char *when_name;       // required when this sibling …
    const char *when_value;      // … is this string; both NULL: not
    enum schema_support support; //
    const char *const *refused;  // values of SUPPORT_SOME as text; ends in NULL
};

struct schema {
    enum schema_kind kind;
    bool clamp;                 // a number outside its bounds is moved inside
    bool zero_empties;          // 0 passes whatever the bounds: the field gets no value
    bool open;                  // an object that keeps keys it does not declare
    int16_t pattern;            // index into rest_patterns, or SCHEMA_NO_PATTERN
    int64_t min;                // characters, elements or value; SCHEMA_NO_MIN
    int64_t max;                // the same; SCHEMA_NO_MAX
    const char *const *values;  // allowed values as text, ends in NULL; NULL: any
    const struct schema *items; // of an array
    enum sl_code too_many;      // refusal of more elements than max; SL_E_OK: as other faults
    const struct property *properties; // of an object, in the contract's order
    size_t property_count;             //
};

// What may decide the action: nothing (`name` alone), or one value of the body or query.
struct rest_action {
    const char *name;              // "apig:groups:create"; NULL: depends on a value
    const char *by;                // parameter's name when it depends
    bool in_query;                 // where that parameter is: query or body
    const char *const *by_values;  // ends in NULL
    const char *const *by_actions; // parallel to by_values
};

// One operation.
struct rest_row {
    const char *method;                   // "POST"
    const char *path;                     // template
    const char *service;                  // "registry"; NULL: not available, answered with 501
    const char *command;                  // "group.create"; without a service its operationId
    int status;                           // documented success
    bool is_public;                       // no authentication
    bool fill;                            // absent top-level body fields take their defaults
    bool body_required;                   //
    int64_t patience_ms;                  // further time that the command may take
    size_t body_bytes;                    // that the body may have; 0: SL_BODY_MAX
    struct rest_action action;            // meaningful unless is_public
    const struct schema *body;            // NULL: takes none
    const struct property *path_params;   // in the order of the path
    size_t path_param_count;              //
    const struct property *query_params;  //
    size_t query_param_count;             //
    const struct property *header_params; // join the query, under their own names
    size_t header_param_count;            //
};

// One step of a path. Literal children come first and are sorted; a literal beats a parameter.
struct rest_node {
    const char *segment;                // literal, or NULL for a parameter
    const struct rest_node *children;   //
    size_t child_count;                 // literals
    const struct rest_node *parameter;  // child that takes any segment, or NULL
    const struct rest_row *const *rows; // operations that end here, sorted by method
    size_t row_count;                   //
};

extern const struct rest_node rest_root;
extern const struct rest_row *const rest_rows[];
extern const size_t rest_row_count;

// PCRE2 patterns of all schemas, each once.
extern const char *const rest_patterns[];
extern const size_t rest_pattern_count;

// The contract as front serves it at /openapi.json.
extern const char rest_openapi_json[];
extern const size_t rest_openapi_size;

#endif
