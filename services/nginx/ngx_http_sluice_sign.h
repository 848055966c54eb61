// ngx_http_sluice_sign.h - signature keys, by which the gateway proves itself to backends.
//
// Every function is of the worker's one thread and answers as a step does (ngx_http_sluice.h).
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_SIGN_H
#define NGX_HTTP_SLUICE_SIGN_H

#include "services/nginx/ngx_http_sluice.h"

#define NGX_HTTP_SLUICE_READ_FIRST 65536 // a body up to this many bytes is read before connecting

// Reads the body that the signature of the API's key covers, if it does; suspends as
// ngx_http_sluice_body_read() does, so it comes before what is decided on the image.
ngx_int_t ngx_http_sluice_sign_body(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// Signs the request as it goes out: method, host and URI are the backend's already. *ret_lines: the
// header lines to add, each after CRLF, from the pool; the client's own of these names are hidden.
// Refuses with GW_SIGN.
ngx_int_t ngx_http_sluice_sign(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
                               struct sl_str *ret_lines);
// Whether the request asks for the public half of a key pair; answers it. Refuses with
// GW_PUBLIC_KEY.
bool ngx_http_sluice_is_pair_call(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx);
ngx_int_t ngx_http_sluice_pair(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// Frees the worker's keys.
void ngx_http_sluice_sign_exit(void);

#endif
