// api_policy.c - see api_policy.h.
//
// SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include "services/registry/api_policy.h"

#include "common/base/limits.h"
#include "common/crypto/crypto.h"
#include "common/runtime/range.h"
#include "services/registry/api_channel.h"
#include "services/registry/api_function.h"
#include "services/registry/api_mock.h"
#include "services/registry/api_params.h"

#include <pcre2.h>
#include <string.h>

// The member of an API that holds the policies of a backend type.
static const struct family {
    const char *backend_type, *column;
} families[] = {{"FUNCTION", "policy_functions"},
                {"GRPC", "policy_https"},
                {"HTTP", "policy_https"},
                {"MOCK", "policy_mocks"}};

static const char *
member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static bool
is(const json_t *object, const char *name, const char *value)
{
    return strcmp(member(object, name), value) == 0;
}

// Gives `object` the id of the stored one, or a fresh one.
static void
keep_id(json_t *object, const json_t *stored)
{
    char id[SL_ID_SIZE];
    json_t *old = json_object_get(stored, "id");
    sl_random_id(id);
    if (old != NULL) {
        json_object_set(object, "id", old);
    } else {
        json_object_set_new(object, "id", json_string(id));
    }
}

// -- conditions

bool
api_policy_is_pattern(const char *text)
{
    int number = 0;
    PCRE2_SIZE at = 0;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)text, strlen(text), PCRE2_NEVER_BACKSLASH_C, &number, &at, NULL);
    pcre2_code_free(code);
    return code != NULL;
}

static bool
are_networks(const char *list)
{
    struct sl_str rest = sl_str(list);
    struct sl_range range;
    while (rest.ptr != NULL) {
        if (!sl_range_parse(sl_str_trim(sl_str_split(&rest, ',')), &range)) {
            return false;
        }
    }
    return true;
}

// Links a condition on a parameter to its declaration.
static int
link_param(json_t *condition, const json_t *req_params, struct sl_error *err)
{
    const char *name = member(condition, "req_param_name");
    const json_t *param = api_params_find(req_params, name);
    if (name[0] == '\0') {
        return sl_fail(err, SL_E_PARAM_MISSING, "conditions.req_param_name");
    }
    if (param == NULL) {
        return sl_fail(err, SL_E_PARAM_INVALID, "conditions.req_param_name");
    }
    json_object_set(condition, "req_param_id", json_object_get(param, "id"));
    json_object_set(condition, "req_param_location", json_object_get(param, "location"));
    return 0;
}

static int
check_system(const json_t *condition, struct sl_error *err)
{
    const char *name = member(condition, "sys_param_name");
    bool is_method = strcmp(name, "req_method") == 0 || strcmp(name, "reqMethod") == 0;
    if (name[0] == '\0') {
        return sl_fail(err, SL_E_PARAM_MISSING, "conditions.sys_param_name");
    }
    return is_method && is(condition, "condition_type", "pattern")
               ? sl_fail(err, SL_E_PARAM_INVALID, "conditions.condition_type")
               : 0;
}

static int
prepare_condition(json_t *condition, const json_t *req_params, struct sl_error *err)
{
    const char *value = member(condition, "condition_value");
    if (is(condition, "condition_origin", "source")) {
        return are_networks(value) ? 0
                                   : sl_fail(err, SL_E_PARAM_INVALID, "conditions.condition_value");
    }
    if (json_object_get(condition, "condition_type") == NULL) {
        return sl_fail(err, SL_E_PARAM_MISSING, "conditions.condition_type");
    }
    if (is(condition, "condition_type", "pattern") && !api_policy_is_pattern(value)) {
        return sl_fail(err, SL_E_PARAM_INVALID, "conditions.condition_value");
    }
    if (is(condition, "condition_origin", "cookie")) {
        return member(condition, "cookie_param_name")[0] != '\0'
                   ? 0
                   : sl_fail(err, SL_E_PARAM_MISSING, "conditions.cookie_param_name");
    }
    return is(condition, "condition_origin", "param") ? link_param(condition, req_params, err)
                                                      : check_system(condition, err);
}

// -- policies

static const json_t *
find_policy(const json_t *policies, const char *name)
{
    for (size_t i = 0; i < json_array_size(policies); i++) {
        if (is(json_array_get(policies, i), "name", name)) {
            return json_array_get(policies, i);
        }
    }
    return NULL;
}

int
api_policy_check_web(const struct change *change, const json_t *backend, const char *where,
                     struct sl_error *err)
{
    static const char *const fixed[][2] = {
        {"req_protocol", "GRPCS"}, {"req_method", "POST"}, {"req_uri", "/"}};
    bool is_grpc = strcmp(api_text(change, "backend_type"), "GRPC") == 0;
    for (size_t i = 0; i < SL_COUNT(fixed); i++) {
        bool agrees = is(backend, fixed[i][0], fixed[i][1]) == is_grpc;
        if (!agrees && (is_grpc || i == 0)) {
            return sl_fail(err, SL_E_PARAM_INVALID,
                           sl_arena_printf(change->m->arena, "%s.%s", where, fixed[i][0]));
        }
    }
    if (is_grpc && json_array_size(json_object_get(backend, "backend_params")) > 0) {
        return sl_fail(err, SL_E_PARAM_INVALID,
                       sl_arena_printf(change->m->arena, "%s.backend_params", where));
    }
    return 0;
}

static int
prepare_web(struct change *change, json_t *policy, struct sl_error *err)
{
    if (api_channel_prepare(change, policy, "policy_https", err) != 0 ||
        api_policy_check_web(change, policy, "policy_https", err) != 0 ||
        api_check_timeout(change, policy, "policy_https.timeout", err) != 0) {
        return -1;
    }
    if (json_object_get(policy, "retry_count") == NULL) {
        json_object_set_new(policy, "retry_count", json_string("-1"));
    }
    return 0;
}

static int
prepare_policy(struct change *change, json_t *policy, const json_t *stored, struct sl_error *err)
{
    const json_t *req_params = api_value(change, "req_params");
    const json_t *old = find_policy(stored, member(policy, "name"));
    const json_t *old_conditions = json_object_get(old, "conditions");
    json_t *conditions = json_object_get(policy, "conditions");
    const char *uri = json_string_value(json_object_get(policy, "req_uri"));
    if (uri != NULL && prepare_web(change, policy, err) != 0) {
        return -1;
    }
    if (json_object_get(policy, "function_urn") != NULL &&
        api_function_check(change, policy, "policy_functions", err) != 0) {
        return -1;
    }
    if (api_mock_check(change, policy, "policy_mocks", err) != 0) {
        return -1;
    }
    keep_id(policy, old);
    for (size_t i = 0; i < json_array_size(conditions); i++) {
        json_t *condition = json_array_get(conditions, i);
        if (prepare_condition(condition, req_params, err) != 0) {
            return -1;
        }
        keep_id(condition, json_array_get(old_conditions, i));
    }
    return api_params_of_backend(json_object_get(policy, "backend_params"),
                                 json_object_get(old, "backend_params"), req_params, uri, err);
}

// Stored policies are linked again: the request parameters may have new ids.
static int
prepare_family(struct change *change, const char *column, struct sl_error *err)
{
    const json_t *stored = json_object_get(change->before, column);
    if (json_object_get(change->row, column) == NULL && json_is_array(stored)) {
        json_object_set_new(change->row, column, json_deep_copy(stored));
    }
    json_t *policies = json_object_get(change->row, column);
    for (size_t i = 0; i < json_array_size(policies); i++) {
        json_t *policy = json_array_get(policies, i);
        if (find_policy(policies, member(policy, "name")) != policy) {
            return sl_fail(err, SL_E_POLICY_NAME_EXISTS);
        }
        if (prepare_policy(change, policy, stored, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int
api_policy_prepare(struct change *change, struct sl_error *err)
{
    const char *backend_type = api_text(change, "backend_type");
    const char *own = "";
    for (size_t i = 0; i < SL_COUNT(families); i++) {
        own = strcmp(families[i].backend_type, backend_type) == 0 ? families[i].column : own;
    }
    for (size_t i = 0; i < SL_COUNT(families); i++) {
        const char *column = families[i].column;
        if (strcmp(column, own) == 0) {
            continue;
        }
        if (json_array_size(json_object_get(change->row, column)) > 0) {
            return sl_fail(err, SL_E_PARAM_INVALID, column);
        }
        json_object_set_new(change->row, column, json_null());
    }
    return prepare_family(change, own, err);
}
