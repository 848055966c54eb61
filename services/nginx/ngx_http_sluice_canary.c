// ngx_http_sluice_canary.c - two planted faults, in builds that define SLUICE_CANARY and no others.
//
// The header `X-Sluice-Canary: heap` writes past a heap block, `signed` overflows a signed integer.
// A sanitized build must end the worker on either; tests/unit/nginx/canary_test.py checks it.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include <limits.h>
#include <stdlib.h>

#define BLOCK_BYTES 16

// Apart, so that the compiler does not see how long the block is: the heap's own guard must.
static __attribute__((noinline)) void
poke(volatile u_char *block, size_t at)
{
    block[at] = 1;
}

static void
overflow_heap(size_t at)
{
    u_char *block = malloc(BLOCK_BYTES);

    if (block != NULL) {
        poke(block, at);
        free(block);
    }
}

static int
overflow_signed(int by)
{
    volatile int number = INT_MAX;

    return number + by;
}

void
ngx_http_sluice_canary(ngx_http_request_t *r)
{
    static const char name[] = "x-sluice-canary";
    const ngx_table_elt_t *header = ngx_http_sluice_header(r, name, sizeof(name) - 1);

    if (header == NULL) {
        return;
    }
    if (sl_str_equal(ngx_http_sluice_view(&header->value), SL_STR("heap"))) {
        overflow_heap(BLOCK_BYTES + header->value.len / 4);
    } else if (overflow_signed((int)header->value.len) == 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "the canary counted to nothing");
    }
}
