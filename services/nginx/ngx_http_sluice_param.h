// ngx_http_sluice_param.h - what the two files about parameters share.
//
// param.c reads the declared parameters and works out what the backend gets; target.c writes it
// into path, query and headers. The work lives as long as the step; its texts are in the request's
// pool or in the image.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_PARAM_H
#define NGX_HTTP_SLUICE_PARAM_H

#include "services/nginx/ngx_http_sluice.h"

// The value of one declared parameter of this request.
struct param_value {
    struct sl_str text; // decoded
    bool present;       // sent, or given by its default
    bool defaulted;     // by its default
};

// One parameter that the backend request gets.
struct param_addition {
    struct sl_str name;
    struct sl_str text;
    enum sl_location location;
    bool escaped; // as in a URI: it comes from a path whose escapes stay
};

// What the step works with.
struct param_work {
    ngx_http_request_t *request;
    ngx_http_sluice_ctx_t *ctx;
    uint32_t declared;                // the API's request parameters
    struct param_value *values;       // one for each of them
    struct param_addition *additions; // room for each mapping and each declared parameter
    size_t addition_count;            // of them in use
};

// Cuts the next `name=value` off a raw query; false at its end.
bool ngx_http_sluice_query_next(struct sl_str *rest, struct sl_str *ret_pair,
                                struct sl_str *ret_name, struct sl_str *ret_value);

// Decodes percent escapes and, as forms do, '+'. A malformed escape stays as it is. The result is
// `raw` itself or from the pool.
struct sl_str ngx_http_sluice_query_decode(ngx_pool_t *pool, struct sl_str raw);

// The value of the first cookie of this name; false when there is none. A view of the header.
bool ngx_http_sluice_cookie(const ngx_http_request_t *r, struct sl_str name,
                            struct sl_str *ret_text);

// The value that the path of the request has for `{name}`; false when it declares none.
bool ngx_http_sluice_path_value(const struct param_work *work, struct sl_str name,
                                struct sl_str *ret_text);

// The backend that takes the call: of the first policy that applies, else the API's own. It lies in
// the image.
const struct sl_img_target *ngx_http_sluice_policy_choose(const struct param_work *work);

// Whether the client's own parameter stays away from the backend: declared without pass_through, or
// the name of a mapping.
bool ngx_http_sluice_target_withholds(const struct param_work *work, enum sl_location location,
                                      struct sl_str name);

// Writes ctx->backend_uri. Refuses (GW_BAD_REQUEST) what would change the path's shape.
ngx_int_t ngx_http_sluice_target_uri(struct param_work *work);

// Hides the client's headers that stay away from the backend, adds those of the mappings. Refuses
// (GW_BAD_REQUEST) a value that a header cannot hold.
ngx_int_t ngx_http_sluice_target_headers(struct param_work *work);

// The query that the backend request gets, without its '?'; from the request's pool.
ngx_int_t ngx_http_sluice_target_query(struct param_work *work, struct sl_str *ret_query);

// Writes ctx->backend_uri: path and query of the request itself.
ngx_int_t ngx_http_sluice_target_same(struct param_work *work);

// _event.c: makes the event of a function, which becomes the request's body, and ctx->backend_uri.
ngx_int_t ngx_http_sluice_event(struct param_work *work);

#endif
