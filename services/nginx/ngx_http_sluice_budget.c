// ngx_http_sluice_budget.c - the ledger of signed bodies in nginx's shared memory.
//
// A worker's slot is that of its process in nginx's own table: who replaces a dead one gets the
// same.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include "services/nginx/ngx_http_sluice_ledger.h"

#define ZONE_BYTES (16 * 4096) // the ledger, with nginx's slab bookkeeping

_Static_assert(NGX_MAX_PROCESSES <= NGX_HTTP_SLUICE_LEDGER_SLOTS, "a slot for every process");

static ngx_int_t
init_zone(ngx_shm_zone_t *zone, void *old)
{
    ngx_slab_pool_t *slab = (ngx_slab_pool_t *)zone->shm.addr;

    if (old != NULL) { // a reload goes on counting
        zone->data = old;
        return NGX_OK;
    }
    zone->data = zone->shm.exists ? slab->data
                                  : ngx_slab_calloc(slab, sizeof(struct ngx_http_sluice_ledger));
    slab->data = zone->data;
    return zone->data == NULL ? NGX_ERROR : NGX_OK;
}

ngx_int_t
ngx_http_sluice_budget_zone(ngx_conf_t *cf, ngx_http_sluice_main_conf_t *smcf)
{
    ngx_str_t name = ngx_string("sluice_bodies");

    smcf->budget_zone = ngx_shared_memory_add(cf, &name, ZONE_BYTES, &ngx_http_sluice_module);
    if (smcf->budget_zone == NULL) {
        return NGX_ERROR;
    }
    smcf->budget_zone->init = init_zone;
    return NGX_OK;
}

void
ngx_http_sluice_budget_init(const ngx_http_sluice_main_conf_t *smcf)
{
    ngx_http_sluice_ledger_enter(smcf->budget_zone->data, (size_t)ngx_process_slot);
}

bool
ngx_http_sluice_budget_take(const ngx_http_sluice_main_conf_t *smcf, size_t bytes)
{
    return ngx_http_sluice_ledger_take(smcf->budget_zone->data, (size_t)ngx_process_slot, bytes,
                                       (uint64_t)smcf->body_budget);
}

void
ngx_http_sluice_budget_give(const ngx_http_sluice_main_conf_t *smcf, size_t bytes)
{
    ngx_http_sluice_ledger_give(smcf->budget_zone->data, (size_t)ngx_process_slot, bytes);
}

uint64_t
ngx_http_sluice_budget_held(const ngx_http_sluice_main_conf_t *smcf)
{
    return ngx_http_sluice_ledger_held(smcf->budget_zone->data);
}

uint64_t
ngx_http_sluice_budget_refused(const ngx_http_sluice_main_conf_t *smcf)
{
    const struct ngx_http_sluice_ledger *ledger = smcf->budget_zone->data;

    return ledger->refused;
}
