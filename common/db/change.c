// change.c - see change.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/change.h"

int
sl_runtime_touch(struct sl_tx *tx, struct sl_arena *arena, const char *gateway, const char *kind,
                 const char *key, struct sl_error *err)
{
    return sl_sql_later(tx, arena,
                        "INSERT INTO runtime_change (gateway_id, kind, key) VALUES ($1, $2, $3)",
                        SL_PARAMS(SL_P_TEXT(gateway), SL_P_TEXT(kind), SL_P_TEXT(key)), NULL, err);
}
