// validate.c - one request: content type, path, query, headers, body.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/validate.h"

#include <stdio.h>
#include <string.h>

#include "common/base/limits.h"
#include "services/front/validate_query.h"
#include "services/front/validate_value.h"

static void
release_json(void *value)
{
    json_decref(value);
}

static int
keep(struct sl_arena *arena, json_t *value, struct sl_error *err)
{
    if (value == NULL || sl_arena_defer(arena, release_json, value) != 0) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    return 0;
}

static bool
is_json_type(const char *content_type)
{
    if (content_type == NULL) {
        return true;
    }
    struct sl_str rest = sl_str(content_type);
    struct sl_str type = sl_str_trim(sl_str_split(&rest, ';'));
    return sl_str_equal_nocase(type, SL_STR("application/json"));
}

// Whether the value nests deeper than `left` levels. The parser's own bound keeps this recursion
// short.
static bool
is_deeper(const json_t *value, size_t left)
{
    const char *key = NULL;
    json_t *part = NULL;
    size_t index = 0;
    if (left == 0) {
        return json_is_object(value) || json_is_array(value);
    }
    if (json_is_array(value)) {
        json_array_foreach(value, index, part)
        {
            if (is_deeper(part, left - 1)) {
                return true;
            }
        }
    }
    void *it = json_object_iter((json_t *)(uintptr_t)value);
    for (; it != NULL; it = json_object_iter_next((json_t *)(uintptr_t)value, it)) {
        key = json_object_iter_key(it);
        if (key != NULL && is_deeper(json_object_iter_value(it), left - 1)) {
            return true;
        }
    }
    return false;
}

// The key that jansson complains of: `duplicate object key near '"name"'`.
static int
refuse_duplicate(const json_error_t *fault, struct sl_error *err)
{
    char key[SL_ERROR_ARG_MAX] = "body";
    const char *start = strchr(fault->text, '"');
    const char *end = start != NULL ? strchr(start + 1, '"') : NULL;
    if (end != NULL) {
        snprintf(key, sizeof(key), "%.*s", (int)(end - start - 1), start + 1);
    }
    return sl_fail(err, SL_E_BODY_DUPLICATE, key);
}

// A number that no C type holds is outside every range. Its key stands before it, unless it is in
// an array: then the body is named. `end`: the offset behind the number.
static int
refuse_number(struct sl_str body, size_t end, struct sl_error *err)
{
    const char *at = body.ptr + (end < body.len ? end : body.len);
    while (at > body.ptr && strchr("0123456789+-.eE \t\r\n", at[-1]) != NULL) {
        at--;
    }
    if (at > body.ptr && at[-1] == ':') {
        at--;
    }
    while (at > body.ptr && strchr(" \t\r\n", at[-1]) != NULL) {
        at--;
    }
    const char *close = at > body.ptr && at[-1] == '"' ? at - 1 : body.ptr;
    const char *open = close;
    while (open > body.ptr && open[-1] != '"') {
        open--;
    }
    char key[SL_ERROR_ARG_MAX] = "body";
    if (close > open && open > body.ptr) {
        snprintf(key, sizeof(key), "%.*s", (int)(close - open), open);
    }
    return sl_fail(err, SL_E_PARAM_RANGE, key);
}

int
validate_parse(struct sl_str body, struct sl_arena *arena, json_t **ret_value, struct sl_error *err)
{
    json_error_t fault;
    json_t *value = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &fault);
    char line[16];
    char column[16];
    if (value == NULL && json_error_code(&fault) == json_error_duplicate_key) {
        return refuse_duplicate(&fault, err);
    }
    if (value == NULL && json_error_code(&fault) == json_error_numeric_overflow) {
        return refuse_number(body, (size_t)fault.position, err);
    }
    if (value == NULL && json_error_code(&fault) == json_error_stack_overflow) {
        snprintf(line, sizeof(line), "%d", SL_JSON_DEPTH_MAX);
        return sl_fail(err, SL_E_BODY_DEPTH, line);
    }
    if (value == NULL && (json_error_code(&fault) == json_error_null_character ||
                          json_error_code(&fault) == json_error_null_byte_in_key)) {
        snprintf(line, sizeof(line), "%d", fault.line);
        return sl_fail(err, SL_E_BODY_NUL, line);
    }
    if (value == NULL) {
        snprintf(line, sizeof(line), "%d", fault.line);
        snprintf(column, sizeof(column), "%d", fault.column);
        return sl_fail(err, SL_E_BODY_MALFORMED, line, column);
    }
    if (keep(arena, value, err) != 0) {
        return -1;
    }
    if (is_deeper(value, SL_JSON_DEPTH_MAX)) {
        snprintf(line, sizeof(line), "%d", SL_JSON_DEPTH_MAX);
        return sl_fail(err, SL_E_BODY_DEPTH, line);
    }
    if (!json_is_object(value)) {
        return sl_fail(err, SL_E_PARAM_INVALID, "body");
    }
    *ret_value = value;
    return 0;
}

static int
check_body(const struct validator *validator, const struct validate_input *input, json_t *parsed,
           struct sl_arena *arena, json_t **ret_body, struct sl_error *err)
{
    const struct rest_row *row = input->match->row;
    if (row->body == NULL) {
        return 0;
    }
    if (input->body.len == 0) {
        if (row->body_required) {
            return sl_fail(err, SL_E_PARAM_MISSING, "body");
        }
        parsed = json_object();
        if (keep(arena, parsed, err) != 0) {
            return -1;
        }
    } else if (!is_json_type(input->content_type)) {
        return sl_fail(err, SL_E_BODY_TYPE);
    }
    if (parsed == NULL && validate_parse(input->body, arena, &parsed, err) != 0) {
        return -1;
    }
    if (validate_object(validator, row->body, row->fill, parsed, err) != 0) {
        return -1;
    }
    *ret_body = parsed;
    return 0;
}

int
validate_request(const struct validator *validator, const struct validate_input *input,
                 json_t *parsed, struct sl_arena *arena, struct validate_output *ret_output,
                 struct sl_error *err)
{
    struct validate_output output = {.path = json_object(), .query = json_object()};
    int path_kept = keep(arena, output.path, err);
    if (keep(arena, output.query, err) != 0 || path_kept != 0) {
        return -1;
    }
    if (validate_path(validator, input->match, arena, output.path, err) != 0 ||
        validate_query(validator, input->match->row, input->raw_query, arena, output.query, err) !=
            0 ||
        validate_headers(validator, input, output.query, err) != 0 ||
        check_body(validator, input, parsed, arena, &output.body, err) != 0) {
        return -1;
    }
    *ret_output = output;
    return 0;
}
