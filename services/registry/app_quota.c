// app_quota.c - what is special about quotas of apps: their time, and which app has which (3.29.7,
// 3.28.13).
//
// An app has one quota: giving it another replaces the first. A quota stands in the entries of its
// apps, which a change of it republishes.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include "services/registry/engine_write.h"

#include <string.h>
#include <time.h>

static const char quota_sql[] =
    "SELECT 1 FROM app_quota WHERE instance_id = $1 AND id = $2 FOR KEY SHARE";

static const char missing_sql[] = COMMAND_MISSING_SQL("app");

// In order of the apps, so that two commands lock them in the same order.
static const char bind_sql[] =
    "INSERT INTO app_quota_app AS b (instance_id, app_id, app_quota_id)"
    " SELECT $1, x, $3 FROM (SELECT DISTINCT x FROM jsonb_array_elements_text($2::jsonb) x) y"
    " ORDER BY x ON CONFLICT (instance_id, app_id) DO UPDATE"
    " SET app_quota_id = excluded.app_quota_id, bound_time = now()"
    " WHERE b.app_quota_id <> excluded.app_quota_id RETURNING app_id";

static const char bound_sql[] =
    "SELECT jsonb_build_object('applies', jsonb_agg(jsonb_build_object('app_id', b.app_id,"
    " 'app_quota_id', b.app_quota_id, 'bound_time', api_time(b.bound_time)) ORDER BY x.n))::text"
    " FROM (SELECT id, min(n) AS n FROM jsonb_array_elements_text($2::jsonb) WITH ORDINALITY y"
    " (id, n) GROUP BY id) x JOIN app_quota_app b ON b.instance_id = $1 AND b.app_id = x.id";

static const char touch_sql[] =
    "INSERT INTO runtime_change (gateway_id, kind, key)"
    " SELECT $1, 'app', app_id FROM app_quota_app WHERE instance_id = $1 AND app_quota_id = $2";

static const char of_app_sql[] =
    "SELECT coalesce(q.body, '{}')::text FROM app a"
    " LEFT JOIN app_quota_app b ON b.instance_id = a.instance_id AND b.app_id = a.id"
    " LEFT JOIN app_quota_json q ON q.instance_id = b.instance_id AND q.id = b.app_quota_id"
    " WHERE a.instance_id = $1 AND a.id = $2";

// Whether there is such a second since 1970; the contract has seen to the form.
static bool
is_time(const char *text)
{
    struct tm given = {0};
    if (strptime(text, "%Y-%m-%d %H:%M:%S", &given) == NULL) {
        return false;
    }
    struct tm real = given;
    return timegm(&real) >= 0 && real.tm_mday == given.tm_mday && real.tm_sec == given.tm_sec &&
           real.tm_hour == given.tm_hour;
}

// An empty time takes it away. What follows a time says UTC, as all of them are.
static int
read_reset_time(struct change *change, struct sl_error *err)
{
    const char *text = json_string_value(json_object_get(change->row, "reset_time"));
    if (text == NULL) {
        return 0;
    }
    if (text[0] == '\0') {
        json_object_set_new(change->row, "reset_time", json_null());
        return 0;
    }
    if (!is_time(text)) {
        return sl_fail(err, SL_E_PARAM_INVALID, "reset_time");
    }
    json_object_set_new(change->row, "reset_time",
                        json_stringn(text, strlen("2020-09-20 00:00:00")));
    return 0;
}

static int
check_quota(struct change *change, struct sl_error *err)
{
    return read_reset_time(change, err) != 0 ? -1 : throttle_check_window(change, err);
}

static int
touch_apps(struct change *change, struct sl_error *err)
{
    struct mutation *m = change->m;
    m->touched = true;
    return sl_sql(m->tx, m->arena, touch_sql,
                  SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(change->id)), NULL, err);
}

const struct resource_hooks app_quota_hooks = {
    .before_write = check_quota,
    .after_write = touch_apps,
    .before_delete = touch_apps,
};

// Refuses a quota, or one of the apps, that does not exist.
static int
check_pair(struct mutation *m, const char *quota, const char *ids, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, quota_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(quota)),
               &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_QUOTA_UNKNOWN, quota);
    }
    if (sl_sql(m->tx, m->arena, missing_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(ids)),
               &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 0 ? 0 : sl_fail(err, SL_E_APP_UNKNOWN, sl_rows_text(rows, 0, 0));
}

static int
bind_all(struct mutation *m, const char *quota, const char *ids, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, bind_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(ids), SL_P_TEXT(quota)), &rows,
               err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        if (mutation_touch(m, "app", sl_rows_text(rows, i, 0), err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
bind_work(struct mutation *m, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_str list = {NULL, 0};
    const char *quota = command_path(m->command, "app_quota_id");
    if (engine_dump(m->arena, json_object_get(m->command->body, "app_ids"), &list, err) != 0) {
        return -1;
    }
    const char *ids = sl_arena_dupn(m->arena, list.ptr, list.len);
    if (sl_arena_check(m->arena, err) != 0 || check_pair(m, quota, ids, err) != 0 ||
        bind_all(m, quota, ids, err) != 0 ||
        sl_sql(m->tx, m->arena, bound_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(ids)), &rows,
               err) != 0) {
        return -1;
    }
    m->outcome.object_id = quota;
    m->outcome.after = sl_rows_text(rows, 0, 0);
    m->body = sl_str(m->outcome.after);
    return 0;
}

int
app_quota_bind(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, bind_work, err);
}

static int
of_app_work(struct mutation *m, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *app = command_path(m->command, "app_id");
    if (sl_sql(m->tx, m->arena, of_app_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(app)),
               &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_APP_NOT_FOUND, app);
    }
    m->body = sl_str(sl_rows_text(rows, 0, 0));
    return 0;
}

int
app_quota_of_app(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, of_app_work, err);
}
