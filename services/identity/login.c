// login.c - see login.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/identity/login.h"

#include "common/crypto/crypto.h"
#include "common/crypto/password.h"

// Counts an attempt unless the account is blocked: five are free, then 1 s, 2 s, 4 s… up to 60 s.
// A quarter of an hour of peace forgets. No row comes back from a blocked account.
static const char attempt_sql[] =
    "INSERT INTO iam_login AS l (account, failures, blocked_until) VALUES ($1, 1, now())"
    " ON CONFLICT (account) DO UPDATE SET"
    "  failures = CASE WHEN l.at < now() - interval '15 minutes' THEN 1 ELSE l.failures + 1 END,"
    "  blocked_until = now() + CASE"
    "   WHEN l.failures < 5 OR l.at < now() - interval '15 minutes' THEN interval '0'"
    "   ELSE least(60, power(2, least(l.failures - 5, 10))) * interval '1 second' END,"
    "  at = now()"
    " WHERE l.blocked_until <= now() RETURNING failures";

static const char forget_sql[] = "DELETE FROM iam_login WHERE account = $1";

// A few rows that no longer matter, so that invented names do not pile up.
static const char prune_sql[] =
    "DELETE FROM iam_login WHERE account IN (SELECT account FROM iam_login"
    " WHERE at < now() - interval '1 hour' ORDER BY at LIMIT 16 FOR UPDATE SKIP LOCKED)";

static const char user_sql[] =
    "SELECT u.id, u.name, coalesce(u.password, ''), u.enabled, d.id, d.name, u.not_before"
    " FROM iam_user u JOIN domain d ON d.id = u.domain_id"
    " WHERE ($1::text IS NOT NULL AND u.id = $1)"
    " OR ($1::text IS NULL AND u.name = $2 AND (d.id = $3 OR ($3::text IS NULL AND d.name = $4)))";

static struct sl_param
text_or_null(const char *text)
{
    return text != NULL ? SL_P_TEXT(text) : SL_P_NULL;
}

static int
find_row(struct task *task, const struct login_name *name, struct sl_rows **ret_rows,
         struct sl_error *err)
{
    return sl_sql(task->tx, task->arena, user_sql,
                  SL_PARAMS(text_or_null(name->user_id), text_or_null(name->user_name),
                            text_or_null(name->domain_id), text_or_null(name->domain_name)),
                  ret_rows, err);
}

// The key under which attempts are counted: the user where there is one, else the name as given.
static int
account_key(struct task *task, const struct login_name *name, const struct sl_rows *rows,
            char ret_key[SL_SHA256_HEX], struct sl_error *err)
{
    const char *text = NULL;
    if (sl_rows_count(rows) == 1) {
        text = sl_arena_printf(task->arena, "user/%s", sl_rows_text(rows, 0, 0));
    } else {
        text = sl_arena_printf(task->arena, "name/%s/%s/%s/%s",
                               name->user_id != NULL ? name->user_id : "",
                               name->domain_id != NULL ? name->domain_id : "",
                               name->domain_name != NULL ? name->domain_name : "",
                               name->user_name != NULL ? name->user_name : "");
    }
    if (text == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    sl_seal_lookup(&task->identity->seal_key, SL_STR("login"), sl_str(text), ret_key);
    return 0;
}

// Looks the user up and counts the attempt, in one transaction.
static int
begin_attempt(struct task *task, const struct login_name *name, struct sl_rows **ret_rows,
              char ret_key[SL_SHA256_HEX], struct sl_error *err)
{
    struct sl_rows *counted = NULL;
    task->tx = sl_tx_begin(task->db, err);
    if (task->tx == NULL || find_row(task, name, ret_rows, err) != 0 ||
        account_key(task, name, *ret_rows, ret_key, err) != 0 ||
        sl_sql(task->tx, task->arena, prune_sql, SL_NO_PARAMS, NULL, err) != 0 ||
        sl_sql(task->tx, task->arena, attempt_sql, SL_PARAMS(SL_P_TEXT(ret_key)), &counted, err) !=
            0) {
        return -1;
    }
    if (sl_rows_count(counted) == 0) {
        return sl_fail(err, SL_E_LOGIN_BACKOFF);
    }
    return sl_tx_commit(&task->tx, err);
}

static int
forget_attempts(struct task *task, const char *key, struct sl_error *err)
{
    task->tx = sl_tx_begin(task->db, err);
    if (task->tx == NULL ||
        sl_sql(task->tx, task->arena, forget_sql, SL_PARAMS(SL_P_TEXT(key)), NULL, err) != 0) {
        return -1;
    }
    return sl_tx_commit(&task->tx, err);
}

int
login_check(struct task *task, const struct login_name *name, struct sl_str password,
            struct login_user *ret_user, struct sl_error *err)
{
    char key[SL_SHA256_HEX];
    struct sl_rows *rows = NULL;
    int rc = begin_attempt(task, name, &rows, key, err);
    sl_tx_free(&task->tx);
    if (rc != 0) {
        return -1;
    }
    bool known = sl_rows_count(rows) == 1 && sl_rows_text(rows, 0, 2)[0] != '\0';
    const char *hash = known ? sl_rows_text(rows, 0, 2) : sl_password_decoy();
    bool matches = sl_password_verify(password, hash);
    if (!matches || !known || !sl_rows_bool(rows, 0, 3)) {
        return sl_fail(err, SL_E_LOGIN_FAILED);
    }
    rc = forget_attempts(task, key, err);
    sl_tx_free(&task->tx);
    if (rc != 0) {
        return -1;
    }
    *ret_user = (struct login_user){
        .id = sl_rows_text(rows, 0, 0),
        .name = sl_rows_text(rows, 0, 1),
        .domain_id = sl_rows_text(rows, 0, 4),
        .domain_name = sl_rows_text(rows, 0, 5),
        .not_before = sl_rows_int(rows, 0, 6),
    };
    return 0;
}
