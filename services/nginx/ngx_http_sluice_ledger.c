// ngx_http_sluice_ledger.c - who holds how many bytes, in memory that several processes share.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_ledger.h"

#include <signal.h>
#include <unistd.h>

void
ngx_http_sluice_ledger_enter(struct ngx_http_sluice_ledger *ledger, size_t slot)
{
    size_t used = ledger->used;

    ledger->slots[slot].bytes = 0;
    ledger->slots[slot].pid = getpid();
    while (used <= slot && !atomic_compare_exchange_weak(&ledger->used, &used, slot + 1)) {
    }
}

// All who share the memory run as one user: a process that may not be signalled is somebody else's.
static bool
is_alive(int64_t pid)
{
    return kill((pid_t)pid, 0) == 0;
}

// The sum of all slots, or of those whose process lives.
static uint64_t
sum(const struct ngx_http_sluice_ledger *ledger, bool living)
{
    size_t used = ledger->used;
    uint64_t bytes = 0;

    for (size_t i = 0; i < used; i++) {
        uint64_t held = ledger->slots[i].bytes;

        if (held > 0 && (!living || is_alive(ledger->slots[i].pid))) {
            bytes += held;
        }
    }
    return bytes;
}

bool
ngx_http_sluice_ledger_take(struct ngx_http_sluice_ledger *ledger, size_t slot, uint64_t bytes,
                            uint64_t budget)
{
    // Added before it is judged, so that no two processes see the same room.
    ledger->slots[slot].bytes += bytes;
    if (sum(ledger, false) <= budget || sum(ledger, true) <= budget) {
        return true;
    }
    ledger->slots[slot].bytes -= bytes;
    ledger->refused++;
    return false;
}

void
ngx_http_sluice_ledger_give(struct ngx_http_sluice_ledger *ledger, size_t slot, uint64_t bytes)
{
    ledger->slots[slot].bytes -= bytes;
}

uint64_t
ngx_http_sluice_ledger_held(const struct ngx_http_sluice_ledger *ledger)
{
    return sum(ledger, true);
}
