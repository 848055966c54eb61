// user.c - users: making, changing, deleting, listing, finding them.
//
// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "common/base/clock.h"
#include "common/crypto/password.h"
#include "services/identity/identity.h"

#define NAME_MAX_    64 // bytes of a name
#define PASSWORD_MIN 8  // bytes

static const char before_sql[] =
    "SELECT jsonb_build_object('id', id, 'name', name, 'domain_id', domain_id,"
    " 'enabled', enabled, 'not_before', not_before, 'has_password', password IS NOT NULL)::text"
    " FROM iam_user WHERE id = $1 FOR UPDATE";

int
find_user(struct task *task, const char **ret_id, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *domain_id = NULL;
    const char *user = NULL;
    if (task_need(task, "user", NAME_MAX_, &user, err) != 0 ||
        find_domain(task, &domain_id, err) != 0 ||
        sl_sql(task->tx, task->arena,
               "SELECT id FROM iam_user WHERE domain_id = $1 AND (id = $2 OR name = $2)"
               " ORDER BY id = $2 DESC LIMIT 1",
               SL_PARAMS(SL_P_TEXT(domain_id), SL_P_TEXT(user)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_USER_NOT_FOUND);
    }
    *ret_id = sl_rows_text(rows, 0, 0);
    return 0;
}

// The hash of the body's password, or SQL NULL when it has none. Refuses (PARAM_INVALID) one that
// is too short or too long.
static int
hash_password(struct task *task, struct sl_param *ret_hash, struct sl_error *err)
{
    *ret_hash = SL_P_NULL;
    if (task_value(task, "password") == NULL) {
        return 0;
    }
    struct sl_str password = sl_str(task_text(task, "password"));
    if (password.len < PASSWORD_MIN || password.len > SL_PASSWORD_MAX) {
        return sl_fail(err, SL_E_PARAM_INVALID, "password");
    }
    char *hash = sl_arena_alloc(task->arena, SL_PASSWORD_HASH_SIZE);
    if (hash == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    if (sl_password_hash(password, hash, err) != 0) {
        return -1;
    }
    *ret_hash = SL_P_TEXT(hash);
    return 0;
}

static int
attach_policies(struct task *task, const char *user_id, struct sl_error *err)
{
    size_t i = 0;
    json_t *policy = NULL;
    json_array_foreach(task_value(task, "policies"), i, policy)
    {
        if (!json_is_string(policy)) {
            return sl_fail(err, SL_E_PARAM_INVALID, "policies");
        }
        if (sl_sql(task->tx, task->arena,
                   "INSERT INTO iam_user_policy (user_id, policy) VALUES ($1, $2)"
                   " ON CONFLICT DO NOTHING",
                   SL_PARAMS(SL_P_TEXT(user_id), SL_P_TEXT(json_string_value(policy))), NULL,
                   err) != 0) {
            return -1;
        }
    }
    return 0;
}

int
user_create(struct task *task, struct sl_error *err)
{
    const char *id = NULL;
    const char *name = NULL;
    const char *domain_id = NULL;
    struct sl_param hash;
    if (task_need(task, "name", NAME_MAX_, &name, err) != 0 || task_id(task, &id, err) != 0 ||
        find_domain(task, &domain_id, err) != 0 || hash_password(task, &hash, err) != 0 ||
        sl_sql(task->tx, task->arena,
               "INSERT INTO iam_user (id, domain_id, name, password) VALUES ($1, $2, $3, $4)",
               SL_PARAMS(SL_P_TEXT(id), SL_P_TEXT(domain_id), SL_P_TEXT(name), hash), NULL,
               err) != 0 ||
        attach_policies(task, id, err) != 0 || task_touch(task, "user", id, err) != 0) {
        return -1;
    }
    task->object_id = id;
    task->answer = task_keep(
        task, json_pack("{s:s, s:s, s:s}", "id", id, "name", name, "domain_id", domain_id));
    task->audit_after = task->answer;
    return 0;
}

int
user_update(struct task *task, struct sl_error *err)
{
    const char *id = NULL;
    struct sl_param hash;
    json_t *enabled = task_value(task, "enabled");
    if (enabled != NULL && !json_is_boolean(enabled)) {
        return sl_fail(err, SL_E_PARAM_INVALID, "enabled");
    }
    if (find_user(task, &id, err) != 0 || hash_password(task, &hash, err) != 0 ||
        task_before(task, before_sql, id, err) != 0) {
        return -1;
    }
    bool disables = json_is_false(enabled);
    bool ends_tokens =
        disables || hash.kind != SL_P_IS_NULL || json_is_true(task_value(task, "revoke"));
    // Tokens issued up to and including this second end.
    int64_t not_before = ends_tokens ? sl_wall_ms() / 1000 + 1 : 0;
    struct sl_rows *rows = NULL;
    if (sl_sql(task->tx, task->arena,
               "UPDATE iam_user SET password = coalesce($2, password),"
               " enabled = coalesce($3::boolean, enabled), not_before = greatest(not_before, $4)"
               " WHERE id = $1 RETURNING name, domain_id, enabled, not_before",
               SL_PARAMS(SL_P_TEXT(id), hash,
                         enabled != NULL ? SL_P_TEXT(disables ? "false" : "true") : SL_P_NULL,
                         SL_P_INT(not_before)),
               &rows, err) != 0 ||
        task_touch(task, "user", id, err) != 0) {
        return -1;
    }
    task->object_id = id;
    task->answer =
        task_keep(task, json_pack("{s:s, s:s, s:s, s:b, s:I}", "id", id, "name",
                                  sl_rows_text(rows, 0, 0), "domain_id", sl_rows_text(rows, 0, 1),
                                  "enabled", (int)sl_rows_bool(rows, 0, 2), "not_before",
                                  (json_int_t)sl_rows_int(rows, 0, 3)));
    task->audit_after = task->answer;
    return 0;
}

int
user_delete(struct task *task, struct sl_error *err)
{
    const char *id = NULL;
    struct sl_rows *keys = NULL;
    if (find_user(task, &id, err) != 0 || task_before(task, before_sql, id, err) != 0 ||
        sl_sql(task->tx, task->arena,
               "DELETE FROM iam_access_key WHERE user_id = $1 RETURNING access",
               SL_PARAMS(SL_P_TEXT(id)), &keys, err) != 0 ||
        sl_sql(task->tx, task->arena, "DELETE FROM iam_user WHERE id = $1",
               SL_PARAMS(SL_P_TEXT(id)), NULL, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sl_rows_count(keys); i++) {
        if (task_touch(task, "access_key", sl_rows_text(keys, i, 0), err) != 0) {
            return -1;
        }
    }
    task->object_id = id;
    task->answer = task_keep(task, json_pack("{s:s}", "id", id));
    return task_touch(task, "user", id, err);
}

int
user_list(struct task *task, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *domain_id = NULL;
    if (find_domain(task, &domain_id, err) != 0 ||
        sl_sql(task->tx, task->arena,
               "SELECT id, name, enabled, coalesce((SELECT string_agg(policy, ', ' ORDER BY policy)"
               " FROM iam_user_policy WHERE user_id = iam_user.id), '')"
               " FROM iam_user WHERE domain_id = $1 ORDER BY name",
               SL_PARAMS(SL_P_TEXT(domain_id)), &rows, err) != 0) {
        return -1;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:b, s:s}", "id", sl_rows_text(rows, i, 0), "name",
                            sl_rows_text(rows, i, 1), "enabled", (int)sl_rows_bool(rows, i, 2),
                            "policies", sl_rows_text(rows, i, 3)));
    }
    task->answer = task_keep(task, json_pack("{s:o}", "users", list));
    return task->answer != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}
