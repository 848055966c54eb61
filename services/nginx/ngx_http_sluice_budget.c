// ngx_http_sluice_budget.c - the ledger of signed bodies in nginx's shared memory.
//
// A worker's slot is that of its process in nginx's own table: who replaces a dead one gets the
// same.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include "services/nginx/ngx_http_sluice_ledger.h"

_Static_assert(NGX_MAX_PROCESSES <= NGX_HTTP_SLUICE_LEDGER_SLOTS, "a slot for every process");

ngx_int_t
ngx_http_sluice_budget_zone(ngx_conf_t *cf, ngx_http_sluice_main_conf_t *smcf)
{
    ngx_str_t name = ngx_string("sluice_bodies");

    smcf->budget_zone = ngx_http_sluice_zone(cf, &name, sizeof(struct ngx_http_sluice_ledger));
    return smcf->budget_zone == NULL ? NGX_ERROR : NGX_OK;
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
