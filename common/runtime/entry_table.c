// entry_table.c - the fields of every kind of entry, each once.
//
// The order of a table is the order on the wire. Encoding, decoding and copying walk these tables.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/entry_table.h"

#include <string.h>

// Where a member lies, and where the count of a list lies: they keep a row on a line.
#define AT(type, member)                                                                           \
    .offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

#define LIST_AT(type, member, counter)                                                             \
    AT(type, member), .count_offset = offsetof(struct type, counter)

static const char *const method_words[] = {"GET",   "POST",    "PUT", "DELETE", "HEAD",
                                           "PATCH", "OPTIONS", "ANY", NULL};
static const char *const match_words[] = {"NORMAL", "SWA", NULL};
static const char *const auth_words[] = {"NONE", "APP", "IAM", "AUTHORIZER", NULL};
static const char *const backend_words[] = {"HTTP", "MOCK", "FUNCTION", "GRPC", NULL};
static const char *const location_words[] = {"PATH", "QUERY", "HEADER", NULL};
static const char *const condition_origin_words[] = {"param", "source", "system", "cookie", NULL};
static const char *const condition_type_words[] = {"exact", "enum", "pattern", NULL};
static const char *const origin_words[] = {"REQUEST", "CONSTANT", "SYSTEM", NULL};

static const struct entry_field http_fields[] = {
    {"host", FIELD_TEXT, AT(sl_http_backend, host)},
    {"path", FIELD_TEXT, AT(sl_http_backend, path)},
    {"port", FIELD_INT, AT(sl_http_backend, port), .min = 1, .max = UINT16_MAX},
    {"tls", FIELD_BOOL, AT(sl_http_backend, tls)},
    {"client_certificate", FIELD_BOOL, AT(sl_http_backend, client_certificate)},
    {"method", FIELD_WORD, AT(sl_http_backend, method), .words = method_words},
    {"timeout_ms", FIELD_INT, AT(sl_http_backend, timeout_ms), .min = 1, .max = 600000},
    {"retry_count", FIELD_INT, AT(sl_http_backend, retry_count), .min = -1, .max = 10},
    {"async", FIELD_BOOL, AT(sl_http_backend, async)},
    {"function", FIELD_TEXT, AT(sl_http_backend, function)},
    {"channel", FIELD_ID, AT(sl_http_backend, channel)},
    {"proxy_host", FIELD_TEXT, AT(sl_http_backend, proxy_host)},
};
static const struct entry_table http_table = {http_fields, SL_COUNT(http_fields),
                                              sizeof(struct sl_http_backend)};

static const struct entry_field mock_header_fields[] = {
    {"name", FIELD_TEXT, .required = true, AT(sl_mock_header, name)},
    {"value", FIELD_TEXT, AT(sl_mock_header, value)},
};
static const struct entry_table mock_header_table = {
    mock_header_fields, SL_COUNT(mock_header_fields), sizeof(struct sl_mock_header)};

static const struct entry_field mock_fields[] = {
    {"body", FIELD_TEXT, AT(sl_mock_backend, body)},
    {"status", FIELD_INT, AT(sl_mock_backend, status), .min = 100, .max = 599},
    {"headers", FIELD_LIST, LIST_AT(sl_mock_backend, headers, header_count),
     .sub = &mock_header_table},
};
static const struct entry_table mock_table = {mock_fields, SL_COUNT(mock_fields),
                                              sizeof(struct sl_mock_backend)};

static const struct entry_field req_param_fields[] = {
    {"name", FIELD_TEXT, .required = true, AT(sl_req_param, name)},
    {"default", FIELD_TEXT, AT(sl_req_param, default_value)},
    {"location", FIELD_WORD, AT(sl_req_param, location), .words = location_words},
    {"required", FIELD_BOOL, AT(sl_req_param, required)},
    {"pass_through", FIELD_BOOL, AT(sl_req_param, pass_through)},
    {"checked", FIELD_BOOL, AT(sl_req_param, checked)},
    {"enumerations", FIELD_TEXT, AT(sl_req_param, enumerations)},
    {"is_number", FIELD_BOOL, AT(sl_req_param, is_number)},
    {"has_min", FIELD_BOOL, AT(sl_req_param, has_min)},
    {"has_max", FIELD_BOOL, AT(sl_req_param, has_max)},
    {"min", FIELD_INT, AT(sl_req_param, min), .min = INT64_MIN, .max = INT64_MAX},
    {"max", FIELD_INT, AT(sl_req_param, max), .min = INT64_MIN, .max = INT64_MAX},
};
static const struct entry_table req_param_table = {req_param_fields, SL_COUNT(req_param_fields),
                                                   sizeof(struct sl_req_param)};

static const struct entry_field backend_param_fields[] = {
    {"name", FIELD_TEXT, .required = true, AT(sl_backend_param, name)},
    {"value", FIELD_TEXT, AT(sl_backend_param, value)},
    {"location", FIELD_WORD, AT(sl_backend_param, location), .words = location_words},
    {"origin", FIELD_WORD, AT(sl_backend_param, origin), .words = origin_words},
};
static const struct entry_table backend_param_table = {
    backend_param_fields, SL_COUNT(backend_param_fields), sizeof(struct sl_backend_param)};

static const struct entry_field condition_fields[] = {
    {"name", FIELD_TEXT, AT(sl_condition, name)},
    {"value", FIELD_TEXT, .required = true, AT(sl_condition, value)},
    {"origin", FIELD_WORD, AT(sl_condition, origin), .words = condition_origin_words},
    {"type", FIELD_WORD, AT(sl_condition, type), .words = condition_type_words},
};
static const struct entry_table condition_table = {condition_fields, SL_COUNT(condition_fields),
                                                   sizeof(struct sl_condition)};

static const struct entry_field policy_fields[] = {
    {"name", FIELD_TEXT, .required = true, AT(sl_policy, name)},
    {"any", FIELD_BOOL, AT(sl_policy, any)},
    {"http", FIELD_MAP, AT(sl_policy, http), .sub = &http_table},
    {"mock", FIELD_MAP, AT(sl_policy, mock), .sub = &mock_table},
    {"conditions", FIELD_LIST, LIST_AT(sl_policy, conditions, condition_count),
     .sub = &condition_table},
    {"backend_params", FIELD_LIST, LIST_AT(sl_policy, backend_params, backend_param_count),
     .sub = &backend_param_table},
};
static const struct entry_table policy_table = {policy_fields, SL_COUNT(policy_fields),
                                                sizeof(struct sl_policy)};

static const struct entry_field api_fields[] = {
    {"publish_id", FIELD_ID, .required = true, AT(sl_api, publish_id)},
    {"api_id", FIELD_ID, .required = true, AT(sl_api, api_id)},
    {"name", FIELD_TEXT, AT(sl_api, name)},
    {"group_id", FIELD_ID, .required = true, AT(sl_api, group_id)},
    {"env_id", FIELD_TEXT, .required = true, AT(sl_api, env_id)},
    {"env_name", FIELD_TEXT, .required = true, AT(sl_api, env_name)},
    {"version_id", FIELD_TEXT, AT(sl_api, version_id)},
    {"path", FIELD_TEXT, .required = true, AT(sl_api, path)},
    {"throttle_id", FIELD_ID, AT(sl_api, throttle_id)},
    {"sign_id", FIELD_ID, AT(sl_api, sign_id)},
    {"method", FIELD_WORD, AT(sl_api, method), .words = method_words},
    {"match_mode", FIELD_WORD, AT(sl_api, match_mode), .words = match_words},
    {"schemes", FIELD_INT, AT(sl_api, schemes), .min = 1, .max = 7},
    {"auth", FIELD_WORD, AT(sl_api, auth), .words = auth_words},
    {"app_code", FIELD_BOOL, AT(sl_api, app_code)},
    {"cors", FIELD_BOOL, AT(sl_api, cors)},
    {"backend_type", FIELD_WORD, AT(sl_api, backend_type), .words = backend_words},
    {"http", FIELD_MAP, AT(sl_api, http), .sub = &http_table},
    {"mock", FIELD_MAP, AT(sl_api, mock), .sub = &mock_table},
    {"req_params", FIELD_LIST, LIST_AT(sl_api, req_params, req_param_count),
     .sub = &req_param_table},
    {"backend_params", FIELD_LIST, LIST_AT(sl_api, backend_params, backend_param_count),
     .sub = &backend_param_table},
    {"policies", FIELD_LIST, LIST_AT(sl_api, policies, policy_count), .sub = &policy_table},
};

static const struct entry_field group_fields[] = {
    {"id", FIELD_ID, .required = true, AT(sl_group, id)},
    {"name", FIELD_TEXT, AT(sl_group, name)},
    {"is_default", FIELD_BOOL, AT(sl_group, is_default)},
    {"sl_domain_enabled", FIELD_BOOL, AT(sl_group, sl_domain_enabled)},
};

static const char *const min_tls_words[] = {"TLSv1.1", "TLSv1.2", NULL};

static const struct entry_field host_fields[] = {
    {"name", FIELD_TEXT, .required = true, AT(sl_host, name)},
    {"group_id", FIELD_ID, .required = true, AT(sl_host, group_id)},
    {"debugging", FIELD_BOOL, AT(sl_host, debugging)},
    {"certificates", FIELD_TEXTS, LIST_AT(sl_host, certificates, certificate_count)},
    {"min_tls", FIELD_WORD, AT(sl_host, min_tls), .words = min_tls_words},
    {"verify_client", FIELD_BOOL, AT(sl_host, verify_client)},
    {"redirect_https", FIELD_BOOL, AT(sl_host, redirect_https)},
    {"http_port", FIELD_INT, AT(sl_host, http_port), .min = -1, .max = UINT16_MAX},
    {"https_port", FIELD_INT, AT(sl_host, https_port), .min = -1, .max = UINT16_MAX},
};

static const struct entry_field certificate_fields[] = {
    {"id", FIELD_ID, .required = true, AT(sl_certificate, id)},
    {"name", FIELD_TEXT, AT(sl_certificate, name)},
    {"algorithm", FIELD_TEXT, AT(sl_certificate, algorithm)},
    {"chain", FIELD_BINS, .required = true, LIST_AT(sl_certificate, chain, chain_count)},
    {"key", FIELD_BIN, .required = true, AT(sl_certificate, key)},
    {"ca", FIELD_BINS, LIST_AT(sl_certificate, ca, ca_count)},
};

static const char *const acl_words[] = {"NONE", "PERMIT", "DENY", NULL};

static const struct entry_field app_quota_fields[] = {
    {"id", FIELD_ID, AT(sl_app_quota, id)},
    {"limit", FIELD_INT, AT(sl_app_quota, limit), .min = 1, .max = INT64_MAX},
    {"window_s", FIELD_INT, AT(sl_app_quota, window_s), .min = 1, .max = UINT32_MAX},
    {"lead_s", FIELD_INT, AT(sl_app_quota, lead_s), .min = 0, .max = UINT32_MAX},
    {"first", FIELD_INT, AT(sl_app_quota, first), .min = 0, .max = UINT32_MAX},
};
static const struct entry_table app_quota_table = {app_quota_fields, SL_COUNT(app_quota_fields),
                                                   sizeof(struct sl_app_quota)};

static const struct entry_field app_fields[] = {
    {"id", FIELD_ID, .required = true, AT(sl_app, id)},
    {"name", FIELD_TEXT, AT(sl_app, name)},
    {"key", FIELD_TEXT, .required = true, AT(sl_app, key)},
    {"secret", FIELD_TEXT, AT(sl_app, secret)},
    {"domain_id", FIELD_TEXT, AT(sl_app, domain_id)},
    {"codes", FIELD_TEXTS, LIST_AT(sl_app, codes, code_count)},
    {"publish_ids", FIELD_TEXTS, LIST_AT(sl_app, publish_ids, publish_id_count)},
    {"acl_mode", FIELD_WORD, AT(sl_app, acl_mode), .words = acl_words},
    {"acl", FIELD_TEXTS, LIST_AT(sl_app, acl, acl_count)},
    {"quota", FIELD_MAP, AT(sl_app, quota), .sub = &app_quota_table},
    {"groups", FIELD_TEXTS, LIST_AT(sl_app, groups, group_count)},
};

static const struct entry_field special_fields[] = {
    {"object_id", FIELD_TEXT, .required = true, AT(sl_special, object_id)},
    {"limit", FIELD_INT, AT(sl_special, limit), .min = 0, .max = INT64_MAX},
    {"is_user", FIELD_BOOL, AT(sl_special, is_user)},
};
static const struct entry_table special_table = {special_fields, SL_COUNT(special_fields),
                                                 sizeof(struct sl_special)};

static const struct entry_field throttle_fields[] = {
    {"id", FIELD_ID, .required = true, AT(sl_throttle, id)},
    {"shared", FIELD_BOOL, AT(sl_throttle, shared)},
    {"window_s", FIELD_INT, AT(sl_throttle, window_s), .min = 1, .max = UINT32_MAX},
    {"interval", FIELD_INT, AT(sl_throttle, interval), .min = 0, .max = UINT32_MAX},
    {"unit", FIELD_TEXT, AT(sl_throttle, unit)},
    {"api_limit", FIELD_INT, AT(sl_throttle, api_limit), .min = 0, .max = INT64_MAX},
    {"user_limit", FIELD_INT, AT(sl_throttle, user_limit), .min = 0, .max = INT64_MAX},
    {"app_limit", FIELD_INT, AT(sl_throttle, app_limit), .min = 0, .max = INT64_MAX},
    {"ip_limit", FIELD_INT, AT(sl_throttle, ip_limit), .min = 0, .max = INT64_MAX},
    {"specials", FIELD_LIST, LIST_AT(sl_throttle, specials, special_count), .sub = &special_table},
};

static const char *const sign_words[] = {"hmac", "basic", "public_key", "aes", NULL};

static const struct entry_field sign_fields[] = {
    {"id", FIELD_ID, .required = true, AT(sl_sign, id)},
    {"type", FIELD_WORD, AT(sl_sign, type), .words = sign_words},
    {"key", FIELD_TEXT, .required = true, AT(sl_sign, key)},
    {"secret", FIELD_TEXT, .required = true, AT(sl_sign, secret)},
};

static const struct entry_field feature_fields[] = {
    {"name", FIELD_TEXT, .required = true, AT(sl_feature_value, name)},
    {"value", FIELD_TEXT, AT(sl_feature_value, value)},
};
static const struct entry_table feature_table = {feature_fields, SL_COUNT(feature_fields),
                                                 sizeof(struct sl_feature_value)};

static const struct entry_field gateway_fields[] = {
    {"id", FIELD_ID, .required = true, AT(sl_gateway, id)},
    {"project_id", FIELD_TEXT, AT(sl_gateway, project_id)},
    {"domain_call_limit", FIELD_INT, AT(sl_gateway, domain_call_limit), .min = 0, .max = INT64_MAX},
    {"api_default_limit", FIELD_INT, AT(sl_gateway, api_default_limit), .min = 0, .max = INT64_MAX},
    {"body_max_bytes", FIELD_INT, AT(sl_gateway, body_max_bytes), .min = 0, .max = INT64_MAX},
    {"timeout_max_ms", FIELD_INT, AT(sl_gateway, timeout_max_ms), .min = 0, .max = INT64_MAX},
    {"addresses", FIELD_TEXTS, LIST_AT(sl_gateway, addresses, address_count)},
    {"restricted", FIELD_TEXTS, LIST_AT(sl_gateway, restricted, restricted_count)},
    {"node_ids", FIELD_TEXTS, LIST_AT(sl_gateway, node_ids, node_count)},
    {"node_keys", FIELD_TEXTS, LIST_AT(sl_gateway, node_keys, node_key_count)},
    {"membership", FIELD_INT, AT(sl_gateway, membership), .min = 0, .max = INT64_MAX},
    {"features", FIELD_LIST, LIST_AT(sl_gateway, features, feature_count), .sub = &feature_table},
};

static const struct entry_field user_fields[] = {
    {"id", FIELD_ID, .required = true, AT(sl_user, id)},
    {"name", FIELD_TEXT, AT(sl_user, name)},
    {"domain_id", FIELD_TEXT, AT(sl_user, domain_id)},
    {"domain_name", FIELD_TEXT, AT(sl_user, domain_name)},
    {"enabled", FIELD_BOOL, AT(sl_user, enabled)},
    {"not_before_s", FIELD_INT, AT(sl_user, not_before_s), .min = 0, .max = INT64_MAX},
};

static const struct entry_field access_key_fields[] = {
    {"access", FIELD_TEXT, .required = true, AT(sl_access_key, access)},
    {"secret", FIELD_TEXT, .required = true, AT(sl_access_key, secret)},
    {"security_token", FIELD_TEXT, AT(sl_access_key, security_token)},
    {"user_id", FIELD_ID, .required = true, AT(sl_access_key, user_id)},
    {"project_id", FIELD_TEXT, AT(sl_access_key, project_id)},
    {"enabled", FIELD_BOOL, AT(sl_access_key, enabled)},
    {"expires_s", FIELD_INT, AT(sl_access_key, expires_s), .min = 0, .max = INT64_MAX},
};

static const struct entry_field token_key_fields[] = {
    {"id", FIELD_ID, .required = true, AT(sl_token_key, id)},
    {"public_key", FIELD_TEXT, .required = true, AT(sl_token_key, public_key)},
};

static const char *const probe_words[] = {"NONE", "TCP", "HTTP", "HTTPS", NULL};

static const struct entry_field member_fields[] = {
    {"id", FIELD_ID, AT(sl_member, id)},
    {"host", FIELD_TEXT, .required = true, AT(sl_member, host)},
    {"port", FIELD_INT, .required = true, AT(sl_member, port), .min = 1, .max = UINT16_MAX},
    {"weight", FIELD_INT, AT(sl_member, weight), .min = 0, .max = SL_MEMBER_WEIGHT_MAX},
    {"backup", FIELD_BOOL, AT(sl_member, backup)},
};
static const struct entry_table member_table = {member_fields, SL_COUNT(member_fields),
                                                sizeof(struct sl_member)};

static const struct entry_field health_fields[] = {
    {"protocol", FIELD_WORD, AT(sl_health, protocol), .words = probe_words},
    {"path", FIELD_TEXT, AT(sl_health, path)},
    {"method", FIELD_WORD, AT(sl_health, method), .words = method_words},
    {"port", FIELD_INT, AT(sl_health, port), .min = 0, .max = UINT16_MAX},
    {"threshold_normal", FIELD_INT, AT(sl_health, threshold_normal), .min = 1, .max = 10},
    {"threshold_abnormal", FIELD_INT, AT(sl_health, threshold_abnormal), .min = 1, .max = 10},
    {"timeout_s", FIELD_INT, AT(sl_health, timeout_s), .min = 1, .max = 30},
    {"interval_s", FIELD_INT, AT(sl_health, interval_s), .min = 1, .max = 300},
    {"codes", FIELD_TEXT, AT(sl_health, codes)},
    {"client_ssl", FIELD_BOOL, AT(sl_health, client_ssl)},
};
static const struct entry_table health_table = {health_fields, SL_COUNT(health_fields),
                                                sizeof(struct sl_health)};

static const struct entry_field channel_fields[] = {
    {"id", FIELD_ID, .required = true, AT(sl_channel, id)},
    {"name", FIELD_TEXT, AT(sl_channel, name)},
    {"strategy", FIELD_INT, .required = true, AT(sl_channel, strategy), .min = SL_STRATEGY_TURN,
     .max = SL_STRATEGY_URI},
    {"port", FIELD_INT, AT(sl_channel, port), .min = 0, .max = UINT16_MAX},
    {"members", FIELD_LIST, LIST_AT(sl_channel, members, member_count), .sub = &member_table},
    {"health", FIELD_MAP, AT(sl_channel, health), .sub = &health_table},
};

const struct entry_kind entry_kinds[SL_KIND_COUNT] = {
    [SL_KIND_API] = {"api", {api_fields, SL_COUNT(api_fields), sizeof(struct sl_api)}},
    [SL_KIND_GROUP] = {"group", {group_fields, SL_COUNT(group_fields), sizeof(struct sl_group)}},
    [SL_KIND_HOST] = {"host", {host_fields, SL_COUNT(host_fields), sizeof(struct sl_host)}},
    [SL_KIND_APP] = {"app", {app_fields, SL_COUNT(app_fields), sizeof(struct sl_app)}},
    [SL_KIND_THROTTLE] = {"throttle",
                          {throttle_fields, SL_COUNT(throttle_fields), sizeof(struct sl_throttle)}},
    [SL_KIND_SIGN] = {"signature", {sign_fields, SL_COUNT(sign_fields), sizeof(struct sl_sign)}},
    [SL_KIND_GATEWAY] = {"gateway",
                         {gateway_fields, SL_COUNT(gateway_fields), sizeof(struct sl_gateway)}},
    [SL_KIND_USER] = {"user", {user_fields, SL_COUNT(user_fields), sizeof(struct sl_user)}},
    [SL_KIND_ACCESS_KEY] = {"access_key",
                            {access_key_fields, SL_COUNT(access_key_fields),
                             sizeof(struct sl_access_key)}},
    [SL_KIND_TOKEN_KEY] = {"token_key",
                           {token_key_fields, SL_COUNT(token_key_fields),
                            sizeof(struct sl_token_key)}},
    [SL_KIND_CERTIFICATE] = {"certificate",
                             {certificate_fields, SL_COUNT(certificate_fields),
                              sizeof(struct sl_certificate)}},
    [SL_KIND_CHANNEL] = {"channel",
                         {channel_fields, SL_COUNT(channel_fields), sizeof(struct sl_channel)}},
};

const char *
sl_kind_name(enum sl_kind kind)
{
    return kind < SL_KIND_COUNT ? entry_kinds[kind].name : "unknown";
}

enum sl_kind
sl_kind_find(const char *name)
{
    enum sl_kind kind = SL_KIND_API;
    while (kind < SL_KIND_COUNT && strcmp(entry_kinds[kind].name, name) != 0) {
        kind++;
    }
    return kind;
}

// Whether the host of a backend is not known, which readers before version 4 refuse.
static bool
lacks_host(const struct sl_api *api)
{
    if (api->backend_type != SL_BACKEND_HTTP) {
        return false;
    }
    bool lacks = api->http.host[0] == '\0';
    for (size_t i = 0; i < api->policy_count && !lacks; i++) {
        lacks = api->policies[i].http.host[0] == '\0';
    }
    return lacks;
}

static bool
has_text(const char *text)
{
    return text != NULL && text[0] != '\0';
}

// Whether a backend or a policy's is a channel, which readers before version 7 take for a backend
// without a host.
static bool
names_channel(const struct sl_api *api)
{
    bool names = has_text(api->http.channel);
    for (size_t i = 0; i < api->policy_count && !names; i++) {
        names = has_text(api->policies[i].http.channel);
    }
    return names;
}

// Whether a policy asks for a cookie, which readers before version 5 do not know.
static bool
asks_cookies(const struct sl_api *api)
{
    for (size_t i = 0; i < api->policy_count; i++) {
        const struct sl_policy *policy = &api->policies[i];
        for (size_t k = 0; k < policy->condition_count; k++) {
            if (policy->conditions[k].origin == SL_BY_COOKIE) {
                return true;
            }
        }
    }
    return false;
}

// Whether a backend or a policy's is a function by gRPC, which readers before version 6 would call
// without saying which.
static bool
names_function(const struct sl_api *api)
{
    bool names = has_text(api->http.function);
    for (size_t i = 0; i < api->policy_count && !names; i++) {
        names = has_text(api->policies[i].http.function);
    }
    return names;
}

// Readers of version 1 would let an app call from anywhere, those before version 5 as often as it
// likes, and those before version 6 would count its first window by another clock than others do.
static uint32_t
app_min_reader(const struct sl_app *app)
{
    if (app->quota.limit > 0) {
        return app->quota.first > 0 ? 6 : 5;
    }
    return app->acl_mode != SL_ACL_NONE ? 2 : 1;
}

// Readers before version 7 show every host the node's own certificate and take no scheme for
// another. TLS 1.1 is offered by none.
static uint32_t
host_min_reader(const struct sl_host *host)
{
    return host->certificate_count > 0 || host->verify_client || host->redirect_https ||
                   host->http_port != 0 || host->https_port != 0
               ? 7
               : 1;
}

uint32_t
sl_entry_min_reader(const struct sl_entry *entry)
{
    assert(entry->kind < SL_KIND_COUNT);
    if (entry->kind == SL_KIND_GATEWAY) {
        return entry->gateway.feature_count > 0 ? 5 : 1; // older readers obey no feature
    }
    if (entry->kind == SL_KIND_APP) {
        return app_min_reader(&entry->app);
    }
    if (entry->kind == SL_KIND_HOST) {
        return host_min_reader(&entry->host);
    }
    if (entry->kind == SL_KIND_CERTIFICATE || entry->kind == SL_KIND_CHANNEL ||
        entry->kind == SL_KIND_SIGN) {
        return 7;
    }
    if (entry->kind != SL_KIND_API) {
        return 1;
    }
    if (names_channel(&entry->api) || has_text(entry->api.sign_id)) {
        return 7; // older readers would call without proof
    }
    if (names_function(&entry->api)) {
        return 6;
    }
    if (entry->api.cors || entry->api.auth == SL_AUTH_IAM || asks_cookies(&entry->api) ||
        entry->api.http.client_certificate || entry->api.backend_type >= SL_BACKEND_FUNCTION) {
        return 5;
    }
    if (lacks_host(&entry->api)) {
        return 4;
    }
    bool checks = entry->api.policy_count > 0;
    for (size_t i = 0; i < entry->api.req_param_count && !checks; i++) {
        checks = entry->api.req_params[i].checked;
    }
    return checks ? 3 : 1; // older readers would pass over what is checked
}
