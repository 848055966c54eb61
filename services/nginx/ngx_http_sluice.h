// ngx_http_sluice.h - what the files of the module share: configuration, request context, steps.
//
// The module judges a request in nginx's access phase. ngx_http_sluice_access() walks the steps of
// runtime.md 0 in the order of `enum ngx_http_sluice_step`; every step answers
//
//     NGX_OK     passed, go on with the next one
//     NGX_ABORT  refused: ctx->error says with which row of proto/errors.yaml
//     NGX_AGAIN  suspended: whoever suspended calls ngx_http_sluice_resume() once, later
//     NGX_DONE   suspended by nginx's body reader
//     NGX_ERROR  out of memory and the like: 500
//
// Nothing that points into the live image may be held across a suspension: after NGX_AGAIN and
// NGX_DONE ctx->api, ctx->app and ctx->group are looked up again by id before the step runs again.
// All memory of a request comes from its pool; a worker is one thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_H
#define NGX_HTTP_SLUICE_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "common/base/error.h"
#include "common/crypto/crypto.h"
#include "common/crypto/sign.h"
#include "common/runtime/image.h"
#include "services/nginx/ngx_http_sluice_line.h"

extern ngx_module_t ngx_http_sluice_module;

// Where a decided request goes on: the location whose configuration it takes over.
enum ngx_http_sluice_location {
    NGX_HTTP_SLUICE_BUFFERED, // the body is read before the backend is connected
    NGX_HTTP_SLUICE_STREAMED, // the body is passed on as it arrives
    NGX_HTTP_SLUICE_FUNCTION, // an event is sent in place of the request
    NGX_HTTP_SLUICE_GRPC,     // gRPC is spoken
    NGX_HTTP_SLUICE_LOCATIONS,
};

#define NGX_HTTP_SLUICE_LEVELS 9 // of compression

// http {} level: what the directives say, and what a worker opened.
typedef struct {
    ngx_str_t image_name;  // sluice_image: the node's shm_name
    ngx_str_t node_id;     // sluice_node_id
    ngx_str_t limits_name; // sluice_limits: name of the counters in /dev/shm; empty: none
    ngx_int_t limit_keys;  // sluice_limit_keys: how many counters they have room for
    ngx_uint_t idle_max;   // sluice_backend_idle: idle backend connections a worker keeps
    ngx_msec_t idle_ms;    // sluice_backend_idle_time: for how long
    // Locations that `sluice_backend NAME` declared; NULL where missing.
    ngx_http_core_loc_conf_t *locations[NGX_HTTP_SLUICE_LOCATIONS];
    // What `sluice_gzip_level N` declared; NULL where missing.
    ngx_http_core_loc_conf_t *levels[NGX_HTTP_SLUICE_LEVELS];
    ngx_int_t gzip_ratio;         // index of the variable $gzip_ratio
    ngx_shm_zone_t *metrics_zone; // shared counters of all workers
    ngx_shm_zone_t *lockout_zone; // access keys that failed
    ngx_shm_zone_t *budget_zone;  // what all workers hold of signed bodies
    off_t body_budget;            // sluice_body_budget: bytes that they may hold together
    struct sl_image *image;       // this worker's reader; NULL before the worker started
} ngx_http_sluice_main_conf_t;

// location {} level.
typedef struct {
    ngx_flag_t enabled; // `sluice on`: requests of this location are judged
} ngx_http_sluice_loc_conf_t;

// The steps of a decision, in order.
enum ngx_http_sluice_step {
    NGX_HTTP_SLUICE_STEP_INTAKE, // canonical path, framing, size
    NGX_HTTP_SLUICE_STEP_ROUTE,  // host → group, X-Stage → environment, path → API, protocol
    NGX_HTTP_SLUICE_STEP_AUTH,   // who calls
    NGX_HTTP_SLUICE_STEP_DIGEST, // the body is what the signature says
    NGX_HTTP_SLUICE_STEP_APP,    // may the app call this API here
    NGX_HTTP_SLUICE_STEP_LIMIT,  // throttling
    NGX_HTTP_SLUICE_STEP_PARAM,  // declared parameters, the backend's path and query
    NGX_HTTP_SLUICE_STEP_DISPATCH, // backend or MOCK
    NGX_HTTP_SLUICE_STEPS,
};

// How the caller proved who it is.
enum ngx_http_sluice_proof {
    NGX_HTTP_SLUICE_PROOF_NONE,
    NGX_HTTP_SLUICE_PROOF_APPCODE,
    NGX_HTTP_SLUICE_PROOF_SIGNATURE,
    NGX_HTTP_SLUICE_PROOF_SECRET,  // X-HW-ID and X-HW-AppKey
    NGX_HTTP_SLUICE_PROOF_API_KEY, //
    NGX_HTTP_SLUICE_PROOF_BASIC,   //
    NGX_HTTP_SLUICE_PROOF_TOKEN,   // an access token
    NGX_HTTP_SLUICE_PROOF_JWT,     //
    NGX_HTTP_SLUICE_PROOF_IAM_TOKEN,
    NGX_HTTP_SLUICE_PROOF_ACCESS_KEY,
};

// What a limit said of this request: the debug headers X-Apig-RateLimit-* show it.
typedef struct {
    ngx_str_t name;    // "api", "user", "app", "ip" or "api-allenv"; static storage
    int64_t remain;    // units left after this request, never negative
    int64_t limit;     // units of the window
    uint32_t interval; // as declared: "10" of "10 second"
    char unit[8];      // "second", "minute", "hour", "day"
} ngx_http_sluice_rate_t;

#define NGX_HTTP_SLUICE_RATES 6

typedef struct ngx_http_sluice_ctx_s ngx_http_sluice_ctx_t;

// One request. Zeroed when made, up to what counts say the length of; survives nginx's internal
// redirects.
struct ngx_http_sluice_ctx_s {
    ngx_http_request_t *request;
    enum ngx_http_sluice_step step; // the step that runs, or ran last
    uint64_t names;                 // ngx_http_sluice_name_bit() of each header's name
    char request_id[33];            // 32 hex digits and a terminator

    // Copies: valid for the whole request.
    char group_id[SL_ID_LEN];   // of the API's group
    char route_id[SL_ID_LEN];   // of the app whose APIs the call was routed among; by_app says if
    char publish_id[SL_ID_LEN]; // of the (API, environment) pair
    char api_id[SL_ID_LEN];     //
    char app_id[SL_ID_LEN];     // of the caller; has_app says whether there is one
    char user_id[SL_ID_LEN];    // of the caller; has_user says whether there is one
    struct sl_str project_id;   // that the user acts in; empty: its whole account
    struct sl_str env_name;     // what X-Stage named, "RELEASE" without one
    struct sl_str env_id;       //
    struct sl_str path;         // the canonical path
    struct sl_str *customs;     // NGX_HTTP_SLUICE_CUSTOMS of the access log; NULL: none
    struct sl_str raw_query;    // after '?', as received
    struct sl_str host;         // of the request: lower case, no port; empty: none was sent
    ngx_str_t client_addr;      // the client's address as text
    struct sl_str trace_id;     // of `traceparent`, 32 hex digits
    struct sl_str api_name;     //
    struct sl_str app_name;     // empty: no app called
    enum sl_method method;      //
    enum sl_auth_type auth;     // what the API declares
    enum ngx_http_sluice_proof proof;

    // Into the image: refreshed after every suspension, NULL before the step that finds them.
    const struct sl_img_gateway *gateway;
    const struct sl_img_group *group;
    const struct sl_img_host *domain; // whose Host it is, for its step; NULL: none
    const struct sl_img_api *api;
    const struct sl_img_app *app;       // NULL: no app called
    const struct sl_img_user *user;     // NULL: no user of IAM called
    const struct sl_img_target *target; // the backend that the call goes to; set by _param.c

    // The refusal, allocated when needed; NULL while there is none.
    struct sl_error *error;
    struct sl_str secret_header; // a credential, by its lower-case name: not for the backend
    struct sl_str error_tail;    // appended to the message: what is too long for an argument

    // The limit file's own, kept across suspensions.
    void *limit;
    ngx_uint_t rate_count; // in `rates`

    // Body: what the digest step expects and the body filter saw.
    struct sl_sha256_ctx *body_hash; // running while the body is read; NULL: not wanted
    int64_t body_bytes;              // seen by the body filter
    int64_t body_max_bytes;          // beyond: 413; 0: no limit
    size_t body_held;                // taken from the node's budget
    char body_digest[65];            // hex, when body_hash was finished

    // Backend: what peer.init and the proxy's variables take.
    void *backend;                         // backend.c's own
    struct ngx_http_sluice_answer *answer; // of a function, _function.c's own; NULL: none is called
    ngx_str_t function;                    // URN of the function that gRPC calls; empty: none
    ngx_str_t backend_uri;                 // path and query of the backend request
    ngx_str_t backend_host;                // its Host header; may point into the image
    ngx_str_t backend_headers;   // Host and the other headers of the gateway, as _forward.c says
    ngx_str_t tls_name;          // SNI
    ngx_uint_t hops;             // times that the call passed this gateway, this one included
    ngx_str_t mock_body;         // copied: MOCK answers run after the decision
    ngx_uint_t mock_status;      //
    ngx_array_t *mock_headers;   // of ngx_table_elt_t; NULL: none
    ngx_uint_t gzip_level;       // of the answer, 0: none
    ngx_msec_t body_timeout_ms;  // of the gateway's own; 0: nginx.conf's
    unsigned raw_path : 1;       // escapes of `path` stay as they are
    unsigned gzipped : 1;        // the answer is nginx's to compress
    unsigned has_app : 1;        // app_id is set
    unsigned has_user : 1;       // user_id is set
    unsigned host_is_debug : 1;  // the host is a debugging domain: its daily limit counts
    unsigned debug : 1;          // X-Apig-Mode: debug
    unsigned by_app : 1;         // routed among the APIs of an app, whatever their group
    unsigned routed : 1;         // publish_id, api_id, env_id are set
    unsigned suspended : 1;      // a resume is awaited
    unsigned reading : 1;        // the body reader will resume
    unsigned backend_called : 1; // answered, or meant to be answered, by a backend
    unsigned throttled : 1;      // refused by a limit (access log: errorType 1)
    unsigned mismatched : 1;     // refused because the HMAC differs
    unsigned debug_call : 1;     // X-Apig-Debug: a call of 3.5.8
    unsigned signed_request : 1; // the signature holds, the body's digest may still differ
    unsigned answered : 1;       // a step has the answer: none follows
    unsigned counted : 1;        // metrics took it
    unsigned upgrades : 1;       // Connection names "upgrade"
    unsigned grpc : 1;           // the API is one for gRPC
    unsigned cors : 1;           // pages of any origin may read the answer
    unsigned preflight : 1;      // and it tells them what they may send
    unsigned traced : 1;         // the caller's `traceparent` holds and goes on as it is
    unsigned trace_stale : 1;    // headers of a trace that does not hold stay here
    unsigned backend_tls : 1;    // the backend is called over TLS
    unsigned tls_failed : 1;     // the last try ended in the handshake
    unsigned unbuffered : 1;     // the backend's answer is passed on as it arrives
    unsigned whole : 1;          // it came at once, and its body is still to be passed on

    // Into the image as well; its captures, views into `path`, are the first that is not zeroed.
    struct sl_route route;
    ngx_http_sluice_rate_t rates[NGX_HTTP_SLUICE_RATES];
};

// Refuses: fills ctx->error with row `code` and the texts that follow (none or more), answers
// NGX_ABORT. `return ngx_http_sluice_fail(ctx, SL_E_GW_THROTTLED, "api", limit, window);`
#define ngx_http_sluice_fail(ctx, code, ...)                                                       \
    ngx_http_sluice_refuse((ctx), (code), SL_ORIGIN, (const char *const[]){"", ##__VA_ARGS__, NULL})

// The function behind ngx_http_sluice_fail(); `args` as sl_error_set() takes them. NGX_ERROR when
// memory is out.
ngx_int_t ngx_http_sluice_refuse(ngx_http_sluice_ctx_t *ctx, enum sl_code code, const char *origin,
                                 const char *const *args);

// The request's context, also after an internal redirect; NULL when it has none.
ngx_http_sluice_ctx_t *ngx_http_sluice_ctx(ngx_http_request_t *r);
// The same, made when there is none; NULL when memory is out.
ngx_http_sluice_ctx_t *ngx_http_sluice_ctx_make(ngx_http_request_t *r);

// Goes on with a suspended request: refreshes the image, looks everything up again, runs the step
// that suspended once more. Call it from an event handler, once per NGX_AGAIN; never from inside a
// step. Whoever suspends removes his timers in a cleanup of r->pool: a client may go away.
void ngx_http_sluice_resume(ngx_http_request_t *r);

// Gives the request a configuration of its own for one module of nginx; the rest of its location's
// stays. The caller's memory, which lives as long as the request.
ngx_int_t ngx_http_sluice_conf_put(ngx_http_request_t *r, const ngx_module_t *module, void *conf);

// The bit that stands for a header's name (lower case) among those of a request; 0: an empty name.
// The factors keep the names that are asked for apart from each other and from what browsers send.
static inline uint64_t
ngx_http_sluice_name_bit(const u_char *name, size_t len)
{
    return len == 0 ? 0 : UINT64_C(1) << ((18 * len + 5 * name[0] + 42 * name[len - 1]) % 64);
}
// Whether a header called `name` may be there: without its bit there is none. Most are not, so that
// most searches end here. Whoever adds a header to the request adds its bit.
static inline bool
ngx_http_sluice_may_have(const ngx_http_request_t *r, const char *name, size_t len)
{
    const ngx_http_sluice_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_sluice_module);

    return (ctx->names & ngx_http_sluice_name_bit((const u_char *)name, len)) != 0;
}
// The first header called `name`, searched for; or NULL.
ngx_table_elt_t *ngx_http_sluice_header_find(ngx_http_request_t *r, const char *name, size_t len);
// The first header called `name` (lower case), or NULL. Of a request with a context.
static inline ngx_table_elt_t *
ngx_http_sluice_header(ngx_http_request_t *r, const char *name, size_t len)
{
    return ngx_http_sluice_may_have(r, name, len) ? ngx_http_sluice_header_find(r, name, len)
                                                  : NULL;
}
// Keeps a header from the backend: it is as if it had not been sent.
void ngx_http_sluice_header_hide(ngx_table_elt_t *header);

// nginx's strings and ours.
static inline struct sl_str
ngx_http_sluice_view(const ngx_str_t *text)
{
    return (struct sl_str){(const char *)text->data, text->len};
}
// A copy in the pool; data NULL when memory is out.
ngx_str_t ngx_http_sluice_copy(ngx_pool_t *pool, struct sl_str text);

// Whether the client speaks TLS.
static inline bool
ngx_http_sluice_is_tls(const ngx_http_request_t *r)
{
#if (NGX_HTTP_SSL)
    return r->connection->ssl != NULL;
#else
    return false;
#endif
}

// Whether a body comes with the request.
static inline bool
ngx_http_sluice_has_body(const ngx_http_request_t *r)
{
    return r->headers_in.content_length_n > 0 || r->headers_in.chunked;
}

// -- the steps, one file each ---------------------------------------------------------------------

// _intake.c: request id, canonical path, framing. Refuses with GW_BAD_REQUEST and the size rows.
ngx_int_t ngx_http_sluice_intake(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// Writes a fresh request id into the context.
void ngx_http_sluice_request_id(ngx_http_sluice_ctx_t *ctx);
// Turns a raw path (before '?') into the canonical one, from the pool. Answers NGX_OK, NGX_ABORT
// when the path is ambiguous (architecture.md 6), NGX_ERROR.
ngx_int_t ngx_http_sluice_canonical(ngx_pool_t *pool, struct sl_str raw, bool keep_escapes,
                                    struct sl_str *ret_path);

// _custom.c: copies what the feature custom_log wants of the request into ctx->customs, before
// anything of it is hidden.
ngx_int_t ngx_http_sluice_custom_take(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

// The gateway of the image; NULL while there is none.
const struct sl_img_gateway *ngx_http_sluice_gateway(ngx_http_request_t *r);
// _route.c: whether a Host, without its port, is an IP address; an IPv6 one may stand in brackets.
bool ngx_http_sluice_is_address(struct sl_str host);
// Fills gateway, group, api, route and the ids. Refuses with GW_NO_API, GW_NO_METHOD,
// GW_PROTOCOL.
ngx_int_t ngx_http_sluice_route(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// Looks gateway, group, api and app up again by id. Refuses when the API is gone.
ngx_int_t ngx_http_sluice_relookup(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

// _auth.c: the first credential that the request carries. Refuses with GW_APP_AUTH and a documented
// reason, or the GW_TOKEN_ rows.
ngx_int_t ngx_http_sluice_auth(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

// _credential.c: the means of apps. Each fills app, app_id, app_name and proof, or refuses;
// NGX_DECLINED: the request has no such credential, or the gateway does not take it.
ngx_int_t ngx_http_sluice_app_code(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
ngx_int_t ngx_http_sluice_app_secret(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
ngx_int_t ngx_http_sluice_api_key(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
ngx_int_t ngx_http_sluice_app_basic(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
ngx_int_t ngx_http_sluice_access_token(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
ngx_int_t ngx_http_sluice_app_jwt(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
ngx_int_t ngx_http_sluice_app_signature(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

// _iam.c: X-Auth-Token, else a signature with an access key; fills user, user_id, project_id and
// proof. Refuses with GW_IAM_AUTH and a documented reason, GW_IAM_RENEW. Suspends for a signed
// body.
ngx_int_t ngx_http_sluice_iam(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// Declares the shared memory of access keys that failed.
ngx_int_t ngx_http_sluice_iam_zone(ngx_conf_t *cf, ngx_http_sluice_main_conf_t *smcf);
// Looks the user up again; refuses when it may not call any more.
ngx_int_t ngx_http_sluice_iam_relookup(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

// _token.c: whether the request is for the token endpoint; answers it. The answer is in ctx, or a
// GW_TOKEN_ row. Suspends for the body.
bool ngx_http_sluice_is_token_call(const ngx_http_sluice_ctx_t *ctx);
ngx_int_t ngx_http_sluice_token(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

// _signature.c: SDK-HMAC-SHA256.
// A secret that signs: whose, which, and its bytes (borrowed for the call).
typedef struct {
    const char *owner; // SL_ID_LEN characters
    uint64_t version;  // changes with the secret
    struct sl_str secret;
} ngx_http_sluice_key_t;
// Parses the header's value; refuses with row `code` and a documented reason.
ngx_int_t ngx_http_sluice_signature_parse(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
                                          enum sl_code code, struct sl_str text,
                                          struct sl_sign_parts *ret_parts);
// Judges date, headers and HMAC; refuses likewise. Suspends for the body where the HMAC needs it.
ngx_int_t ngx_http_sluice_signature_check(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
                                          enum sl_code code, const struct sl_sign_parts *parts,
                                          const ngx_http_sluice_key_t *key);
// Reads the body where the signature speaks of it, and compares. Suspends.
ngx_int_t ngx_http_sluice_digest(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// The worker's HMAC under a key, borrowed for the call; NULL when memory is out.
struct sl_hmac *ngx_http_sluice_hmac(const ngx_http_sluice_key_t *key);
// The worker's arena, emptied: for one verification. NULL when memory is out.
struct sl_arena *ngx_http_sluice_scratch(void);
// Frees the worker's HMAC states.
void ngx_http_sluice_signature_exit(void);

// _body.c: reads the whole body, hashing it into ctx->body_digest; the step that called runs again
// when it is there. NGX_DONE: suspended. Refuses with GW_BODY_TOO_LARGE, GW_BODY_BUDGET.
ngx_int_t ngx_http_sluice_body_read(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// From here on a body of this request that stalls for client_body_timeout, the gateway's own where
// it has one, is GW_REQUEST_TIMEOUT.
ngx_int_t ngx_http_sluice_body_watch(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// Says the same of the location that the request has come to.
ngx_int_t ngx_http_sluice_body_patience(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx);
// Frees what the reader holds and gives back to the budget; when the request's pool goes.
void ngx_http_sluice_body_release(ngx_http_sluice_ctx_t *ctx);
// Installs the filter that measures bodies; call it from postconfiguration.
void ngx_http_sluice_body_init(void);

// _zone.c: declares memory of `bytes` zeros that all workers share, under a name of its own; a
// reload keeps it. The object is the zone's `data` once nginx runs. NULL: no memory. Configuration
// only.
ngx_shm_zone_t *ngx_http_sluice_zone(ngx_conf_t *cf, ngx_str_t *name, size_t bytes);

// _budget.c: bytes of signed bodies that the node holds. Any worker; never blocks.
// Declares the shared memory.
ngx_int_t ngx_http_sluice_budget_zone(ngx_conf_t *cf, ngx_http_sluice_main_conf_t *smcf);
// This worker holds nothing yet; called when it starts.
void ngx_http_sluice_budget_init(const ngx_http_sluice_main_conf_t *smcf);
// Takes bytes; false when the node would hold more than its budget, and nothing is taken.
bool ngx_http_sluice_budget_take(const ngx_http_sluice_main_conf_t *smcf, size_t bytes);
// Gives back what this worker took.
void ngx_http_sluice_budget_give(const ngx_http_sluice_main_conf_t *smcf, size_t bytes);
// Bytes that living workers hold.
uint64_t ngx_http_sluice_budget_held(const ngx_http_sluice_main_conf_t *smcf);
// How often there was no room, since nginx started.
uint64_t ngx_http_sluice_budget_refused(const ngx_http_sluice_main_conf_t *smcf);

// _app.c: the app's authorisation. Refuses with GW_APP_UNAUTHORIZED.
ngx_int_t ngx_http_sluice_app(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

// _limit.c: api, user, app, ip and debugging-domain limits. NGX_OK passes (rates filled), NGX_ABORT
// refuses (ctx->throttled set), NGX_AGAIN suspends for at most one exchange.
ngx_int_t ngx_http_sluice_limit_check(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// Maps and unmaps the counters of this worker; called once each.
ngx_int_t ngx_http_sluice_limit_init(ngx_cycle_t *cycle, ngx_http_sluice_main_conf_t *smcf);
void ngx_http_sluice_limit_exit(ngx_cycle_t *cycle, ngx_http_sluice_main_conf_t *smcf);

// _param.c: declared parameters; backend path, query and headers. Refuses with GW_ORCHESTRATION.
ngx_int_t ngx_http_sluice_param(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

// _backend.c: prepares the proxied request. Refuses with GW_BACKEND_UNSET, GW_DNS,
// GW_BACKEND_DENIED, GW_CHANNEL_GONE, GW_NO_BACKEND, GW_LOOP.
ngx_int_t ngx_http_sluice_backend(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// `sluice_backend_peers` in upstream {}: peers come from the request, not from the configuration.
char *ngx_http_sluice_backend_peers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

#define NGX_HTTP_SLUICE_HOPS_NAME "x-sluice-hops"

// _hops.c: counts this passage into ctx->hops and hides the gateway's own counts. Refuses with
// GW_LOOP a call that goes round.
ngx_int_t ngx_http_sluice_hops(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

// _forward.c: hides Connection and the headers that it names; before mappings add their own, so
// that a client cannot take those away.
void ngx_http_sluice_hop_by_hop(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// Keeps from the backend every header called `name` (lower case).
void ngx_http_sluice_hide(ngx_http_request_t *r, const char *name, size_t len);
// Hides what stays between client and gateway.
void ngx_http_sluice_withhold(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx);
// Puts the gateway's own headers among those of a request that goes on by gRPC.
ngx_int_t ngx_http_sluice_forward_grpc(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// Writes ctx->backend_headers for a request that carries an event.
ngx_int_t ngx_http_sluice_forward_event(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// Hides what stays between client and gateway, writes ctx->backend_headers.
ngx_int_t ngx_http_sluice_forward(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

#define NGX_HTTP_SLUICE_PEER_TEXT    56 // bytes that hold "[IPv6]:port"
#define NGX_HTTP_SLUICE_TLS_IDENTITY 16 // bytes: enough that no two identities ever meet

// _pool.c: idle backend connections of this worker. `key` names address, scheme and whom TLS spoke
// to: what was made for one name is never used for another. Zero it first; it is compared whole.
struct ngx_http_sluice_pool_key {
    u_char bytes[16];                              // address, IPv4 in the first four
    u_char identity[NGX_HTTP_SLUICE_TLS_IDENTITY]; // zeros: plain; else of _tls.c
    uint16_t family;                               // AF_INET, AF_INET6
    uint16_t port;                                 // network order
    uint32_t http2;                                // 1: the connection speaks it; else 0
};
// A hash of a key: addresses differ in few bits, identities are digests.
static inline uint32_t
ngx_http_sluice_pool_hash(const struct ngx_http_sluice_pool_key *key)
{
    uint64_t words[3];

    ngx_memcpy(words, key->bytes, sizeof(key->bytes));
    ngx_memcpy(&words[2], key->identity, sizeof(words[2]));
    words[0] ^= (uint64_t)key->port << 32 ^ words[2];
    return (uint32_t)(((words[0] ^ words[1] * 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL) >>
                      32);
}

// Allocates the pool for what smcf allows. *told: how many are idle, kept current.
ngx_int_t ngx_http_sluice_pool_init(ngx_cycle_t *cycle, const ngx_http_sluice_main_conf_t *smcf,
                                    uint64_t *told);
// An address as text, "1.2.3.4:80".
struct ngx_http_sluice_peer_name {
    size_t len;
    u_char text[NGX_HTTP_SLUICE_PEER_TEXT];
};

// The idle connection used last for this key, taken out of the pool; NULL without one. *ret_name:
// what was said of it when it was put, untouched without one.
ngx_connection_t *ngx_http_sluice_pool_take(const struct ngx_http_sluice_pool_key *key,
                                            struct ngx_http_sluice_peer_name *ret_name);
// Keeps a connection and the text of its address; the longest unused one is closed when the pool is
// full.
void ngx_http_sluice_pool_put(const struct ngx_http_sluice_pool_key *key,
                              const struct ngx_http_sluice_peer_name *name, ngx_connection_t *c);

#define NGX_HTTP_SLUICE_GETTER_MAX 64 // characters of a header that holds the client's address

// _address.c: sets ctx->client_addr to who calls, as the gateway's features say; the peer's address
// stays where they say nothing or the header holds none.
ngx_int_t ngx_http_sluice_address(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

// _tls.c: TLS to backends.
// The name that TLS knows a Host header by: without its port and without brackets. A view.
struct sl_str ngx_http_sluice_tls_name(struct sl_str host);
// Digests whom a connection is made for: the TLS name, in lower case, and by which certificates
// (a digest of SL_SHA256_LEN bytes; NULL: by none, and nobody is verified).
void ngx_http_sluice_tls_identity(struct sl_str name, const uint8_t *certificates,
                                  u_char ret_identity[NGX_HTTP_SLUICE_TLS_IDENTITY]);
// The session that a connection with this key may resume, borrowed; NULL without one.
ngx_ssl_session_t *ngx_http_sluice_tls_session(const struct ngx_http_sluice_pool_key *key);
// Keeps a session, which becomes the table's, for connections with this key.
void ngx_http_sluice_tls_keep(const struct ngx_http_sluice_pool_key *key,
                              ngx_ssl_session_t *session);
// Frees the worker's sessions.
void ngx_http_sluice_tls_exit(void);

// _certificate.c: what backends are shown, and by whom they must be signed.
struct ngx_http_sluice_tls {
    ngx_ssl_t ssl;                 // ctx NULL: nginx's own, which shows and verifies nothing
    uint8_t digest[SL_SHA256_LEN]; // of what ctx was made of
    bool verifies;                 // the backend's certificate must hold
};
// What the call to ctx->target takes; held until the request ends. Refuses (GW_BACKEND_UNSET) a
// backend that is to be shown a certificate when there is none.
ngx_int_t ngx_http_sluice_certificate(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
                                      struct ngx_http_sluice_tls *ret_tls);
// Lets the handshake fail unless the backend's certificate is for `name` (terminated), a host or an
// address.
ngx_int_t ngx_http_sluice_certificate_expect(ngx_ssl_conn_t *connection, const ngx_str_t *name);
// Frees the worker's contexts.
void ngx_http_sluice_certificate_exit(void);

// Work that a thread does; in the memory of whoever waits for it.
typedef struct ngx_http_sluice_aside_s ngx_http_sluice_aside_t;
struct ngx_http_sluice_aside_s {
    ngx_http_sluice_aside_t *next; // _aside.c's own
    void (*work)(void *data);      // in the thread: nginx's own things are not for it
    void (*done)(void *data);      // afterwards, in the worker; the job may end with it
    void *data;                    //
};

// _aside.c: has a thread do the work. NGX_ERROR: there is no thread to be had, and nothing is
// called.
ngx_int_t ngx_http_sluice_aside(ngx_http_sluice_aside_t *job);
// Ends the threads after what they work on; call it when the worker exits.
void ngx_http_sluice_aside_exit(void);

// _function.c: FUNCTION backends.
// Reads the body of the request, if it has one: before what is decided on the image, since it
// suspends as ngx_http_sluice_body_read() does.
ngx_int_t ngx_http_sluice_function_body(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// Makes the call, whose event is there, one of a function's.
ngx_int_t ngx_http_sluice_function(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// NGX_OK: the header is a function service's and waits for the body. NGX_DECLINED: it is to be
// sent.
ngx_int_t ngx_http_sluice_function_header(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// Installs the filter that takes the service's answers; call it from postconfiguration.
void ngx_http_sluice_function_init(void);

// _mock.c: the media type of a body that nobody named one for.
struct sl_str ngx_http_sluice_type_of(struct sl_str body);
// Keeps what the chosen MOCK backend answers: the image may move before it does.
ngx_int_t ngx_http_sluice_mock_take(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// Content handler of MOCK backends, with what was taken.
ngx_int_t ngx_http_sluice_mock(ngx_http_request_t *r);

// _error.c: content handler that renders ctx->error, or the error that nginx itself found.
ngx_int_t ngx_http_sluice_error(ngx_http_request_t *r);

// _cors.c: adds the headers that let pages of any origin read the answer, and with `preflight`
// those that say what they may send; what the answer has of them stays.
ngx_int_t ngx_http_sluice_cors(ngx_http_request_t *r, bool preflight);

// _gzip.c: has nginx compress the answer, where the gateway compresses and its type is one of text.
ngx_int_t ngx_http_sluice_gzip(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// `sluice_gzip_level N`: this location says how to compress at this level.
char *ngx_http_sluice_gzip_declare(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
// Finds what the access log says of it; configuration only.
ngx_int_t ngx_http_sluice_gzip_init(ngx_conf_t *cf, ngx_http_sluice_main_conf_t *smcf);
// By how much the answer shrank, "3.20"; empty when it was not compressed.
struct sl_str ngx_http_sluice_gzip_ratio(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx);

// _grpc.c: adds grpc-status and grpc-message to a refusal by a gRPC API or of a gRPC call;
// NGX_DONE: it is to be sent without a body.
ngx_int_t ngx_http_sluice_grpc_refusal(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx,
                                       struct sl_str message);

// _response.c: header filter; call from postconfiguration.
void ngx_http_sluice_response_init(void);
// Takes the body of an answer that came at once (ctx->whole) from nginx, which then takes it for
// sent and is done with the backend; what is returned is to be sent. NULL: no memory.
ngx_chain_t *ngx_http_sluice_whole(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
                                   const ngx_chain_t *in);
// Sends a whole response of ours: status, type, body (borrowed until sent).
ngx_int_t ngx_http_sluice_send(ngx_http_request_t *r, ngx_uint_t status, struct sl_str type,
                               struct sl_str body);

// _log.c: the variables $sluice_* of proxy directives and of the access log.
ngx_int_t ngx_http_sluice_variables(ngx_conf_t *cf);
// Milliseconds since the request's first byte.
uint64_t ngx_http_sluice_elapsed_ms(const ngx_http_request_t *r);

// _metrics.c: counters shared by the workers; /healthz, /readyz, /metrics.
ngx_int_t ngx_http_sluice_metrics_zone(ngx_conf_t *cf, ngx_http_sluice_main_conf_t *smcf);
// Where this worker tells how many backend connections are idle.
uint64_t *ngx_http_sluice_metrics_idle(const ngx_http_sluice_main_conf_t *smcf);
ngx_int_t ngx_http_sluice_metrics_log(ngx_http_request_t *r);
ngx_int_t ngx_http_sluice_metrics_handler(ngx_http_request_t *r);

// _canary.c, in builds with SLUICE_CANARY alone: the fault that a header asks for.
void ngx_http_sluice_canary(ngx_http_request_t *r);

#endif
