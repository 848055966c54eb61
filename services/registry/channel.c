// channel.c - what is special about load balance channels: the servers, groups and health check
// that come with one (3.17.1, 3.17.2), and whether its name may change.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/channel.h"

#include "services/registry/commands.h"
#include "services/registry/engine_write.h"

#include <string.h>

#define NAME_FEATURE "vpc_name_modifiable"

static const char open_sql[] = "SELECT port, member_type = 'ecs', to_json(c)::text FROM channel c"
                               " WHERE instance_id = $1 AND id = $2 FOR NO KEY UPDATE";

static const char reply_sql[] =
    "SELECT body::text FROM channel_brief_json WHERE instance_id = $1 AND id = $2";

static const char forget_sql[] = "DELETE FROM quota_usage WHERE instance_id = $1 AND scope = $2"
                                 " AND quota IN ('channel_members', 'channel_groups')";

// A row while names of channels stay as they are: they may change unless that was switched off.
static const char fixed_sql[] =
    "SELECT 1 FROM feature WHERE instance_id = $1 AND name = '" NAME_FEATURE "'"
    " AND NOT (enable AND config = 'on')";

int
channel_open(struct mutation *m, struct channel *ret_channel, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *id = command_path(m->command, "vpc_channel_id");
    if (sl_sql(m->tx, m->arena, open_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(id)), &rows,
               err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_CHANNEL_NOT_FOUND, id);
    }
    *ret_channel = (struct channel){
        .id = id, .port = sl_rows_int(rows, 0, 0), .is_ecs = sl_rows_bool(rows, 0, 1)};
    m->outcome.before = sl_rows_text(rows, 0, 2);
    return 0;
}

int
channel_changed(struct mutation *m, const struct channel *channel, struct sl_error *err)
{
    m->outcome.object_id = channel->id;
    return mutation_touch(m, "channel", channel->id, err);
}

int
channel_count(struct mutation *m, const struct channel *channel, const char *resource,
              int64_t units, struct sl_error *err)
{
    json_t *row = json_pack("{s:s}", "vpc_channel_id", channel->id);
    if (engine_keep(m->arena, row, err) != 0) {
        return -1;
    }
    const struct resource *counted = resource_find(resource, strlen(resource));
    return units == 0 ? 0 : engine_quota(m, counted, row, units, err);
}

const char *
channel_text(struct mutation *m, const json_t *list, struct sl_error *err)
{
    struct sl_str text = {NULL, 0};
    if (engine_dump(m->arena, list, &text, err) != 0) {
        return NULL;
    }
    const char *copy = sl_arena_dupn(m->arena, text.ptr, text.len);
    if (copy == NULL) {
        (void)sl_fail(err, SL_E_INTERNAL);
    }
    return copy;
}

static int
check_name(struct change *change, struct sl_error *err)
{
    struct mutation *m = change->m;
    struct sl_rows *rows = NULL;
    const json_t *name = json_object_get(change->row, "name");
    if (change->before == NULL || name == NULL ||
        json_equal(name, json_object_get(change->before, "name"))) {
        return 0;
    }
    if (sl_sql(m->tx, m->arena, fixed_sql, SL_PARAMS(SL_P_TEXT(m->instance)), &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 0 ? 0 : sl_fail(err, SL_E_FEATURE_UNSUPPORTED, NAME_FEATURE);
}

static int
prepare_channel(struct change *change, struct sl_error *err)
{
    json_t *made = NULL;
    struct channel_health health = {
        .given = json_object_get(change->body, "vpc_health_config"),
        .stored = json_object_get(change->before, "health"),
        .channel = change->id,
        .where = "vpc_health_config.",
    };
    if (check_name(change, err) != 0) {
        return -1;
    }
    if (!json_is_object(health.given)) {
        return 0;
    }
    if (channel_health_prepare(change->m, &health, &made, err) != 0) {
        return -1;
    }
    return json_object_set(change->row, "health", made) == 0 ? 0 : sl_fail(err, SL_E_INTERNAL);
}

// A list that is given replaces what there is, an empty one empties; groups before those in them.
static int
write_parts(struct change *change, struct sl_error *err)
{
    const char *type = json_string_value(json_object_get(change->after, "member_type"));
    struct channel channel = {
        .id = change->id,
        .port = json_integer_value(json_object_get(change->after, "port")),
        .is_ecs = strcmp(type, "ecs") == 0,
    };
    const json_t *groups = json_object_get(change->body, "member_groups");
    const json_t *members = json_object_get(change->body, "members");
    if (json_is_array(groups) &&
        channel_group_put_all(change->m, &channel, groups, true, err) != 0) {
        return -1;
    }
    return json_is_array(members) ? channel_member_put(change->m, &channel, members, true, err) : 0;
}

static int
reply_brief(struct change *change, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct mutation *m = change->m;
    if (sl_sql(m->tx, m->arena, reply_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(change->id)),
               &rows, err) != 0) {
        return -1;
    }
    m->body = sl_str(sl_rows_text(rows, 0, 0));
    return 0;
}

static int
forget_counters(struct change *change, struct sl_error *err)
{
    struct mutation *m = change->m;
    return sl_sql(m->tx, m->arena, forget_sql,
                  SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(change->id)), NULL, err);
}

const struct resource_hooks channel_hooks = {
    .before_write = prepare_channel,
    .after_write = write_parts,
    .reply = reply_brief,
    .after_delete = forget_counters,
};
