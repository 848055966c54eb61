// validate_value.c - the walk down a JSON value, schema in hand.
//
// SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include "services/front/validate_value.h"

#include <inttypes.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MATCH_LIMIT 100000 // steps of one pattern on one value

struct validator {
    pcre2_code **patterns; // parallel to rest_patterns
    pcre2_match_context *match;
};

void
validate_free(struct validator **validator)
{
    if (*validator == NULL) {
        return;
    }
    struct validator *self = SL_TAKE(*validator);
    for (size_t i = 0; self->patterns != NULL && i < rest_pattern_count; i++) {
        pcre2_code_free(self->patterns[i]);
    }
    free(self->patterns);
    pcre2_match_context_free(self->match);
    free(self);
}

static int
compile_patterns(struct validator *self, struct sl_error *err)
{
    for (size_t i = 0; i < rest_pattern_count; i++) {
        int code = 0;
        PCRE2_SIZE at = 0;
        self->patterns[i] = pcre2_compile((PCRE2_SPTR)rest_patterns[i], PCRE2_ZERO_TERMINATED,
                                          PCRE2_UTF | PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
        if (self->patterns[i] == NULL) {
            (void)sl_fail(err, SL_E_CONFIG, "a pattern of the contract");
            return sl_error_detail(err, "pattern %zu, offset %zu, error %d", i, (size_t)at, code);
        }
    }
    return 0;
}

struct validator *
validate_new(struct sl_error *err)
{
    struct validator *self = calloc(1, sizeof(*self));
    if (self != NULL) {
        self->patterns = calloc(rest_pattern_count + 1, sizeof(pcre2_code *));
        self->match = pcre2_match_context_create(NULL);
    }
    if (self == NULL || self->patterns == NULL || self->match == NULL) {
        (void)sl_fail(err, SL_E_INTERNAL);
        if (self != NULL) {
            validate_free(&self);
        }
        return NULL;
    }
    pcre2_set_match_limit(self->match, MATCH_LIMIT);
    if (compile_patterns(self, err) != 0) {
        validate_free(&self);
    }
    return self;
}

static size_t
render_trail(const struct trail *trail, char *ret_text, size_t size)
{
    if (trail == NULL) {
        ret_text[0] = '\0';
        return 0;
    }
    size_t used = render_trail(trail->outer, ret_text, size);
    int wrote = 0;
    if (trail->name != NULL) {
        wrote = snprintf(ret_text + used, size - used, "%s%s", used > 0 ? "." : "", trail->name);
    } else {
        wrote = snprintf(ret_text + used, size - used, "[%zu]", trail->index);
    }
    used += wrote > 0 ? (size_t)wrote : 0;
    return used < size ? used : size - 1;
}

int
validate_fail(const struct trail *trail, enum sl_code code, struct sl_error *err)
{
    char name[SL_ERROR_ARG_MAX];
    render_trail(trail, name, sizeof(name));
    return sl_fail(err, code, name);
}

static bool
is_of_kind(enum schema_kind kind, const json_t *value)
{
    switch (kind) {
    case SCHEMA_STRING:
        return json_is_string(value);
    case SCHEMA_INTEGER:
        return json_is_integer(value);
    case SCHEMA_NUMBER:
        return json_is_number(value);
    case SCHEMA_BOOLEAN:
        return json_is_boolean(value);
    case SCHEMA_ARRAY:
        return json_is_array(value);
    case SCHEMA_OBJECT:
        return json_is_object(value);
    }
    return false;
}

// A scalar as the tables write it; other values match nothing.
static const char *
text_of(const json_t *value, char room[32])
{
    if (json_is_string(value)) {
        return json_string_value(value);
    }
    if (json_is_boolean(value)) {
        return json_is_true(value) ? "true" : "false";
    }
    if (json_is_integer(value)) {
        snprintf(room, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return room;
    }
    return "";
}

static bool
is_listed(const char *const *list, const json_t *value)
{
    char room[32];
    const char *text = text_of(value, room);
    for (; *list != NULL; list++) {
        if (strcmp(*list, text) == 0) {
            return true;
        }
    }
    return false;
}

// Characters, not bytes: jansson has checked that it is UTF-8.
static int64_t
count_characters(const char *text)
{
    int64_t count = 0;
    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xc0U) != 0x80U;
    }
    return count;
}

static bool
is_matching(const struct validator *validator, int pattern, const json_t *value)
{
    const pcre2_code *code = validator->patterns[pattern];
    pcre2_match_data *found = pcre2_match_data_create_from_pattern(code, NULL);
    if (found == NULL) {
        return false;
    }
    int result = pcre2_match(code, (PCRE2_SPTR)json_string_value(value), json_string_length(value),
                             0, 0, found, validator->match);
    pcre2_match_data_free(found);
    return result >= 0;
}

static int
check_scalar(const struct validator *validator, const struct schema *schema, const json_t *value,
             const struct trail *trail, enum sl_code invalid, struct sl_error *err)
{
    if (schema->values != NULL && !is_listed(schema->values, value)) {
        return validate_fail(trail, invalid, err);
    }
    if (schema->kind == SCHEMA_INTEGER) {
        json_int_t number = json_integer_value(value);
        bool is_empty = number == 0 && schema->zero_empties;
        return !is_empty && (number < schema->min || number > schema->max)
                   ? validate_fail(trail, SL_E_PARAM_RANGE, err)
                   : 0;
    }
    if (schema->kind == SCHEMA_NUMBER) {
        double number = json_number_value(value);
        return (schema->min != SCHEMA_NO_MIN && number < (double)schema->min) ||
                       (schema->max != SCHEMA_NO_MAX && number > (double)schema->max)
                   ? validate_fail(trail, SL_E_PARAM_RANGE, err)
                   : 0;
    }
    if (schema->kind != SCHEMA_STRING) {
        return 0;
    }
    int64_t length = count_characters(json_string_value(value));
    if (length < schema->min || length > schema->max ||
        (schema->pattern != SCHEMA_NO_PATTERN && !is_matching(validator, schema->pattern, value))) {
        return validate_fail(trail, invalid, err);
    }
    return 0;
}

static bool
is_empty(const struct property *property, const json_t *value)
{
    return (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0) ||
           (property->fallback == NULL &&
            (json_is_false(value) || (json_is_integer(value) && json_integer_value(value) == 0)));
}

static bool
is_fallback(const struct property *property, const json_t *value)
{
    if (property->fallback == NULL) {
        return false;
    }
    json_t *fallback = json_loads(property->fallback, JSON_DECODE_ANY, NULL);
    bool same = json_equal(fallback, value) != 0;
    json_decref(fallback);
    return same;
}

int
validate_support(const struct property *property, const json_t *value, const struct trail *trail,
                 bool *ret_empty, struct sl_error *err)
{
    bool empty = property->support == SUPPORT_DEFAULT && is_empty(property, value);
    if (ret_empty != NULL) {
        *ret_empty = empty;
    }
    if (property->support == SUPPORT_SOME && is_listed(property->refused, value)) {
        return validate_fail(trail, SL_E_FIELD_UNSUPPORTED, err);
    }
    if (property->support == SUPPORT_DEFAULT && !empty && !is_fallback(property, value)) {
        return validate_fail(trail, SL_E_FIELD_UNSUPPORTED, err);
    }
    return 0;
}

static bool
is_due(const struct property *property, const json_t *object)
{
    if (property->required) {
        return true;
    }
    if (property->when_name == NULL) {
        return false;
    }
    const char *sibling = json_string_value(json_object_get(object, property->when_name));
    return sibling != NULL && strcmp(sibling, property->when_value) == 0;
}

static int check_object(const struct validator *validator, const struct schema *schema, bool fill,
                        json_t *object, const struct trail *outer, struct sl_error *err);

static int
check_array(const struct validator *validator, const struct schema *schema, json_t *array,
            const struct trail *trail, enum sl_code invalid, struct sl_error *err)
{
    int64_t size = (int64_t)json_array_size(array);
    if (size > schema->max && schema->too_many != SL_E_OK) {
        return sl_fail(err, schema->too_many);
    }
    if (size < schema->min || size > schema->max) {
        return validate_fail(trail, invalid, err);
    }
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct trail here = {.outer = trail, .index = i};
        if (validate_value(validator, schema->items, json_array_get(array, i), &here, invalid,
                           err) != 0) {
            return -1;
        }
    }
    return 0;
}

int
validate_value(const struct validator *validator, const struct schema *schema, json_t *value,
               const struct trail *trail, enum sl_code invalid, struct sl_error *err)
{
    if (!is_of_kind(schema->kind, value)) {
        return validate_fail(trail, invalid, err);
    }
    if (schema->kind == SCHEMA_ARRAY) {
        return check_array(validator, schema, value, trail, invalid, err);
    }
    if (schema->kind == SCHEMA_OBJECT) {
        return check_object(validator, schema, true, value, trail, err);
    }
    return check_scalar(validator, schema, value, trail, invalid, err);
}

static int
take_default(const struct property *property, json_t *object, struct sl_error *err)
{
    json_t *value = json_loads(property->fallback, JSON_DECODE_ANY, NULL);
    if (value == NULL || json_object_set_new(object, property->name, value) != 0) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    return 0;
}

static int
check_property(const struct validator *validator, const struct property *property, bool fill,
               json_t *object, const struct trail *trail, struct sl_error *err)
{
    json_t *value = json_object_get(object, property->name);
    if (json_is_null(value)) {
        json_object_del(object, property->name);
        value = NULL;
    }
    if (value == NULL) {
        if (is_due(property, object)) {
            return validate_fail(trail, SL_E_PARAM_MISSING, err);
        }
        return fill && property->fallback != NULL ? take_default(property, object, err) : 0;
    }
    if (!is_of_kind(property->schema->kind, value)) {
        return validate_fail(trail, SL_E_PARAM_INVALID, err);
    }
    bool empty = false;
    if (validate_support(property, value, trail, &empty, err) != 0) {
        return -1;
    }
    if (empty && json_is_string(value) && property->schema->values != NULL &&
        !is_listed(property->schema->values, value)) {
        return validate_fail(trail, SL_E_PARAM_INVALID, err);
    }
    if (empty) {
        json_object_del(object, property->name);
        return 0;
    }
    return validate_value(validator, property->schema, value, trail, SL_E_PARAM_INVALID, err);
}

static bool
is_declared(const struct schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->property_count; i++) {
        if (strcmp(schema->properties[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void
drop_unknown(const struct schema *schema, json_t *object)
{
    const char *key = NULL;
    json_t *value = NULL;
    void *next = NULL;
    json_object_foreach_safe(object, next, key, value)
    {
        if (!is_declared(schema, key)) {
            json_object_del(object, key);
        }
    }
}

static int
check_object(const struct validator *validator, const struct schema *schema, bool fill,
             json_t *object, const struct trail *outer, struct sl_error *err)
{
    for (size_t i = 0; i < schema->property_count; i++) {
        const struct property *property = &schema->properties[i];
        struct trail here = {.outer = outer, .name = property->name};
        if (check_property(validator, property, fill, object, &here, err) != 0) {
            return -1;
        }
    }
    if (!schema->open) {
        drop_unknown(schema, object);
    }
    return 0;
}

int
validate_object(const struct validator *validator, const struct schema *schema, bool fill,
                json_t *object, struct sl_error *err)
{
    return check_object(validator, schema, fill, object, NULL, err);
}
