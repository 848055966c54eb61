// ngx_http_sluice_lockout.c - see ngx_http_sluice_lockout.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_lockout.h"

#define UNTIL_SHIFT   32
#define FAILURES_MASK 0xffffffffULL

static struct ngx_http_sluice_lockout_place *
place_of(struct ngx_http_sluice_lockout *lockout, uint64_t key)
{
    // Mixed, so that keys whose low bits agree do not meet.
    uint64_t hash = (key ^ key >> 29) * 0xbf58476d1ce4e5b9ULL;
    return &lockout->places[hash >> 32 & (NGX_HTTP_SLUICE_LOCKOUT_PLACES - 1)];
}

bool
ngx_http_sluice_lockout_is_shut(struct ngx_http_sluice_lockout *lockout, uint64_t key,
                                int64_t now_s)
{
    struct ngx_http_sluice_lockout_place *place = place_of(lockout, key);
    return atomic_load_explicit(&place->key, memory_order_relaxed) == key &&
           (int64_t)(atomic_load_explicit(&place->state, memory_order_relaxed) >> UNTIL_SHIFT) >
               now_s;
}

void
ngx_http_sluice_lockout_failed(struct ngx_http_sluice_lockout *lockout, uint64_t key, int64_t now_s)
{
    struct ngx_http_sluice_lockout_place *place = place_of(lockout, key);
    if (atomic_exchange_explicit(&place->key, key, memory_order_relaxed) != key) {
        atomic_store_explicit(&place->state, 0, memory_order_relaxed);
    }
    uint64_t state = atomic_fetch_add_explicit(&place->state, 1, memory_order_relaxed) + 1;
    if ((state & FAILURES_MASK) >= NGX_HTTP_SLUICE_LOCKOUT_TRIES) {
        uint64_t until_s = (uint64_t)(now_s + NGX_HTTP_SLUICE_LOCKOUT_S);
        atomic_store_explicit(&place->state, until_s << UNTIL_SHIFT, memory_order_relaxed);
    }
}

void
ngx_http_sluice_lockout_passed(struct ngx_http_sluice_lockout *lockout, uint64_t key)
{
    struct ngx_http_sluice_lockout_place *place = place_of(lockout, key);
    if (atomic_load_explicit(&place->key, memory_order_relaxed) == key &&
        atomic_load_explicit(&place->state, memory_order_relaxed) != 0) {
        atomic_store_explicit(&place->state, 0, memory_order_relaxed);
    }
}
