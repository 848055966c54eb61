// app_auth.c - 3.10.1: authorising apps for published APIs, a result a pair.
//
// Unknown apps, APIs or environments refuse the whole command. A pair whose API is not online in
// the environment fails alone; one that was authorised before is skipped. While app_route is on, an
// app has one API a method and path in an environment: another one fails, too.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include "services/registry/engine_write.h"

#include <stdio.h>
#include <string.h>

static const char env_sql[] =
    "SELECT id FROM environment WHERE instance_id = $1 AND id = $2 FOR KEY SHARE";

static const char missing_app_sql[] = COMMAND_MISSING_SQL("app");
static const char missing_api_sql[] = COMMAND_MISSING_SQL("api");

// A pair that is there stays as it is, and stays until this command ends: its row is locked, though
// nothing is changed. A plain DO NOTHING lets another command delete it before it is answered for.
#define KEEP_SQL                                                                                   \
    " ON CONFLICT ON CONSTRAINT app_auth_pair_key DO UPDATE SET auth_time = app_auth.auth_time"    \
    " WHERE false RETURNING id, app_id"

static const char insert_sql[] =
    "INSERT INTO app_auth (instance_id, id, app_id, api_id, env_id)"
    " SELECT $1, replace(gen_random_uuid()::text, '-', ''), p.x, u.api_id, $4"
    " FROM (SELECT DISTINCT x FROM jsonb_array_elements_text($2::jsonb) x) p"
    " CROSS JOIN (SELECT DISTINCT x FROM jsonb_array_elements_text($3::jsonb) x) a"
    " JOIN publication u ON u.instance_id = $1 AND u.api_id = a.x AND u.env_id = $4"
    " AND u.version_id IS NOT NULL ORDER BY p.x, u.api_id" KEEP_SQL;

static const char is_routed_sql[] =
    "SELECT 1 FROM feature WHERE instance_id = $1 AND name = 'app_route' AND enable"
    " AND config = 'on'";

// Authorisations of one app wait for each other.
static const char lock_sql[] =
    "SELECT id FROM app WHERE instance_id = $1 AND id = ANY (ARRAY"
    " (SELECT jsonb_array_elements_text($2::jsonb))) ORDER BY id FOR NO KEY UPDATE";

// insert_sql less what clashes with what an app has, or with what stands before it in the list. An
// API that is offline holds its place with what it would be published as.
static const char routed_sql[] =
    "WITH app AS (SELECT DISTINCT x AS id FROM jsonb_array_elements_text($2::jsonb) x),"
    " wanted AS MATERIALIZED (SELECT u.api_id, v.definition ->> 'req_method' AS method,"
    " v.definition ->> 'req_uri_shape' AS shape, min(a.n) AS n"
    " FROM jsonb_array_elements_text($3::jsonb) WITH ORDINALITY a (x, n)"
    " JOIN publication u ON u.instance_id = $1 AND u.api_id = a.x AND u.env_id = $4"
    " JOIN api_version v ON v.instance_id = u.instance_id AND v.version_id = u.version_id"
    " GROUP BY 1, 2, 3),"
    " taken AS MATERIALIZED (SELECT t.app_id, t.api_id,"
    " coalesce(v.definition ->> 'req_method', b.req_method) AS method,"
    " coalesce(v.definition ->> 'req_uri_shape', b.req_uri_shape) AS shape"
    " FROM app_auth t JOIN app ON app.id = t.app_id"
    " JOIN api b ON b.instance_id = t.instance_id AND b.id = t.api_id"
    " LEFT JOIN publication u ON u.instance_id = t.instance_id AND u.api_id = t.api_id"
    " AND u.env_id = t.env_id"
    " LEFT JOIN api_version v ON v.instance_id = u.instance_id AND v.version_id = u.version_id"
    " WHERE t.instance_id = $1 AND t.env_id = $4)"
    " INSERT INTO app_auth (instance_id, id, app_id, api_id, env_id)"
    " SELECT $1, replace(gen_random_uuid()::text, '-', ''), app.id, w.api_id, $4"
    " FROM app CROSS JOIN wanted w WHERE NOT EXISTS (SELECT FROM wanted o"
    " WHERE o.method = w.method AND o.shape = w.shape AND o.n < w.n)"
    " AND NOT EXISTS (SELECT FROM taken t WHERE t.app_id = app.id AND t.api_id <> w.api_id"
    " AND t.method = w.method AND t.shape = w.shape) ORDER BY app.id, w.api_id" KEEP_SQL;

// $5 the ids just made; code and text for pairs that have none: $6 and $7 where the API is not
// online, else $8 and $9.
static const char result_sql[] =
    "SELECT jsonb_build_object('auths', jsonb_agg(CASE WHEN u.id IS NULL THEN"
    " jsonb_build_object('api_id', a.id, 'app_id', p.id, 'auth_result',"
    " jsonb_build_object('status', 'FAILED',"
    " 'error_code', CASE WHEN o.api_id IS NULL THEN $6::text ELSE $8::text END,"
    " 'error_msg', CASE WHEN o.api_id IS NULL THEN $7::text ELSE $9::text END,"
    " 'api_name', a.name, 'app_name', p.name))"
    " ELSE v.body || jsonb_build_object('auth_result', jsonb_build_object('status',"
    " CASE WHEN $5::jsonb ? u.id THEN 'SUCCESS' ELSE 'SKIPPED' END)) END ORDER BY x.n, y.n))::text"
    " FROM jsonb_array_elements_text($3::jsonb) WITH ORDINALITY x (id, n)"
    " JOIN api a ON a.instance_id = $1 AND a.id = x.id"
    " CROSS JOIN jsonb_array_elements_text($2::jsonb) WITH ORDINALITY y (id, n)"
    " JOIN app p ON p.instance_id = $1 AND p.id = y.id"
    " LEFT JOIN app_auth u ON u.instance_id = $1 AND u.app_id = p.id AND u.api_id = a.id"
    " AND u.env_id = $4"
    " LEFT JOIN publication o ON o.instance_id = $1 AND o.api_id = a.id AND o.env_id = $4"
    " AND o.version_id IS NOT NULL"
    " LEFT JOIN app_auth_json v ON v.instance_id = u.instance_id AND v.id = u.id";

#define FORGET_SQL(column)                                                                         \
    "WITH gone AS (DELETE FROM app_auth WHERE instance_id = $1 AND " column " = $2"                \
    " RETURNING app_id), n AS (SELECT app_id, count(*)::integer AS n FROM gone GROUP BY app_id),"  \
    " touched AS (INSERT INTO runtime_change (gateway_id, kind, key)"                              \
    " SELECT $1, 'app', app_id FROM n)"                                                            \
    " UPDATE quota_usage q SET used = greatest(q.used - n.n, 0) FROM n"                            \
    " WHERE q.instance_id = $1 AND q.quota = 'app_apis' AND q.scope = n.app_id"

static const char forget_api_sql[] = FORGET_SQL("api_id");
static const char forget_env_sql[] = FORGET_SQL("env_id");

// The command's lists as PostgreSQL takes them.
struct pairs {
    const char *apps; // JSON array of ids
    const char *apis; // JSON array of ids
    const char *env;  // id
};

static int
list_text(struct mutation *m, const char *field, const char **ret_text, struct sl_error *err)
{
    struct sl_str text = {NULL, 0};
    if (engine_dump(m->arena, json_object_get(m->command->body, field), &text, err) != 0) {
        return -1;
    }
    *ret_text = sl_arena_dupn(m->arena, text.ptr, text.len);
    return sl_arena_check(m->arena, err);
}

static int
refuse_missing(struct mutation *m, const char *sql, const char *ids, enum sl_code refuse,
               struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_params params = SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(ids));
    if (sl_sql(m->tx, m->arena, sql, params, &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 0 ? 0 : sl_fail(err, refuse, sl_rows_text(rows, 0, 0));
}

static int
read_pairs(struct mutation *m, struct pairs *ret_pairs, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    ret_pairs->env = json_string_value(json_object_get(m->command->body, "env_id"));
    if (list_text(m, "app_ids", &ret_pairs->apps, err) != 0 ||
        list_text(m, "api_ids", &ret_pairs->apis, err) != 0 ||
        sl_sql(m->tx, m->arena, env_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(ret_pairs->env)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_ENV_NOT_FOUND, ret_pairs->env);
    }
    if (refuse_missing(m, missing_app_sql, ret_pairs->apps, SL_E_APP_UNKNOWN, err) != 0) {
        return -1;
    }
    return refuse_missing(m, missing_api_sql, ret_pairs->apis, SL_E_API_NOT_FOUND, err);
}

// How many of the new records (id, app_id) are of this app.
static int64_t
count_of_app(const struct sl_rows *made, const char *app)
{
    int64_t count = 0;
    for (size_t i = 0; i < sl_rows_count(made); i++) {
        count += strcmp(sl_rows_text(made, i, 1), app) == 0 ? 1 : 0;
    }
    return count;
}

// Republishes each app that got something and takes its quota.
static int
settle_apps(struct mutation *m, const struct sl_rows *made, struct sl_error *err)
{
    const struct resource *resource = resource_find("app_auth", strlen("app_auth"));
    json_t *apps = json_object_get(m->command->body, "app_ids");
    json_t *row = json_object();
    size_t at = 0;
    json_t *app = NULL;
    if (engine_keep(m->arena, row, err) != 0) {
        return -1;
    }
    json_array_foreach(apps, at, app)
    {
        int64_t count = count_of_app(made, json_string_value(app));
        if (count == 0) {
            continue;
        }
        json_object_set(row, "app_id", app);
        if (engine_touch(m, resource, row, err) != 0 ||
            engine_quota(m, resource, row, count, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
made_ids(struct mutation *m, const struct sl_rows *made, const char **ret_text,
         struct sl_error *err)
{
    struct sl_str text = {NULL, 0};
    json_t *ids = json_array();
    if (engine_keep(m->arena, ids, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sl_rows_count(made); i++) {
        json_array_append_new(ids, json_string(sl_rows_text(made, i, 0)));
    }
    if (engine_dump(m->arena, ids, &text, err) != 0) {
        return -1;
    }
    *ret_text = sl_arena_dupn(m->arena, text.ptr, text.len);
    return sl_arena_check(m->arena, err);
}

// Makes the records (id, app_id) that are new and may be.
static int
insert_pairs(struct mutation *m, const struct pairs *pairs, struct sl_rows **ret_made,
             struct sl_error *err)
{
    struct sl_param list[] = {SL_P_TEXT(m->instance), SL_P_TEXT(pairs->apps),
                              SL_P_TEXT(pairs->apis), SL_P_TEXT(pairs->env)};
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, is_routed_sql, (struct sl_params){list, 1}, &rows, err) != 0) {
        return -1;
    }
    bool is_routed = sl_rows_count(rows) > 0;
    if (is_routed &&
        sl_sql(m->tx, m->arena, lock_sql, (struct sl_params){list, 2}, &rows, err) != 0) {
        return -1;
    }
    return sl_sql(m->tx, m->arena, is_routed ? routed_sql : insert_sql,
                  (struct sl_params){list, SL_COUNT(list)}, ret_made, err);
}

static int
create_work(struct mutation *m, struct sl_error *err)
{
    struct pairs pairs = {0};
    struct sl_rows *rows = NULL;
    const char *ids = NULL;
    char not_online[SL_ERROR_ARG_MAX];
    char taken[SL_ERROR_ARG_MAX];
    struct sl_error offline = {.code = SL_E_PUBLICATION_NOT_FOUND};
    struct sl_error clash = {.code = SL_E_APP_AUTH_EXISTS};
    if (read_pairs(m, &pairs, err) != 0 || insert_pairs(m, &pairs, &rows, err) != 0 ||
        settle_apps(m, rows, err) != 0 || made_ids(m, rows, &ids, err) != 0) {
        return -1;
    }
    sl_error_message(&offline, not_online, sizeof(not_online));
    sl_error_message(&clash, taken, sizeof(taken));
    if (sl_sql(m->tx, m->arena, result_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(pairs.apps), SL_P_TEXT(pairs.apis),
                         SL_P_TEXT(pairs.env), SL_P_TEXT(ids),
                         SL_P_TEXT(sl_error_wire(offline.code)), SL_P_TEXT(not_online),
                         SL_P_TEXT(sl_error_wire(clash.code)), SL_P_TEXT(taken)),
               &rows, err) != 0) {
        return -1;
    }
    m->outcome.object_id = pairs.env;
    m->outcome.after = sl_rows_text(rows, 0, 0);
    m->body = sl_str(m->outcome.after);
    return 0;
}

int
app_auth_create(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, create_work, err);
}

int
app_auth_forget(struct mutation *m, const char *column, const char *id, struct sl_error *err)
{
    const char *sql = strcmp(column, "api_id") == 0 ? forget_api_sql : forget_env_sql;
    m->touched = true;
    return sl_sql(m->tx, m->arena, sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(id)), NULL,
                  err);
}
