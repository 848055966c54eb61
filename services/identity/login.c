// login.c - see login.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/identity/login.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/crypto/crypto.h"
#include "common/crypto/password.h"

// Under which keys an attempt is counted: hashes, so that invented names are not stored.
struct counters {
    char pair[SL_SHA256_HEX];    // account and address
    char account[SL_SHA256_HEX]; //
    char address[SL_SHA256_HEX]; // "" when it is not known
    bool in_buckets;             // the attempt was counted there too
};

// Counts an attempt unless the pair is blocked: five are free, then 1 s, 2 s, 4 s… up to 60 s.
// A quarter of an hour of peace forgets. No row comes back from a blocked one.
static const char attempt_sql[] =
    "INSERT INTO iam_login AS l (account, failures, blocked_until) VALUES ($1, 1, now())"
    " ON CONFLICT (account) DO UPDATE SET"
    "  failures = CASE WHEN l.at < now() - interval '15 minutes' THEN 1 ELSE l.failures + 1 END,"
    "  blocked_until = now() + CASE"
    "   WHEN l.failures < 5 OR l.at < now() - interval '15 minutes' THEN interval '0'"
    "   ELSE least(60, power(2, least(l.failures - 5, 10))) * interval '1 second' END,"
    "  at = now()"
    " WHERE l.blocked_until <= now() RETURNING coalesce(trusted_until > now(), false)";

// Counts an attempt unless the bucket is full: it holds 100 and leaks one in 6 s.
static const char bucket_sql[] =
    "INSERT INTO iam_login_bucket AS b (key, level) VALUES ($1, 1)"
    " ON CONFLICT (key) DO UPDATE SET"
    "  level = greatest(0, b.level - extract(epoch FROM now() - b.at) / 6) + 1,"
    "  at = greatest(b.at, now())"
    " WHERE greatest(0, b.level - extract(epoch FROM now() - b.at) / 6) <= 99 RETURNING 1";

// After a success nothing is held against the pair, and for 30 days it passes by the buckets.
static const char trust_sql[] =
    "INSERT INTO iam_login (account, failures, blocked_until, trusted_until)"
    " VALUES ($1, 0, now(), now() + interval '30 days') ON CONFLICT (account) DO UPDATE SET"
    " failures = 0, blocked_until = now(), trusted_until = excluded.trusted_until, at = now()";

static const char give_back_sql[] =
    "UPDATE iam_login_bucket SET level = greatest(0, level - 1) WHERE key = $1";

// A few rows that no longer matter, so that invented names do not pile up: more than an attempt
// makes.
static const char prune_sql[] =
    "DELETE FROM iam_login WHERE account IN (SELECT account FROM iam_login"
    " WHERE at < now() - interval '1 hour' AND coalesce(trusted_until < now(), true)"
    " ORDER BY at LIMIT 16 FOR UPDATE SKIP LOCKED)";
static const char prune_bucket_sql[] =
    "DELETE FROM iam_login_bucket WHERE key IN (SELECT key FROM iam_login_bucket"
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

// What an attacker has one of: an IPv4 address, or an IPv6 network of 64 bits. "" when unknown.
static void
network_of(const char *address, char ret_text[INET6_ADDRSTRLEN])
{
    struct in6_addr v6;
    struct in_addr v4;
    const char *shown = NULL;
    ret_text[0] = '\0';
    if (inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_V4MAPPED(&v6)) {
        shown = inet_ntop(AF_INET, &v6.s6_addr[12], ret_text, INET6_ADDRSTRLEN);
    } else if (inet_pton(AF_INET6, address, &v6) == 1) {
        memset(&v6.s6_addr[8], 0, 8);
        shown = inet_ntop(AF_INET6, &v6, ret_text, INET6_ADDRSTRLEN);
    } else if (inet_pton(AF_INET, address, &v4) == 1) {
        shown = inet_ntop(AF_INET, &v4, ret_text, INET6_ADDRSTRLEN);
    }
    if (shown == NULL) {
        ret_text[0] = '\0';
    }
}

// The keys of an attempt: the user where there is one, else the name as given; and the address.
static int
find_counters(struct task *task, const struct login_name *name, const struct sl_rows *rows,
              struct counters *ret_counters, struct sl_error *err)
{
    const struct sl_seal_key *key = &task->identity->seal_key;
    const char *address = task->command->actor.address;
    char network[INET6_ADDRSTRLEN];
    const char *account = NULL;
    network_of(address != NULL ? address : "", network);
    if (sl_rows_count(rows) == 1) {
        account = sl_arena_printf(task->arena, "user/%s", sl_rows_text(rows, 0, 0));
    } else {
        account = sl_arena_printf(task->arena, "name/%s/%s/%s/%s",
                                  name->user_id != NULL ? name->user_id : "",
                                  name->domain_id != NULL ? name->domain_id : "",
                                  name->domain_name != NULL ? name->domain_name : "",
                                  name->user_name != NULL ? name->user_name : "");
    }
    const char *pair =
        account != NULL ? sl_arena_printf(task->arena, "%s %s", network, account) : NULL;
    if (pair == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    sl_seal_lookup(key, SL_STR("login"), sl_str(pair), ret_counters->pair);
    sl_seal_lookup(key, SL_STR("login_account"), sl_str(account), ret_counters->account);
    ret_counters->address[0] = '\0';
    if (network[0] != '\0') {
        sl_seal_lookup(key, SL_STR("login_address"), sl_str(network), ret_counters->address);
    }
    return 0;
}

// Counts in one bucket; LOGIN_BACKOFF when it is full.
static int
take(struct task *task, const char *key, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(task->tx, task->arena, bucket_sql, SL_PARAMS(SL_P_TEXT(key)), &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) > 0 ? 0 : sl_fail(err, SL_E_LOGIN_BACKOFF);
}

// Counts the attempt, or refuses it and counts nothing.
static int
count_attempt(struct task *task, struct counters *counters, struct sl_error *err)
{
    struct sl_rows *counted = NULL;
    if (sl_sql(task->tx, task->arena, attempt_sql, SL_PARAMS(SL_P_TEXT(counters->pair)), &counted,
               err) != 0) {
        return -1;
    }
    if (sl_rows_count(counted) == 0) {
        return sl_fail(err, SL_E_LOGIN_BACKOFF);
    }
    counters->in_buckets = !sl_rows_bool(counted, 0, 0);
    if (!counters->in_buckets) {
        return 0;
    }
    if (take(task, counters->account, err) != 0) {
        return -1;
    }
    return counters->address[0] != '\0' ? take(task, counters->address, err) : 0;
}

// Looks the user up and counts the attempt, in one transaction. What prunes comes last: it waits
// for nobody, and nobody who holds a row waits for what it deletes.
static int
begin_attempt(struct task *task, const struct login_name *name, struct sl_rows **ret_rows,
              struct counters *ret_counters, struct sl_error *err)
{
    task->tx = sl_tx_begin(task->db, err);
    if (task->tx == NULL || find_row(task, name, ret_rows, err) != 0 ||
        find_counters(task, name, *ret_rows, ret_counters, err) != 0 ||
        count_attempt(task, ret_counters, err) != 0 ||
        sl_sql(task->tx, task->arena, prune_sql, SL_NO_PARAMS, NULL, err) != 0 ||
        sl_sql(task->tx, task->arena, prune_bucket_sql, SL_NO_PARAMS, NULL, err) != 0) {
        return -1;
    }
    return sl_tx_commit(&task->tx, err);
}

// The attempt was none after all; what it took from the buckets goes back.
static int
give_back(struct task *task, const struct counters *counters, struct sl_error *err)
{
    if (!counters->in_buckets) {
        return 0;
    }
    if (sl_sql(task->tx, task->arena, give_back_sql, SL_PARAMS(SL_P_TEXT(counters->account)), NULL,
               err) != 0) {
        return -1;
    }
    return sl_sql(task->tx, task->arena, give_back_sql, SL_PARAMS(SL_P_TEXT(counters->address)),
                  NULL, err);
}

static int
forget_attempts(struct task *task, const struct counters *counters, struct sl_error *err)
{
    task->tx = sl_tx_begin(task->db, err);
    if (task->tx == NULL ||
        sl_sql(task->tx, task->arena, trust_sql, SL_PARAMS(SL_P_TEXT(counters->pair)), NULL, err) !=
            0 ||
        give_back(task, counters, err) != 0) {
        return -1;
    }
    return sl_tx_commit(&task->tx, err);
}

int
login_check(struct task *task, const struct login_name *name, struct sl_str password,
            struct login_user *ret_user, struct sl_error *err)
{
    struct counters counters = {.in_buckets = false};
    struct sl_rows *rows = NULL;
    int rc = begin_attempt(task, name, &rows, &counters, err);
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
    rc = forget_attempts(task, &counters, err);
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
