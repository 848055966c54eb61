// group.c - what is special about groups: the debugging domain, whether it routes, the group
// DEFAULT, the name check.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include "services/registry/engine_write.h"

static const char suffix_sql[] = "SELECT domain_suffix FROM instance WHERE id = $1";

static const char name_sql[] =
    "SELECT 1 FROM api_group WHERE instance_id = $1 AND name = $2 LIMIT 1";

static int
name_domain(struct change *change, struct sl_error *err)
{
    struct mutation *m = change->m;
    struct sl_rows *rows = NULL;
    if (change->before != NULL) {
        return 0;
    }
    if (sl_sql(m->tx, m->arena, suffix_sql, SL_PARAMS(SL_P_TEXT(m->instance)), &rows, err) != 0) {
        return -1;
    }
    const char *domain = sl_arena_printf(m->arena, "%s.%s", change->id, sl_rows_text(rows, 0, 0));
    return json_object_set_new(change->row, "sl_domain", json_string(domain)) == 0
               ? 0
               : sl_fail(err, SL_E_INTERNAL);
}

static int
keep_default(struct change *change, struct sl_error *err)
{
    bool fixed = json_is_true(json_object_get(change->before, "is_default"));
    return fixed ? sl_fail(err, SL_E_GROUP_FIXED) : url_domain_forget(change->m, change->id, err);
}

static int
forget_usage(struct change *change, struct sl_error *err)
{
    return sl_quota_forget(change->m->tx, change->m->arena, change->m->instance, change->id, err);
}

const struct resource_hooks group_hooks = {
    .before_write = name_domain,
    .before_delete = keep_default,
    .after_delete = forget_usage,
};

static int
check_work(struct mutation *m, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *name = json_string_value(json_object_get(m->command->body, "group_name"));
    struct sl_params params = SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(name));
    if (sl_sql(m->tx, m->arena, name_sql, params, &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 0 ? 0 : sl_fail(err, SL_E_GROUP_EXISTS);
}

int
group_check(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, check_work, err);
}

// An update whose only column is the switch.
static int
set_access_work(struct mutation *m, struct sl_error *err)
{
    json_t *row = json_pack("{s:O}", "sl_domain_access_enabled",
                            json_object_get(m->command->body, "sl_domain_access_enabled"));
    if (engine_keep(m->arena, row, err) != 0 ||
        engine_update(m, resource_find("group", 5), command_path(m->command, "group_id"), row,
                      err) != 0) {
        return -1;
    }
    m->body = (struct sl_str){NULL, 0};
    return 0;
}

int
group_set_access(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, set_access_work, err);
}
