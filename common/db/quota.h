// quota.h - taking and giving back units of a gateway's quotas.
//
// Units are taken by the function quota_take (proto/sql), the last statement before commit, in one
// round trip with it, so that two commands wait for each other only there, and far from the limit
// not even there: `used` then holds more than was taken, by what lies in portions (view quota_spent
// tells what was). The limit is the
// gateway's setting `quota_<quota>` when it has one, else the documented default that the caller
// passes.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_DB_QUOTA_H
#define SL_DB_QUOTA_H

#include "common/db/db.h"

// Which quota: of a gateway (scope ""), or of one resource in it (scope = its id).
struct sl_quota {
    const char *instance; // gateway id
    const char *name;     // "groups"
    const char *scope;    // "" or an id
    int64_t fallback;     // documented default limit
};

// Takes `units`, with the next statement that is waited for or the commit. At the limit that one is
// refused: with the row of the fault `quota_<name>`, its arguments the quota's name and the limit.
int sl_quota_take(struct sl_tx *tx, struct sl_arena *arena, const struct sl_quota *quota,
                  int64_t units, struct sl_error *err) SL_MUST_CHECK;

// Gives `units` back, likewise.
int sl_quota_give(struct sl_tx *tx, struct sl_arena *arena, const struct sl_quota *quota,
                  int64_t units, struct sl_error *err) SL_MUST_CHECK;

// Forgets the usage of a scope that was deleted.
int sl_quota_forget(struct sl_tx *tx, struct sl_arena *arena, const char *instance,
                    const char *scope, struct sl_error *err) SL_MUST_CHECK;

#endif
