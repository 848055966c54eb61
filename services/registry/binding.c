// binding.c - see binding.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/binding.h"

#include "services/registry/engine.h"

static const char missing_sql[] =
    "SELECT x FROM jsonb_array_elements_text($2::jsonb) x WHERE NOT EXISTS"
    " (SELECT FROM publication WHERE instance_id = $1 AND publish_id = x"
    " AND version_id IS NOT NULL) LIMIT 1";

static int
check_policy(struct mutation *m, const struct binding *kind, const char *policy,
             struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_params params = SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(policy));
    if (sl_sql(m->tx, m->arena, kind->held_sql, params, &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 1 ? 0 : sl_fail(err, kind->no_holder, policy);
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

int
binding_touch(struct mutation *m, const struct sl_rows *rows, size_t column, struct sl_error *err)
{
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        if (mutation_touch(m, "api", sl_rows_text(rows, i, column), err) != 0) {
            return -1;
        }
    }
    return 0;
}

int
binding_make(struct mutation *m, const struct binding *kind, const char **ret_ids,
             struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_str list = {NULL, 0};
    const char *policy = json_string_value(json_object_get(m->command->body, kind->field));
    if (engine_dump(m->arena, json_object_get(m->command->body, "publish_ids"), &list, err) != 0) {
        return -1;
    }
    const char *ids = sl_arena_dupn(m->arena, list.ptr, list.len);
    if (sl_arena_check(m->arena, err) != 0 || check_policy(m, kind, policy, err) != 0 ||
        check_publications(m, ids, err) != 0 ||
        sl_sql(m->tx, m->arena, kind->bind_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(ids), SL_P_TEXT(policy)), &rows,
               err) != 0) {
        return -1;
    }
    m->outcome.object_id = policy;
    *ret_ids = ids;
    return binding_touch(m, rows, 0, err);
}
