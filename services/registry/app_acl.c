// app_acl.c - 3.28.14-3.28.16: from which addresses an app may call.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include "common/runtime/range.h"
#include "services/registry/engine_write.h"

#include <stdio.h>

// One that has no list is shown with an empty one.
#define READ_SQL                                                                                   \
    "SELECT jsonb_strip_nulls(jsonb_build_object('app_id', a.id, 'app_acl_type', c.acl_type,"      \
    " 'app_acl_values', coalesce(c.acl_values, '[]')))::text FROM app a"                           \
    " LEFT JOIN app_acl c ON c.instance_id = a.instance_id AND c.app_id = a.id"                    \
    " WHERE a.instance_id = $1 AND a.id = $2"

static const char read_sql[] = READ_SQL;

static const char lock_sql[] = READ_SQL " FOR NO KEY UPDATE OF a";

static const char put_sql[] =
    "INSERT INTO app_acl (instance_id, app_id, acl_type, acl_values) VALUES ($1, $2, $3, $4::jsonb)"
    " ON CONFLICT (instance_id, app_id) DO UPDATE SET acl_type = excluded.acl_type,"
    " acl_values = excluded.acl_values";

static const char remove_sql[] = "DELETE FROM app_acl WHERE instance_id = $1 AND app_id = $2";

static int
read_into(struct mutation *m, const char *sql, const char *app, const char **ret_text,
          struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(app)), &rows,
               err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_APP_UNKNOWN, app);
    }
    *ret_text = sl_rows_text(rows, 0, 0);
    return 0;
}

static int
check_values(const json_t *values, struct sl_error *err)
{
    char name[SL_ERROR_ARG_MAX];
    for (size_t i = 0; i < json_array_size(values); i++) {
        struct sl_range range;
        if (!sl_range_parse(sl_str(json_string_value(json_array_get(values, i))), &range)) {
            snprintf(name, sizeof(name), "app_acl_values[%zu]", i);
            return sl_fail(err, SL_E_PARAM_INVALID, name);
        }
    }
    return 0;
}

// Whatever changed: the app's entry, and what the log of changes tells.
static int
settle(struct mutation *m, const char *app, struct sl_error *err)
{
    m->outcome.object_id = app;
    if (read_into(m, read_sql, app, &m->outcome.after, err) != 0) {
        return -1;
    }
    return mutation_touch(m, "app", app, err);
}

static int
set_work(struct mutation *m, struct sl_error *err)
{
    const char *app = command_path(m->command, "app_id");
    const json_t *values = json_object_get(m->command->body, "app_acl_values");
    const char *type = json_string_value(json_object_get(m->command->body, "app_acl_type"));
    struct sl_str text = {NULL, 0};
    if (check_values(values, err) != 0 ||
        read_into(m, lock_sql, app, &m->outcome.before, err) != 0 ||
        engine_dump(m->arena, values, &text, err) != 0 ||
        sl_sql(m->tx, m->arena, put_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(app), SL_P_TEXT(type),
                         SL_P_TEXT(sl_arena_dupn(m->arena, text.ptr, text.len))),
               NULL, err) != 0 ||
        settle(m, app, err) != 0) {
        return -1;
    }
    m->body = sl_str(m->outcome.after);
    return 0;
}

int
app_acl_set(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, set_work, err);
}

static int
read_work(struct mutation *m, struct sl_error *err)
{
    const char *text = NULL;
    if (read_into(m, read_sql, command_path(m->command, "app_id"), &text, err) != 0) {
        return -1;
    }
    m->body = sl_str(text);
    return 0;
}

int
app_acl_read(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, read_work, err);
}

static int
remove_work(struct mutation *m, struct sl_error *err)
{
    const char *app = command_path(m->command, "app_id");
    struct sl_params params = SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(app));
    if (read_into(m, lock_sql, app, &m->outcome.before, err) != 0 ||
        sl_sql(m->tx, m->arena, remove_sql, params, NULL, err) != 0) {
        return -1;
    }
    return settle(m, app, err);
}

int
app_acl_remove(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, remove_work, err);
}
