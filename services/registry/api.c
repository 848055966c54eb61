// api.c - what is special about APIs: rules between fields, ids of nested items, what goes with it.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/api_channel.h"
#include "services/registry/api_function.h"
#include "services/registry/api_mock.h"
#include "services/registry/api_params.h"
#include "services/registry/api_policy.h"
#include "services/registry/commands.h"

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/crypto/crypto.h"

#include <string.h>

#define TAGS_MAX        10                // of an API, as the contract has it
#define TIMEOUT_SETTING "backend_timeout" // longest timeout_ms that the gateway allows

// An offline publication goes with its API; one that is online stays and violates its foreign key.
static const char offline_sql[] =
    "DELETE FROM publication WHERE instance_id = $1 AND api_id = $2 AND version_id IS NULL";

static const char certificate_sql[] =
    "SELECT 1 FROM gateway_setting WHERE instance_id = $1"
    " AND name = 'backend_client_certificate.enable' AND value = 'on'";

const json_t *
api_value(const struct change *change, const char *column)
{
    const json_t *value = json_object_get(change->row, column);
    return value != NULL ? value : json_object_get(change->before, column);
}

const char *
api_text(const struct change *change, const char *column)
{
    const char *text = json_string_value(api_value(change, column));
    return text != NULL ? text : "";
}

// Carries id and register_time of the stored object over, or makes them.
static int
stamp_object(const struct change *change, const char *column, json_t *object, struct sl_error *err)
{
    const json_t *stored = json_object_get(change->before, column);
    char id[SL_ID_SIZE];
    char now[SL_TIME_TEXT];
    sl_random_id(id);
    sl_time_format(sl_wall_ms(), now);
    json_t *old_id = json_object_get(stored, "id");
    json_t *old_time = json_object_get(stored, "register_time");
    int rc = old_id != NULL ? json_object_set(object, "id", old_id)
                            : json_object_set_new(object, "id", json_string(id));
    rc |= old_time != NULL ? json_object_set(object, "register_time", old_time)
                           : json_object_set_new(object, "register_time", json_string(now));
    rc |= json_object_set_new(object, "update_time", json_string(now));
    rc |= json_object_set_new(object, "status", json_integer(1));
    return rc == 0 ? 0 : sl_fail(err, SL_E_INTERNAL);
}

int
api_check_timeout(struct change *change, const json_t *backend, const char *name,
                  struct sl_error *err)
{
    int64_t longest = 0;
    if (instance_number(change->m, TIMEOUT_SETTING, &longest, err) != 0) {
        return -1;
    }
    if (json_integer_value(json_object_get(backend, "timeout")) > longest) {
        return sl_fail(err, SL_E_PARAM_RANGE, name);
    }
    return 0;
}

int
api_check_certificate(struct mutation *m, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, certificate_sql, SL_PARAMS(SL_P_TEXT(m->instance)), &rows, err) !=
        0) {
        return -1;
    }
    return sl_rows_count(rows) > 0 ? 0 : sl_fail(err, SL_E_FEATURE_CONFIG_NOT_FOUND);
}

// The gateway's certificate can be shown to HTTPS backends, once there is one.
static int
check_client_tls(struct change *change, const json_t *backend, struct sl_error *err)
{
    if (!json_is_true(json_object_get(backend, "enable_client_ssl"))) {
        return 0;
    }
    if (strcmp(json_string_value(json_object_get(backend, "req_protocol")), "HTTPS") != 0) {
        return sl_fail(err, SL_E_BACKEND_TLS_UNFIT);
    }
    return api_check_certificate(change->m, err);
}

static int
prepare_web(struct change *change, json_t *backend, struct sl_error *err)
{
    if (backend == NULL) {
        return 0;
    }
    if (api_channel_prepare(change, backend, "backend_api", err) != 0 ||
        check_client_tls(change, backend, err) != 0 ||
        api_check_timeout(change, backend, "backend_api.timeout", err) != 0) {
        return -1;
    }
    if (json_object_get(backend, "retry_count") == NULL) {
        json_object_set_new(backend, "retry_count", json_string("-1"));
    }
    return stamp_object(change, "backend_api", backend, err);
}

static int
prepare_mock(struct change *change, json_t *mock, struct sl_error *err)
{
    if (mock == NULL) {
        return 0;
    }
    return api_mock_check(change, mock, "mock_info", err) != 0
               ? -1
               : stamp_object(change, "mock_info", mock, err);
}

// What is the same for every API that gRPC calls go through: the calls say the rest themselves.
static int
check_grpc(const struct change *change, struct sl_error *err)
{
    static const char *const empty[] = {"req_params", "backend_params"};
    static const char *const without[] = {"result_normal_sample", "result_failure_sample"};
    if (strcmp(api_text(change, "req_protocol"), "GRPCS") != 0) {
        return sl_fail(err, SL_E_PARAM_INVALID, "req_protocol");
    }
    if (strcmp(api_text(change, "req_method"), "POST") != 0) {
        return sl_fail(err, SL_E_PARAM_INVALID, "req_method");
    }
    for (size_t i = 0; i < SL_COUNT(empty); i++) {
        if (json_array_size(api_value(change, empty[i])) > 0) {
            return sl_fail(err, SL_E_PARAM_INVALID, empty[i]);
        }
    }
    for (size_t i = 0; i < SL_COUNT(without); i++) {
        if (api_text(change, without[i])[0] != '\0') {
            return sl_fail(err, SL_E_PARAM_INVALID, without[i]);
        }
    }
    return 0;
}

static int
prepare_function(struct change *change, json_t *function, struct sl_error *err)
{
    if (api_function_check(change, api_value(change, "func_info"), "func_info", err) != 0) {
        return -1;
    }
    if (strcmp(api_text(change, "req_protocol"), "GRPCS") == 0 && check_grpc(change, err) != 0) {
        return -1;
    }
    return function != NULL ? stamp_object(change, "func_info", function, err) : 0;
}

static int
prepare_http(struct change *change, json_t *backend, struct sl_error *err)
{
    return api_policy_check_web(change, api_value(change, "backend_api"), "backend_api", err) != 0
               ? -1
               : prepare_web(change, backend, err);
}

static int
prepare_grpc(struct change *change, json_t *backend, struct sl_error *err)
{
    return check_grpc(change, err) != 0 ? -1 : prepare_http(change, backend, err);
}

// The member that describes a backend of each type, and what completes it when it changes. NULL: it
// stays as it is.
static const struct backend {
    const char *type, *column;
    int (*prepare)(struct change *change, json_t *given, struct sl_error *err);
    bool takes_grpc; // an API over GRPCS may have it
} backends[] = {
    {"FUNCTION", "func_info", prepare_function, true},
    {"GRPC", "backend_api", prepare_grpc, true},
    {"HTTP", "backend_api", prepare_http, false},
    {"MOCK", "mock_info", prepare_mock, false},
};

static const struct backend *
find_backend(const char *type)
{
    const struct backend *found = backends;
    while (strcmp(found->type, type) != 0) {
        found++;
        assert(found < backends + SL_COUNT(backends)); // the contract knows no others
    }
    return found;
}

// The backend of the API's type must be there; those of other types are emptied.
static int
prepare_backend(struct change *change, struct sl_error *err)
{
    const struct backend *own = find_backend(api_text(change, "backend_type"));
    const json_t *described = api_value(change, own->column);
    if (strcmp(api_text(change, "req_protocol"), "GRPCS") == 0 && !own->takes_grpc) {
        return sl_fail(err, SL_E_PARAM_INVALID, "backend_type");
    }
    if (described == NULL || json_is_null(described)) {
        return sl_fail(err, SL_E_PARAM_MISSING, own->column);
    }
    for (size_t i = 0; i < SL_COUNT(backends); i++) {
        if (strcmp(backends[i].column, own->column) != 0) {
            json_object_set_new(change->row, backends[i].column, json_null());
        }
    }
    return own->prepare(change, json_object_get(change->row, own->column), err);
}

// The older spelling of a single tag: it stands among the others.
static int
add_tag(struct change *change, struct sl_error *err)
{
    json_t *tag = json_object_get(change->body, "tag");
    json_t *tags = json_object_get(change->row, "tags");
    if (json_string_length(tag) == 0) {
        return 0;
    }
    if (!json_is_array(tags)) {
        return json_object_set_new(change->row, "tags", json_pack("[O]", tag)) == 0
                   ? 0
                   : sl_fail(err, SL_E_INTERNAL);
    }
    for (size_t i = 0; i < json_array_size(tags); i++) {
        if (json_equal(json_array_get(tags, i), tag) != 0) {
            return 0;
        }
    }
    if (json_array_size(tags) >= TAGS_MAX) {
        return sl_fail(err, SL_E_TAG_QUOTA);
    }
    return json_array_append(tags, tag) == 0 ? 0 : sl_fail(err, SL_E_INTERNAL);
}

static int
check_tags(const struct change *change, struct sl_error *err)
{
    const json_t *tags = json_object_get(change->row, "tags");
    for (size_t i = 0; i < json_array_size(tags); i++) {
        for (size_t k = 0; k < i; k++) {
            if (json_equal(json_array_get(tags, i), json_array_get(tags, k)) != 0) {
                return sl_fail(err, SL_E_TAG_EXISTS);
            }
        }
    }
    return 0;
}

// AppCodes are a way of APP authentication and mean nothing beside another one.
static void
set_app_code(struct change *change)
{
    const json_t *option = json_object_get(change->body, "auth_opt");
    json_t *given = json_object_get(option, "app_code_auth_type");
    if (given != NULL) {
        json_object_set(change->row, "app_code_auth_type", given);
    }
    if (strcmp(api_text(change, "auth_type"), "APP") != 0) {
        json_object_set_new(change->row, "app_code_auth_type", json_string("DISABLE"));
    }
}

static int
prepare(struct change *change, struct sl_error *err)
{
    // The body belongs to the command; what this adds to nested objects must not reach it.
    json_t *row = json_deep_copy(change->row);
    if (row == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    json_object_update(change->row, row);
    json_decref(row);
    set_app_code(change);
    if (check_tags(change, err) != 0 || add_tag(change, err) != 0) {
        return -1;
    }
    if (prepare_backend(change, err) != 0) {
        return -1;
    }
    return api_params_prepare(change, err) != 0 ? -1 : api_policy_prepare(change, err);
}

// An API that moves takes its place in the other group's quota.
static int
move_quota(struct change *change, struct sl_error *err)
{
    const struct resource_quota *quota = change->resource->quotas;
    while (quota->name != NULL && quota->scope == NULL) {
        quota++;
    }
    if (change->before == NULL || quota->name == NULL ||
        json_equal(json_object_get(change->before, quota->scope),
                   json_object_get(change->after, quota->scope)) != 0) {
        return 0;
    }
    struct mutation_quota move = {
        .quota = {.instance = change->m->instance, .name = quota->name, .fallback = quota->limit},
        .units = -1};
    move.quota.scope = json_string_value(json_object_get(change->before, quota->scope));
    if (mutation_quota(change->m, &move, err) != 0) {
        return -1;
    }
    move.units = 1;
    move.quota.scope = json_string_value(json_object_get(change->after, quota->scope));
    return mutation_quota(change->m, &move, err);
}

static int
remove_dependents(struct change *change, struct sl_error *err)
{
    struct mutation *m = change->m;
    struct sl_params params = SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(change->id));
    if (sl_sql(m->tx, m->arena, offline_sql, params, NULL, err) != 0) {
        return -1;
    }
    return app_auth_forget(m, "api_id", change->id, err);
}

// What return_data_mode asks a list for beside the brief element.
static const char *
list_column(const json_t *query)
{
    const char *mode = json_string_value(json_object_get(query, "return_data_mode"));
    if (mode == NULL) {
        return "body";
    }
    if (strstr(mode, "include_group_backend") != NULL) {
        return "body_backend";
    }
    return strstr(mode, "include_group") != NULL ? "body_group" : "body";
}

const struct resource_hooks api_hooks = {
    .before_write = prepare,
    .after_write = move_quota,
    .before_delete = remove_dependents,
    .list_column = list_column,
};
