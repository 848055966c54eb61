// ngx_http_sluice_budget.c - how many bytes of signed bodies a node holds, over all its workers.
//
// Shared memory has one slot for each process of nginx: its pid and the bytes that it holds. A
// worker writes its own slot alone and the sum is taken when it is asked for, so a worker that is
// killed leaves nothing half done: its slot counts for nothing from that moment, and is cleared by
// the next process that nginx gives its number to.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include <signal.h>

#define ZONE_BYTES (16 * 4096) // the ledger, with nginx's slab bookkeeping

// What one process holds.
struct slot {
    ngx_atomic_t pid;   // 0: nobody had it yet
    ngx_atomic_t bytes; // held by bodies
};

struct ledger {
    ngx_atomic_t refused; // bodies that found no room, ever
    ngx_atomic_t used;    // slots from here on were never anybody's
    struct slot slots[NGX_MAX_PROCESSES];
};

static ngx_int_t
init_zone(ngx_shm_zone_t *zone, void *old)
{
    ngx_slab_pool_t *slab = (ngx_slab_pool_t *)zone->shm.addr;

    if (old != NULL) { // a reload goes on counting
        zone->data = old;
        return NGX_OK;
    }
    zone->data = zone->shm.exists ? slab->data : ngx_slab_calloc(slab, sizeof(struct ledger));
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
    struct ledger *ledger = smcf->budget_zone->data;
    struct slot *slot = &ledger->slots[ngx_process_slot];
    ngx_atomic_uint_t used = ledger->used;
    ngx_atomic_uint_t wanted = (ngx_atomic_uint_t)ngx_process_slot + 1;

    slot->bytes = 0;
    slot->pid = (ngx_atomic_uint_t)ngx_pid;
    while (used < wanted && !ngx_atomic_cmp_set(&ledger->used, used, wanted)) {
        used = ledger->used;
    }
}

// The workers of a node run as one user: a process that may not be signalled is somebody else's.
static bool
is_alive(ngx_atomic_uint_t pid)
{
    return pid == (ngx_atomic_uint_t)ngx_pid || kill((pid_t)pid, 0) == 0;
}

// The sum of all slots, or of those whose process lives.
static uint64_t
sum(const struct ledger *ledger, bool living)
{
    ngx_atomic_uint_t used = ledger->used;
    uint64_t bytes = 0;

    for (ngx_atomic_uint_t i = 0; i < used; i++) {
        const struct slot *slot = &ledger->slots[i];
        ngx_atomic_uint_t held = slot->bytes;

        if (held > 0 && (!living || is_alive(slot->pid))) {
            bytes += held;
        }
    }
    return bytes;
}

bool
ngx_http_sluice_budget_take(const ngx_http_sluice_main_conf_t *smcf, size_t bytes)
{
    struct ledger *ledger = smcf->budget_zone->data;
    ngx_atomic_t *held = &ledger->slots[ngx_process_slot].bytes;
    uint64_t budget = (uint64_t)smcf->body_budget;

    // Added before it is judged: two workers may both be refused the last bytes, never both given.
    (void)ngx_atomic_fetch_add(held, (ngx_atomic_int_t)bytes);
    if (sum(ledger, false) <= budget || sum(ledger, true) <= budget) {
        return true;
    }
    (void)ngx_atomic_fetch_add(held, -(ngx_atomic_int_t)bytes);
    (void)ngx_atomic_fetch_add(&ledger->refused, 1);
    return false;
}

void
ngx_http_sluice_budget_give(const ngx_http_sluice_main_conf_t *smcf, size_t bytes)
{
    struct ledger *ledger = smcf->budget_zone->data;

    (void)ngx_atomic_fetch_add(&ledger->slots[ngx_process_slot].bytes, -(ngx_atomic_int_t)bytes);
}

uint64_t
ngx_http_sluice_budget_held(const ngx_http_sluice_main_conf_t *smcf)
{
    return sum(smcf->budget_zone->data, true);
}

uint64_t
ngx_http_sluice_budget_refused(const ngx_http_sluice_main_conf_t *smcf)
{
    const struct ledger *ledger = smcf->budget_zone->data;

    return ledger->refused;
}
