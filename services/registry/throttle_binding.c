// throttle_binding.c - 3.8.1: binding a policy to published APIs; 3.8.6: ending several bindings.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include "services/registry/binding.h"
#include "services/registry/engine_write.h"

#include <string.h>

static const struct binding policies = {
    .field = "strategy_id",
    .held_sql = "SELECT 1 FROM throttle WHERE instance_id = $1 AND id = $2 FOR KEY SHARE",
    .bind_sql = BINDING_SQL("throttle_binding", "throttle_id", "apply_time"),
    .no_holder = SL_E_THROTTLE_NOT_FOUND,
};

static const char result_sql[] =
    "SELECT jsonb_build_object('throttle_applys', coalesce(jsonb_agg(v.body ORDER BY x.n), '[]'))"
    "::text FROM jsonb_array_elements_text($2::jsonb) WITH ORDINALITY x (id, n)"
    " JOIN throttle_binding b ON b.instance_id = $1 AND b.publish_id = x.id"
    " JOIN throttle_binding_json v ON v.instance_id = b.instance_id AND v.id = b.id";

static const char unbind_sql[] =
    "DELETE FROM throttle_binding WHERE instance_id = $1 AND id IN"
    " (SELECT jsonb_array_elements_text($2::jsonb)) RETURNING id, publish_id";

// $1 the ids asked for, $2 those that ended, $3 and $4 code and text for the others.
static const char unbound_sql[] =
    "SELECT jsonb_build_object('success_count', jsonb_array_length($2::jsonb),"
    " 'failure', coalesce(jsonb_agg(jsonb_build_object('bind_id', x.id, 'error_code', $3::text,"
    " 'error_msg', $4::text) ORDER BY x.n), '[]'))::text"
    " FROM (SELECT id, min(n) AS n FROM jsonb_array_elements_text($1::jsonb)"
    " WITH ORDINALITY y (id, n) GROUP BY id) x WHERE NOT $2::jsonb ? x.id";

static int
create_work(struct mutation *m, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *ids = NULL;
    if (binding_make(m, &policies, &ids, err) != 0 ||
        sl_sql(m->tx, m->arena, result_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(ids)),
               &rows, err) != 0) {
        return -1;
    }
    m->outcome.after = sl_rows_text(rows, 0, 0);
    m->body = sl_str(m->outcome.after);
    return 0;
}

int
throttle_binding_create(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, create_work, err);
}

// Ends what exists and republishes its APIs; *ret_ended is the array of their ids.
static int
unbind_all(struct mutation *m, const char *ids, const char **ret_ended, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_str text = {NULL, 0};
    json_t *ended = json_array();
    if (engine_keep(m->arena, ended, err) != 0 ||
        sl_sql(m->tx, m->arena, unbind_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(ids)),
               &rows, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        json_array_append_new(ended, json_string(sl_rows_text(rows, i, 0)));
    }
    if (binding_touch(m, rows, 1, err) != 0 || engine_dump(m->arena, ended, &text, err) != 0) {
        return -1;
    }
    *ret_ended = sl_arena_dupn(m->arena, text.ptr, text.len);
    return sl_arena_check(m->arena, err);
}

static int
unbind_work(struct mutation *m, struct sl_error *err)
{
    const char *action = json_string_value(json_object_get(m->command->query, "action"));
    const json_t *list = json_object_get(m->command->body, "throttle_bindings");
    const char *ids = "[]";
    const char *ended = NULL;
    struct sl_rows *rows = NULL;
    struct sl_error missing = {.code = SL_E_THROTTLE_BINDING_NOT_FOUND};
    char reason[SL_ERROR_ARG_MAX];
    if (action == NULL || strcmp(action, "delete") != 0) {
        return sl_fail(err, SL_E_PARAM_ACTION_DELETE);
    }
    if (json_is_array(list)) {
        struct sl_str text = {NULL, 0};
        if (engine_dump(m->arena, list, &text, err) != 0) {
            return -1;
        }
        ids = sl_arena_dupn(m->arena, text.ptr, text.len);
    }
    sl_error_message(&missing, reason, sizeof(reason));
    if (sl_arena_check(m->arena, err) != 0 || unbind_all(m, ids, &ended, err) != 0 ||
        sl_sql(m->tx, m->arena, unbound_sql,
               SL_PARAMS(SL_P_TEXT(ids), SL_P_TEXT(ended), SL_P_TEXT(sl_error_wire(missing.code)),
                         SL_P_TEXT(reason)),
               &rows, err) != 0) {
        return -1;
    }
    m->outcome.object_id = "";
    m->outcome.after = sl_rows_text(rows, 0, 0);
    m->body = sl_str(m->outcome.after);
    return 0;
}

int
throttle_binding_unbind(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, unbind_work, err);
}
