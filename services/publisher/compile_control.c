// compile_control.c - accounts, users, keys and policies, as fronts follow them.
//
// services/identity/README.md says which columns make which field; PostgreSQL builds the object,
// and the secrets (of an access key) are opened and added here.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/compile.h"

#include <string.h>

// Each answers the object for $1, and (access_key only) the sealed secret and security token.
static const struct source {
    const char *kind;
    const char *sql;
} sources[] = {
    {"access_key",
     "SELECT jsonb_build_object('access', access, 'user_id', user_id, 'project_id', "
     "coalesce(project_id, ''), 'enabled', enabled, 'expires_at', expires_at), secret, "
     "security_token "
     "FROM iam_access_key WHERE access = $1"},
    {"instance",
     "SELECT jsonb_build_object('id', id, 'project_id', project_id) FROM instance WHERE id = $1"},
    {"policy", "SELECT jsonb_build_object('name', name, 'document', document) FROM iam_policy "
               "WHERE name = $1"},
    {"project",
     "SELECT jsonb_build_object('id', p.id, 'name', p.name, 'domain_id', p.domain_id, "
     "'domain_name', d.name) FROM project p JOIN domain d ON d.id = p.domain_id WHERE p.id = $1"},
    {"token_key",
     "SELECT jsonb_build_object('id', id, 'public_key', public_key) FROM iam_token_key "
     "WHERE id = $1"},
    {"user",
     "SELECT jsonb_build_object('id', id, 'name', name, 'domain_id', domain_id, 'enabled', "
     "enabled, 'not_before', not_before, 'policies', (SELECT coalesce(jsonb_agg(policy ORDER BY "
     "policy), '[]') FROM iam_user_policy WHERE user_id = u.id)) FROM iam_user u WHERE id = $1"},
};

static const char *
find_source(const char *kind)
{
    for (size_t i = 0; i < SL_COUNT(sources); i++) {
        if (strcmp(sources[i].kind, kind) == 0) {
            return sources[i].sql;
        }
    }
    return NULL;
}

// The sealed columns after the object, under which context each is sealed and how it is called.
static const struct secret {
    const char *context; // before ":<access>"
    const char *field;
} secrets[] = {{"access_key", "secret"}, {"security_token", "security_token"}};

// Opens an access key's secrets and puts them into `object`; NULL ones stay away.
static int
add_secrets(const struct compile *c, const char *access, const struct sl_rows *rows, json_t *object,
            struct sl_error *err)
{
    for (size_t i = 0; i < SL_COUNT(secrets); i++) {
        struct sl_str plain;
        const char *context = sl_arena_printf(c->arena, "%s:%s", secrets[i].context, access);
        if (sl_rows_is_null(rows, 0, i + 1)) {
            continue;
        }
        if (sl_unseal(c->arena, &c->publisher->key, sl_str(context), sl_rows_bytes(rows, 0, i + 1),
                      &plain, err) != 0) {
            return -1;
        }
        json_object_set_new(object, secrets[i].field, json_stringn(plain.ptr, plain.len));
    }
    return 0;
}

int
compile_control(const struct compile *c, const char *kind, const char *key,
                struct sl_str *ret_plain, bool *ret_found, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *sql = find_source(kind);
    if (sql == NULL) {
        return sl_fail(err, SL_E_ENTRY_BROKEN, kind, "kind");
    }
    if (sl_sql(c->tx, c->arena, sql, SL_PARAMS(SL_P_TEXT(key)), &rows, err) != 0) {
        return -1;
    }
    *ret_found = sl_rows_count(rows) == 1;
    if (!*ret_found) {
        return 0;
    }
    json_t *object = json_loads(sl_rows_text(rows, 0, 0), 0, NULL);
    int rc = object == NULL ? sl_fail(err, SL_E_ENTRY_BROKEN, kind, key) : 0;
    if (rc == 0 && strcmp(kind, "access_key") == 0) {
        rc = add_secrets(c, key, rows, object, err);
    }
    if (rc == 0) {
        rc = sl_json_pack(c->arena, object, ret_plain, err);
    }
    json_decref(object);
    return rc;
}
