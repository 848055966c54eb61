// app.c - what is special about apps: keys and secrets, given or made; reset and validation.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include "services/registry/secret.h"

static const char domain_sql[] = "SELECT domain_id FROM project WHERE id = $1";

static const char validate_sql[] =
    "SELECT jsonb_strip_nulls(jsonb_build_object('id', a.id, 'name', a.name, 'remark', a.remark))"
    " FROM app a JOIN instance i ON i.id = a.instance_id"
    " WHERE a.instance_id = $1 AND i.project_id = $2 AND a.id = $3";

static const char *
body_text(const json_t *body, const char *field)
{
    return json_string_value(json_object_get(body, field));
}

static int
own_by_project(struct change *change, struct sl_error *err)
{
    struct mutation *m = change->m;
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, domain_sql, SL_PARAMS(SL_P_TEXT(m->project)), &rows, err) != 0) {
        return -1;
    }
    json_object_set_new(change->row, "domain_id", json_string(sl_rows_text(rows, 0, 0)));
    return 0;
}

// A new app gets a key and a secret when the client gives none; an update changes what it gives.
static int
key_and_secret(struct change *change, struct sl_error *err)
{
    const char *secret = body_text(change->body, "app_secret");
    if (change->before == NULL) {
        if (json_object_get(change->row, "app_key") == NULL) {
            json_object_set_new(change->row, "app_key",
                                json_string(secret_random(change->m->arena)));
        }
        if (secret == NULL) {
            secret = secret_random(change->m->arena);
        }
        if (own_by_project(change, err) != 0) {
            return -1;
        }
    }
    return secret != NULL ? secret_put(change, "app_secret", secret, err) : 0;
}

static int
forget_specials(struct change *change, struct sl_error *err)
{
    return throttle_special_forget(change->m, change->id, err);
}

static int
forget_usage(struct change *change, struct sl_error *err)
{
    return sl_quota_forget(change->m->tx, change->m->arena, change->m->instance, change->id, err);
}

const struct resource_hooks app_hooks = {
    .before_write = key_and_secret,
    .before_delete = forget_specials,
    .after_delete = forget_usage,
};

// An update whose only column is the secret; the hook above seals what the body or this gives.
static int
reset_work(struct mutation *m, struct sl_error *err)
{
    const char *id = command_path(m->command, "app_id");
    const char *secret = body_text(m->command->body, "app_secret");
    struct change change = {.m = m, .resource = resource_find("app", 3), .id = id};
    change.row = json_object();
    if (change.row == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    int rc =
        secret_put(&change, "app_secret", secret != NULL ? secret : secret_random(m->arena), err);
    if (rc == 0) {
        rc = engine_update(m, change.resource, id, change.row, err);
    }
    json_decref(change.row);
    return rc;
}

int
app_reset_secret(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, reset_work, err);
}

static int
validate_work(struct mutation *m, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *id = command_path(m->command, "app_id");
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(m->project), SL_P_TEXT(id));
    if (sl_sql(m->tx, m->arena, validate_sql, params, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_APP_NOT_FOUND, id);
    }
    m->body = sl_str(sl_rows_text(rows, 0, 0));
    return 0;
}

int
app_validate(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return lookup_run(call, reply, validate_work, err);
}
