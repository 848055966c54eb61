// feature_table.c - the features that the product has, and those that the document knows besides.
//
// Nothing is stored that nothing obeys: a row stands here when nodes (common/runtime/feature.h),
// gateway_setting (proto/sql/0110_feature_parts.sql) or this service obey it.
// runtime.md 17 says what each takes.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/feature.h"

#include "common/base/limits.h"
#include "common/crypto/certificate.h"
#include "services/registry/api_policy.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"

// The name of a header: a letter, then letters, digits, - and _.
static int
check_header(struct sl_arena *arena, const json_t *value, const char *where, struct sl_error *err)
{
    const char *text = json_string_value(value);
    (void)arena;
    if (strspn(text, LETTERS) == 0 || text[strspn(text, LETTERS DIGITS "-_")] != '\0') {
        return sl_fail(err, SL_E_PARAM_INVALID, where);
    }
    return 0;
}

// The same of 3 characters or more, none that the gateway knows by another meaning; empty: none.
static int
check_own_header(struct sl_arena *arena, const json_t *value, const char *where,
                 struct sl_error *err)
{
    static const char *const prefixes[] = {"x-apig-", "x-sdk-"};
    const char *text = json_string_value(value);
    if (text[0] == '\0') {
        return 0;
    }
    bool taken = strlen(text) < 3 || strcasecmp(text, "x-stage") == 0 ||
                 strcasecmp(text, "authorization") == 0;
    for (size_t i = 0; i < SL_COUNT(prefixes); i++) {
        taken = taken || strncasecmp(text, prefixes[i], strlen(prefixes[i])) == 0;
    }
    return taken ? sl_fail(err, SL_E_PARAM_INVALID, where) : check_header(arena, value, where, err);
}

// A path that stands for itself: no escape, no query, no empty or dot segment.
static int
check_path(struct sl_arena *arena, const json_t *value, const char *where, struct sl_error *err)
{
    const char *text = json_string_value(value);
    (void)arena;
    if (text[0] != '/' || text[strspn(text, LETTERS DIGITS "-._~/")] != '\0' ||
        strstr(text, "//") != NULL || strstr(text, "/.") != NULL) {
        return sl_fail(err, SL_E_PARAM_INVALID, where);
    }
    return 0;
}

#define HOSTS_MAX 100 // addresses in front of a gateway

static int
check_hosts(struct sl_arena *arena, const json_t *value, const char *where, struct sl_error *err)
{
    struct in6_addr address;
    if (!json_is_array(value) || json_array_size(value) > HOSTS_MAX) {
        return sl_fail(err, SL_E_PARAM_INVALID, where);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *host = json_string_value(json_array_get(value, i));
        if (host == NULL ||
            (inet_pton(AF_INET, host, &address) != 1 && inet_pton(AF_INET6, host, &address) != 1)) {
            return sl_fail(err, SL_E_PARAM_INVALID, sl_arena_printf(arena, "%s[%zu]", where, i));
        }
    }
    return 0;
}

#define GETTER "header:" // and the name of a header

static int
check_getter(struct sl_arena *arena, const json_t *value, const char *where, struct sl_error *err)
{
    (void)arena;
    const char *text = json_string_value(value);
    size_t prefix = strlen(GETTER);
    return strncmp(text, GETTER, prefix) == 0 && text[prefix] != '\0' &&
                   text[prefix + strspn(text + prefix, LETTERS DIGITS "-_")] == '\0'
               ? 0
               : sl_fail(err, SL_E_PARAM_INVALID, where);
}

#define PEM_MAX 65535 // bytes, as many as a configuration may have

static int
check_ca(struct sl_arena *arena, const json_t *value, const char *where, struct sl_error *err)
{
    (void)arena;
    (void)where;
    struct sl_str pem = sl_str(json_string_value(value));
    return pem.len == 0 ? 0 : sl_certificate_check_ca(pem, err);
}

static int
check_pair(struct sl_arena *arena, const json_t *value, const char *where, struct sl_error *err)
{
    (void)arena;
    (void)where;
    return sl_certificate_check(sl_str(json_string_value(json_object_get(value, "content"))),
                                sl_str(json_string_value(json_object_get(value, "key"))), err);
}

static const struct feature_part backend_client_certificate[] = {
    {.name = "ca", .type = FEATURE_TEXT, .max = PEM_MAX, .check = check_ca},
    {.name = "content", .type = FEATURE_TEXT, .max = PEM_MAX, .required = true},
    {.name = "enable", .type = FEATURE_SWITCH, .required = true},
    {.name = "key", .type = FEATURE_TEXT, .max = PEM_MAX, .required = true, .secret = true},
    {.type = FEATURE_END},
};
#define TOKEN_USERS_MAX 100

// A list of patterns, each alone or as the `user_name` of an object.
static int
check_token_users(struct sl_arena *arena, const json_t *value, const char *where,
                  struct sl_error *err)
{
    size_t count = json_array_size(value);
    (void)arena;
    if (!json_is_array(value) || count == 0 || count > TOKEN_USERS_MAX) {
        return sl_fail(err, SL_E_PARAM_INVALID, where);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(value, i);
        const char *text =
            json_string_value(json_is_object(item) ? json_object_get(item, "user_name") : item);
        if (text == NULL || text[0] == '\0' || !api_policy_is_pattern(text)) {
            return sl_fail(err, SL_E_PARAM_INVALID, where);
        }
    }
    return 0;
}

static const struct feature_part backend_token_allow[] = {
    {.name = "backend_token_allow_users",
     .type = FEATURE_JSON,
     .required = true,
     .check = check_token_users},
    {.type = FEATURE_END},
};
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

static const struct feature_part app_jwt[] = {
    {.name = "enable", .type = FEATURE_SWITCH, .required = true},
    {.name = "auth_header", .type = FEATURE_TEXT, .min = 1, .max = 64, .check = check_header},
    {.type = FEATURE_END},
};
static const struct feature_part app_token[] = {
    {.name = "enable", .type = FEATURE_SWITCH, .required = true},
    {.name = "app_token_expire_time", .type = FEATURE_NUMBER, .min = 1, .max = 72000},
    {.name = "refresh_token_expire_time", .type = FEATURE_NUMBER, .min = 1, .max = 72000},
    {.name = "app_token_uri", .type = FEATURE_TEXT, .min = 2, .max = 512, .check = check_path},
    {.name = "app_token_key", .type = FEATURE_TEXT, .min = 8, .max = 256, .secret = true},
    {.type = FEATURE_END},
};
#define LOGS_MAX     10 // custom logs of a gateway
#define LOG_NAME_MAX 64 // characters of the name of one

// What of a request is logged: {location, name} each.
static int
check_custom_logs(struct sl_arena *arena, const json_t *value, const char *where,
                  struct sl_error *err)
{
    static const char *const locations[] = {"header", "query", "cookie"};
    size_t count = json_array_size(value);
    if (!json_is_array(value) || count == 0 || count > LOGS_MAX) {
        return sl_fail(err, SL_E_PARAM_INVALID, where);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(value, i);
        const char *location = json_string_value(json_object_get(item, "location"));
        const char *name = json_string_value(json_object_get(item, "name"));
        bool is_known = false;
        for (size_t j = 0; location != NULL && j < SL_COUNT(locations); j++) {
            is_known = is_known || strcmp(locations[j], location) == 0;
        }
        // The punctuation of RFC 7230 tokens, less what has a meaning in a query or in the entry.
        if (!is_known || name == NULL || json_object_size(item) != 2 || name[0] == '\0' ||
            strlen(name) > LOG_NAME_MAX || name[strspn(name, LETTERS DIGITS "-_.!$*~")] != '\0') {
            return sl_fail(err, SL_E_PARAM_INVALID, sl_arena_printf(arena, "%s[%zu]", where, i));
        }
    }
    return 0;
}

static int
check_ciphers(struct sl_arena *arena, const json_t *value, const char *where, struct sl_error *err)
{
    static const char *const suites[] = {
        "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-SHA384",     "ECDHE-RSA-AES256-SHA384",
        "ECDHE-ECDSA-AES128-SHA256",     "ECDHE-RSA-AES128-SHA256"};
    size_t count = json_array_size(value);
    if (!json_is_array(value) || count == 0 || count > SL_COUNT(suites)) {
        return sl_fail(err, SL_E_PARAM_INVALID, where);
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(value, i));
        size_t at = 0;
        while (at < SL_COUNT(suites) && (name == NULL || strcmp(suites[at], name) != 0)) {
            at++;
        }
        if (at == SL_COUNT(suites)) {
            return sl_fail(err, SL_E_PARAM_INVALID, sl_arena_printf(arena, "%s[%zu]", where, i));
        }
    }
    return 0;
}

static const struct feature_part custom_log[] = {
    {.name = "custom_logs", .type = FEATURE_JSON, .required = true, .check = check_custom_logs},
    {.type = FEATURE_END},
};
static const struct feature_part gzip[] = {
    {.name = "comp_level", .type = FEATURE_NUMBER, .min = 1, .max = 9, .required = true},
    {.type = FEATURE_END},
};
static const struct feature_part request_custom_config[] = {
    {.name = "http2", .type = FEATURE_SWITCH},
    {.name = "client_body_timeout", .type = FEATURE_NUMBER, .min = 1, .max = 60},
    {.type = FEATURE_END},
};
static const struct feature_part ssl_ciphers[] = {
    {.name = "ssl_ciphers", .type = FEATURE_JSON, .required = true, .check = check_ciphers},
    {.type = FEATURE_END},
};
static const struct feature_part custom_auth_header[] = {
    {.name = "app_auth_header", .type = FEATURE_TEXT, .max = 64, .check = check_own_header},
    {.name = "backend_sign_header", .type = FEATURE_TEXT, .max = 64, .check = check_own_header},
    {.type = FEATURE_END},
};
static const struct feature_part public_key[] = {
    {.name = "enable", .type = FEATURE_SWITCH, .required = true},
    {.name = "public_key_uri_prefix",
     .type = FEATURE_TEXT,
     .min = 2,
     .max = 512,
     .check = check_path},
    {.type = FEATURE_END},
};

static const char *const strategies[] = {"cluster", "local", NULL};
static const struct feature_part throttle_strategy[] = {
    {.name = "enable", .type = FEATURE_SWITCH, .required = true},
    {.name = "strategy", .type = FEATURE_WORD, .words = strategies, .required = true},
    {.type = FEATURE_END},
};
static const struct feature_part real_ip_from_xff[] = {
    {.name = "enable", .type = FEATURE_SWITCH, .required = true},
    {.name = "xff_index", .type = FEATURE_NUMBER, .min = INT32_MIN, .max = INT32_MAX},
    {.type = FEATURE_END},
};
static const struct feature_part real_ip_header_getter[] = {
    {.name = "enable", .type = FEATURE_SWITCH, .required = true},
    {.name = "header_getter",
     .type = FEATURE_TEXT,
     .min = 8,
     .max = 71,
     .required = true,
     .check = check_getter},
    {.type = FEATURE_END},
};
static const struct feature_part default_group_host_trustlist[] = {
    {.name = "enable", .type = FEATURE_SWITCH, .required = true},
    {.name = "hosts", .type = FEATURE_JSON, .required = true, .check = check_hosts},
    {.type = FEATURE_END},
};

const struct feature feature_table[] = {
    {.name = "api_uri_no_escape", .is_switched = true},
    {.name = "app_acl"},
    {.name = "app_api_key", .parts = on_off},
    {.name = "app_basic", .parts = on_off},
    {.name = "app_jwt", .parts = app_jwt},
    {.name = "app_quota"},
    {.name = "app_route", .parts = on_off, .is_of_apps = true},
    {.name = "app_secret", .parts = on_off},
    {.name = "app_token", .parts = app_token},
    {.name = "backend_client_certificate",
     .parts = backend_client_certificate,
     .check = check_pair},
    {.name = "backend_retry_count"},
    {.name = "backend_timeout", .parts = backend_timeout},
    {.name = "backend_token_allow", .parts = backend_token_allow},
    {.name = "custom_auth_header", .parts = custom_auth_header},
    {.name = "custom_log", .parts = custom_log},
    {.name = "default_group_host_trustlist", .parts = default_group_host_trustlist},
    {.name = "gzip", .parts = gzip},
    {.name = "policy_cookie_param", .parts = on_off},
    {.name = "policy_sys_param"},
    {.name = "public_key", .parts = public_key},
    {.name = "ratelimit", .parts = ratelimit},
    {.name = "real_ip_from_xff", .parts = real_ip_from_xff},
    {.name = "real_ip_header_getter", .parts = real_ip_header_getter},
    {.name = "request_body_size", .parts = request_body_size},
    {.name = "request_custom_config", .parts = request_custom_config},
    {.name = "sign_aes"},
    {.name = "sign_basic"},
    {.name = "sse_strategy", .parts = on_off},
    {.name = "ssl_ciphers", .parts = ssl_ciphers},
    {.name = "throttle_strategy", .parts = throttle_strategy},
    {.name = "vpc_backup"},
    {.name = "vpc_name_modifiable", .parts = on_off},
};
const size_t feature_count = SL_COUNT(feature_table);

// What the document knows besides, sorted.
static const char *const others[] = {
    "authorizer_context_support_num_bool",
    "breaker",
    "breakerv2",
    "content_type_configurable",
    "cors",
    "gateway_responses",
    "gateway_responses_support_header",
    "kafka_log",
    "lts",
    "multi_auth",
    "rate_limit_algorithm",
    "rate_limit_plugin",
    "route",
    "set_resp_headers",
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
