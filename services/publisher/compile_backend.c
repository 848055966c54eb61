// compile_backend.c - the backend of a published definition, and those of its policies.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/compile_json.h"

#include <stdlib.h>
#include <string.h>

#define PORT_HTTP          80
#define PORT_HTTPS         443
#define DEFAULT_TIMEOUT_MS 5000
#define MOCK_STATUS        200

static const struct compile_word origins[] = {
    {"CONSTANT", SL_FROM_CONSTANT},
    {"REQUEST", SL_FROM_REQUEST},
    {"SYSTEM", SL_FROM_SYSTEM},
    {NULL, 0},
};
static const struct compile_word condition_origins[] = {{"cookie", SL_BY_COOKIE},
                                                        {"param", SL_BY_PARAM},
                                                        {"source", SL_BY_SOURCE},
                                                        {"system", SL_BY_SYSTEM},
                                                        {NULL, 0}};
static const struct compile_word condition_types[] = {
    {"enum", SL_MATCH_ENUM}, {"exact", SL_MATCH_EXACT}, {"pattern", SL_MATCH_PATTERN}, {NULL, 0}};
static const struct compile_word effect_modes[] = {{"ALL", 0}, {"ANY", 1}, {NULL, 0}};

// The members of a definition that describe backends of each type.
static const struct {
    const char *own, *policies;
} columns[] = {
    [SL_BACKEND_HTTP] = {"backend_api", "policy_https"},
    [SL_BACKEND_MOCK] = {"mock_info", "policy_mocks"},
    [SL_BACKEND_FUNCTION] = {"func_info", "policy_functions"},
    [SL_BACKEND_GRPC] = {"backend_api", "policy_https"},
};

static int
compile_backend_params(struct sl_arena *arena, const json_t *list,
                       const struct sl_backend_param **ret_params, size_t *ret_count,
                       struct sl_error *err)
{
    size_t count = json_array_size(list);
    struct sl_backend_param *params = sl_arena_array(arena, count + 1, sizeof(*params));
    for (size_t i = 0; params != NULL && i < count; i++) {
        const json_t *from = json_array_get(list, i);
        int location = compile_word(from, "location", compile_locations, err);
        int origin = compile_word(from, "origin", origins, err);
        if (location < 0 || origin < 0) {
            return -1;
        }
        params[i] = (struct sl_backend_param){
            .name = compile_text(arena, from, "name"),
            .value = compile_text(arena, from, "value"),
            .location = (enum sl_location)location,
            .origin = (enum sl_origin_kind)origin,
        };
    }
    *ret_params = params;
    *ret_count = count;
    return sl_arena_check(arena, err);
}

static bool
is_variable(const json_t *from)
{
    const char *address = json_string_value(json_object_get(from, "url_domain"));
    const char *path = json_string_value(json_object_get(from, "req_uri"));
    return (address != NULL && strchr(address, '#') != NULL) ||
           (path != NULL && strchr(path, '#') != NULL);
}

// Where the definition says; `http` is filled.
static int
compile_http(struct sl_arena *arena, const json_t *from, const struct variables *variables,
             struct sl_http_backend *http, struct sl_error *err)
{
    int scheme = compile_word(from, "req_protocol", compile_schemes, err);
    int method = compile_word(from, "req_method", compile_methods, err);
    if (scheme < 0 || method < 0) {
        return -1;
    }
    json_int_t timeout_ms = json_integer_value(json_object_get(from, "timeout"));
    int64_t retries = -1;
    // Absent or "-1": the default rule.
    (void)sl_str_int(sl_str(compile_text(arena, from, "retry_count")), &retries);
    const json_t *channel = json_object_get(from, "vpc_channel_info");
    *http = (struct sl_http_backend){
        .host = "",
        .channel = compile_text(arena, channel, "vpc_channel_id"),
        .proxy_host = compile_text(arena, channel, "vpc_channel_proxy_host"),
        .path = "/",
        .port = scheme == SL_SCHEME_HTTP ? PORT_HTTP : PORT_HTTPS,
        .tls = scheme != SL_SCHEME_HTTP,
        .client_certificate =
            scheme == SL_SCHEME_HTTPS && json_is_true(json_object_get(from, "enable_client_ssl")),
        .method = (enum sl_method)method,
        .timeout_ms = timeout_ms > 0 ? (uint32_t)timeout_ms : DEFAULT_TIMEOUT_MS,
        .retry_count = (int32_t)retries,
    };
    struct sl_http_backend resolved = *http;
    if (compile_address(arena, from, variables, &resolved, err) == 0) {
        *http = resolved;
        return 0;
    }
    // It was resolved when it was published; since then a variable has gone or changed.
    return is_variable(from) && err->code != SL_E_INTERNAL ? 0 : -1;
}

static int
compile_mock(struct sl_arena *arena, const json_t *from, struct sl_mock_backend *mock,
             struct sl_error *err)
{
    json_int_t status = json_integer_value(json_object_get(from, "status_code"));
    const json_t *list = json_object_get(from, "header");
    size_t count = json_array_size(list);
    struct sl_mock_header *headers = sl_arena_array(arena, count + 1, sizeof(*headers));
    for (size_t i = 0; headers != NULL && i < count; i++) {
        const json_t *header = json_array_get(list, i);
        headers[i] = (struct sl_mock_header){compile_text(arena, header, "key"),
                                             compile_text(arena, header, "value")};
    }
    *mock = (struct sl_mock_backend){.body = compile_text(arena, from, "result_content"),
                                     .status = status > 0 ? (uint16_t)status : MOCK_STATUS,
                                     .headers = headers,
                                     .header_count = count};
    return sl_arena_check(arena, err);
}

// What the left side of a condition is called: the parameter, the cookie, or the system value.
static const char *
condition_name(struct sl_arena *arena, const json_t *from, int origin)
{
    if (origin == SL_BY_SYSTEM) {
        const char *name = compile_text(arena, from, "sys_param_name");
        bool is_path = strcmp(name, "req_path") == 0 || strcmp(name, "reqPath") == 0;
        return is_path ? "req_path" : "req_method";
    }
    if (origin == SL_BY_COOKIE) {
        return compile_text(arena, from, "cookie_param_name");
    }
    return origin == SL_BY_PARAM ? compile_text(arena, from, "req_param_name") : "";
}

static int
compile_conditions(struct sl_arena *arena, const json_t *list, struct sl_policy *policy,
                   struct sl_error *err)
{
    size_t count = json_array_size(list);
    struct sl_condition *conditions = sl_arena_array(arena, count + 1, sizeof(*conditions));
    for (size_t i = 0; conditions != NULL && i < count; i++) {
        const json_t *from = json_array_get(list, i);
        int origin = compile_word(from, "condition_origin", condition_origins, err);
        int type = origin == SL_BY_SOURCE
                       ? SL_MATCH_EXACT
                       : compile_word(from, "condition_type", condition_types, err);
        if (origin < 0 || type < 0) {
            return -1;
        }
        conditions[i] = (struct sl_condition){
            .name = condition_name(arena, from, origin),
            .value = compile_text(arena, from, "condition_value"),
            .origin = (enum sl_condition_origin)origin,
            .type = (enum sl_condition_type)type,
        };
    }
    policy->conditions = conditions;
    policy->condition_count = count;
    return sl_arena_check(arena, err);
}

// Where the calls of a type go that leaves the gateway.
static int
compile_remote(struct sl_arena *arena, enum sl_backend_type type, const json_t *from,
               const struct variables *variables, struct sl_http_backend *http,
               struct sl_error *err)
{
    return (type == SL_BACKEND_FUNCTION ? compile_function : compile_http)(arena, from, variables,
                                                                           http, err);
}

static int
compile_policy(struct sl_arena *arena, const json_t *from, enum sl_backend_type type,
               const struct variables *variables, struct sl_policy *policy, struct sl_error *err)
{
    int any = compile_word(from, "effect_mode", effect_modes, err);
    if (any < 0) {
        return -1;
    }
    policy->name = compile_text(arena, from, "name");
    policy->any = any == 1;
    if ((type == SL_BACKEND_MOCK
             ? compile_mock(arena, from, &policy->mock, err)
             : compile_remote(arena, type, from, variables, &policy->http, err)) != 0) {
        return -1;
    }
    return compile_conditions(arena, json_object_get(from, "conditions"), policy, err) != 0
               ? -1
               : compile_backend_params(arena, json_object_get(from, "backend_params"),
                                        &policy->backend_params, &policy->backend_param_count, err);
}

static int
compile_policies(struct sl_arena *arena, const json_t *definition,
                 const struct variables *variables, struct sl_api *api, struct sl_error *err)
{
    const json_t *list = json_object_get(definition, columns[api->backend_type].policies);
    size_t count = json_array_size(list);
    struct sl_policy *policies = sl_arena_array(arena, count + 1, sizeof(*policies));
    for (size_t i = 0; policies != NULL && i < count; i++) {
        policies[i] = (struct sl_policy){.name = ""};
        if (compile_policy(arena, json_array_get(list, i), api->backend_type, variables,
                           &policies[i], err) != 0) {
            return -1;
        }
    }
    api->policies = policies;
    api->policy_count = count;
    return sl_arena_check(arena, err);
}

int
compile_backend(struct sl_arena *arena, const json_t *definition, const struct variables *variables,
                struct sl_api *api, struct sl_error *err)
{
    const json_t *own = json_object_get(definition, columns[api->backend_type].own);
    if ((api->backend_type == SL_BACKEND_MOCK
             ? compile_mock(arena, own, &api->mock, err)
             : compile_remote(arena, api->backend_type, own, variables, &api->http, err)) != 0) {
        return -1;
    }
    if (compile_backend_params(arena, json_object_get(definition, "backend_params"),
                               &api->backend_params, &api->backend_param_count, err) != 0 ||
        compile_policies(arena, definition, variables, api, err) != 0) {
        return -1;
    }
    if (api->backend_type == SL_BACKEND_FUNCTION && api->schemes == SL_SCHEME_GRPCS) {
        api->backend_type = SL_BACKEND_GRPC; // nodes speak to a gRPC server, and name the function
    }
    return 0;
}
