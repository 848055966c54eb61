// env_variable.c - what is special about variables: a change republishes the APIs that use them.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

// The APIs of the group that are online in the environment and hold #name#.
static const char touch_sql[] =
    "INSERT INTO runtime_change (gateway_id, kind, key)"
    " SELECT p.instance_id, 'api', p.publish_id FROM publication p"
    " JOIN api_version v ON v.instance_id = p.instance_id AND v.version_id = p.version_id"
    " WHERE p.instance_id = $1 AND p.env_id = $3 AND v.definition ->> 'group_id' = $2"
    " AND strpos(v.definition::text, '#' || $4 || '#') > 0";

static int
republish_users(struct change *change, const json_t *row, struct sl_error *err)
{
    struct mutation *m = change->m;
    const char *group = json_string_value(json_object_get(row, "group_id"));
    const char *env = json_string_value(json_object_get(row, "env_id"));
    const char *name = json_string_value(json_object_get(row, "variable_name"));
    m->touched = true;
    return sl_sql(
        m->tx, m->arena, touch_sql,
        SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(group), SL_P_TEXT(env), SL_P_TEXT(name)), NULL,
        err);
}

static int
republish_after(struct change *change, struct sl_error *err)
{
    return republish_users(change, change->after, err);
}

static int
republish_before(struct change *change, struct sl_error *err)
{
    return republish_users(change, change->before, err);
}

const struct resource_hooks env_variable_hooks = {
    .after_write = republish_after,
    .before_delete = republish_before,
};
