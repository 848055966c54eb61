// channel_group.c - the groups that a channel's servers are in (3.17.13).
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/channel.h"

#include "services/registry/commands.h"

static const char remove_sql[] =
    "DELETE FROM channel_group g WHERE g.instance_id = $1 AND g.vpc_channel_id = $2"
    " AND NOT EXISTS (SELECT FROM jsonb_to_recordset($3::jsonb) x (member_group_name text)"
    " WHERE x.member_group_name = g.member_group_name) RETURNING 1";

// The first of a name counts; what is not said of one that is there stays.
static const char put_sql[] =
    "WITH given AS (SELECT DISTINCT ON (x ->> 'member_group_name') x, n"
    " FROM jsonb_array_elements($3::jsonb) WITH ORDINALITY y (x, n)"
    " ORDER BY x ->> 'member_group_name', n)"
    " INSERT INTO channel_group AS g (instance_id, id, vpc_channel_id, member_group_name,"
    " member_group_remark, member_group_weight, create_time)"
    " SELECT $1, replace(gen_random_uuid()::text, '-', ''), $2, x ->> 'member_group_name',"
    " x ->> 'member_group_remark', (x ->> 'member_group_weight')::integer,"
    " now() + n * interval '1 us' FROM given ORDER BY n"
    " ON CONFLICT (instance_id, vpc_channel_id, member_group_name) DO UPDATE SET"
    " member_group_remark = coalesce(excluded.member_group_remark, g.member_group_remark),"
    " member_group_weight = coalesce(excluded.member_group_weight, g.member_group_weight),"
    " update_time = now() RETURNING xmax = 0";

static const char all_sql[] =
    "SELECT jsonb_build_object('total', count(*), 'size', count(*), 'member_groups',"
    " coalesce(jsonb_agg(j.body ORDER BY g.create_time, g.id DESC), '[]'))::text"
    " FROM channel_group g JOIN channel_group_json j ON j.instance_id = g.instance_id"
    " AND j.id = g.id WHERE g.instance_id = $1 AND g.vpc_channel_id = $2";

int
channel_group_put_all(struct mutation *m, const struct channel *channel, const json_t *groups,
                      bool replace, struct sl_error *err)
{
    struct sl_rows *removed = NULL;
    struct sl_rows *put = NULL;
    const char *text = channel_text(m, groups, err);
    if (text == NULL) {
        return -1;
    }
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(channel->id), SL_P_TEXT(text));
    if ((replace && sl_sql(m->tx, m->arena, remove_sql, params, &removed, err) != 0) ||
        sl_sql(m->tx, m->arena, put_sql, params, &put, err) != 0) {
        return -1;
    }
    int64_t units = replace ? -(int64_t)sl_rows_count(removed) : 0;
    for (size_t i = 0; i < sl_rows_count(put); i++) {
        units += sl_rows_bool(put, i, 0) ? 1 : 0;
    }
    return channel_count(m, channel, "channel_group", units, err);
}

static int
put_work(struct mutation *m, struct sl_error *err)
{
    struct channel channel = {.id = NULL};
    struct sl_rows *rows = NULL;
    const json_t *groups = json_object_get(m->command->body, "member_groups");
    if (channel_open(m, &channel, err) != 0 ||
        (json_is_array(groups) && channel_group_put_all(m, &channel, groups, false, err) != 0) ||
        sl_sql(m->tx, m->arena, all_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(channel.id)),
               &rows, err) != 0) {
        return -1;
    }
    m->outcome.after = sl_rows_text(rows, 0, 0);
    m->body = sl_str(m->outcome.after);
    return channel_changed(m, &channel, err);
}

int
channel_group_put(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, put_work, err);
}
