// ngx_http_sluice_channel.c - the addresses that a call goes to, in the order of tries: those of a
// name, or of members of a channel.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_channel.h"

// Where the next request of this worker begins in a list of addresses.
static ngx_uint_t rotation;

// Calls of this worker to channels that draw the order of their tries.
static uint64_t draws;

// What the hashing strategies look at: the client's address, or the path without the query. For the
// others another number each call, so that the calls of a member that fails go to all others.
static uint64_t
hash_of(const ngx_http_sluice_ctx_t *ctx, const struct sl_img_channel *channel)
{
    switch ((enum sl_strategy)channel->strategy) {
    case SL_STRATEGY_SOURCE:
        return ngx_http_sluice_balance_hash(ngx_http_sluice_view(&ctx->client_addr));
    case SL_STRATEGY_URI:
        return ngx_http_sluice_balance_hash(ctx->path);
    default:
        return ++draws;
    }
}

// The Host that the member is sent: what the API says, else what the client said, else its own
// name. A mapping may have set another.
static ngx_int_t
set_host(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, const struct sl_img_member *member)
{
    struct sl_str host = sl_img_text(&ctx->target->proxy_host);

    if (ctx->backend_host.len > 0) {
        return NGX_OK;
    }
    if (host.len == 0 && r->headers_in.host != NULL) {
        host = ngx_http_sluice_view(&r->headers_in.host->value);
    }
    if (host.len == 0) {
        host = sl_img_text(&member->host);
    }
    ctx->backend_host = ngx_http_sluice_copy(r->pool, host);
    return ctx->backend_host.data == NULL ? NGX_ERROR : NGX_OK;
}

// Why no member has an address.
static ngx_int_t
refuse(ngx_http_sluice_ctx_t *ctx, bool denied)
{
    if (denied) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_BACKEND_DENIED);
    }
    return ngx_http_sluice_fail(ctx, SL_E_GW_DNS);
}

ngx_int_t
ngx_http_sluice_channel(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, ngx_uint_t wanted,
                        ngx_http_sluice_place_t *ret_places, ngx_uint_t *ret_count)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);
    const struct sl_img_channel *channel =
        sl_image_channel(smcf->image, sl_img_text(&ctx->target->channel));
    const struct sl_img_member *members;
    bool denied = false;
    uint64_t hash;
    uint32_t first;
    uint32_t i;

    *ret_count = 0;
    if (channel == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_CHANNEL_GONE);
    }
    members = sl_img_items(&channel->members);
    hash = hash_of(ctx, channel);
    i = first = ngx_http_sluice_balance_first(channel, hash);
    if (first == NGX_HTTP_SLUICE_BALANCE_NONE) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_NO_BACKEND);
    }
    do {
        const struct sl_img_upstream *upstream =
            sl_image_upstream(smcf->image, sl_img_text(&members[i].host));

        if (upstream != NULL && upstream->addresses.count > 0) {
            const struct sl_img_address *addresses = sl_img_items(&upstream->addresses);
            uint32_t count = upstream->addresses.count;

            ret_places[*ret_count] =
                (ngx_http_sluice_place_t){.address = &addresses[count > 1 ? rotation++ % count : 0],
                                          .seat = ngx_http_sluice_balance_hold(channel, i),
                                          .port = members[i].port};
            ++*ret_count;
        } else if (upstream != NULL) {
            denied = denied || upstream->denied != 0;
        }
        i = *ret_count < wanted ? ngx_http_sluice_balance_next(channel, hash, first, i)
                                : NGX_HTTP_SLUICE_BALANCE_NONE;
    } while (i != NGX_HTTP_SLUICE_BALANCE_NONE);
    return *ret_count == 0 ? refuse(ctx, denied) : set_host(r, ctx, &members[first]);
}

ngx_int_t
ngx_http_sluice_addresses(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
                          ngx_http_sluice_place_t *ret_places, ngx_uint_t *ret_count)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);
    struct sl_str host = sl_img_text(&ctx->target->host);
    const struct sl_img_upstream *upstream = sl_image_upstream(smcf->image, host);
    const struct sl_img_address *addresses;
    ngx_uint_t first;

    if (host.len == 0) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_BACKEND_UNSET);
    }
    if (upstream == NULL || (upstream->addresses.count == 0 && !upstream->denied)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_DNS);
    }
    if (upstream->addresses.count == 0) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_BACKEND_DENIED);
    }
    *ret_count = ngx_min(upstream->addresses.count, NGX_HTTP_SLUICE_PLACES);
    addresses = sl_img_items(&upstream->addresses);
    first = *ret_count > 1 ? rotation++ % *ret_count : 0;
    for (ngx_uint_t i = 0; i < *ret_count; i++) {
        ngx_uint_t at = first + i < *ret_count ? first + i : first + i - *ret_count;

        ret_places[i] = (ngx_http_sluice_place_t){&addresses[at], NULL, ctx->target->port};
    }
    return NGX_OK;
}
