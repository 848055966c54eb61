// model.h - the runtime entries as structs: what publisher compiles and agent puts into the image.
//
// Strings are terminated, borrowed from the arena that the entry was decoded into, never NULL
// ("" where there is none). proto/runtime.md lists the same fields as they travel.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_MODEL_H
#define SL_RUNTIME_MODEL_H

#include "common/base/limits.h"
#include "common/base/str.h"

#define SL_READER_VERSION 7 // the newest entry format that this build can honour

enum sl_method {
    SL_METHOD_GET,
    SL_METHOD_POST,
    SL_METHOD_PUT,
    SL_METHOD_DELETE,
    SL_METHOD_HEAD,
    SL_METHOD_PATCH,
    SL_METHOD_OPTIONS,
    SL_METHOD_ANY,
    SL_METHOD_COUNT, // also: a method that no API can declare
};

enum sl_scheme_set { // bits of req_protocol
    SL_SCHEME_HTTP = 1,
    SL_SCHEME_HTTPS = 2,
    SL_SCHEME_GRPCS = 4,
};

enum sl_auth_type {
    SL_AUTH_NONE,
    SL_AUTH_APP,
    SL_AUTH_IAM,
    SL_AUTH_AUTHORIZER
};
enum sl_match_mode {
    SL_MATCH_NORMAL,
    SL_MATCH_SWA
};
enum sl_backend_type {
    SL_BACKEND_HTTP,
    SL_BACKEND_MOCK,
    SL_BACKEND_FUNCTION,
    SL_BACKEND_GRPC
};
enum sl_location {
    SL_IN_PATH,
    SL_IN_QUERY,
    SL_IN_HEADER
};
enum sl_origin_kind {
    SL_FROM_REQUEST,
    SL_FROM_CONSTANT,
    SL_FROM_SYSTEM
};
enum sl_condition_origin {
    SL_BY_PARAM,  // a declared request parameter
    SL_BY_SOURCE, // the client's address
    SL_BY_SYSTEM, // req_path or req_method
    SL_BY_COOKIE  // a cookie of the request
};
enum sl_condition_type {
    SL_MATCH_EXACT,
    SL_MATCH_ENUM,   // one of a comma list
    SL_MATCH_PATTERN // a regular expression is found in it
};

// One declared request parameter.
struct sl_req_param {
    const char *name;
    const char *default_value; // "" none
    enum sl_location location;
    bool required;
    bool pass_through;
    bool checked;             // enumerations, is_number and the bounds hold
    bool is_number;           // a decimal number; else a text
    bool has_min;             //
    bool has_max;             //
    int64_t min, max;         // of the number, or of the text's characters
    const char *enumerations; // "a,b": what it may be; "" anything
};

// One parameter of the backend request.
struct sl_backend_param {
    const char *name;
    const char *value; // request parameter's name, literal, or $context variable
    enum sl_location location;
    enum sl_origin_kind origin;
};

struct sl_http_backend {
    const char *host; // name or address, lower case, without port; "": not known, calls fail
    const char *path; // template, begins with '/'
    uint16_t port;    // 1..65535
    bool tls;
    enum sl_method method; // SL_METHOD_ANY: the client's
    uint32_t timeout_ms;
    int32_t retry_count;     // -1: one, not for POST and PATCH
    bool client_certificate; // shows the gateway's certificate; with tls only
    bool async;              // FUNCTION: nobody waits for the function's end
    const char *function;    // GRPC: URN of the function that answers; "": the host itself does
    const char *channel;     // id of the channel whose members answer; "": `host` and `port` do
    const char *proxy_host;  // with `channel`, the Host that members are sent; "": the client's own
};

struct sl_mock_header {
    const char *name;
    const char *value;
};

struct sl_mock_backend {
    const char *body;
    uint16_t status;
    const struct sl_mock_header *headers;
    size_t header_count;
};

// What decides between a policy's backend and the API's own.
struct sl_condition {
    const char *name;  // of the parameter, the system value or the cookie
    const char *value; // what it is compared with
    enum sl_condition_origin origin;
    enum sl_condition_type type;
};

// A backend for the calls that meet its conditions; of the API's own kind.
struct sl_policy {
    const char *name;
    bool any; // one condition is enough; else all must hold
    struct sl_http_backend http;
    struct sl_mock_backend mock;
    const struct sl_condition *conditions;
    size_t condition_count;
    const struct sl_backend_param *backend_params;
    size_t backend_param_count;
};

// kind "api", key publish_id: one API in one environment, compiled from its published version.
struct sl_api {
    const char *publish_id;
    const char *api_id;
    const char *name;
    const char *group_id;
    const char *env_id;
    const char *env_name; // what X-Stage names
    const char *version_id;
    const char *path;        // declared req_uri
    const char *throttle_id; // "" none bound
    const char *sign_id;     // of backend_type HTTP; "" none
    enum sl_method method;
    enum sl_match_mode match_mode;
    unsigned schemes; // enum sl_scheme_set bits
    enum sl_auth_type auth;
    bool app_code; // X-Apig-AppCode accepted
    bool cors;     // answers say that pages of any origin may read them
    enum sl_backend_type backend_type;
    struct sl_http_backend http; // all but MOCK
    struct sl_mock_backend mock; // backend_type MOCK
    const struct sl_req_param *req_params;
    size_t req_param_count;
    const struct sl_backend_param *backend_params;
    size_t backend_param_count;
    const struct sl_policy *policies; // the first whose conditions hold takes the call
    size_t policy_count;
};

// kind "group", key group id.
struct sl_group {
    const char *id;
    const char *name;
    bool is_default;        // the group DEFAULT, reached by address
    bool sl_domain_enabled; // its debugging domain routes
};

enum sl_min_tls {
    SL_MIN_TLS_1_1,
    SL_MIN_TLS_1_2,
};

// kind "host", key the host name in lower case ("*.example.com" for a wildcard).
struct sl_host {
    const char *name;
    const char *group_id;
    bool debugging;                  // counts towards the daily limit
    const char *const *certificates; // ids of those that handshakes may show
    size_t certificate_count;        //
    enum sl_min_tls min_tls;         // what clients must speak at least
    bool verify_client;              // clients show a certificate that `ca` of theirs signed
    bool redirect_https;             // calls over HTTP are sent to HTTPS
    int32_t http_port, https_port;   // 0: wherever the node listens; -1: not over this scheme
};

// kind "certificate", key certificate id: what handshakes of the hosts that name it show. All of it
// is DER that somebody checked when it came in; readers check it again.
struct sl_certificate {
    const char *id;
    const char *name;
    const char *algorithm;      // of the key: "RSA", "ECC"
    struct sl_str key;          // PKCS #8
    const struct sl_str *chain; // the host's own first
    size_t chain_count;         // at least one
    const struct sl_str *ca;    // by whom clients' certificates are signed
    size_t ca_count;            //
};

// How a list of addresses is meant.
enum sl_acl_mode {
    SL_ACL_NONE,   // not at all
    SL_ACL_PERMIT, // only these
    SL_ACL_DENY,   // all but these
};

// How a channel chooses among its members; 0 is none.
enum sl_strategy {
    SL_STRATEGY_TURN = 1, // in turn, as often as their weights say
    SL_STRATEGY_LEAST,    // the one with the fewest calls open, by weight
    SL_STRATEGY_SOURCE,   // by the client's address
    SL_STRATEGY_URI,      // by the path; weights are all 1
};

// How nodes find out whether a member is there.
enum sl_probe_kind {
    SL_PROBE_NONE, // not at all: every member is taken for healthy
    SL_PROBE_TCP,  // it takes a connection
    SL_PROBE_HTTP, // it answers with a code that counts
    SL_PROBE_HTTPS
};

// One member of a channel that is in use.
struct sl_member {
    const char *id;   // "" none
    const char *host; // name or address, lower case
    uint32_t weight;  // 0..10000, its group's applied; 0: it gets no calls
    uint16_t port;    // 1..65535
    bool backup;      // called while no other member is healthy
    bool faulty;      // what a node's own probes say; never travels
};

struct sl_health {
    enum sl_probe_kind protocol;
    const char *path;            // HTTP, HTTPS: begins with '/'
    enum sl_method method;       // HTTP, HTTPS: GET or HEAD
    uint16_t port;               // 0: the member's
    uint32_t threshold_normal;   // successes in a row that make a member healthy, 1..10
    uint32_t threshold_abnormal; // failures in a row that make it faulty, 1..10
    uint32_t timeout_s;          // 1..30
    uint32_t interval_s;         // from the begin of a probe to the next one's, 1..300
    const char *codes;           // HTTP, HTTPS: "200,201,210-299"
    bool client_ssl;             // HTTPS: the gateway's certificate is shown
};

// kind "channel", key channel id: the servers that answer calls together.
struct sl_channel {
    const char *id;
    const char *name;
    enum sl_strategy strategy;
    uint32_t port; // as declared, that of members which name none; 0: none
    const struct sl_member *members;
    size_t member_count;
    struct sl_health health;
};

// How often an app may call, over all APIs.
struct sl_app_quota {
    const char *id;    // "" none
    int64_t limit;     // calls a window
    uint32_t window_s; // length of a window
    uint32_t lead_s;   // windows begin so much before those aligned to the epoch; below window_s
    uint32_t first;    // not 0: they begin with the app's first call, by sl_counter_first_key()
};

// kind "app", key app id.
struct sl_app {
    const char *id;
    const char *name;
    const char *key;
    const char *secret;
    const char *domain_id;          // owner's account, for user limits
    const char *const *codes;       // AppCodes
    size_t code_count;              //
    const char *const *publish_ids; // (API, environment) pairs it may call; sorted
    size_t publish_id_count;
    enum sl_acl_mode acl_mode; // from where it may call
    const char *const *acl;    // ranges (range.h)
    size_t acl_count;
    struct sl_app_quota quota;
    const char *const *groups; // of its APIs, while app_route is on: the first authorised first
    size_t group_count;        //
};

// One special throttle: replaces the app's or the user's limit.
struct sl_special {
    const char *object_id;
    int64_t limit;
    bool is_user; // else app
};

// kind "throttle", key policy id. A limit of 0 is none.
struct sl_throttle {
    const char *id;
    bool shared;       // type 2: one scope over all bound APIs
    uint32_t window_s; // interval × unit
    uint32_t interval; // as declared, for texts
    const char *unit;  // "second", "minute", "hour", "day"
    int64_t api_limit, user_limit, app_limit, ip_limit;
    const struct sl_special *specials; // sorted by object_id
    size_t special_count;
};

enum sl_sign_type {
    SL_SIGN_HMAC,       // SDK-HMAC-SHA256 under the secret
    SL_SIGN_BASIC,      // both as a user and a password
    SL_SIGN_PUBLIC_KEY, // the secret is a private key, the key its name
    SL_SIGN_AES         // the key's length says which AES; the secret is the vector
};

// kind "signature", key sign id: how the gateway proves itself to backends.
struct sl_sign {
    const char *id;
    const char *key;
    const char *secret;
    enum sl_sign_type type;
};

// One part of a feature that is set and acts (feature.h).
struct sl_feature_value {
    const char *name;  // "app_basic", "app_jwt.auth_header"
    const char *value; // a word, a number, a text
};

// kind "gateway", key gateway id: settings, and the nodes that share its limits.
struct sl_gateway {
    const char *id;
    const char *project_id;       // that it and its apps belong to
    int64_t domain_call_limit;    // calls a day and debugging domain; 0: off
    int64_t api_default_limit;    // calls a second and API; 0: off
    int64_t body_max_bytes;       // request_body_size
    int64_t timeout_max_ms;       // that a backend may take, whatever its API says; 0: no limit
    const char *const *addresses; // inbound addresses that lead to the group DEFAULT
    size_t address_count;
    const char *const *restricted; // CIDRs that backends may not resolve to
    size_t restricted_count;
    const char *const *node_ids; // sorted
    size_t node_count;
    const char *const *node_keys;            // CURVE public keys (Z85) of node_ids, in their order
    size_t node_key_count;                   // node_count, or 0: an older publisher did not say
    uint64_t membership;                     // grows with every change of node_ids
    const struct sl_feature_value *features; // what a reader does not know changes nothing
    size_t feature_count;
};

// Who calls APIs of authentication IAM; only gateways that have such APIs know them.

// kind "user", key user id.
struct sl_user {
    const char *id;
    const char *name;
    const char *domain_id;   // its account
    const char *domain_name; //
    bool enabled;
    int64_t not_before_s; // tokens that were issued earlier hold no more
};

// kind "access_key", key the access key.
struct sl_access_key {
    const char *access;
    const char *secret;
    const char *security_token; // a request must carry it; "" none
    const char *user_id;
    const char *project_id; // "" every project of the user's account
    bool enabled;
    int64_t expires_s; // first second at which it holds no more; 0 never
};

// kind "token_key", key key id.
struct sl_token_key {
    const char *id;
    const char *public_key; // Ed25519, hex
};

// kind of the pseudo-gateway "control" (fronts): accounts, users, keys, policies travel as the JSON
// that services/identity documents; they are not part of the image.

#endif
