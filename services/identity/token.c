// token.c - Keystone v3 tokens: made with a password, shown to those who hold one.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "services/identity/login.h"
#include "services/identity/token_key.h"

#define HEADER "X-Subject-Token"

// What a token's description is made of.
struct grant {
    struct sl_token token;
    const char *user_name;
    const char *domain_name;
    const char *project_name; // "" when scoped to the account
};

static const char *
member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

// What the request's user names. Refuses (PARAM_MISSING) one that names none.
static int
read_user(const json_t *user, struct login_name *ret_name, struct sl_error *err)
{
    const json_t *domain = json_object_get(user, "domain");
    struct login_name name = {
        .user_id = member(user, "id"),
        .user_name = member(user, "name"),
        .domain_id = member(domain, "id"),
        .domain_name = member(domain, "name"),
    };
    if (name.user_id == NULL && name.user_name == NULL) {
        return sl_fail(err, SL_E_PARAM_MISSING, "auth.identity.password.user.name");
    }
    if (name.user_id == NULL && name.domain_id == NULL && name.domain_name == NULL) {
        return sl_fail(err, SL_E_PARAM_MISSING, "auth.identity.password.user.domain");
    }
    *ret_name = name;
    return 0;
}

// The password method is the only one; others may not stand beside it.
static int
check_methods(const json_t *identity, struct sl_error *err)
{
    const json_t *methods = json_object_get(identity, "methods");
    const char *method = json_string_value(json_array_get(methods, 0));
    if (json_array_size(methods) != 1 || method == NULL || strcmp(method, "password") != 0) {
        return sl_fail(err, SL_E_PARAM_INVALID, "auth.identity.methods");
    }
    return 0;
}

// Finds the project of the scope among those of the user's account.
static int
find_scope(struct task *task, const json_t *project, const struct login_user *user,
           struct grant *grant, struct sl_error *err)
{
    const json_t *domain = json_object_get(project, "domain");
    const char *id = member(project, "id");
    const char *name = member(project, "name");
    const char *domain_id = member(domain, "id");
    const char *domain_name = member(domain, "name");
    struct sl_rows *rows = NULL;
    if (id == NULL && name == NULL) {
        return sl_fail(err, SL_E_PARAM_MISSING, "auth.scope.project.id");
    }
    if ((domain_id != NULL && strcmp(domain_id, user->domain_id) != 0) ||
        (domain_name != NULL && strcmp(domain_name, user->domain_name) != 0)) {
        return sl_fail(err, SL_E_SCOPE_DENIED);
    }
    if (sl_sql(task->tx, task->arena,
               "SELECT id, name FROM project WHERE domain_id = $1"
               " AND (id = $2 OR ($2::text IS NULL AND name = $3))",
               SL_PARAMS(SL_P_TEXT(user->domain_id), id != NULL ? SL_P_TEXT(id) : SL_P_NULL,
                         name != NULL ? SL_P_TEXT(name) : SL_P_NULL),
               &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) != 1) {
        return sl_fail(err, SL_E_SCOPE_DENIED);
    }
    snprintf(grant->token.project_id, sizeof(grant->token.project_id), "%s",
             sl_rows_text(rows, 0, 0));
    grant->project_name = sl_rows_text(rows, 0, 1);
    return 0;
}

// A scope is a project, the user's own account, or absent, which means the account.
static int
read_scope(struct task *task, const json_t *scope, const struct login_user *user,
           struct grant *grant, struct sl_error *err)
{
    const json_t *project = json_object_get(scope, "project");
    const json_t *domain = json_object_get(scope, "domain");
    const char *domain_id = member(domain, "id");
    const char *domain_name = member(domain, "name");
    grant->project_name = "";
    if (project != NULL) {
        return find_scope(task, project, user, grant, err);
    }
    if ((domain_id != NULL && strcmp(domain_id, user->domain_id) != 0) ||
        (domain_name != NULL && strcmp(domain_name, user->domain_name) != 0)) {
        return sl_fail(err, SL_E_SCOPE_DENIED);
    }
    return 0;
}

static json_t *
describe_domain(const struct grant *grant)
{
    return json_pack("{s:s, s:s}", "id", grant->token.domain_id, "name", grant->domain_name);
}

// The user's policies, as Keystone calls them: roles.
static json_t *
describe_roles(struct task *task, const char *user_id, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(task->tx, task->arena,
               "SELECT policy FROM iam_user_policy WHERE user_id = $1 ORDER BY policy",
               SL_PARAMS(SL_P_TEXT(user_id)), &rows, err) != 0) {
        return NULL;
    }
    json_t *roles = json_array();
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        const char *policy = sl_rows_text(rows, i, 0);
        json_array_append_new(roles, json_pack("{s:s, s:s}", "id", policy, "name", policy));
    }
    return roles;
}

static json_t *
describe_endpoint(struct task *task, const char *type, const char *path)
{
    const struct identity *identity = task->identity;
    char *url = sl_arena_printf(task->arena, "%s%s", identity->endpoint, path);
    return json_pack("{s:s, s:s, s:s, s:[{s:s, s:s, s:s, s:s, s:s}]}", "id", type, "type", type,
                     "name", type, "endpoints", "id", type, "interface", "public", "region",
                     identity->region, "region_id", identity->region, "url",
                     url != NULL ? url : "");
}

static json_t *
describe_catalog(struct task *task, const struct grant *grant)
{
    json_t *catalog = json_array();
    json_array_append_new(catalog, describe_endpoint(task, "identity", "/v3"));
    if (grant->token.project_id[0] != '\0') {
        char *path = sl_arena_printf(task->arena, "/v2/%s", grant->token.project_id);
        json_array_append_new(catalog, describe_endpoint(task, "apig", path));
    }
    return catalog;
}

// The body of Keystone's answers about a token.
static int
describe(struct task *task, const struct grant *grant, struct sl_error *err)
{
    char issued[SL_TIME_TEXT];
    char expires[SL_TIME_TEXT];
    sl_time_format(grant->token.issued_s * 1000, issued);
    sl_time_format(grant->token.expires_s * 1000, expires);
    json_t *roles = describe_roles(task, grant->token.user_id, err);
    if (roles == NULL) {
        return -1;
    }
    json_t *token =
        json_pack("{s:[s], s:s, s:s, s:[s], s:o, s:{s:s, s:s, s:o, s:s}}", "methods", "password",
                  "issued_at", issued, "expires_at", expires, "audit_ids", grant->token.id, "roles",
                  roles, "user", "id", grant->token.user_id, "name", grant->user_name, "domain",
                  describe_domain(grant), "password_expires_at", "");
    if (grant->token.project_id[0] != '\0') {
        json_object_set_new(token, "project",
                            json_pack("{s:s, s:s, s:o}", "id", grant->token.project_id, "name",
                                      grant->project_name, "domain", describe_domain(grant)));
    } else {
        json_object_set_new(token, "domain", describe_domain(grant));
    }
    if (json_object_get(task->command->query, "nocatalog") == NULL) {
        json_object_set_new(token, "catalog", describe_catalog(task, grant));
    }
    task->answer = task_keep(task, json_pack("{s:o}", "token", token));
    return task->answer != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}

static int
answer_header(struct task *task, const char *text, struct sl_error *err)
{
    task->headers = task_keep(task, json_pack("{s:s}", HEADER, text));
    return task->headers != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}

// Fills in who, when and under which key, signs, and answers.
static int
issue(struct task *task, const struct login_user *user, struct grant *grant, struct sl_error *err)
{
    struct sl_token *token = &grant->token;
    const char *key_id = NULL;
    const char *text = NULL;
    uint8_t private_key[SL_TOKEN_KEY_LEN];
    if (token_key_current(task, &key_id, private_key, err) != 0) {
        return -1;
    }
    snprintf(token->key_id, sizeof(token->key_id), "%s", key_id);
    snprintf(token->user_id, sizeof(token->user_id), "%s", user->id);
    snprintf(token->domain_id, sizeof(token->domain_id), "%s", user->domain_id);
    sl_random_id(token->id);
    // A token made in the second in which earlier ones were ended is not one of those.
    int64_t now_s = sl_wall_ms() / 1000;
    token->issued_s = now_s > user->not_before ? now_s : user->not_before;
    token->expires_s = now_s + SL_TOKEN_LIFETIME_S;
    grant->user_name = user->name;
    grant->domain_name = user->domain_name;
    int rc = sl_token_make(task->arena, token, private_key, &text, err);
    sl_wipe(private_key, sizeof(private_key));
    if (rc != 0 || describe(task, grant, err) != 0) {
        return -1;
    }
    return answer_header(task, text, err);
}

int
token_create(struct task *task, struct sl_error *err)
{
    const json_t *auth = task_value(task, "auth");
    const json_t *identity = json_object_get(auth, "identity");
    const json_t *user_part = json_object_get(json_object_get(identity, "password"), "user");
    const char *password = member(user_part, "password");
    struct login_name name;
    struct login_user user;
    struct grant grant = {.project_name = ""};
    if (check_methods(identity, err) != 0 || read_user(user_part, &name, err) != 0) {
        return -1;
    }
    if (password == NULL) {
        return sl_fail(err, SL_E_PARAM_MISSING, "auth.identity.password.user.password");
    }
    if (login_check(task, &name, sl_str(password), &user, err) != 0) {
        return -1;
    }
    task->tx = sl_tx_begin(task->db, err);
    int rc = task->tx == NULL ||
                     read_scope(task, json_object_get(auth, "scope"), &user, &grant, err) != 0 ||
                     issue(task, &user, &grant, err) != 0
                 ? -1
                 : 0;
    sl_tx_free(&task->tx);
    return rc;
}

// The token in question, from where front puts header parameters.
static const char *
subject(const struct task *task)
{
    const char *text = member(task->command->query, HEADER);
    return text != NULL ? text : task_text(task, HEADER);
}

// Whether the signature holds and the time has not run out.
static int
check_subject(struct task *task, const char *text, struct sl_token *ret_token, struct sl_error *err)
{
    uint8_t public_key[SL_TOKEN_KEY_LEN];
    bool found = false;
    if (!sl_token_parse(sl_str(text), ret_token)) {
        return sl_fail(err, SL_E_SUBJECT_UNKNOWN);
    }
    if (token_key_find(task, ret_token->key_id, &found, public_key, err) != 0) {
        return -1;
    }
    if (!found || !sl_token_verify(sl_str(text), public_key) ||
        ret_token->expires_s <= sl_wall_ms() / 1000 ||
        strcmp(ret_token->domain_id, task->command->actor.domain_id) != 0) {
        return sl_fail(err, SL_E_SUBJECT_UNKNOWN);
    }
    return 0;
}

int
token_show(struct task *task, struct sl_error *err)
{
    struct grant grant = {.project_name = ""};
    struct sl_rows *rows = NULL;
    const char *text = subject(task);
    if (check_subject(task, text, &grant.token, err) != 0 ||
        sl_sql(task->tx, task->arena,
               "SELECT u.name, d.name, coalesce(p.name, '') FROM iam_user u"
               " JOIN domain d ON d.id = u.domain_id"
               " LEFT JOIN project p ON p.id = $2 AND p.domain_id = d.id"
               " WHERE u.id = $1 AND u.enabled AND u.not_before <= $3",
               SL_PARAMS(SL_P_TEXT(grant.token.user_id), SL_P_TEXT(grant.token.project_id),
                         SL_P_INT(grant.token.issued_s)),
               &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) != 1) {
        return sl_fail(err, SL_E_SUBJECT_UNKNOWN);
    }
    grant.user_name = sl_rows_text(rows, 0, 0);
    grant.domain_name = sl_rows_text(rows, 0, 1);
    grant.project_name = sl_rows_text(rows, 0, 2);
    if (describe(task, &grant, err) != 0) {
        return -1;
    }
    return answer_header(task, text, err);
}
