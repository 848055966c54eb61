// throttle_binding.c - 3.8.1: binding a policy to published APIs.
//
// A publication has one policy: binding another one replaces it, in the same record.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

static const char policy_sql[] =
    "SELECT 1 FROM throttle WHERE instance_id = $1 AND id = $2 FOR KEY SHARE";

static const char missing_sql[] =
    "SELECT x FROM jsonb_array_elements_text($2::jsonb) x WHERE NOT EXISTS"
    " (SELECT FROM publication WHERE instance_id = $1 AND publish_id = x"
    " AND version_id IS NOT NULL) LIMIT 1";

// In order of the publications, so that two commands lock them in the same order.
static const char bind_sql[] =
    "INSERT INTO throttle_binding AS b (instance_id, id, throttle_id, publish_id)"
    " SELECT $1, replace(gen_random_uuid()::text, '-', ''), $3, x"
    " FROM (SELECT DISTINCT x FROM jsonb_array_elements_text($2::jsonb) x) y ORDER BY x"
    " ON CONFLICT ON CONSTRAINT throttle_binding_publication_key DO UPDATE"
    " SET throttle_id = excluded.throttle_id, apply_time = now()"
    " WHERE b.throttle_id <> excluded.throttle_id RETURNING publish_id";

static const char result_sql[] =
    "SELECT jsonb_build_object('throttle_applys', coalesce(jsonb_agg(v.body ORDER BY x.n), '[]'))"
    "::text FROM jsonb_array_elements_text($2::jsonb) WITH ORDINALITY x (id, n)"
    " JOIN throttle_binding b ON b.instance_id = $1 AND b.publish_id = x.id"
    " JOIN throttle_binding_json v ON v.instance_id = b.instance_id AND v.id = b.id";

static int
check_policy(struct mutation *m, const char *policy, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_params params = SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(policy));
    if (sl_sql(m->tx, m->arena, policy_sql, params, &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 1 ? 0 : sl_fail(err, SL_E_THROTTLE_NOT_FOUND, policy);
}

static int
check_publications(struct mutation *m, const char *ids, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_params params = SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(ids));
    if (sl_sql(m->tx, m->arena, missing_sql, params, &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 0
               ? 0
               : sl_fail(err, SL_E_PUBLICATION_NOT_FOUND, sl_rows_text(rows, 0, 0));
}

static int
bind_all(struct mutation *m, const char *policy, const char *ids, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, bind_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(ids), SL_P_TEXT(policy)), &rows,
               err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        if (mutation_touch(m, "api", sl_rows_text(rows, i, 0), err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
create_work(struct mutation *m, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_str list = {NULL, 0};
    const char *policy = json_string_value(json_object_get(m->command->body, "strategy_id"));
    if (engine_dump(m->arena, json_object_get(m->command->body, "publish_ids"), &list, err) != 0) {
        return -1;
    }
    const char *ids = sl_arena_dupn(m->arena, list.ptr, list.len);
    if (check_policy(m, policy, err) != 0 || check_publications(m, ids, err) != 0 ||
        bind_all(m, policy, ids, err) != 0 ||
        sl_sql(m->tx, m->arena, result_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(ids)),
               &rows, err) != 0) {
        return -1;
    }
    m->outcome.object_id = policy;
    m->outcome.after = sl_rows_text(rows, 0, 0);
    m->body = sl_str(m->outcome.after);
    return 0;
}

int
throttle_binding_create(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, create_work, err);
}
