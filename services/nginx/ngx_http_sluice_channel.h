// ngx_http_sluice_channel.h - addresses of a backend, by its name or behind a channel.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_CHANNEL_H
#define NGX_HTTP_SLUICE_CHANNEL_H

#include "services/nginx/ngx_http_sluice.h"
#include "services/nginx/ngx_http_sluice_balance.h"

#define NGX_HTTP_SLUICE_PLACES 16 // addresses of one call

// One address that a call may go to; in the image.
typedef struct {
    const struct sl_img_address *address;
    struct ngx_http_sluice_balance_seat *seat; // held; NULL: open calls are not counted
    in_port_t port;                            // host order
} ngx_http_sluice_place_t;

// _channel.c: where the members of the channel of ctx->target are that the call goes to, up to
// `wanted` of them, each another one, in the order of tries; sets ctx->backend_host where no
// mapping did. Refuses with GW_CHANNEL_GONE, GW_NO_BACKEND, GW_DNS, GW_BACKEND_DENIED. Seats are
// the caller's to release, whatever the answer: *ret_count says how many places were filled.
ngx_int_t ngx_http_sluice_channel(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
                                  ngx_uint_t wanted, ngx_http_sluice_place_t *ret_places,
                                  ngx_uint_t *ret_count);

// The same of a backend that has a name: all its addresses, up to NGX_HTTP_SLUICE_PLACES, each call
// beginning with the next one. Refuses with GW_BACKEND_UNSET, GW_DNS, GW_BACKEND_DENIED.
ngx_int_t ngx_http_sluice_addresses(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
                                    ngx_http_sluice_place_t *ret_places, ngx_uint_t *ret_count);

#endif
