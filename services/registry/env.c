// env.c - what is special about environments: RELEASE is fixed, a new name reaches the runtime.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include <string.h>

// The runtime entry of a published API carries the environment's name.
static const char touch_sql[] =
    "INSERT INTO runtime_change (gateway_id, kind, key)"
    " SELECT instance_id, 'api', publish_id FROM publication"
    " WHERE instance_id = $1 AND env_id = $2 AND version_id IS NOT NULL";

// What hangs on the environment without being online; an online publication stays and violates its
// foreign key.
static const char offline_sql[] =
    "DELETE FROM publication WHERE instance_id = $1 AND env_id = $2 AND version_id IS NULL";

static bool
is_release(const char *id)
{
    return strcmp(id, ENV_RELEASE_ID) == 0;
}

static bool
has_new_name(const struct change *change)
{
    const json_t *name = json_object_get(change->row, "name");
    return name != NULL && json_equal(name, json_object_get(change->before, "name")) == 0;
}

static int
keep_release(struct change *change, struct sl_error *err)
{
    if (change->before != NULL && is_release(change->id) && has_new_name(change)) {
        return sl_fail(err, SL_E_ENV_FIXED);
    }
    return 0;
}

static int
republish_renamed(struct change *change, struct sl_error *err)
{
    struct mutation *m = change->m;
    if (change->before == NULL || !has_new_name(change)) {
        return 0;
    }
    m->touched = true;
    return sl_sql(m->tx, m->arena, touch_sql,
                  SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(change->id)), NULL, err);
}

static int
remove_offline(struct change *change, struct sl_error *err)
{
    struct mutation *m = change->m;
    if (is_release(change->id)) {
        return sl_fail(err, SL_E_ENV_FIXED);
    }
    struct sl_params params = SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(change->id));
    if (sl_sql(m->tx, m->arena, offline_sql, params, NULL, err) != 0) {
        return -1;
    }
    return app_auth_forget(m, "env_id", change->id, err);
}

const struct resource_hooks env_hooks = {
    .before_write = keep_release,
    .after_write = republish_renamed,
    .before_delete = remove_offline,
};
