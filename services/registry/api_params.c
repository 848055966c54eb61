// api_params.c - see api_params.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/api_params.h"

#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/crypto/crypto.h"

#include <string.h>
#include <strings.h>

#define PATH_MAX_BYTES  1024 // of a declared path; the contract allows 512 characters
#define AUTHORIZER_VARS "$context.authorizer."
#define SYSTEM_VARS     "$context."

// Request parameters that the gateway itself reads.
static const char *const reserved_names[] = {"x-stage", "authorization", "x-auth-token"};
static const char *const reserved_prefixes[] = {"x-apig-", "x-sdk-"};

static const char *
member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static bool
is_at(const json_t *param, const char *location)
{
    return strcmp(member(param, "location"), location) == 0;
}

// The parameter of this name; location NULL: anywhere. Names are compared without case.
static json_t *
find_param(const json_t *params, struct sl_str name, const char *location)
{
    for (size_t i = 0; i < json_array_size(params); i++) {
        json_t *param = json_array_get(params, i);
        if (sl_str_equal_nocase(sl_str(member(param, "name")), name) &&
            (location == NULL || is_at(param, location))) {
            return param;
        }
    }
    return NULL;
}

// Cuts the next {name} or {name+} off *rest. False at the end.
static bool
next_hole(struct sl_str *rest, struct sl_str *ret_before, struct sl_str *ret_name, bool *ret_rest)
{
    const char *open = rest->len > 0 ? memchr(rest->ptr, '{', rest->len) : NULL;
    if (open == NULL) {
        return false;
    }
    struct sl_str after = {open + 1, rest->len - (size_t)(open + 1 - rest->ptr)};
    *ret_before = (struct sl_str){rest->ptr, (size_t)(open - rest->ptr)};
    *ret_name = sl_str_split(&after, '}');
    *ret_rest = ret_name->len > 0 && ret_name->ptr[ret_name->len - 1] == '+';
    if (*ret_rest) {
        ret_name->len--;
    }
    *rest = after;
    return true;
}

static bool
is_whole_segment(struct sl_str before, struct sl_str after)
{
    bool starts = before.len > 0 && before.ptr[before.len - 1] == '/';
    return starts && (after.len == 0 || after.ptr[0] == '/');
}

// Checks the request path and writes its shape. Each hole is a whole segment, {name+} the last one,
// each name stands once and, where `declared` asks for it, in `params`.
static int
shape_of_path(const char *uri, bool declared, const json_t *params, struct sl_buf *shape,
              struct sl_error *err)
{
    struct sl_str rest = sl_str(uri);
    struct sl_str before = {NULL, 0};
    struct sl_str name = {NULL, 0};
    bool is_rest = false;
    while (next_hole(&rest, &before, &name, &is_rest)) {
        if (!is_whole_segment(before, rest) || (is_rest && rest.len > 0)) {
            return sl_fail(err, SL_E_PARAM_INVALID, "req_uri");
        }
        if (declared && find_param(params, name, "PATH") == NULL) {
            return sl_fail(err, SL_E_PATH_PARAM_UNDEFINED);
        }
        sl_buf_add(shape, before.ptr, before.len);
        sl_buf_adds(shape, is_rest ? "{+}" : "{}");
    }
    sl_buf_add(shape, rest.ptr, rest.len);
    return shape->failed ? sl_fail(err, SL_E_INTERNAL) : 0;
}

// How often {name} or {name+} stands in the path.
static int
count_in_path(const char *uri, const char *wanted)
{
    struct sl_str rest = sl_str(uri);
    struct sl_str before = {NULL, 0};
    struct sl_str name = {NULL, 0};
    bool is_rest = false;
    int count = 0;
    while (next_hole(&rest, &before, &name, &is_rest)) {
        count += sl_str_equal_nocase(name, sl_str(wanted)) ? 1 : 0;
    }
    return count;
}

static bool
is_reserved(const json_t *param)
{
    const char *name = member(param, "name");
    for (size_t i = 0; i < SL_COUNT(reserved_prefixes); i++) {
        if (strncasecmp(name, reserved_prefixes[i], strlen(reserved_prefixes[i])) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < SL_COUNT(reserved_names); i++) {
        bool everywhere = i == 0; // the others are headers only
        if (strcasecmp(name, reserved_names[i]) == 0 && (everywhere || is_at(param, "HEADER"))) {
            return true;
        }
    }
    return is_at(param, "HEADER") && strchr(name, '_') != NULL;
}

static int
check_names(const json_t *params, const char *field, struct sl_error *err)
{
    for (size_t i = 0; i < json_array_size(params); i++) {
        const json_t *param = json_array_get(params, i);
        struct sl_str name = sl_str(member(param, "name"));
        if (find_param(params, name, member(param, "location")) != param) {
            return sl_fail(err, SL_E_PARAM_NAME_EXISTS);
        }
        if (strcmp(field, "req_params") == 0 && is_reserved(param)) {
            return sl_fail(err, SL_E_PARAM_INVALID, "req_params.name");
        }
    }
    return 0;
}

// The id of the stored parameter of the same name and place, else a fresh one.
static void
keep_id(json_t *param, const json_t *stored)
{
    const json_t *old =
        find_param(stored, sl_str(member(param, "name")), member(param, "location"));
    json_t *old_id = json_object_get(old, "id");
    char id[SL_ID_SIZE];
    if (old_id != NULL) {
        json_object_set(param, "id", old_id);
        return;
    }
    sl_random_id(id);
    json_object_set_new(param, "id", json_string(id));
}

static void
set_default(json_t *param, const char *field, int value)
{
    if (json_object_get(param, field) == NULL) {
        json_object_set_new(param, field, json_integer(value));
    }
}

// Defaults as replies show them. A path without its parameter is another path, so that one is
// always required.
static void
complete_req_param(json_t *param)
{
    if (is_at(param, "PATH")) {
        json_object_set_new(param, "required", json_integer(1));
    }
    set_default(param, "required", 2);
    set_default(param, "valid_enable", 2);
    set_default(param, "pass_through", 1);
}

// A bound that nothing can meet is a mistake; a maximum of 0 is none.
static int
check_bounds(const json_t *param, const char *min, const char *max, struct sl_error *err)
{
    json_int_t lowest = json_integer_value(json_object_get(param, min));
    json_int_t highest = json_integer_value(json_object_get(param, max));
    return highest != 0 && highest < lowest ? sl_fail(err, SL_E_PARAM_INVALID, max) : 0;
}

static int
prepare_req_params(struct change *change, struct sl_error *err)
{
    json_t *params = json_object_get(change->row, "req_params");
    const json_t *all = api_value(change, "req_params");
    const char *uri = api_text(change, "req_uri");
    if (check_names(params, "req_params", err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < json_array_size(params); i++) {
        if (check_bounds(json_array_get(params, i), "min_num", "max_num", err) != 0 ||
            check_bounds(json_array_get(params, i), "min_size", "max_size", err) != 0) {
            return -1;
        }
        complete_req_param(json_array_get(params, i));
        keep_id(json_array_get(params, i), json_object_get(change->before, "req_params"));
    }
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *param = json_array_get(all, i);
        if (is_at(param, "PATH") && count_in_path(uri, member(param, "name")) != 1) {
            return sl_fail(err, SL_E_PATH_PARAM_UNDEFINED);
        }
    }
    return 0;
}

static int
check_backend_param(const json_t *param, const json_t *req_params, const char *uri,
                    struct sl_error *err)
{
    const char *origin = member(param, "origin");
    const char *value = member(param, "value");
    if (strcmp(origin, "REQUEST") == 0 && find_param(req_params, sl_str(value), NULL) == NULL) {
        return sl_fail(err, SL_E_MAPPED_PARAM_UNDEFINED);
    }
    if (strcmp(origin, "SYSTEM") == 0) {
        if (sl_str_starts(sl_str(value), SL_STR(AUTHORIZER_VARS))) {
            return sl_fail(err, SL_E_AUTHORIZER_PARAM);
        }
        if (!sl_str_starts(sl_str(value), SL_STR(SYSTEM_VARS))) {
            return sl_fail(err, SL_E_PARAM_INVALID, "backend_params.value");
        }
    }
    if (uri != NULL && is_at(param, "PATH") && count_in_path(uri, member(param, "name")) == 0) {
        return sl_fail(err, SL_E_BACKEND_PATH_UNDEFINED);
    }
    return 0;
}

// Every {name} of the backend's path gets its value from a backend parameter.
static int
check_backend_path(const char *uri, const json_t *params, struct sl_error *err)
{
    struct sl_str rest = sl_str(uri);
    struct sl_str before = {NULL, 0};
    struct sl_str name = {NULL, 0};
    bool is_rest = false;
    while (next_hole(&rest, &before, &name, &is_rest)) {
        if (find_param(params, name, "PATH") == NULL) {
            return sl_fail(err, SL_E_BACKEND_PATH_UNDEFINED);
        }
    }
    return 0;
}

static void
link_backend_param(json_t *param, const json_t *req_params)
{
    if (strcmp(member(param, "origin"), "REQUEST") != 0) {
        return;
    }
    const json_t *source = find_param(req_params, sl_str(member(param, "value")), NULL);
    json_object_set(param, "req_param_id", json_object_get(source, "id"));
}

int
api_params_of_backend(json_t *params, const json_t *stored, const json_t *req_params,
                      const char *uri, struct sl_error *err)
{
    if (check_names(params, "backend_params", err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < json_array_size(params); i++) {
        json_t *param = json_array_get(params, i);
        if (check_backend_param(param, req_params, uri, err) != 0) {
            return -1;
        }
        keep_id(param, stored);
        link_backend_param(param, req_params);
    }
    return uri != NULL ? check_backend_path(uri, params, err) : 0;
}

const json_t *
api_params_find(const json_t *req_params, const char *name)
{
    return find_param(req_params, sl_str(name), NULL);
}

// New request parameters may have new ids, so stored mappings are linked again too.
static int
prepare_backend_params(struct change *change, struct sl_error *err)
{
    const json_t *backend = api_value(change, "backend_api");
    const char *uri = json_is_object(backend) ? member(backend, "req_uri") : NULL;
    if (json_object_get(change->row, "backend_params") == NULL) {
        json_t *copy = json_deep_copy(json_object_get(change->before, "backend_params"));
        if (copy != NULL) {
            json_object_set_new(change->row, "backend_params", copy);
        }
    }
    return api_params_of_backend(json_object_get(change->row, "backend_params"),
                                 json_object_get(change->before, "backend_params"),
                                 api_value(change, "req_params"), uri, err);
}

int
api_params_prepare(struct change *change, struct sl_error *err)
{
    SL_AUTO_BUF shape;
    sl_buf_init(&shape, PATH_MAX_BYTES);
    if (shape_of_path(api_text(change, "req_uri"), true, api_value(change, "req_params"), &shape,
                      err) != 0 ||
        prepare_req_params(change, err) != 0 || prepare_backend_params(change, err) != 0) {
        return -1;
    }
    return json_object_set_new(change->row, "req_uri_shape", json_stringn(shape.ptr, shape.len)) ==
                   0
               ? 0
               : sl_fail(err, SL_E_INTERNAL);
}

int
api_params_shape(struct sl_arena *arena, const char *uri, const char **ret_shape,
                 struct sl_error *err)
{
    SL_AUTO_BUF shape;
    sl_buf_init(&shape, PATH_MAX_BYTES);
    if (shape_of_path(uri, false, NULL, &shape, err) != 0) {
        return -1;
    }
    *ret_shape = sl_arena_dupn(arena, shape.ptr, shape.len);
    return sl_arena_check(arena, err);
}
