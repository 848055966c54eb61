// feature.c - 3.21: features of a gateway.
//
// A feature is known to the document, available here, and has a way to read its configuration: a
// number, as plain text or as a member of a JSON object. Nothing is stored that nothing obeys:
// gateway_setting (proto/sql/0070_feature.sql) says what each changes.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include "common/base/limits.h"
#include "common/crypto/crypto.h"
#include "services/registry/engine_write.h"

#include <string.h>

#define INTERVAL "feature_interval" // setting: seconds between two changes of one feature

// What the gateway has, sorted by name (runtime.md 17).
static const struct feature {
    const char *name;   //
    const char *member; // of the JSON object in `config`; NULL: `config` is the number itself
    int64_t min, max;   //
} features[] = {
    {"backend_timeout", "max_timeout", 1, 600000},
    {"ratelimit", "api_limits", 1, 1000000},
    {"request_body_size", NULL, 1048576, 9999220736},
};

// What the document knows besides, sorted.
static const char *const others[] = {
    "api_uri_no_escape",
    "app_acl",
    "app_api_key",
    "app_basic",
    "app_jwt",
    "app_quota",
    "app_route",
    "app_secret",
    "app_token",
    "authorizer_context_support_num_bool",
    "backend_client_certificate",
    "backend_retry_count",
    "backend_token_allow",
    "breaker",
    "breakerv2",
    "content_type_configurable",
    "cors",
    "custom_auth_header",
    "custom_log",
    "default_group_host_trustlist",
    "gateway_responses",
    "gateway_responses_support_header",
    "gzip",
    "kafka_log",
    "lts",
    "multi_auth",
    "policy_cookie_param",
    "policy_sys_param",
    "public_key",
    "rate_limit_algorithm",
    "rate_limit_plugin",
    "real_ip_from_xff",
    "real_ip_header_getter",
    "request_custom_config",
    "route",
    "set_resp_headers",
    "sign_aes",
    "sign_basic",
    "sse_strategy",
    "ssl_ciphers",
    "throttle_strategy",
    "vpc_backup",
    "vpc_name_modifiable",
};

// Nothing comes back when the feature was set less than $6 seconds ago.
static const char set_sql[] =
    "INSERT INTO feature AS f (instance_id, id, name, enable, config) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT ON CONSTRAINT feature_name_key DO UPDATE SET enable = excluded.enable,"
    " config = excluded.config, update_time = now()"
    " WHERE f.update_time <= now() - make_interval(secs => $6::bigint) RETURNING id";

static const struct feature *
find_feature(const char *name)
{
    for (size_t i = 0; i < SL_COUNT(features); i++) {
        if (strcmp(features[i].name, name) == 0) {
            return &features[i];
        }
    }
    return NULL;
}

static int
refuse_name(const char *name, struct sl_error *err)
{
    for (size_t i = 0; i < SL_COUNT(others); i++) {
        if (strcmp(others[i], name) == 0) {
            return sl_fail(err, SL_E_FEATURE_UNSUPPORTED, name);
        }
    }
    return sl_fail(err, SL_E_FEATURE_UNKNOWN, name);
}

// The number in a configuration, which may stand in quotes inside a JSON object.
static int
read_number(struct mutation *m, const struct feature *feature, const char *config,
            int64_t *ret_number, struct sl_error *err)
{
    const char *text = config;
    if (feature->member != NULL) {
        json_t *object = json_loads(config, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(object)) {
            json_decref(object);
            return sl_fail(err, SL_E_PARAM_INVALID, "config");
        }
        if (engine_keep(m->arena, object, err) != 0) {
            return -1;
        }
        text = engine_value(m->arena, json_object_get(object, feature->member));
    }
    if (text == NULL || !sl_str_int(sl_str(text), ret_number)) {
        return sl_fail(err, SL_E_PARAM_INVALID, "config");
    }
    return 0;
}

static int
check_config(struct mutation *m, const struct feature *feature, const char *config, bool enable,
             struct sl_error *err)
{
    int64_t number = 0;
    if (config == NULL || config[0] == '\0') {
        return enable ? sl_fail(err, SL_E_PARAM_MISSING, "config") : 0;
    }
    if (read_number(m, feature, config, &number, err) != 0) {
        return -1;
    }
    if (number < feature->min || number > feature->max) {
        return sl_fail(err, SL_E_PARAM_RANGE, "config");
    }
    return 0;
}

static int
set_work(struct mutation *m, struct sl_error *err)
{
    const json_t *body = m->command->body;
    const char *name = json_string_value(json_object_get(body, "name"));
    const char *config = json_string_value(json_object_get(body, "config"));
    bool enable = json_is_true(json_object_get(body, "enable"));
    const struct feature *feature = find_feature(name);
    struct sl_rows *rows = NULL;
    int64_t interval_s = 0;
    char id[SL_ID_SIZE];
    if (feature == NULL) {
        return refuse_name(name, err);
    }
    sl_random_id(id);
    if (check_config(m, feature, config, enable, err) != 0 ||
        instance_number(m, INTERVAL, &interval_s, err) != 0 ||
        sl_sql(m->tx, m->arena, set_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(id), SL_P_TEXT(name),
                         SL_P_TEXT(enable ? "true" : "false"),
                         config != NULL ? SL_P_TEXT(config) : SL_P_NULL, SL_P_INT(interval_s)),
               &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_FEATURE_TOO_SOON, name);
    }
    m->outcome.object_id = sl_rows_text(rows, 0, 0);
    const struct resource *resource = resource_find("feature", strlen("feature"));
    if (mutation_touch(m, "gateway", m->instance, err) != 0 ||
        engine_read(m, resource, m->outcome.object_id, &m->body, err) != 0) {
        return -1;
    }
    m->outcome.after = sl_arena_dupn(m->arena, m->body.ptr, m->body.len);
    return sl_arena_check(m->arena, err);
}

int
feature_set(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, set_work, err);
}

static int
names_work(struct mutation *m, struct sl_error *err)
{
    int64_t offset = engine_offset(m->command);
    int64_t limit = engine_limit(m->command);
    json_t *names = json_array();
    if (engine_keep(m->arena, names, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < SL_COUNT(features); i++) {
        if ((int64_t)i >= offset && (int64_t)i - offset < limit) {
            json_array_append_new(names, json_string(features[i].name));
        }
    }
    json_t *page = json_pack("{s:i, s:i, s:O}", "total", (int)SL_COUNT(features), "size",
                             (int)json_array_size(names), "features", names);
    return engine_keep(m->arena, page, err) == 0 ? engine_dump(m->arena, page, &m->body, err) : -1;
}

int
feature_names(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, names_work, err);
}
