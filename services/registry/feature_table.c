// feature_table.c - the features that the product has, and those that the document knows besides.
//
// Nothing is stored that nothing obeys: a row stands here when nodes (common/runtime/feature.h) or
// gateway_setting (proto/sql/0110_feature_parts.sql) obey it. runtime.md 17 says what each takes.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/feature.h"

#include "common/base/limits.h"

#include <string.h>

static const struct feature_part backend_timeout[] = {
    {.name = "max_timeout", .type = FEATURE_NUMBER, .min = 1, .max = 600000, .required = true},
    {.type = FEATURE_END},
};
static const struct feature_part ratelimit[] = {
    {.name = "api_limits", .type = FEATURE_NUMBER, .min = 1, .max = 1000000, .required = true},
    {.type = FEATURE_END},
};
static const struct feature_part request_body_size[] = {
    {.type = FEATURE_NUMBER, .min = 1048576, .max = 9999220736},
    {.type = FEATURE_END},
};
static const struct feature_part on_off[] = {
    {.type = FEATURE_SWITCH},
    {.type = FEATURE_END},
};

const struct feature feature_table[] = {
    {.name = "app_acl"},
    {.name = "backend_retry_count"},
    {.name = "backend_timeout", .parts = backend_timeout},
    {.name = "policy_sys_param"},
    {.name = "ratelimit", .parts = ratelimit},
    {.name = "request_body_size", .parts = request_body_size},
    {.name = "sse_strategy", .parts = on_off},
};
const size_t feature_count = SL_COUNT(feature_table);

// What the document knows besides, sorted.
static const char *const others[] = {
    "api_uri_no_escape",
    "app_api_key",
    "app_basic",
    "app_jwt",
    "app_quota",
    "app_route",
    "app_secret",
    "app_token",
    "authorizer_context_support_num_bool",
    "backend_client_certificate",
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
    "ssl_ciphers",
    "throttle_strategy",
    "vpc_backup",
    "vpc_name_modifiable",
};

const struct feature *
feature_find(const char *name)
{
    for (size_t i = 0; i < feature_count; i++) {
        if (strcmp(feature_table[i].name, name) == 0) {
            return &feature_table[i];
        }
    }
    return NULL;
}

int
feature_refuse(const char *name, struct sl_error *err)
{
    for (size_t i = 0; i < SL_COUNT(others); i++) {
        if (strcmp(others[i], name) == 0) {
            return sl_fail(err, SL_E_FEATURE_UNSUPPORTED, name);
        }
    }
    return sl_fail(err, SL_E_FEATURE_UNKNOWN, name);
}
