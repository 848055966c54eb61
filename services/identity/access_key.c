// access_key.c - access keys: the secret is shown once and then only sealed.
//
// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "services/identity/identity.h"

#define ACCESS_LEN    20  // characters
#define SECRET_LEN    40  // characters: over 200 bits
#define TOKEN_LEN     200 // characters of a security token
#define LIFETIME_MAX  (366 * 24 * 3600)
#define TEMPORARY_MAX (24 * 3600)
#define PRUNE_MAX     16 // ended temporary keys that one new one clears away

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

// A key as it is made.
struct new_key {
    char access[ACCESS_LEN + 1];
    char secret[SECRET_LEN + 1];
    char token[TOKEN_LEN + 1]; // security token; "": the key is not temporary
    int64_t expires_at;        // seconds; 0: never
};

// Fills `ret_text` with `len` random characters of the alphabet and a terminator. Bytes that would
// make some characters likelier than others are thrown away.
static void
random_text(const char *alphabet, size_t len, char *ret_text)
{
    size_t count = strlen(alphabet);
    size_t done = 0;
    while (done < len) {
        uint8_t byte = 0;
        sl_random(&byte, 1);
        if (byte < 256 / count * count) {
            ret_text[done++] = alphabet[byte % count];
        }
    }
    ret_text[len] = '\0';
}

// When the key ends: from the body's `temporary`, which also gives it a security token, or from
// `expires_in`; without either never.
static int
read_expiry(struct task *task, struct new_key *key, struct sl_error *err)
{
    json_t *temporary = task_value(task, "temporary");
    json_t *lifetime = temporary != NULL ? temporary : task_value(task, "expires_in");
    const char *name = temporary != NULL ? "temporary" : "expires_in";
    if (lifetime == NULL) {
        return 0;
    }
    if (temporary != NULL && task_value(task, "expires_in") != NULL) {
        return sl_fail(err, SL_E_PARAM_INVALID, "expires_in");
    }
    int64_t seconds = json_integer_value(lifetime);
    if (!json_is_integer(lifetime) || seconds < 1 ||
        seconds > (temporary != NULL ? TEMPORARY_MAX : LIFETIME_MAX)) {
        return sl_fail(err, SL_E_PARAM_RANGE, name);
    }
    key->expires_at = sl_wall_ms() / 1000 + seconds;
    if (temporary != NULL) {
        random_text(letters, TOKEN_LEN, key->token);
    }
    return 0;
}

// The project that the key is bound to, or SQL NULL.
static int
read_project(struct task *task, struct sl_param *ret_project, struct sl_error *err)
{
    const char *domain_id = NULL;
    const char *project_id = NULL;
    *ret_project = SL_P_NULL;
    if (task_value(task, "project") == NULL) {
        return 0;
    }
    if (find_domain(task, &domain_id, err) != 0 ||
        find_project(task, domain_id, &project_id, err) != 0) {
        return -1;
    }
    *ret_project = SL_P_TEXT(project_id);
    return 0;
}

// Seals `text` for the column that has this context; an empty text is SQL NULL.
static int
seal(struct task *task, const char *kind, const char *access, const char *text,
     struct sl_param *ret_param, struct sl_error *err)
{
    struct sl_str sealed;
    const char *context = sl_arena_printf(task->arena, "%s:%s", kind, access);
    *ret_param = SL_P_NULL;
    if (text[0] == '\0') {
        return 0;
    }
    if (sl_seal(task->arena, &task->identity->seal_key, sl_str(context), sl_str(text), &sealed,
                err) != 0) {
        return -1;
    }
    *ret_param = SL_P_BYTES(sealed.ptr, sealed.len);
    return 0;
}

// Temporary keys that ended an hour ago, a few at a time, so that they do not pile up.
static int
prune(struct task *task, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(task->tx, task->arena,
               "DELETE FROM iam_access_key WHERE access IN (SELECT access FROM iam_access_key"
               " WHERE security_token IS NOT NULL AND expires_at < $1 ORDER BY expires_at"
               " LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING access",
               SL_PARAMS(SL_P_INT(sl_wall_ms() / 1000 - 3600), SL_P_INT(PRUNE_MAX)), &rows,
               err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        if (task_touch(task, "access_key", sl_rows_text(rows, i, 0), err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
insert_key(struct task *task, const struct new_key *key, json_t **ret_shown, struct sl_error *err)
{
    struct sl_param secret;
    struct sl_param token;
    struct sl_param project;
    const char *user_id = NULL;
    if (find_user(task, &user_id, err) != 0 || read_project(task, &project, err) != 0 ||
        seal(task, "access_key", key->access, key->secret, &secret, err) != 0 ||
        seal(task, "security_token", key->access, key->token, &token, err) != 0 ||
        sl_sql(task->tx, task->arena,
               "INSERT INTO iam_access_key (access, user_id, project_id, secret, expires_at,"
               " security_token) VALUES ($1, $2, $3, $4, $5, $6)",
               SL_PARAMS(SL_P_TEXT(key->access), SL_P_TEXT(user_id), project, secret,
                         SL_P_INT(key->expires_at), token),
               NULL, err) != 0) {
        return -1;
    }
    *ret_shown = json_pack("{s:s, s:s, s:s, s:I}", "access", key->access, "user_id", user_id,
                           "project_id", project.kind == SL_P_IS_TEXT ? project.text : "",
                           "expires_at", (json_int_t)key->expires_at);
    return task_touch(task, "access_key", key->access, err);
}

int
access_key_create(struct task *task, struct sl_error *err)
{
    struct new_key *key = sl_arena_alloc(task->arena, sizeof(*key));
    json_t *shown = NULL;
    if (key == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    *key = (struct new_key){.expires_at = 0};
    random_text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", ACCESS_LEN, key->access);
    random_text(letters, SECRET_LEN, key->secret);
    if (read_expiry(task, key, err) != 0 || prune(task, err) != 0) {
        return -1;
    }
    int rc = insert_key(task, key, &shown, err);
    task->audit_after = task_keep(task, shown);
    if (rc != 0 || task->audit_after == NULL) {
        return rc != 0 ? -1 : sl_fail(err, SL_E_INTERNAL);
    }
    task->object_id = key->access;
    task->answer = task_keep(task, json_copy(shown));
    json_object_set_new(task->answer, "secret", json_string(key->secret));
    if (key->token[0] != '\0') {
        json_object_set_new(task->answer, "security_token", json_string(key->token));
    }
    return 0;
}

int
access_key_delete(struct task *task, struct sl_error *err)
{
    const char *access = NULL;
    struct sl_rows *rows = NULL;
    if (task_need(task, "access", 128, &access, err) != 0 ||
        task_before(task,
                    "SELECT jsonb_build_object('access', access, 'user_id', user_id, 'project_id',"
                    " project_id, 'enabled', enabled, 'expires_at', expires_at)::text"
                    " FROM iam_access_key WHERE access = $1 FOR UPDATE",
                    access, err) != 0 ||
        sl_sql(task->tx, task->arena, "DELETE FROM iam_access_key WHERE access = $1",
               SL_PARAMS(SL_P_TEXT(access)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_affected(rows) == 0) {
        return sl_fail(err, SL_E_ACCESS_KEY_NOT_FOUND);
    }
    task->object_id = access;
    task->answer = task_keep(task, json_pack("{s:s}", "access", access));
    return task_touch(task, "access_key", access, err);
}

int
access_key_list(struct task *task, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *user_id = NULL;
    if (find_user(task, &user_id, err) != 0 ||
        sl_sql(task->tx, task->arena,
               "SELECT access, coalesce(project_id, ''), enabled, expires_at,"
               " security_token IS NOT NULL FROM iam_access_key WHERE user_id = $1 ORDER BY access",
               SL_PARAMS(SL_P_TEXT(user_id)), &rows, err) != 0) {
        return -1;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:I, s:b}", "access",
                                              sl_rows_text(rows, i, 0), "project_id",
                                              sl_rows_text(rows, i, 1), "enabled",
                                              (int)sl_rows_bool(rows, i, 2), "expires_at",
                                              (json_int_t)sl_rows_int(rows, i, 3), "temporary",
                                              (int)sl_rows_bool(rows, i, 4)));
    }
    task->answer = task_keep(task, json_pack("{s:o}", "access_keys", list));
    return task->answer != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}
