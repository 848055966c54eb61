// ngx_http_sluice_zone.c - one object in memory that all workers share, which a reload keeps.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define SLAB_BYTES (16 * 4096) // nginx's bookkeeping of a zone, and as much again by the pages
#define SLAB_PART  64          // one byte of it for so many of the object

static ngx_int_t
init_zone(ngx_shm_zone_t *zone, void *old)
{
    ngx_slab_pool_t *slab = (ngx_slab_pool_t *)zone->shm.addr;
    const size_t *bytes = zone->data;

    if (old != NULL) { // a reload goes on counting
        zone->data = old;
        return NGX_OK;
    }
    zone->data = zone->shm.exists ? slab->data : ngx_slab_calloc(slab, *bytes);
    slab->data = zone->data;
    return zone->data == NULL ? NGX_ERROR : NGX_OK;
}

ngx_shm_zone_t *
ngx_http_sluice_zone(ngx_conf_t *cf, ngx_str_t *name, size_t bytes)
{
    size_t *wanted = ngx_palloc(cf->pool, sizeof(*wanted));
    ngx_shm_zone_t *zone = NULL;

    if (wanted != NULL) {
        *wanted = bytes;
        zone = ngx_shared_memory_add(cf, name, bytes + bytes / SLAB_PART + SLAB_BYTES,
                                     &ngx_http_sluice_module);
    }
    if (zone != NULL) {
        zone->data = wanted;
        zone->init = init_zone;
    }
    return zone;
}
