// feature.h - what of a gateway's features nodes obey, and what each part is called.
//
// A feature is a word ("on"), a number, or an object whose members are named after a dot. The
// publisher puts every part named here that is set and acts into the `gateway` entry as text; the
// image keeps them by number. What is not set has the default that runtime.md 17 gives: its reader
// knows it. To add one: a line in the enum, a line in feature.c, and a row in the registry's
// feature_table.c.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_FEATURE_H
#define SL_RUNTIME_FEATURE_H

#include "common/base/str.h"

enum sl_feature {
    SL_FEATURE_RAW_PATH,            // "on": escapes in paths stay as they are
    SL_FEATURE_APP_API_KEY,         // "on": `apikey` names the app
    SL_FEATURE_APP_BASIC,           // "on": Authorization: Basic
    SL_FEATURE_APP_JWT_HEADER,      // where a JWT stands; Authorization
    SL_FEATURE_APP_JWT,             // "on": a JWT beside Timestamp
    SL_FEATURE_APP_ROUTE,           // "on": a call by address may reach any API of its app
    SL_FEATURE_APP_SECRET,          // "on": X-HW-ID and X-HW-AppKey
    SL_FEATURE_APP_TOKEN_LIFE,      // seconds of an access token; 3600
    SL_FEATURE_APP_TOKEN_KEY,       // what tokens are sealed with
    SL_FEATURE_APP_TOKEN_URI,       // where they are issued; /v1/apigw/oauth2/token
    SL_FEATURE_APP_TOKEN,           // "on": access tokens
    SL_FEATURE_APP_REFRESH_LIFE,    // seconds of a refresh token; 7200
    SL_FEATURE_BACKEND_CA,          // PEM: who may have signed backends; "" nobody is verified
    SL_FEATURE_BACKEND_CERTIFICATE, // PEM: what is shown to backends that are to see it
    SL_FEATURE_BACKEND_TLS,         // "on": these three hold
    SL_FEATURE_BACKEND_KEY,         // PEM: the certificate's private key
    SL_FEATURE_TOKEN_ALLOW,         // accounts that show X-Auth-Token to backends, as one pattern
    SL_FEATURE_APP_AUTH_HEADER,     // where the signature stands; Authorization
    SL_FEATURE_BACKEND_SIGN_HEADER, // where backends are shown a signature key; Authorization
    SL_FEATURE_CUSTOM_LOG,          // what custom_data_log1… hold: "header a1234,query b"
    SL_FEATURE_GZIP_LEVEL,          // answers are compressed, 1 to 9; not set: they are not
    SL_FEATURE_POLICY_COOKIE,       // "on": conditions of policies may look at cookies
    SL_FEATURE_PUBLIC_KEY,          // "on": key pairs sign
    SL_FEATURE_PUBLIC_KEY_URI,      // what stands before a key in the address of its public half
    SL_FEATURE_REAL_IP_XFF,         // "on": the client's address stands in X-Forwarded-For
    SL_FEATURE_REAL_IP_INDEX,       // which element of it; negative: from the end; -1
    SL_FEATURE_REAL_IP_HEADER,      // "on": it stands in the header of the getter
    SL_FEATURE_REAL_IP_GETTER,      // "header:NAME"
    SL_FEATURE_BODY_TIMEOUT,        // seconds that a client's body may stall; 8
    SL_FEATURE_HTTP2,               // "off": clients are not offered it
    SL_FEATURE_SSE_STRATEGY,        // "on": no answer is buffered
    SL_FEATURE_SSL_CIPHERS,         // suites of TLS 1.2 that clients may use, joined by ':'
    SL_FEATURE_THROTTLE,            // "on": `strategy` holds
    SL_FEATURE_THROTTLE_LOCAL,      // "local": every node has the whole of each limit
    SL_FEATURE_COUNT,               // also: a name that this build does not know
};

// "app_jwt.auth_header": the feature, and the member if its configuration is an object.
const char *sl_feature_name(enum sl_feature feature);

// The feature of a name, or SL_FEATURE_COUNT.
enum sl_feature sl_feature_find(const char *name);

#endif
