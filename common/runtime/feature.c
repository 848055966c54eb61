// feature.c - see feature.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/feature.h"

#include <assert.h>
#include <string.h>

// A row a feature that nodes obey, sorted.
static const char *const names[SL_FEATURE_COUNT] = {
    [SL_FEATURE_RAW_PATH] = "api_uri_no_escape",
    [SL_FEATURE_APP_API_KEY] = "app_api_key",
    [SL_FEATURE_APP_BASIC] = "app_basic",
    [SL_FEATURE_APP_JWT_HEADER] = "app_jwt.auth_header",
    [SL_FEATURE_APP_JWT] = "app_jwt.enable",
    [SL_FEATURE_APP_ROUTE] = "app_route",
    [SL_FEATURE_APP_SECRET] = "app_secret",
    [SL_FEATURE_APP_TOKEN_LIFE] = "app_token.app_token_expire_time",
    [SL_FEATURE_APP_TOKEN_KEY] = "app_token.app_token_key",
    [SL_FEATURE_APP_TOKEN_URI] = "app_token.app_token_uri",
    [SL_FEATURE_APP_TOKEN] = "app_token.enable",
    [SL_FEATURE_APP_REFRESH_LIFE] = "app_token.refresh_token_expire_time",
    [SL_FEATURE_BACKEND_CA] = "backend_client_certificate.ca",
    [SL_FEATURE_BACKEND_CERTIFICATE] = "backend_client_certificate.content",
    [SL_FEATURE_BACKEND_TLS] = "backend_client_certificate.enable",
    [SL_FEATURE_BACKEND_KEY] = "backend_client_certificate.key",
    [SL_FEATURE_TOKEN_ALLOW] = "backend_token_allow.backend_token_allow_users",
    [SL_FEATURE_APP_AUTH_HEADER] = "custom_auth_header.app_auth_header",
    [SL_FEATURE_BACKEND_SIGN_HEADER] = "custom_auth_header.backend_sign_header",
    [SL_FEATURE_CUSTOM_LOG] = "custom_log.custom_logs",
    [SL_FEATURE_GZIP_LEVEL] = "gzip.comp_level",
    [SL_FEATURE_POLICY_COOKIE] = "policy_cookie_param",
    [SL_FEATURE_PUBLIC_KEY] = "public_key.enable",
    [SL_FEATURE_PUBLIC_KEY_URI] = "public_key.public_key_uri_prefix",
    [SL_FEATURE_REAL_IP_XFF] = "real_ip_from_xff.enable",
    [SL_FEATURE_REAL_IP_INDEX] = "real_ip_from_xff.xff_index",
    [SL_FEATURE_REAL_IP_HEADER] = "real_ip_header_getter.enable",
    [SL_FEATURE_REAL_IP_GETTER] = "real_ip_header_getter.header_getter",
    [SL_FEATURE_BODY_TIMEOUT] = "request_custom_config.client_body_timeout",
    [SL_FEATURE_HTTP2] = "request_custom_config.http2",
    [SL_FEATURE_SSE_STRATEGY] = "sse_strategy",
    [SL_FEATURE_SSL_CIPHERS] = "ssl_ciphers.ssl_ciphers",
    [SL_FEATURE_THROTTLE] = "throttle_strategy.enable",
    [SL_FEATURE_THROTTLE_LOCAL] = "throttle_strategy.strategy",
};

const char *
sl_feature_name(enum sl_feature feature)
{
    assert(feature < SL_FEATURE_COUNT);
    return names[feature];
}

enum sl_feature
sl_feature_find(const char *name)
{
    enum sl_feature feature = 0;
    while (feature < SL_FEATURE_COUNT && strcmp(names[feature], name) != 0) {
        feature++;
    }
    return feature;
}
