// validate_query.c - text becomes typed values.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/validate_query.h"

#include <string.h>

#include "services/front/validate_value.h"

char *
validate_decode(struct sl_arena *arena, struct sl_str text, bool plus)
{
    char *out = sl_arena_alloc(arena, text.len + 1);
    size_t used = 0;
    for (size_t i = 0; out != NULL && i < text.len; i++) {
        char byte = text.ptr[i];
        if (byte == '%') {
            if (text.len - i < 3 ||
                !sl_hex_decode((struct sl_str){text.ptr + i + 1, 2}, &byte, 1) || byte == '\0') {
                return NULL;
            }
            i += 2;
        } else if (byte == '+' && plus) {
            byte = ' ';
        }
        out[used++] = byte;
    }
    return out;
}

static int64_t
move_inside(const struct property *property, int64_t number)
{
    if (number > property->schema->max) {
        return property->schema->max;
    }
    if (number < property->schema->min) {
        int64_t fallback = property->schema->min;
        if (property->fallback != NULL) {
            (void)sl_str_int(sl_str(property->fallback), &fallback);
        }
        return fallback;
    }
    return number;
}

// The typed value of a parameter's text; NULL when it is none.
static json_t *
read_typed(const struct property *property, const char *text)
{
    int64_t number = 0;
    switch (property->schema->kind) {
    case SCHEMA_INTEGER:
        if (!sl_str_int(sl_str(text), &number)) {
            return NULL;
        }
        return json_integer(property->schema->clamp ? move_inside(property, number) : number);
    case SCHEMA_BOOLEAN:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
            return NULL;
        }
        return json_boolean(strcmp(text, "true") == 0);
    default:
        return json_string(text);
    }
}

// Checks one parameter's text and stores its value.
static int
take(const struct validator *validator, const struct property *property, const char *text,
     json_t *target, struct sl_error *err)
{
    struct trail here = {.name = property->name};
    json_t *value = text != NULL ? read_typed(property, text) : NULL;
    if (value == NULL) {
        return validate_fail(&here, SL_E_PARAM_QUERY, err);
    }
    if (json_object_set_new(target, property->name, value) != 0) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    if (validate_support(property, value, &here, NULL, err) != 0) {
        return -1;
    }
    return validate_value(validator, property->schema, value, &here, SL_E_PARAM_QUERY, err);
}

int
validate_path(const struct validator *validator, const struct route_match *match,
              struct sl_arena *arena, json_t *path, struct sl_error *err)
{
    for (size_t i = 0; i < match->row->path_param_count && i < match->param_count; i++) {
        const char *text = validate_decode(arena, match->params[i], false);
        if (take(validator, &match->row->path_params[i], text, path, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
take_pair(const struct validator *validator, const struct rest_row *row, struct sl_str pair,
          struct sl_arena *arena, json_t *query, struct sl_error *err)
{
    struct sl_str value = pair;
    const char *name = validate_decode(arena, sl_str_split(&value, '='), true);
    for (size_t i = 0; name != NULL && i < row->query_param_count; i++) {
        const struct property *property = &row->query_params[i];
        if (strcmp(property->name, name) != 0) {
            continue;
        }
        if (json_object_get(query, name) != NULL) {
            return sl_fail(err, SL_E_PARAM_QUERY, name);
        }
        return take(validator, property, validate_decode(arena, value, true), query, err);
    }
    return 0;
}

// Fills in what did not come.
static int
complete(const struct property *properties, size_t count, json_t *target, struct sl_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct property *property = &properties[i];
        if (json_object_get(target, property->name) != NULL) {
            continue;
        }
        if (property->required) {
            return sl_fail(err, SL_E_PARAM_MISSING, property->name);
        }
        if (property->fallback != NULL &&
            json_object_set_new(target, property->name,
                                json_loads(property->fallback, JSON_DECODE_ANY, NULL)) != 0) {
            return sl_fail(err, SL_E_INTERNAL);
        }
    }
    return 0;
}

int
validate_query(const struct validator *validator, const struct rest_row *row,
               struct sl_str raw_query, struct sl_arena *arena, json_t *query, struct sl_error *err)
{
    while (raw_query.ptr != NULL && raw_query.len > 0) {
        struct sl_str pair = sl_str_split(&raw_query, '&');
        if (pair.len > 0 && take_pair(validator, row, pair, arena, query, err) != 0) {
            return -1;
        }
    }
    return complete(row->query_params, row->query_param_count, query, err);
}

int
validate_headers(const struct validator *validator, const struct validate_input *input,
                 json_t *query, struct sl_error *err)
{
    const struct rest_row *row = input->match->row;
    for (size_t i = 0; i < row->header_param_count; i++) {
        const char *text = input->header(input->header_arg, row->header_params[i].name);
        if (text != NULL && take(validator, &row->header_params[i], text, query, err) != 0) {
            return -1;
        }
    }
    return complete(row->header_params, row->header_param_count, query, err);
}
