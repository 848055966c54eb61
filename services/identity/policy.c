// policy.c - policies and who has them.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "services/identity/identity.h"

#define NAME_MAX_     64 // bytes of a name
#define STATEMENT_MAX 8  // of a document
#define ACTION_MAX    100

static bool
is_action_list(const json_t *actions)
{
    size_t count = json_array_size(actions);
    if (count == 0 || count > ACTION_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const char *action = json_string_value(json_array_get(actions, i));
        if (action == NULL || action[0] == '\0' || strlen(action) > 128) {
            return false;
        }
    }
    return true;
}

// Whether it is what front's evaluator takes whole: nothing is stored that nothing obeys.
static bool
is_document(const json_t *document)
{
    const char *version = json_string_value(json_object_get(document, "Version"));
    const json_t *statements = json_object_get(document, "Statement");
    size_t count = json_array_size(statements);
    if (version == NULL || strcmp(version, "1.1") != 0 || count == 0 || count > STATEMENT_MAX ||
        json_object_size(document) != 2) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *statement = json_array_get(statements, i);
        const char *effect = json_string_value(json_object_get(statement, "Effect"));
        bool known =
            effect != NULL && (strcmp(effect, "Allow") == 0 || strcmp(effect, "Deny") == 0);
        if (!known || json_object_size(statement) != 2 ||
            !is_action_list(json_object_get(statement, "Action"))) {
            return false;
        }
    }
    return true;
}

static const char before_sql[] =
    "SELECT jsonb_build_object('name', name, 'document', document)::text"
    " FROM iam_policy WHERE name = $1 FOR UPDATE";
static const char attached_sql[] =
    "SELECT jsonb_build_object('user_id', $1::text, 'policies', coalesce(jsonb_agg(policy"
    " ORDER BY policy), '[]'))::text FROM iam_user_policy WHERE user_id = $1";

int
policy_create(struct task *task, struct sl_error *err)
{
    const char *name = NULL;
    struct sl_rows *rows = NULL;
    json_t *document = task_value(task, "document");
    if (task_need(task, "name", NAME_MAX_, &name, err) != 0 ||
        task_before(task, before_sql, name, err) != 0) {
        return -1;
    }
    if (!is_document(document)) {
        return sl_fail(err, SL_E_PARAM_INVALID, "document");
    }
    char *text = json_dumps(document, JSON_COMPACT);
    int rc = sl_sql(task->tx, task->arena,
                    "INSERT INTO iam_policy (name, document) VALUES ($1, $2::jsonb)"
                    " ON CONFLICT (name) DO UPDATE SET document = excluded.document"
                    " WHERE NOT iam_policy.predefined",
                    SL_PARAMS(SL_P_TEXT(name), SL_P_TEXT(text)), &rows, err);
    free(text);
    if (rc != 0) {
        return -1;
    }
    if (sl_rows_affected(rows) == 0) {
        return sl_fail(err, SL_E_POLICY_IN_USE);
    }
    task->object_id = name;
    task->answer = task_keep(task, json_pack("{s:s, s:O}", "name", name, "document", document));
    task->audit_after = task->answer;
    return task_touch(task, "policy", name, err);
}

int
policy_delete(struct task *task, struct sl_error *err)
{
    const char *name = NULL;
    struct sl_rows *rows = NULL;
    // The lock keeps an attachment from coming in between.
    if (task_need(task, "name", NAME_MAX_, &name, err) != 0 ||
        task_before(task, before_sql, name, err) != 0 ||
        sl_sql(task->tx, task->arena,
               "SELECT predefined OR EXISTS (SELECT 1 FROM iam_user_policy WHERE policy = $1)"
               " FROM iam_policy WHERE name = $1 FOR UPDATE",
               SL_PARAMS(SL_P_TEXT(name)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_POLICY_NOT_FOUND);
    }
    if (sl_rows_bool(rows, 0, 0)) {
        return sl_fail(err, SL_E_POLICY_IN_USE);
    }
    task->object_id = name;
    task->answer = task_keep(task, json_pack("{s:s}", "name", name));
    if (sl_sql(task->tx, task->arena, "DELETE FROM iam_policy WHERE name = $1",
               SL_PARAMS(SL_P_TEXT(name)), NULL, err) != 0) {
        return -1;
    }
    return task_touch(task, "policy", name, err);
}

int
policy_list(struct task *task, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(task->tx, task->arena,
               "SELECT name, predefined, document::text FROM iam_policy ORDER BY name",
               SL_NO_PARAMS, &rows, err) != 0) {
        return -1;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        json_array_append_new(list,
                              json_pack("{s:s, s:b, s:o}", "name", sl_rows_text(rows, i, 0),
                                        "predefined", (int)sl_rows_bool(rows, i, 1), "document",
                                        json_loads(sl_rows_text(rows, i, 2), 0, NULL)));
    }
    task->answer = task_keep(task, json_pack("{s:o}", "policies", list));
    return task->answer != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}

// Runs the statement for (user, policy) and answers both.
static int
change_attachment(struct task *task, const char *sql, struct sl_error *err)
{
    const char *user_id = NULL;
    const char *policy = NULL;
    if (task_need(task, "policy", NAME_MAX_, &policy, err) != 0 ||
        find_user(task, &user_id, err) != 0 || task_before(task, attached_sql, user_id, err) != 0 ||
        sl_sql(task->tx, task->arena, sql, SL_PARAMS(SL_P_TEXT(user_id), SL_P_TEXT(policy)), NULL,
               err) != 0) {
        return -1;
    }
    task->object_id = user_id;
    task->answer = task_keep(task, json_pack("{s:s, s:s}", "user_id", user_id, "policy", policy));
    task->audit_after = task->answer;
    return task_touch(task, "user", user_id, err);
}

int
policy_attach(struct task *task, struct sl_error *err)
{
    return change_attachment(task,
                             "INSERT INTO iam_user_policy (user_id, policy) VALUES ($1, $2)"
                             " ON CONFLICT DO NOTHING",
                             err);
}

int
policy_detach(struct task *task, struct sl_error *err)
{
    return change_attachment(task, "DELETE FROM iam_user_policy WHERE user_id = $1 AND policy = $2",
                             err);
}
