// throttle_special.c - what is special about excluded throttles: the app exists, the limit is not
// above the policy's, and an app that goes takes its own along.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include <string.h>

static const char app_sql[] = "SELECT 1 FROM app WHERE instance_id = $1 AND id = $2 FOR KEY SHARE";

static const char api_limit_sql[] =
    "SELECT api_call_limits FROM throttle WHERE instance_id = $1 AND id = $2";

// A policy has at most one row of an app, so no scope stands in `gone` twice.
static const char forget_sql[] =
    "WITH gone AS (DELETE FROM throttle_special WHERE instance_id = $1 AND app_id = $2"
    " RETURNING throttle_id, scope), touched AS (INSERT INTO runtime_change (gateway_id, kind, key)"
    " SELECT $1, 'throttle', throttle_id FROM gone)"
    " UPDATE quota_usage q SET used = greatest(q.used - 1, 0) FROM gone"
    " WHERE q.instance_id = $1 AND q.quota = 'throttle_specials' AND q.scope = gone.scope";

static const char *
column_text(const struct change *change, const char *column)
{
    const json_t *value = json_object_get(change->row, column);
    if (value == NULL) {
        value = json_object_get(change->before, column);
    }
    return json_string_value(value);
}

// Users are not looked for: accounts live with the identity service, and one may come later.
static int
check_app(const struct change *change, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct mutation *m = change->m;
    const char *id = column_text(change, "object_id");
    if (strcmp(column_text(change, "object_type"), "APP") != 0) {
        return 0;
    }
    if (sl_sql(m->tx, m->arena, app_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(id)), &rows,
               err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 1 ? 0 : sl_fail(err, SL_E_APP_UNKNOWN, id);
}

// What exceeds the limit of the API could never be reached.
static int
check_limit(const struct change *change, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct mutation *m = change->m;
    const char *policy = column_text(change, "throttle_id");
    if (sl_sql(m->tx, m->arena, api_limit_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(policy)),
               &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_THROTTLE_NOT_FOUND, policy);
    }
    json_int_t limit = json_integer_value(json_object_get(change->row, "call_limits"));
    return limit <= sl_rows_int(rows, 0, 0) ? 0 : sl_fail(err, SL_E_PARAM_TOO_LARGE, "call_limits");
}

static int
check_special(struct change *change, struct sl_error *err)
{
    // The object of one that exists stays what it is.
    if (change->before != NULL) {
        json_object_del(change->row, "object_id");
        json_object_del(change->row, "object_type");
        return check_limit(change, err);
    }
    return check_limit(change, err) != 0 ? -1 : check_app(change, err);
}

const struct resource_hooks throttle_special_hooks = {
    .before_write = check_special,
};

int
throttle_special_forget(struct mutation *m, const char *app_id, struct sl_error *err)
{
    m->touched = true;
    return sl_sql(m->tx, m->arena, forget_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(app_id)),
                  NULL, err);
}
