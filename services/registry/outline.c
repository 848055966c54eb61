// outline.c - 3.11 and 3.20.1: what a gateway holds, counted; the labels of its APIs.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

static const char apis_sql[] =
    "SELECT jsonb_build_object('instance_num', count(*), 'nums_on_release', count(p.api_id),"
    " 'nums_off_release', count(*) - count(p.api_id))::text FROM api a"
    " LEFT JOIN publication p ON p.instance_id = a.instance_id AND p.api_id = a.id"
    " AND p.env_id = '" ENV_RELEASE_ID "' AND p.version_id IS NOT NULL WHERE a.instance_id = $1";

// No shop belongs to a gateway of one's own: all groups count as offered.
static const char groups_sql[] =
    "SELECT jsonb_build_object('onsell_nums', count(*), 'offsell_nums', 0)::text"
    " FROM api_group WHERE instance_id = $1";

static const char apps_sql[] =
    "SELECT jsonb_build_object('authed_nums', count(*) FILTER (WHERE x.authed),"
    " 'unauthed_nums', count(*) FILTER (WHERE NOT x.authed))::text FROM (SELECT EXISTS (SELECT"
    " FROM app_auth u WHERE u.instance_id = a.instance_id AND u.app_id = a.id) AS authed"
    " FROM app a WHERE a.instance_id = $1) x";

static const char tags_sql[] =
    "WITH tag AS MATERIALIZED (SELECT DISTINCT x.tag FROM api a"
    " CROSS JOIN jsonb_array_elements_text(a.tags) x (tag)"
    " WHERE a.instance_id = $1 AND jsonb_typeof(a.tags) = 'array'),"
    " page AS (SELECT tag FROM tag ORDER BY tag COLLATE \"C\" LIMIT $2::bigint"
    " OFFSET $3::bigint)"
    " SELECT jsonb_build_object('total', (SELECT count(*) FROM tag), 'size', count(*),"
    " 'tags', coalesce(jsonb_agg(tag ORDER BY tag COLLATE \"C\"), '[]'))::text FROM page";

static int
answer(struct mutation *m, const char *sql, struct sl_params params, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, sql, params, &rows, err) != 0) {
        return -1;
    }
    m->body = sl_str(sl_rows_text(rows, 0, 0));
    return 0;
}

static int
apis_work(struct mutation *m, struct sl_error *err)
{
    return answer(m, apis_sql, SL_PARAMS(SL_P_TEXT(m->instance)), err);
}

static int
groups_work(struct mutation *m, struct sl_error *err)
{
    return answer(m, groups_sql, SL_PARAMS(SL_P_TEXT(m->instance)), err);
}

static int
apps_work(struct mutation *m, struct sl_error *err)
{
    return answer(m, apps_sql, SL_PARAMS(SL_P_TEXT(m->instance)), err);
}

static int
tags_work(struct mutation *m, struct sl_error *err)
{
    struct sl_params params = SL_PARAMS(SL_P_TEXT(m->instance), SL_P_INT(engine_limit(m->command)),
                                        SL_P_INT(engine_offset(m->command)));
    return answer(m, tags_sql, params, err);
}

int
outline_apis(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, apis_work, err);
}

int
outline_groups(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, groups_work, err);
}

int
outline_apps(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, apps_work, err);
}

int
tag_list(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, tags_work, err);
}
