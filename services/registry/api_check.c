// api_check.c - 3.5.7: is a name or a path free? 3.5.12: what an environment serves.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include "services/registry/api_params.h"
#include "services/registry/engine_write.h"

#include <string.h>

// $2 name, $3 group or NULL, $4 the API that may have it or NULL.
static const char name_sql[] =
    "SELECT 1 FROM api WHERE instance_id = $1 AND name = $2"
    " AND ($3::text IS NULL OR group_id = $3) AND ($4::text IS NULL OR id <> $4) LIMIT 1";

// $2 method, $3 shape, $4 match mode; then as above.
static const char path_sql[] =
    "SELECT 1 FROM api WHERE instance_id = $1 AND req_method = $2 AND req_uri_shape = $3"
    " AND match_mode = $4 AND ($5::text IS NULL OR group_id = $5)"
    " AND ($6::text IS NULL OR id <> $6) LIMIT 1";

static const char group_sql[] = "SELECT 1 FROM api_group WHERE instance_id = $1 AND id = $2";

static const char api_sql[] = "SELECT 1 FROM api WHERE instance_id = $1 AND id = $2";

static const char runtime_sql[] = "SELECT body::text FROM api_runtime_json WHERE instance_id = $1"
                                  " AND api_id = $2 AND env_id = $3";

static const char *
body_text(const struct mutation *m, const char *field)
{
    return json_string_value(json_object_get(m->command->body, field));
}

static struct sl_param
body_param(const struct mutation *m, const char *field)
{
    const char *text = body_text(m, field);
    return text != NULL && text[0] != '\0' ? SL_P_TEXT(text) : SL_P_NULL;
}

static int
has_row(struct mutation *m, const char *sql, struct sl_params params, bool *ret_has,
        struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, sql, params, &rows, err) != 0) {
        return -1;
    }
    *ret_has = sl_rows_count(rows) > 0;
    return 0;
}

static int
check_name(struct mutation *m, struct sl_error *err)
{
    bool taken = false;
    struct sl_params params = SL_PARAMS(SL_P_TEXT(m->instance), body_param(m, "name"),
                                        body_param(m, "group_id"), body_param(m, "api_id"));
    if (has_row(m, name_sql, params, &taken, err) != 0) {
        return -1;
    }
    return taken ? sl_fail(err, SL_E_API_NAME_TAKEN, body_text(m, "name")) : 0;
}

static int
check_path(struct mutation *m, struct sl_error *err)
{
    bool taken = false;
    const char *shape = NULL;
    if (api_params_shape(m->arena, body_text(m, "req_uri"), &shape, err) != 0) {
        return -1;
    }
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(m->instance), body_param(m, "req_method"), SL_P_TEXT(shape),
                  body_param(m, "match_mode"), body_param(m, "group_id"), body_param(m, "api_id"));
    if (has_row(m, path_sql, params, &taken, err) != 0) {
        return -1;
    }
    return taken ? sl_fail(err, SL_E_API_EXISTS) : 0;
}

static int
check_work(struct mutation *m, struct sl_error *err)
{
    const char *group = body_text(m, "group_id");
    bool found = true;
    if (group != NULL && group[0] != '\0' &&
        has_row(m, group_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(group)), &found, err) !=
            0) {
        return -1;
    }
    if (!found) {
        return sl_fail(err, SL_E_GROUP_NOT_FOUND, group);
    }
    bool is_name = strcmp(body_text(m, "type"), "name") == 0;
    return (is_name ? check_name : check_path)(m, err);
}

int
api_check(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, check_work, err);
}

static int
runtime_work(struct mutation *m, struct sl_error *err)
{
    const char *api = command_path(m->command, "api_id");
    const char *env = json_string_value(json_object_get(m->command->query, "env_id"));
    bool found = false;
    struct sl_rows *rows = NULL;
    env = env != NULL && env[0] != '\0' ? env : ENV_RELEASE_ID;
    if (has_row(m, api_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(api)), &found, err) != 0 ||
        sl_sql(m->tx, m->arena, runtime_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(api), SL_P_TEXT(env)), &rows,
               err) != 0) {
        return -1;
    }
    if (!found) {
        return sl_fail(err, SL_E_API_NOT_FOUND, api);
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_PUBLICATION_NOT_FOUND);
    }
    m->body = sl_str(sl_rows_text(rows, 0, 0));
    return 0;
}

int
api_runtime(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, runtime_work, err);
}
