// channel_member.c - the servers of a channel: added, replaced, switched on and off
// (3.17.6, 3.17.8, 3.17.10, 3.17.11).
//
// A server is its address: host and port, of which the channel's own is kept as 0, so that it
// follows the channel.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/channel.h"

#include "services/registry/commands.h"
#include "services/registry/engine_write.h"

#include <stdio.h>
#include <string.h>

#define MEMBER_USED 1 // status
#define MEMBER_IDLE 2 //

// Before the servers, as a group that is deleted lets go of its own: one that went after it was
// found would be known by its id alone.
static const char hold_groups_sql[] =
    "SELECT 1 FROM channel_group WHERE instance_id = $1 AND vpc_channel_id = $2 ORDER BY id"
    " FOR KEY SHARE";

static const char remove_sql[] =
    "DELETE FROM channel_member m WHERE m.instance_id = $1 AND m.vpc_channel_id = $2"
    " AND ($4 = '' OR m.member_group_id = (SELECT g.id FROM channel_group g WHERE g.instance_id ="
    " $1 AND g.vpc_channel_id = $2 AND g.member_group_name = $4))"
    " AND NOT EXISTS (SELECT FROM jsonb_to_recordset($3::jsonb) x (host text, port integer)"
    " WHERE x.host = m.host AND x.port = m.port) RETURNING 1";

// What is not said of a server that is there stays; what is made at once keeps its order.
static const char put_sql[] =
    "WITH given AS (SELECT DISTINCT ON (x.host, x.port) x.* FROM jsonb_to_recordset($3::jsonb) x"
    " (at integer, host text, port integer, weight integer, is_backup boolean, status integer,"
    " ecs_id text, ecs_name text, member_group_name text) ORDER BY x.host, x.port, x.at)"
    " INSERT INTO channel_member (instance_id, id, vpc_channel_id, member_group_id, host, port,"
    " weight, is_backup, status, ecs_id, ecs_name, create_time)"
    " SELECT $1, replace(gen_random_uuid()::text, '-', ''), $2,"
    " CASE WHEN n.member_group_name IS NULL THEN o.member_group_id ELSE g.id END, n.host, n.port,"
    " coalesce(n.weight, o.weight, 1), coalesce(n.is_backup, o.is_backup, false),"
    " coalesce(n.status, o.status, 1), n.ecs_id, n.ecs_name, now() + n.at * interval '1 us'"
    " FROM given n LEFT JOIN channel_member o ON o.instance_id = $1 AND o.vpc_channel_id = $2"
    " AND o.host = n.host AND o.port = n.port"
    " LEFT JOIN channel_group g ON g.instance_id = $1 AND g.vpc_channel_id = $2"
    " AND g.member_group_name = n.member_group_name"
    " ON CONFLICT (instance_id, vpc_channel_id, host, port) DO UPDATE SET"
    " member_group_id = excluded.member_group_id, weight = excluded.weight,"
    " is_backup = excluded.is_backup, status = excluded.status, ecs_id = excluded.ecs_id,"
    " ecs_name = excluded.ecs_name RETURNING xmax = 0";

static const char unknown_group_sql[] =
    "SELECT x.at FROM jsonb_to_recordset($3::jsonb) x (at integer, member_group_name text)"
    " WHERE x.member_group_name <> '' AND NOT EXISTS (SELECT FROM channel_group g"
    " WHERE g.instance_id = $1 AND g.vpc_channel_id = $2"
    " AND g.member_group_name = x.member_group_name) ORDER BY x.at LIMIT 1";

static const char group_sql[] = "SELECT 1 FROM channel_group WHERE instance_id = $1"
                                " AND vpc_channel_id = $2 AND member_group_name = $3"
                                " FOR KEY SHARE";

static const char all_sql[] =
    "SELECT jsonb_build_object('total', count(*), 'size', count(*), 'members',"
    " coalesce(jsonb_agg(j.body ORDER BY m.create_time, m.id DESC), '[]'))::text"
    " FROM channel_member m JOIN channel_member_json j ON j.instance_id = m.instance_id"
    " AND j.id = m.id WHERE m.instance_id = $1 AND m.vpc_channel_id = $2";

static const char switch_sql[] =
    "UPDATE channel_member SET status = $4::integer WHERE instance_id = $1 AND vpc_channel_id = $2"
    " AND id = ANY (ARRAY(SELECT jsonb_array_elements_text($3::jsonb))) RETURNING id";

static const char missing_sql[] =
    "SELECT x FROM jsonb_array_elements_text($3::jsonb) x WHERE NOT EXISTS (SELECT"
    " FROM channel_member m WHERE m.instance_id = $1 AND m.vpc_channel_id = $2 AND m.id = x)"
    " LIMIT 1";

static const char *
text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static int
refuse(size_t at, const char *member, enum sl_code code, struct sl_error *err)
{
    char name[SL_ERROR_ARG_MAX];
    snprintf(name, sizeof(name), "members[%zu].%s", at, member);
    return sl_fail(err, code, name);
}

// What says where the server is. Nobody here can be asked for a cloud server's address.
static int
check_address(const struct channel *channel, const json_t *member, size_t at, struct sl_error *err)
{
    static const char *const named[] = {"ecs_id", "ecs_name"};
    for (size_t i = 0; channel->is_ecs && i < SL_COUNT(named); i++) {
        if (text_of(member, named[i])[0] == '\0') {
            return refuse(at, named[i], SL_E_PARAM_MISSING, err);
        }
    }
    if (text_of(member, "host")[0] != '\0') {
        return 0;
    }
    return channel->is_ecs ? sl_fail(err, SL_E_CHANNEL_MEMBER_NOT_FOUND, text_of(member, "ecs_id"))
                           : refuse(at, "host", SL_E_PARAM_MISSING, err);
}

// The member as the statements take it.
static int
add_row(const struct channel *channel, const json_t *member, size_t at, json_t *rows,
        struct sl_error *err)
{
    json_t *row = json_deep_copy(member);
    const char *host = text_of(member, "host");
    json_int_t port = json_integer_value(json_object_get(member, "port"));
    bool is_shared = port == channel->port;
    int rc = json_object_set_new(row, "at", json_integer((json_int_t)at));
    rc |= json_object_set_new(row, "port", json_integer(is_shared ? 0 : port));
    if (!channel->is_ecs) {
        rc |= json_object_set_new(row, "ecs_id", json_string(host));
        rc |= json_object_set_new(row, "ecs_name", json_string(host));
    }
    if (channel->only != NULL) {
        rc |= json_object_set_new(row, "member_group_name", json_string(channel->only));
    }
    return json_array_append_new(rows, row) == 0 && rc == 0 ? 0 : sl_fail(err, SL_E_INTERNAL);
}

// Of another group than the one that is meant.
static bool
is_other(const struct channel *channel, const json_t *member)
{
    const char *group = text_of(member, "member_group_name");
    return channel->only != NULL && group[0] != '\0' && strcmp(group, channel->only) != 0;
}

static int
rows_of(struct mutation *m, const struct channel *channel, const json_t *members, json_t **ret_rows,
        struct sl_error *err)
{
    json_t *rows = json_array();
    if (engine_keep(m->arena, rows, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t *member = json_array_get(members, i);
        if (is_other(channel, member)) {
            continue;
        }
        if (check_address(channel, member, i, err) != 0 ||
            add_row(channel, member, i, rows, err) != 0) {
            return -1;
        }
    }
    *ret_rows = rows;
    return 0;
}

// What the statements of one change answer.
struct answers {
    struct sl_later *removed; // NULL: nothing is
    struct sl_later *put;     //
    struct sl_later *unknown; // a member whose group there is not
};

static int
read_answers(struct mutation *m, const struct channel *channel, const struct answers *answers,
             struct sl_error *err)
{
    struct sl_rows *removed = NULL;
    struct sl_rows *put = NULL;
    struct sl_rows *unknown = NULL;
    int64_t units = 0;
    if ((answers->removed != NULL && sl_sql_rows(answers->removed, &removed, err) != 0) ||
        sl_sql_rows(answers->put, &put, err) != 0 ||
        sl_sql_rows(answers->unknown, &unknown, err) != 0) {
        return -1;
    }
    if (sl_rows_count(unknown) > 0) {
        return refuse((size_t)sl_rows_int(unknown, 0, 0), "member_group_name", SL_E_PARAM_INVALID,
                      err);
    }
    for (size_t i = 0; i < sl_rows_count(put); i++) {
        units += sl_rows_bool(put, i, 0) ? 1 : 0;
    }
    if (removed != NULL) {
        units -= (int64_t)sl_rows_count(removed);
    }
    return channel_count(m, channel, "channel_member", units, err);
}

int
channel_member_put(struct mutation *m, const struct channel *channel, const json_t *members,
                   bool replace, struct sl_error *err)
{
    json_t *rows = NULL;
    struct answers answers = {.removed = NULL};
    if (rows_of(m, channel, members, &rows, err) != 0) {
        return -1;
    }
    const char *text = channel_text(m, rows, err);
    if (text == NULL) {
        return -1;
    }
    const char *only = channel->only != NULL ? channel->only : "";
    struct sl_params all =
        SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(channel->id), SL_P_TEXT(text), SL_P_TEXT(only));
    struct sl_params given =
        SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(channel->id), SL_P_TEXT(text));
    struct sl_params own = SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(channel->id));
    if (sl_sql_later(m->tx, m->arena, hold_groups_sql, own, NULL, err) != 0 ||
        (replace && sl_sql_later(m->tx, m->arena, remove_sql, all, &answers.removed, err) != 0) ||
        sl_sql_later(m->tx, m->arena, put_sql, given, &answers.put, err) != 0 ||
        sl_sql_later(m->tx, m->arena, unknown_group_sql, given, &answers.unknown, err) != 0) {
        return -1;
    }
    return read_answers(m, channel, &answers, err);
}

// The group whose servers alone are replaced, where one is named.
static int
read_group(struct mutation *m, struct channel *channel, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *name = text_of(m->command->body, "member_group_name");
    if (name[0] == '\0') {
        return 0;
    }
    channel->only = name;
    if (sl_sql(m->tx, m->arena, group_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(channel->id), SL_P_TEXT(name)), &rows,
               err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) > 0 ? 0 : sl_fail(err, SL_E_PARAM_INVALID, "member_group_name");
}

static int
reply_all(struct mutation *m, const struct channel *channel, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, all_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(channel->id)),
               &rows, err) != 0) {
        return -1;
    }
    m->outcome.after = sl_rows_text(rows, 0, 0);
    m->body = sl_str(m->outcome.after);
    return channel_changed(m, channel, err);
}

static int
put_work(struct mutation *m, bool replace, struct sl_error *err)
{
    struct channel channel = {.id = NULL};
    const json_t *members = json_object_get(m->command->body, "members");
    if (channel_open(m, &channel, err) != 0 || (replace && read_group(m, &channel, err) != 0)) {
        return -1;
    }
    if (json_is_array(members) && channel_member_put(m, &channel, members, replace, err) != 0) {
        return -1;
    }
    return reply_all(m, &channel, err);
}

static int
add_work(struct mutation *m, struct sl_error *err)
{
    return put_work(m, false, err);
}

static int
replace_work(struct mutation *m, struct sl_error *err)
{
    return put_work(m, true, err);
}

int
channel_member_add(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, add_work, err);
}

int
channel_member_replace(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, replace_work, err);
}

// All that are named, or none.
static int
switch_work(struct mutation *m, int status, struct sl_error *err)
{
    struct channel channel = {.id = NULL};
    struct sl_later *missing = NULL;
    struct sl_rows *rows = NULL;
    const json_t *ids = json_object_get(m->command->body, "member_ids");
    if (channel_open(m, &channel, err) != 0 || !json_is_array(ids)) {
        return channel.id == NULL ? -1 : channel_changed(m, &channel, err);
    }
    const char *text = channel_text(m, ids, err);
    if (text == NULL) {
        return -1;
    }
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(channel.id), SL_P_TEXT(text));
    struct sl_params with =
        SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(channel.id), SL_P_TEXT(text), SL_P_INT(status));
    struct sl_params own = SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(channel.id));
    if (sl_sql_later(m->tx, m->arena, hold_groups_sql, own, NULL, err) != 0 ||
        sl_sql_later(m->tx, m->arena, missing_sql, params, &missing, err) != 0 ||
        sl_sql(m->tx, m->arena, switch_sql, with, NULL, err) != 0 ||
        sl_sql_rows(missing, &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 0
               ? channel_changed(m, &channel, err)
               : sl_fail(err, SL_E_CHANNEL_MEMBER_NOT_FOUND, sl_rows_text(rows, 0, 0));
}

static int
enable_work(struct mutation *m, struct sl_error *err)
{
    return switch_work(m, MEMBER_USED, err);
}

static int
disable_work(struct mutation *m, struct sl_error *err)
{
    return switch_work(m, MEMBER_IDLE, err);
}

int
channel_member_enable(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, enable_work, err);
}

int
channel_member_disable(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, disable_work, err);
}
