// ngx_http_sluice_ledger.h - who holds how many bytes, in memory that several processes share.
//
// A slot for each process: its pid and the bytes that it holds. A process writes its own slot alone
// and the sum is taken when it is asked for, so one that is killed at any moment leaves nothing
// half done: its slot counts for nothing from then on, and is cleared by who enters it next.
//
// No nginx, no lock, no memory of its own: the caller maps SIZE zeroed bytes, aligned to eight.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_LEDGER_H
#define NGX_HTTP_SLUICE_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NGX_HTTP_SLUICE_LEDGER_SLOTS 1024 // processes that may enter

// What one process holds.
struct ngx_http_sluice_ledger_slot {
    _Atomic int64_t pid;    // 0: nobody had it yet
    _Atomic uint64_t bytes; // held by it
};

struct ngx_http_sluice_ledger {
    _Atomic uint64_t refused; // takings that found no room, ever
    _Atomic size_t used;      // slots from here on were never anybody's
    struct ngx_http_sluice_ledger_slot slots[NGX_HTTP_SLUICE_LEDGER_SLOTS];
};

// The calling process has the slot (below SLOTS) from here on, and holds nothing in it.
void ngx_http_sluice_ledger_enter(struct ngx_http_sluice_ledger *ledger, size_t slot);

// Takes bytes; false when all living processes together would hold more than `budget`, and nothing
// is taken. Two processes may both be refused the last bytes, never both be given them.
bool ngx_http_sluice_ledger_take(struct ngx_http_sluice_ledger *ledger, size_t slot, uint64_t bytes,
                                 uint64_t budget);

// Gives back what the slot's process took.
void ngx_http_sluice_ledger_give(struct ngx_http_sluice_ledger *ledger, size_t slot,
                                 uint64_t bytes);

// Bytes that living processes hold; what is being judged at this moment is in it.
uint64_t ngx_http_sluice_ledger_held(const struct ngx_http_sluice_ledger *ledger);

#endif
