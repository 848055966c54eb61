// ngx_http_sluice_lockout.h - access keys that failed too often in a row: shut for a while.
//
// A table of fixed size that all workers share; no locks. Two keys may meet at one place, then the
// one that failed last has it: losing a count may only be kinder. Needs no nginx and reads no
// clock.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_LOCKOUT_H
#define NGX_HTTP_SLUICE_LOCKOUT_H

#include <stdatomic.h>

#include "common/base/str.h"

#define NGX_HTTP_SLUICE_LOCKOUT_PLACES 4096 // a power of two
#define NGX_HTTP_SLUICE_LOCKOUT_TRIES  5    // failures in a row
#define NGX_HTTP_SLUICE_LOCKOUT_S      300  // seconds that it is shut then

// One key: failures in the lower half, in the upper the second at which it opens again (0: open).
struct ngx_http_sluice_lockout_place {
    _Atomic uint64_t key;
    _Atomic uint64_t state;
};

// All zeros: nobody failed.
struct ngx_http_sluice_lockout {
    struct ngx_http_sluice_lockout_place places[NGX_HTTP_SLUICE_LOCKOUT_PLACES];
};

// Whether a key is shut at `now_s` (seconds since the epoch). `key` is never 0: a hash, or the
// version of its secret.
bool ngx_http_sluice_lockout_is_shut(struct ngx_http_sluice_lockout *lockout, uint64_t key,
                                     int64_t now_s);

// Counts a failure, and shuts the key with the last that is allowed.
void ngx_http_sluice_lockout_failed(struct ngx_http_sluice_lockout *lockout, uint64_t key,
                                    int64_t now_s);

// Forgets the key's failures.
void ngx_http_sluice_lockout_passed(struct ngx_http_sluice_lockout *lockout, uint64_t key);

#endif
