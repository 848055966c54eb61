// quota.c - see quota.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/quota.h"

int
sl_quota_take(struct sl_tx *tx, struct sl_arena *arena, const struct sl_quota *quota, int64_t units,
              struct sl_error *err)
{
    return sl_sql_later(tx, arena, "SELECT quota_take($1, $2, $3, $4, $5)",
                        SL_PARAMS(SL_P_TEXT(quota->instance), SL_P_TEXT(quota->name),
                                  SL_P_TEXT(quota->scope), SL_P_INT(units),
                                  SL_P_INT(quota->fallback)),
                        NULL, err);
}

int
sl_quota_give(struct sl_tx *tx, struct sl_arena *arena, const struct sl_quota *quota, int64_t units,
              struct sl_error *err)
{
    return sl_sql_later(tx, arena,
                        "UPDATE quota_usage SET used = greatest(used - $4::integer, 0)"
                        " WHERE instance_id = $1 AND quota = $2 AND scope = $3",
                        SL_PARAMS(SL_P_TEXT(quota->instance), SL_P_TEXT(quota->name),
                                  SL_P_TEXT(quota->scope), SL_P_INT(units)),
                        NULL, err);
}

int
sl_quota_forget(struct sl_tx *tx, struct sl_arena *arena, const char *instance, const char *scope,
                struct sl_error *err)
{
    return sl_sql_later(tx, arena, "DELETE FROM quota_usage WHERE instance_id = $1 AND scope = $2",
                        SL_PARAMS(SL_P_TEXT(instance), SL_P_TEXT(scope)), NULL, err);
}
