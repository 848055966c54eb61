// account.c - accounts and projects: making them, listing them, finding them.
//
// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "services/identity/identity.h"

#define NAME_MAX_ 64 // bytes of a name

int
find_domain(struct task *task, const char **ret_id, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *domain = NULL;
    // A name that is another account's id loses against the id.
    if (task_need(task, "domain", NAME_MAX_, &domain, err) != 0 ||
        sl_sql(task->tx, task->arena,
               "SELECT id FROM domain WHERE id = $1 OR name = $1 ORDER BY id = $1 DESC LIMIT 1",
               SL_PARAMS(SL_P_TEXT(domain)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_DOMAIN_NOT_FOUND);
    }
    *ret_id = sl_rows_text(rows, 0, 0);
    return 0;
}

int
find_project(struct task *task, const char *domain_id, const char **ret_id, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *project = NULL;
    if (task_need(task, "project", NAME_MAX_, &project, err) != 0 ||
        sl_sql(task->tx, task->arena,
               "SELECT id FROM project WHERE domain_id = $1 AND (id = $2 OR name = $2)"
               " ORDER BY id = $2 DESC LIMIT 1",
               SL_PARAMS(SL_P_TEXT(domain_id), SL_P_TEXT(project)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_PROJECT_NOT_FOUND);
    }
    *ret_id = sl_rows_text(rows, 0, 0);
    return 0;
}

int
domain_create(struct task *task, struct sl_error *err)
{
    const char *id = NULL;
    const char *name = NULL;
    if (task_need(task, "name", NAME_MAX_, &name, err) != 0 || task_id(task, &id, err) != 0 ||
        sl_sql(task->tx, task->arena, "INSERT INTO domain (id, name) VALUES ($1, $2)",
               SL_PARAMS(SL_P_TEXT(id), SL_P_TEXT(name)), NULL, err) != 0) {
        return -1;
    }
    task->object_id = id;
    task->answer = task_keep(task, json_pack("{s:s, s:s}", "id", id, "name", name));
    task->audit_after = task->answer;
    return 0;
}

// A list of the rows' first two columns under `field`.
static int
answer_list(struct task *task, const char *field, const struct sl_rows *rows, struct sl_error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        json_array_append_new(list, json_pack("{s:s, s:s}", "id", sl_rows_text(rows, i, 0), "name",
                                              sl_rows_text(rows, i, 1)));
    }
    task->answer = task_keep(task, json_pack("{s:o}", field, list));
    return task->answer != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}

int
domain_list(struct task *task, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(task->tx, task->arena, "SELECT id, name FROM domain ORDER BY name", SL_NO_PARAMS,
               &rows, err) != 0) {
        return -1;
    }
    return answer_list(task, "domains", rows, err);
}

int
project_create(struct task *task, struct sl_error *err)
{
    const char *id = NULL;
    const char *name = NULL;
    const char *domain_id = NULL;
    if (task_need(task, "name", NAME_MAX_, &name, err) != 0 || task_id(task, &id, err) != 0 ||
        find_domain(task, &domain_id, err) != 0 ||
        sl_sql(task->tx, task->arena,
               "INSERT INTO project (id, domain_id, name) VALUES ($1, $2, $3)",
               SL_PARAMS(SL_P_TEXT(id), SL_P_TEXT(domain_id), SL_P_TEXT(name)), NULL, err) != 0 ||
        task_touch(task, "project", id, err) != 0) {
        return -1;
    }
    task->object_id = id;
    task->answer = task_keep(
        task, json_pack("{s:s, s:s, s:s}", "id", id, "name", name, "domain_id", domain_id));
    task->audit_after = task->answer;
    return 0;
}

int
project_all(struct task *task, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *domain_id = NULL;
    if (find_domain(task, &domain_id, err) != 0 ||
        sl_sql(task->tx, task->arena,
               "SELECT id, name FROM project WHERE domain_id = $1 ORDER BY name",
               SL_PARAMS(SL_P_TEXT(domain_id)), &rows, err) != 0) {
        return -1;
    }
    return answer_list(task, "projects", rows, err);
}

// One project as Keystone v3 shows it.
static json_t *
show_project(const struct task *task, const struct sl_rows *rows, size_t row)
{
    const char *id = sl_rows_text(rows, row, 0);
    const char *domain_id = sl_rows_text(rows, row, 2);
    char *self = sl_arena_printf(task->arena, "%s/v3/projects/%s", task->identity->endpoint, id);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:{s:s}}", "id", id, "name",
                     sl_rows_text(rows, row, 1), "domain_id", domain_id, "parent_id", domain_id,
                     "description", "", "enabled", 1, "is_domain", 0, "links", "self",
                     self != NULL ? self : "");
}

static int
answer_projects(struct task *task, const char *name, const char *path, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(task->tx, task->arena,
               "SELECT id, name, domain_id FROM project"
               " WHERE domain_id = $1 AND ($2::text IS NULL OR name = $2) ORDER BY name",
               SL_PARAMS(SL_P_TEXT(task->command->actor.domain_id),
                         name != NULL ? SL_P_TEXT(name) : SL_P_NULL),
               &rows, err) != 0) {
        return -1;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        json_array_append_new(list, show_project(task, rows, i));
    }
    char *self = sl_arena_printf(task->arena, "%s%s", task->identity->endpoint, path);
    task->answer = task_keep(task, json_pack("{s:o, s:{s:s, s:n, s:n}}", "projects", list, "links",
                                             "self", self != NULL ? self : "", "next", "previous"));
    return task->answer != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}

int
project_list(struct task *task, struct sl_error *err)
{
    const json_t *query = task->command->query;
    const char *name = json_string_value(json_object_get(query, "name"));
    const char *domain_id = json_string_value(json_object_get(query, "domain_id"));
    if (domain_id != NULL && strcmp(domain_id, task->command->actor.domain_id) != 0) {
        // Another account's projects are as good as none.
        task->answer = task_keep(task, json_pack("{s:[], s:{}}", "projects", "links"));
        return 0;
    }
    return answer_projects(task, name, "/v3/projects", err);
}

int
auth_project_list(struct task *task, struct sl_error *err)
{
    return answer_projects(task, NULL, "/v3/auth/projects", err);
}

int
auth_domain_list(struct task *task, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(task->tx, task->arena, "SELECT id, name FROM domain WHERE id = $1",
               SL_PARAMS(SL_P_TEXT(task->command->actor.domain_id)), &rows, err) != 0) {
        return -1;
    }
    const char *endpoint = task->identity->endpoint;
    json_t *list = json_array();
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        const char *id = sl_rows_text(rows, i, 0);
        char *self = sl_arena_printf(task->arena, "%s/v3/domains/%s", endpoint, id);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:b, s:{s:s}}", "id", id, "name",
                                        sl_rows_text(rows, i, 1), "description", "", "enabled", 1,
                                        "links", "self", self != NULL ? self : ""));
    }
    char *self = sl_arena_printf(task->arena, "%s/v3/auth/domains", endpoint);
    task->answer = task_keep(task, json_pack("{s:o, s:{s:s, s:n, s:n}}", "domains", list, "links",
                                             "self", self != NULL ? self : "", "next", "previous"));
    return task->answer != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}
