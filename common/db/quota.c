// quota.c - see quota.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/quota.h"

#include <stdio.h>

#define LIMIT_TEXT 24 // bytes of an int64_t in decimal

static const char take_sql[] =
    "UPDATE quota_usage SET used = used + $4::integer"
    " WHERE instance_id = $1 AND quota = $2 AND scope = $3 AND used + $4::integer <= \"limit\"";

static const char make_sql[] =
    "INSERT INTO quota_usage (instance_id, quota, scope, used, \"limit\") VALUES ($1, $2, $3, 0,"
    " COALESCE((SELECT value::integer FROM instance_setting WHERE instance_id = $1"
    " AND name = 'quota_' || $2), $4)) ON CONFLICT DO NOTHING";

static const char limit_sql[] =
    "SELECT \"limit\" FROM quota_usage WHERE instance_id = $1 AND quota = $2 AND scope = $3";

// Answers 1 when taken, 0 when not, -1 with *err filled.
static int
try_take(struct sl_tx *tx, struct sl_arena *arena, const struct sl_quota *quota, int64_t units,
         struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(tx, arena, take_sql,
               SL_PARAMS(SL_P_TEXT(quota->instance), SL_P_TEXT(quota->name),
                         SL_P_TEXT(quota->scope), SL_P_INT(units)),
               &rows, err) != 0) {
        return -1;
    }
    return sl_rows_affected(rows) == 1 ? 1 : 0;
}

static int
refuse(struct sl_tx *tx, struct sl_arena *arena, const struct sl_quota *quota, enum sl_code refused,
       struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    char limit[LIMIT_TEXT] = "";
    if (sl_sql(
            tx, arena, limit_sql,
            SL_PARAMS(SL_P_TEXT(quota->instance), SL_P_TEXT(quota->name), SL_P_TEXT(quota->scope)),
            &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) > 0) {
        snprintf(limit, sizeof(limit), "%lld", (long long)sl_rows_int(rows, 0, 0));
    }
    return sl_fail(err, refused, quota->name, limit);
}

int
sl_quota_take(struct sl_tx *tx, struct sl_arena *arena, const struct sl_quota *quota, int64_t units,
              enum sl_code refused, struct sl_error *err)
{
    int taken = try_take(tx, arena, quota, units, err);
    if (taken != 0) {
        return taken > 0 ? 0 : -1;
    }
    // Either the limit is reached or nobody has counted here before.
    if (sl_sql(tx, arena, make_sql,
               SL_PARAMS(SL_P_TEXT(quota->instance), SL_P_TEXT(quota->name),
                         SL_P_TEXT(quota->scope), SL_P_INT(quota->fallback)),
               NULL, err) != 0) {
        return -1;
    }
    taken = try_take(tx, arena, quota, units, err);
    if (taken != 0) {
        return taken > 0 ? 0 : -1;
    }
    return refuse(tx, arena, quota, refused, err);
}

int
sl_quota_give(struct sl_tx *tx, struct sl_arena *arena, const struct sl_quota *quota, int64_t units,
              struct sl_error *err)
{
    return sl_sql(tx, arena,
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
    return sl_sql(tx, arena, "DELETE FROM quota_usage WHERE instance_id = $1 AND scope = $2",
                  SL_PARAMS(SL_P_TEXT(instance), SL_P_TEXT(scope)), NULL, err);
}
