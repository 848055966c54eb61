// instance.c - gateways: read by clients (3.23.2, 3.23.14), made and set by sluice-admin.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"
#include "services/registry/instance_setting.h"

#include "common/base/limits.h"
#include "common/crypto/crypto.h"
#include "common/db/change.h"
#include "services/registry/engine_write.h"

#include <string.h>

#define DEFAULT_SUFFIX "apic.localhost" // of debugging domains; *.localhost resolves to loopback
#define ADMIN_ROLE     "admin"
#define CONTROL        "control" // pseudo-gateway that fronts follow

static const char read_sql[] = "SELECT body::text FROM instance_json WHERE id = $1"
                               " AND project_id = $2";

static const char list_sql[] =
    "SELECT jsonb_build_object('total', (SELECT count(*) FROM hit), 'size', count(*),"
    " 'instances', coalesce(jsonb_agg(page.body ORDER BY page.n), '[]'))::text FROM page";

// $1 project, $2 id, $3 pattern of the name, $4 status, $5 limit, $6 offset
static const char page_sql[] =
    "WITH hit AS MATERIALIZED (SELECT i.id, i.created_at FROM instance i WHERE i.project_id = $1"
    " AND ($2::text IS NULL OR i.id = $2) AND ($3::text IS NULL OR i.name ILIKE $3)"
    " AND ($4::text IS NULL OR $4 = 'Running')),"
    " page AS (SELECT v.body, row_number() OVER (ORDER BY h.created_at DESC, h.id) AS n"
    " FROM (SELECT * FROM hit ORDER BY created_at DESC, id LIMIT $5::bigint OFFSET $6::bigint) h"
    " JOIN instance_brief_json v ON v.id = h.id) ";

static const char all_sql[] =
    "SELECT jsonb_build_object('instances', coalesce(jsonb_agg(b.body || jsonb_build_object("
    "'domain_suffix', i.domain_suffix, 'addresses', to_jsonb(i.addresses), 'settings',"
    " (SELECT coalesce(jsonb_object_agg(s.name, s.value), '{}') FROM instance_setting s"
    " WHERE s.instance_id = i.id)) ORDER BY i.created_at, i.id), '[]'))::text"
    " FROM instance i JOIN instance_brief_json b USING (id)";

static const char insert_sql[] =
    "INSERT INTO instance (id, project_id, name, description, domain_suffix, addresses)"
    " SELECT $1, p.id, $3, coalesce($4, ''), $5,"
    " ARRAY(SELECT jsonb_array_elements_text($6::jsonb)) FROM project p WHERE p.id = $2";

static const char update_sql[] =
    "UPDATE instance SET name = coalesce($2, name), description = coalesce($3, description),"
    " addresses = CASE WHEN $4::jsonb IS NULL THEN addresses"
    " ELSE ARRAY(SELECT jsonb_array_elements_text($4::jsonb)) END WHERE id = $1"
    " RETURNING project_id";

static const char environment_sql[] =
    "INSERT INTO environment (instance_id, id, name, remark)"
    " VALUES ($1, '" ENV_RELEASE_ID "', '" ENV_RELEASE_NAME "', 'The production environment')";

static const char group_sql[] =
    "INSERT INTO api_group (instance_id, id, name, remark, sl_domain, is_default)"
    " VALUES ($1, $2, 'DEFAULT', 'The group of the gateway''s own addresses',"
    " $2 || '.' || $3, true) RETURNING sl_domain";

static const char revision_sql[] = "INSERT INTO gateway_revision (gateway_id, content_key)"
                                   " VALUES ($1, $2) ON CONFLICT DO NOTHING";

// The row's lock keeps nodes from being added meanwhile.
static const char lock_sql[] =
    "SELECT (SELECT count(*) FROM node n WHERE n.instance_id = i.id) FROM instance i"
    " WHERE id = $1 FOR UPDATE OF i";

static const char delete_sql[] = "DELETE FROM instance WHERE id = $1 RETURNING project_id";

// What was published of it belongs to nobody: entries hold its secrets.
static const char *const forget_sql[] = {"DELETE FROM gateway_revision WHERE gateway_id = $1",
                                         "DELETE FROM runtime_change WHERE gateway_id = $1",
                                         "DELETE FROM runtime_entry WHERE gateway_id = $1"};

static const char *
body_text(const struct mutation *m, const char *field)
{
    return json_string_value(json_object_get(m->command->body, field));
}

static struct sl_param
text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? SL_P_TEXT(text) : SL_P_NULL;
}

static int
admin_only(const struct sl_call *call, struct sl_error *err)
{
    const char *role = call->command->peer_role;
    if (role == NULL || strcmp(role, ADMIN_ROLE) != 0) {
        return sl_fail(err, SL_E_BUS_FORBIDDEN, call->command->name);
    }
    return 0;
}

static int
read_into(struct mutation *m, const char *id, const char *project, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_params params = SL_PARAMS(SL_P_TEXT(id), SL_P_TEXT(project));
    if (sl_sql(m->tx, m->arena, read_sql, params, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_GATEWAY_NOT_FOUND, id);
    }
    m->body = sl_str(sl_rows_text(rows, 0, 0));
    return 0;
}

static int
read_work(struct mutation *m, struct sl_error *err)
{
    return read_into(m, m->instance, m->project, err);
}

int
instance_read(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    int rc = query_run(call, reply, read_work, err);
    // This operation documents another code than everything inside a gateway.
    if (rc != 0 && err->code == SL_E_INSTANCE_NOT_FOUND) {
        return sl_fail(err, SL_E_GATEWAY_NOT_FOUND, call->command->instance);
    }
    return rc;
}

static int
list_work(struct mutation *m, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const json_t *query = m->command->query;
    const char *name = json_string_value(json_object_get(query, "instance_name"));
    const char *pattern = NULL;
    if (name != NULL && name[0] != '\0') {
        pattern = engine_pattern(m->arena, name);
    }
    const char *sql = sl_arena_printf(m->arena, "%s%s", page_sql, list_sql);
    if (sl_arena_check(m->arena, err) != 0 ||
        sl_sql_built(
            m->tx, m->arena, sql,
            SL_PARAMS(SL_P_TEXT(m->project),
                      text_or_null(json_string_value(json_object_get(query, "instance_id"))),
                      text_or_null(pattern),
                      text_or_null(json_string_value(json_object_get(query, "status"))),
                      SL_P_INT(engine_limit(m->command)), SL_P_INT(engine_offset(m->command))),
            &rows, err) != 0) {
        return -1;
    }
    m->body = sl_str(sl_rows_text(rows, 0, 0));
    return 0;
}

int
instance_list(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, list_work, err);
}

static int
all_work(struct mutation *m, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, all_sql, SL_NO_PARAMS, &rows, err) != 0) {
        return -1;
    }
    m->body = sl_str(sl_rows_text(rows, 0, 0));
    return 0;
}

int
instance_all(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return admin_only(call, err) == 0 ? query_run(call, reply, all_work, err) : -1;
}

// The JSON text of the list of addresses, or NULL when the body has none.
static int
addresses_text(struct mutation *m, const char **ret_text, struct sl_error *err)
{
    const json_t *value = json_object_get(m->command->body, "addresses");
    struct sl_str text = {NULL, 0};
    *ret_text = NULL;
    if (json_is_string(value)) {
        // One address, as the tool's repeatable option gives it.
        json_t *list = json_pack("[s]", json_string_value(value));
        if (engine_keep(m->arena, list, err) != 0) {
            return -1;
        }
        value = list;
    }
    if (!json_is_array(value)) {
        return 0;
    }
    if (engine_dump(m->arena, value, &text, err) != 0) {
        return -1;
    }
    *ret_text = sl_arena_dupn(m->arena, text.ptr, text.len);
    return sl_arena_check(m->arena, err);
}

static int
insert_instance(struct mutation *m, const char *suffix, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *addresses = NULL;
    const char *name = body_text(m, "name");
    if (name == NULL || m->project == NULL) {
        return sl_fail(err, SL_E_PARAM_MISSING, name == NULL ? "name" : "project");
    }
    if (addresses_text(m, &addresses, err) != 0 ||
        sl_sql(m->tx, m->arena, insert_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(m->project), SL_P_TEXT(name),
                         text_or_null(body_text(m, "description")), SL_P_TEXT(suffix),
                         SL_P_TEXT(addresses != NULL ? addresses : "[]")),
               &rows, err) != 0) {
        return -1;
    }
    return sl_rows_affected(rows) == 1 ? 0 : sl_fail(err, SL_E_PROJECT_NOT_FOUND, m->project);
}

// The key under which the gateway's runtime entries travel.
static int
insert_revision(struct mutation *m, struct sl_error *err)
{
    uint8_t key[SL_SEAL_KEY_LEN];
    struct sl_str sealed = {NULL, 0};
    struct sl_str context = sl_str(sl_arena_printf(m->arena, "content_key:%s", m->instance));
    sl_random(key, sizeof(key));
    if (sl_seal(m->arena, m->registry->key, context,
                (struct sl_str){(const char *)key, sizeof(key)}, &sealed, err) != 0) {
        return -1;
    }
    return sl_sql(m->tx, m->arena, revision_sql,
                  SL_PARAMS(SL_P_TEXT(m->instance), SL_P_BYTES(sealed.ptr, sealed.len)), NULL, err);
}

// What every gateway has from the start: the environment RELEASE and the group DEFAULT.
static int
insert_contents(struct mutation *m, const char *suffix, struct sl_error *err)
{
    static const char *const quotas[] = {"environments", "groups"};
    struct sl_rows *rows = NULL;
    char group[SL_ID_SIZE];
    sl_random_id(group);
    if (sl_sql(m->tx, m->arena, environment_sql, SL_PARAMS(SL_P_TEXT(m->instance)), NULL, err) !=
            0 ||
        sl_sql(m->tx, m->arena, group_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(group), SL_P_TEXT(suffix)), &rows,
               err) != 0 ||
        mutation_touch(m, "group", group, err) != 0 ||
        mutation_touch(m, "host", sl_rows_text(rows, 0, 0), err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < SL_COUNT(quotas); i++) {
        struct mutation_quota take = {.quota = {.instance = m->instance,
                                                .name = quotas[i],
                                                .scope = "",
                                                .fallback = instance_quota_default(quotas[i])},
                                      .units = 1};
        if (mutation_quota(m, &take, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
touch_gateway(struct mutation *m, struct sl_error *err)
{
    m->outcome.object_id = m->instance;
    if (mutation_touch(m, "gateway", m->instance, err) != 0) {
        return -1;
    }
    return sl_runtime_touch(m->tx, m->arena, CONTROL, "instance", m->instance, err);
}

static int
create_work(struct mutation *m, struct sl_error *err)
{
    char id[SL_ID_SIZE];
    const char *given = body_text(m, "id");
    const char *suffix = body_text(m, "domain_suffix");
    sl_random_id(id);
    m->instance = sl_arena_dup(m->arena, given != NULL ? given : id);
    m->project = body_text(m, "project");
    suffix = suffix != NULL ? suffix : DEFAULT_SUFFIX;
    if (insert_instance(m, suffix, err) != 0 || insert_revision(m, err) != 0 ||
        insert_contents(m, suffix, err) != 0 || touch_gateway(m, err) != 0) {
        return -1;
    }
    return read_into(m, m->instance, m->project, err);
}

int
instance_create(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return admin_only(call, err) == 0 ? mutation_run(call, reply, create_work, err) : -1;
}

// Runs a statement whose row is the gateway's project; GATEWAY_NOT_FOUND without one.
static int
change_instance(struct mutation *m, const char *sql, struct sl_params params, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, sql, params, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_GATEWAY_NOT_FOUND, m->instance);
    }
    m->project = sl_rows_text(rows, 0, 0);
    return touch_gateway(m, err);
}

static int
name_instance(struct mutation *m, struct sl_error *err)
{
    m->instance = body_text(m, "id");
    return m->instance != NULL ? 0 : sl_fail(err, SL_E_PARAM_MISSING, "id");
}

static int
update_work(struct mutation *m, struct sl_error *err)
{
    const char *addresses = NULL;
    if (name_instance(m, err) != 0 || addresses_text(m, &addresses, err) != 0 ||
        change_instance(m, update_sql,
                        SL_PARAMS(SL_P_TEXT(m->instance), text_or_null(body_text(m, "name")),
                                  text_or_null(body_text(m, "description")),
                                  text_or_null(addresses)),
                        err) != 0) {
        return -1;
    }
    return read_into(m, m->instance, m->project, err);
}

int
instance_update(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return admin_only(call, err) == 0 ? mutation_run(call, reply, update_work, err) : -1;
}

static int
delete_work(struct mutation *m, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (name_instance(m, err) != 0 ||
        sl_sql(m->tx, m->arena, lock_sql, SL_PARAMS(SL_P_TEXT(m->instance)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 1 && sl_rows_int(rows, 0, 0) > 0) {
        return sl_fail(err, SL_E_GATEWAY_HAS_NODES, m->instance);
    }
    if (change_instance(m, delete_sql, SL_PARAMS(SL_P_TEXT(m->instance)), err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < SL_COUNT(forget_sql); i++) {
        if (sl_sql(m->tx, m->arena, forget_sql[i], SL_PARAMS(SL_P_TEXT(m->instance)), NULL, err) !=
            0) {
            return -1;
        }
    }
    return 0;
}

int
instance_delete(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return admin_only(call, err) == 0 ? mutation_run(call, reply, delete_work, err) : -1;
}

static const char project_sql[] = "SELECT project_id FROM instance WHERE id = $1 FOR KEY SHARE";

static int
set_work(struct mutation *m, struct sl_error *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_t *settings = json_object_get(m->command->body, "settings");
    if (name_instance(m, err) != 0 ||
        change_instance(m, project_sql, SL_PARAMS(SL_P_TEXT(m->instance)), err) != 0) {
        return -1;
    }
    json_object_foreach(settings, name, value)
    {
        if (instance_setting_put(m, name, json_string_value(value), err) != 0) {
            return -1;
        }
    }
    return read_into(m, m->instance, m->project, err);
}

int
instance_set(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return admin_only(call, err) == 0 ? mutation_run(call, reply, set_work, err) : -1;
}
