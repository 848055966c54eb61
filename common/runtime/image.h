// image.h - the live image: what nginx workers read, where it lies (architecture.md 6).
//
// A directory of immutable, position-independent segments in shared memory, one per (group,
// environment) plus shards for the other kinds, switched by one release-store. This header is the
// reader's side and the records; image_build.h is the agent's. Records refer to each other by
// self-relative offsets, so a segment may be mapped anywhere. Offsets were validated when the
// segment was built; readers trust them.
//
// Nothing returned here may be held across a suspension of the request: sl_image_refresh() may
// unmap it. Not thread-safe: a process (an nginx worker) has its own reader.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_IMAGE_H
#define SL_RUNTIME_IMAGE_H

#include <netinet/in.h>

#include "common/base/error.h"
#include "common/base/str.h"
#include "common/runtime/feature.h"
#include "common/runtime/model.h"

#define SL_IMAGE_FORMAT    11 // part of every name in shared memory
#define SL_PATH_PARAMS_MAX 32 // {name} parts of one declared path

// Bytes at (address of this field + off), off 0 only when len is 0.
struct sl_img_str {
    int32_t off;
    uint32_t len;
};
// An array of `count` records at (address of this field + off).
struct sl_img_list {
    int32_t off;
    uint32_t count;
};

static inline struct sl_str
sl_img_text(const struct sl_img_str *field)
{
    return (struct sl_str){(const char *)field + field->off, field->len};
}
// Typed: `const struct sl_img_param *p = sl_img_items(&api->req_params);`
static inline const void *
sl_img_items(const struct sl_img_list *field)
{
    return (const char *)field + field->off;
}

struct sl_img_req_param {
    struct sl_img_str name, default_value, enumerations;
    uint8_t location, required, pass_through, checked; // enum sl_location
    uint8_t is_number, has_min, has_max, pad;
    int64_t min, max;
};

struct sl_img_backend_param {
    struct sl_img_str name, value;
    uint8_t location, origin; // enum sl_location, enum sl_origin_kind
    int16_t req_param;        // index of the request parameter it takes; -1: none
};

struct sl_img_header {
    struct sl_img_str name, value;
};

// Where calls go: the API's own backend, or that of a policy.
struct sl_img_target {
    struct sl_img_str host, path, mock_body;
    struct sl_img_str authority;  // the backend's own Host: `host`, its port unless the scheme's
    struct sl_img_str function;   // GRPC: URN of the function that answers; empty: none
    struct sl_img_str channel;    // id of the channel whose members answer; empty: `host` does
    struct sl_img_str proxy_host; // with `channel`: the Host that is sent; empty: the client's
    struct sl_img_list backend_params;
    struct sl_img_list mock_headers; // struct sl_img_header
    uint32_t timeout_ms;
    int32_t retry_count;
    uint16_t port, mock_status;
    uint8_t method, tls, client_certificate, async;
};

struct sl_img_condition {
    struct sl_img_str name, value;
    uint8_t origin, type; // enum sl_condition_origin, enum sl_condition_type
    int16_t req_param;    // index of the request parameter; -1: none
};

struct sl_img_policy {
    struct sl_img_target target;
    struct sl_img_list conditions;
    uint8_t any, pad[3];
};

struct sl_img_api {
    char publish_id[SL_ID_LEN], api_id[SL_ID_LEN], group_id[SL_ID_LEN], throttle_id[SL_ID_LEN];
    struct sl_img_str env_id; // "DEFAULT_ENVIRONMENT_RELEASE_ID" is longer than an id
    struct sl_img_str name, env_name, path;
    struct sl_img_target target;
    struct sl_img_list req_params, policies;
    struct sl_img_list captures; // sl_img_str: names of the path's {name} parts, in order
    uint8_t method, match_mode, schemes, auth;
    uint8_t app_code, backend_type, has_throttle, cors;
    char sign_id[SL_ID_LEN]; // of the key that its backends are shown; has_sign says whether one is
    uint8_t has_sign, pad[3];
};

struct sl_img_group {
    char id[SL_ID_LEN];
    struct sl_img_str name;
    uint8_t is_default, sl_domain_enabled, pad[2];
};

struct sl_img_host {
    struct sl_img_str name;
    char group_id[SL_ID_LEN];
    struct sl_img_list certificates; // char[SL_ID_LEN] each
    uint8_t debugging, verify_client, redirect_https, pad;
    int32_t http_port, https_port; // 0: wherever the node listens; -1: not over this scheme
};

struct sl_img_certificate {
    char id[SL_ID_LEN];
    uint64_t version;    // of what it holds: another whenever that changes, the same everywhere
    uint64_t ca_version; // of `ca` alone
    struct sl_img_str name, key;  // key: PKCS #8
    struct sl_img_list chain, ca; // sl_img_str, X.509 in DER; nobody checked that they parse
};

struct sl_img_app {
    char id[SL_ID_LEN];
    struct sl_img_str name, key, secret, domain_id;
    struct sl_img_list publish_ids; // char[SL_ID_LEN] each, sorted
    uint64_t secret_version;        // changes with the secret: caches of HMAC states key on it
    struct sl_img_list acl;         // struct sl_range: from where it may call
    struct sl_img_list groups;      // char[SL_ID_LEN] each: of its APIs, while app_route is on
    char quota_id[SL_ID_LEN];       // zeros: none
    int64_t quota_limit;            // calls a window, over all APIs; 0: no quota
    uint32_t quota_window_s;        //
    uint32_t quota_lead_s;          // its windows begin so much before aligned ones
    uint8_t acl_mode, pad[3];       // enum sl_acl_mode
    uint32_t quota_first;           // not 0: by it nodes ask when the windows began
};

struct sl_img_user {
    char id[SL_ID_LEN];
    struct sl_img_str name, domain_id, domain_name;
    int64_t not_before_s;
    uint8_t enabled, pad[7];
};

struct sl_img_access_key {
    struct sl_img_str access, secret, security_token, project_id;
    char user_id[SL_ID_LEN];
    uint64_t secret_version; // as in struct sl_img_app
    int64_t expires_s;       // 0: never
    uint8_t enabled, pad[7];
};

struct sl_img_token_key {
    char id[SL_ID_LEN];
    uint8_t public_key[32]; // Ed25519
};

struct sl_img_special {
    struct sl_img_str object_id;
    int64_t limit;
    uint8_t is_user, pad[7];
};

struct sl_img_throttle {
    char id[SL_ID_LEN];
    int64_t api_limit, user_limit, app_limit, ip_limit;
    struct sl_img_list specials; // sl_img_special, sorted by object_id
    uint32_t window_s, interval;
    struct sl_img_str unit;
    uint8_t shared, pad[7];
};

struct sl_img_sign {
    char id[SL_ID_LEN];
    struct sl_img_str key, secret;
    uint64_t version;     // changes with key, secret and type: caches key on it
    uint8_t type, pad[7]; // enum sl_sign_type
};

// One part of a feature. What is not set is empty, 0 and off.
struct sl_img_feature {
    struct sl_img_str text;
    int64_t number; // of the text, 0 when it is none
    uint8_t set, on, pad[6];
};

struct sl_img_gateway {
    char id[SL_ID_LEN];
    int64_t domain_call_limit, api_default_limit, body_max_bytes, timeout_max_ms;
    struct sl_img_list addresses; // sl_img_str
    uint64_t revision;            // R of this image
    struct sl_img_str epoch;
    struct sl_img_str project_id;
    struct sl_img_feature features[SL_FEATURE_COUNT]; // by enum sl_feature
};

// A part of a feature as it acts: whether it says "on", its text, its number. `gateway` NULL: there
// is no image, so nothing is set.
static inline bool
sl_img_feature_on(const struct sl_img_gateway *gateway, enum sl_feature feature)
{
    return gateway != NULL && gateway->features[feature].on != 0;
}
static inline struct sl_str
sl_img_feature_text(const struct sl_img_gateway *gateway, enum sl_feature feature)
{
    return gateway == NULL ? (struct sl_str){"", 0} : sl_img_text(&gateway->features[feature].text);
}
static inline int64_t
sl_img_feature_number(const struct sl_img_gateway *gateway, enum sl_feature feature,
                      int64_t fallback)
{
    return gateway == NULL || gateway->features[feature].set == 0
               ? fallback
               : gateway->features[feature].number;
}

// Addresses of a backend name, resolved and checked by the agent.
struct sl_img_upstream {
    struct sl_img_str host;
    struct sl_img_list addresses; // struct sl_img_address
    uint8_t denied, pad[3];       // only restricted addresses were found: 403 APIG.0404
};
struct sl_img_address {
    uint16_t family; // AF_INET, AF_INET6
    uint8_t bytes[16];
    uint8_t pad[2];
};

// A member of a channel. Its addresses are those of the upstream `host`.
struct sl_img_member {
    struct sl_img_str host;
    uint64_t key;           // of its name and port; the same on every node and after every change
    uint32_t weight;        // 0: no calls
    uint16_t port;          //
    uint8_t backup, faulty; // faulty: this node's probes fail
};

// The members of one rank that calls may go to: neither faulty nor without weight.
struct sl_img_tier {
    uint32_t count;
    uint32_t weight; // of one of them; of all unless `uneven`
    uint32_t uneven; // their weights differ
};

struct sl_img_channel {
    char id[SL_ID_LEN];
    uint64_t version;            // changes with the strategy and the members, not with their health
    struct sl_img_list members;  // struct sl_img_member
    struct sl_img_tier tiers[2]; // 0: calls go there; 1: backups, when there is none of those
    uint8_t strategy, pad[7];    // enum sl_strategy
};

struct sl_image; // a reader

// Attaches to the image called `name` ("/dev/shm/sluice-<name>-<format>-…"). Succeeds when there is
// none yet; sl_image_ready() then says so. NULL with *err filled when memory is out.
struct sl_image *sl_image_open(const char *name, struct sl_error *err);
void sl_image_free(struct sl_image **image);

// Looks at the generation (one acquire-load) and, when it moved, maps the new directory and unmaps
// what only the old one used. Call at the start of every decision. Cheap when nothing moved.
void sl_image_refresh(struct sl_image *image);

// Whether a complete image is mapped; its revision R; its generation (grows at every switch).
bool sl_image_ready(const struct sl_image *image);
uint64_t sl_image_revision(const struct sl_image *image);
uint64_t sl_image_generation(const struct sl_image *image);

// Whether a segment could not be mapped since the last refresh (no descriptor or memory is to be
// had, the file is gone): then NULL of a lookup says nothing, and who decides must refuse.
bool sl_image_incomplete(const struct sl_image *image);

// Lookups. NULL: no such thing, or sl_image_incomplete(). Names are compared byte for byte; hosts
// must come in lower case.
const struct sl_img_gateway *sl_image_gateway(const struct sl_image *image);
// Exact, then the longest wildcard.
const struct sl_img_host *sl_image_host(struct sl_image *image, struct sl_str host);
const struct sl_img_group *sl_image_group(struct sl_image *image, const char id[SL_ID_LEN]);
const struct sl_img_group *sl_image_default_group(struct sl_image *image);
const struct sl_img_app *sl_image_app(struct sl_image *image, const char id[SL_ID_LEN]);
const struct sl_img_app *sl_image_app_by_key(struct sl_image *image, struct sl_str key);
const struct sl_img_app *sl_image_app_by_code(struct sl_image *image, struct sl_str code);
const struct sl_img_throttle *sl_image_throttle(struct sl_image *image, const char id[SL_ID_LEN]);
const struct sl_img_sign *sl_image_sign(struct sl_image *image, const char id[SL_ID_LEN]);
// The key pair that is called so.
const struct sl_img_sign *sl_image_sign_by_key(struct sl_image *image, struct sl_str key);
const struct sl_img_upstream *sl_image_upstream(struct sl_image *image, struct sl_str host);
const struct sl_img_user *sl_image_user(struct sl_image *image, const char id[SL_ID_LEN]);
const struct sl_img_access_key *sl_image_access_key(struct sl_image *image, struct sl_str access);
const struct sl_img_token_key *sl_image_token_key(struct sl_image *image, struct sl_str id);
// By an id, SL_ID_LEN characters.
const struct sl_img_channel *sl_image_channel(struct sl_image *image, struct sl_str id);
const struct sl_img_certificate *sl_image_certificate(struct sl_image *image,
                                                      const char id[SL_ID_LEN]);
// Whether the app may call the (API, environment) pair.
bool sl_img_app_may_call(const struct sl_img_app *app, const char publish_id[SL_ID_LEN]);

// Whether the app may call from this address (a text). One that is none is refused by an app that
// has a list.
bool sl_img_app_admits(const struct sl_img_app *app, struct sl_str address);

enum sl_route_result {
    SL_ROUTE_FOUND,
    SL_ROUTE_NO_PATH,   // no API of this environment has the path
    SL_ROUTE_NO_METHOD, // some API has the path, none the method
};

struct sl_route {
    const struct sl_img_api *api;
    size_t capture_count;
    struct sl_str remainder; // SWA: what follows the declared path, with its slash; else empty
    struct sl_str captures[SL_PATH_PARAMS_MAX]; // views into `path`, in order of api->captures
};

// Whether an environment of the group has any API.
bool sl_image_has_env(struct sl_image *image, const char group_id[SL_ID_LEN],
                      struct sl_str env_name);

// Finds the API by runtime.md 2.3–2.4: literal > {p} > {p+}; exact > prefix; a specific method >
// ANY; the next best path when the best one lacks the method. `path` is canonical.
enum sl_route_result sl_image_route(struct sl_image *image, const char group_id[SL_ID_LEN],
                                    struct sl_str env_name, enum sl_method method,
                                    struct sl_str path, struct sl_route *ret_route);

// The same among all APIs that the app may call, whatever their group. Between groups, too, the
// nearer path wins, then the specific method, then the group that stands first.
enum sl_route_result sl_image_route_app(struct sl_image *image, const struct sl_img_app *app,
                                        struct sl_str env_name, enum sl_method method,
                                        struct sl_str path, struct sl_route *ret_route);

// What a call says that decides which API it reaches. `epoch` is sl_image_recall()'s.
struct sl_image_call {
    struct sl_str host, env_name, path;
    enum sl_method method;
    uint64_t epoch;
};

// What it leads to: an API, without captures or remainder, its group, and whether the host is one
// for debugging.
struct sl_image_answer {
    const struct sl_img_group *group;
    const struct sl_img_api *api;
    uint64_t debugging;
};

// Whether the same call was remembered under the image that is mapped; fills *ret_answer then. What
// it points to is good until the next refresh.
bool sl_image_recall(const struct sl_image *image, struct sl_image_call *call,
                     struct sl_image_answer *ret_answer);
// Remembers the answer of a call that was not recalled, in place of another one. Copies the texts.
// Does nothing when they are long, when the image moved since or is incomplete.
void sl_image_remember(struct sl_image *image, const struct sl_image_call *call,
                       const struct sl_image_answer *answer);

// The API of a publish_id in the current image; how a resumed request finds its API again.
const struct sl_img_api *sl_image_api(struct sl_image *image, const char group_id[SL_ID_LEN],
                                      struct sl_str env_name, const char publish_id[SL_ID_LEN]);

#endif
