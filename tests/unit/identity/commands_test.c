// commands_test.c - accounts, users, keys, policies and tokens against a real database.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/identity/fixture.h"

#include "common/base/clock.h"
#include "common/crypto/token.h"

// Runs a command on this thread; the reply's body, or NULL with err filled.
static json_t *
send(struct sl_command *command, struct sl_reply *ret_reply)
{
    struct sl_call call = {
        .arena = arena, .command = command, .context = thread, .deadline_mono_ms = INT64_MAX};
    const struct command_row *row = find_row(command->name);
    assert_non_null(row);
    if (task_run(row, thread, &call, ret_reply, &err) != 0) {
        return NULL;
    }
    json_t *body = json_loadb(ret_reply->body.ptr, ret_reply->body.len, 0, NULL);
    assert_non_null(body);
    sl_arena_defer(arena, (void (*)(void *))json_decref, body);
    return body;
}

static const char *client_address = ""; // of the next commands

// The same from JSON text with ' for ".
static json_t *
ask(const char *name, const char *text)
{
    char *json = sl_arena_dup(arena, text);
    for (char *c = json; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    json_t *body = json_loads(json, 0, NULL);
    assert_non_null(body);
    struct sl_command command = make_command(name, body);
    struct sl_reply reply;
    command.actor.address = client_address;
    json_t *answer = send(&command, &reply);
    json_decref(body);
    return answer;
}

static const char *
text(json_t *body, const char *name)
{
    const char *value = json_string_value(json_object_get(body, name));
    return value != NULL ? value : "";
}

static int64_t
count(const char *sql, const char *key)
{
    struct sl_rows *rows = NULL;
    SL_AUTO(sl_tx) tx = sl_tx_begin(thread->db, &err);
    assert_int_equal(sl_sql_built(tx, arena, sql, SL_PARAMS(SL_P_TEXT(key)), &rows, &err), 0);
    return sl_rows_int(rows, 0, 0);
}

// Makes an account, its project `main` and its user `u`, with more fields; the user's id.
static const char *
make_account(const char *name, const char *more)
{
    char body[512];
    snprintf(body, sizeof(body), "{'name': '%s'}", name);
    assert_non_null(ask("domain.create", body));
    snprintf(body, sizeof(body), "{'name': 'main', 'domain': '%s'}", name);
    assert_non_null(ask("project.create", body));
    snprintf(body, sizeof(body), "{'name': 'u', 'domain': '%s', 'policies': ['APIG FullAccess']%s}",
             name, more);
    json_t *user = ask("user.create", body);
    assert_non_null(user);
    return text(user, "id");
}

// The same with a password; hashing costs a tenth of a second, so only who logs in gets one.
static const char *
make_user(const char *name)
{
    char more[128];
    snprintf(more, sizeof(more), ", 'password': 'pass-%s'", name);
    return make_account(name, more);
}

static json_t *
login(const char *domain, const char *user, const char *password, const char *scope)
{
    char body[1024];
    snprintf(body, sizeof(body),
             "{'auth': {'identity': {'methods': ['password'], 'password': {'user': {'name': '%s',"
             " 'password': '%s', 'domain': {'name': '%s'}}}}%s}}",
             user, password, domain, scope);
    return ask("token.create", body);
}

static void
a_user_logs_in_with_a_password_and_gets_a_keystone_token(void **state)
{
    (void)state;
    const char *user_id = make_user("login");
    char *json = sl_arena_dup(
        arena, "{\"auth\": {\"identity\": {\"methods\": [\"password\"], \"password\": {\"user\":"
               " {\"name\": \"u\", \"password\": \"pass-login\", \"domain\": {\"name\":"
               " \"login\"}}}}, \"scope\": {\"project\": {\"name\": \"main\"}}}}");
    json_t *body = json_loads(json, 0, NULL);
    struct sl_command command = make_command("token.create", body);
    struct sl_reply reply;
    json_t *token = json_object_get(send(&command, &reply), "token");
    json_decref(body);
    assert_string_equal(text(json_object_get(token, "user"), "id"), user_id);
    assert_string_equal(text(json_object_get(token, "project"), "name"), "main");
    assert_int_equal(json_array_size(json_object_get(token, "catalog")), 2);
    struct sl_token fields;
    const char *header = text(reply.headers, "X-Subject-Token");
    assert_true(sl_token_parse(sl_str(header), &fields));
    assert_string_equal(fields.user_id, user_id);
    assert_string_equal(fields.project_id, text(json_object_get(token, "project"), "id"));
    assert_true(fields.expires_s - fields.issued_s == SL_TOKEN_LIFETIME_S);
}

static void
a_token_can_be_checked_by_its_own_account_only(void **state)
{
    (void)state;
    make_user("show");
    char *json = sl_arena_dup(
        arena, "{\"auth\": {\"identity\": {\"methods\": [\"password\"], \"password\": {\"user\":"
               " {\"name\": \"u\", \"password\": \"pass-show\", \"domain\": {\"name\":"
               " \"show\"}}}}}}");
    json_t *body = json_loads(json, 0, NULL);
    struct sl_command command = make_command("token.create", body);
    struct sl_reply reply;
    json_t *made = send(&command, &reply);
    json_decref(body);
    const char *domain_id = text(json_object_get(json_object_get(made, "token"), "domain"), "id");
    assert_string_not_equal(domain_id, "");
    json_t *query = json_pack("{s:s}", "X-Subject-Token", text(reply.headers, "X-Subject-Token"));
    command = make_command("token.show", NULL);
    command.query = query;
    command.actor.domain_id = domain_id;
    assert_non_null(send(&command, &reply));
    command.actor.domain_id = "another";
    assert_null(send(&command, &reply));
    assert_int_equal(err.code, SL_E_SUBJECT_UNKNOWN);
    json_decref(query);
    // Ending the tokens ends this one.
    assert_non_null(ask("user.update", "{'user': 'u', 'domain': 'show', 'revoke': true}"));
    query = json_pack("{s:s}", "X-Subject-Token", text(reply.headers, "X-Subject-Token"));
    command.query = query;
    command.actor.domain_id = domain_id;
    assert_null(send(&command, &reply));
    json_decref(query);
}

static void
every_failed_login_is_the_same_answer(void **state)
{
    (void)state;
    make_user("same");
    assert_null(login("same", "u", "wrong-password", ""));
    assert_int_equal(err.code, SL_E_LOGIN_FAILED);
    assert_null(login("same", "nobody", "pass-same", ""));
    assert_int_equal(err.code, SL_E_LOGIN_FAILED);
    assert_null(login("nowhere", "u", "pass-same", ""));
    assert_int_equal(err.code, SL_E_LOGIN_FAILED);
    assert_non_null(ask("user.update", "{'user': 'u', 'domain': 'same', 'enabled': false}"));
    assert_null(login("same", "u", "pass-same", ""));
    assert_int_equal(err.code, SL_E_LOGIN_FAILED);
    assert_non_null(ask("user.create", "{'name': 'keyless', 'domain': 'same'}"));
    assert_null(login("same", "keyless", "pass-same", ""));
    assert_int_equal(err.code, SL_E_LOGIN_FAILED);
}

// As if all accounts had failed this often, without the time that it takes.
static void
pretend_failures(const char *failures)
{
    struct sl_tx *tx = sl_tx_begin(thread->db, &err);
    assert_int_equal(sl_sql(tx, arena, "UPDATE iam_login SET failures = $1::integer",
                            SL_PARAMS(SL_P_TEXT(failures)), NULL, &err),
                     0);
    assert_int_equal(sl_tx_commit(&tx, &err), 0);
}

static void
many_failures_make_wait_whether_the_user_exists_or_not(void **state)
{
    (void)state;
    make_user("backoff");
    static const char *const users[] = {"u", "invented"};
    for (size_t u = 0; u < SL_COUNT(users); u++) {
        assert_null(login("backoff", users[u], "wrong-password", ""));
        pretend_failures("4");
        assert_null(login("backoff", users[u], "wrong-password", ""));
        assert_int_equal(err.code, SL_E_LOGIN_FAILED); // the fifth, still free
        pretend_failures("10");
        assert_null(login("backoff", users[u], "wrong-password", ""));
        assert_int_equal(err.code, SL_E_LOGIN_FAILED); // and now 32 s
        assert_null(login("backoff", users[u], "pass-backoff", ""));
        assert_int_equal(err.code, SL_E_LOGIN_BACKOFF);
    }
    // Nobody else waits.
    assert_non_null(ask("user.create", "{'name': 'v', 'domain': 'backoff', 'password':"
                                       " 'pass-other'}"));
    assert_non_null(login("backoff", "v", "pass-other", ""));
}

static json_t *
login_from(const char *address, const char *user, const char *password)
{
    client_address = address;
    json_t *answer = login("addresses", user, password, "");
    client_address = "";
    return answer;
}

// Fills all buckets, as so many failures would.
static void
fill_buckets(void)
{
    struct sl_tx *tx = sl_tx_begin(thread->db, &err);
    assert_int_equal(sl_sql(tx, arena, "UPDATE iam_login_bucket SET level = 100, at = now()",
                            SL_NO_PARAMS, NULL, &err),
                     0);
    assert_int_equal(sl_tx_commit(&tx, &err), 0);
}

static void
an_attack_stops_neither_the_owner_nor_the_neighbours(void **state)
{
    (void)state;
    make_user("addresses");
    assert_null(login_from("192.0.2.1", "u", "wrong-password"));
    pretend_failures("10");
    assert_null(login_from("192.0.2.1", "u", "wrong-password"));
    assert_null(login_from("::ffff:192.0.2.1", "u", "pass-addresses"));
    assert_int_equal(err.code, SL_E_LOGIN_BACKOFF);
    assert_non_null(login_from("192.0.2.2", "u", "pass-addresses"));
    fill_buckets();
    assert_null(login_from("192.0.2.3", "u", "pass-addresses")); // the user's bucket
    assert_int_equal(err.code, SL_E_LOGIN_BACKOFF);
    assert_null(login_from("192.0.2.1", "invented", "pass-addresses")); // the address's
    assert_int_equal(err.code, SL_E_LOGIN_BACKOFF);
    assert_null(login_from("192.0.2.4", "invented", "pass-addresses"));
    assert_int_equal(err.code, SL_E_LOGIN_FAILED);
    fill_buckets(); // they leak one in 6 s, and a login takes its time
    assert_non_null(login_from("192.0.2.2", "u", "pass-addresses"));    // was let in from there
    assert_null(login_from("192.0.2.2", "invented", "wrong-password")); // nobody else is by that
    assert_int_equal(err.code, SL_E_LOGIN_BACKOFF);
    assert_null(login_from("2001:db8::1", "first", "wrong-password"));
    fill_buckets();
    assert_null(login_from("2001:db8::2", "second", "wrong-password")); // the same network
    assert_int_equal(err.code, SL_E_LOGIN_BACKOFF);
    assert_null(login_from("2001:db8:0:1::1", "second", "wrong-password"));
    assert_int_equal(err.code, SL_E_LOGIN_FAILED);
}

static void
a_scope_of_another_account_is_refused(void **state)
{
    (void)state;
    make_user("mine");
    make_account("theirs", "");
    assert_non_null(login("mine", "u", "pass-mine", ", 'scope': {'project': {'name': 'main'}}"));
    assert_null(login("mine", "u", "pass-mine",
                      ", 'scope': {'project': {'name': 'main', 'domain': {'name': 'theirs'}}}"));
    assert_int_equal(err.code, SL_E_SCOPE_DENIED);
    assert_null(login("mine", "u", "pass-mine", ", 'scope': {'domain': {'name': 'theirs'}}"));
    assert_int_equal(err.code, SL_E_SCOPE_DENIED);
    assert_null(login("mine", "u", "pass-mine", ", 'scope': {'project': {'id': 'none'}}"));
    assert_int_equal(err.code, SL_E_SCOPE_DENIED);
}

static void
a_login_needs_method_user_and_account(void **state)
{
    (void)state;
    assert_null(ask("token.create", "{'auth': {'identity': {'methods': ['token']}}}"));
    assert_int_equal(err.code, SL_E_PARAM_INVALID);
    assert_null(ask("token.create", "{'auth': {'identity': {'methods': ['password'], 'password':"
                                    " {'user': {'password': 'x'}}}}}"));
    assert_int_equal(err.code, SL_E_PARAM_MISSING);
    assert_null(ask("token.create", "{'auth': {'identity': {'methods': ['password'], 'password':"
                                    " {'user': {'name': 'u', 'password': 'x'}}}}}"));
    assert_int_equal(err.code, SL_E_PARAM_MISSING);
}

static void
an_access_key_shows_its_secret_once_and_keeps_it_sealed(void **state)
{
    (void)state;
    make_account("keys", "");
    json_t *key = ask("access_key.create",
                      "{'user': 'u', 'domain': 'keys', 'project': 'main', 'expires_in': 60}");
    assert_non_null(key);
    const char *access = text(key, "access");
    const char *secret = text(key, "secret");
    assert_int_equal(strlen(access), 20);
    assert_int_equal(strlen(secret), 40);
    assert_string_not_equal(text(key, "project_id"), "");
    struct sl_rows *rows = NULL;
    struct sl_str plain;
    SL_AUTO(sl_tx) tx = sl_tx_begin(thread->db, &err);
    assert_int_equal(sl_sql(tx, arena, "SELECT secret FROM iam_access_key WHERE access = $1",
                            SL_PARAMS(SL_P_TEXT(access)), &rows, &err),
                     0);
    char context[64];
    snprintf(context, sizeof(context), "access_key:%s", access);
    assert_int_equal(sl_unseal(arena, &identity.seal_key, sl_str(context),
                               sl_rows_bytes(rows, 0, 0), &plain, &err),
                     0);
    assert_true(sl_str_equal(plain, sl_str(secret)));
    sl_tx_free(&tx);
    json_t *list =
        json_object_get(ask("access_key.list", "{'user': 'u', 'domain': 'keys'}"), "access_keys");
    assert_int_equal(json_array_size(list), 1);
    assert_null(json_object_get(json_array_get(list, 0), "secret"));
    assert_int_equal(
        count("SELECT count(*) FROM audit WHERE after::text LIKE '%' || $1 || '%'", secret), 0);
    assert_int_equal(count("SELECT count(*) FROM runtime_change WHERE gateway_id = 'control'"
                           " AND kind = 'access_key' AND key = $1",
                           access),
                     1);
}

static void
a_temporary_key_has_a_security_token_and_ends(void **state)
{
    (void)state;
    make_account("temporary", "");
    json_t *key = ask("access_key.create", "{'user': 'u', 'domain': 'temporary', 'temporary': 60}");
    assert_non_null(key);
    const char *token = text(key, "security_token");
    assert_int_equal(strlen(token), 200);
    assert_true(json_integer_value(json_object_get(key, "expires_at")) > 0);
    assert_int_equal(
        count("SELECT count(*) FROM audit WHERE after::text LIKE '%' || $1 || '%'", token), 0);
    assert_int_equal(count("SELECT count(*) FROM iam_access_key WHERE position($1::bytea in"
                           " security_token) > 0",
                           token),
                     0);
    static const char *const wrong[] = {"0", "86401", "'60'", "60, 'expires_in': 60"};
    for (size_t i = 0; i < SL_COUNT(wrong); i++) {
        char body[128];
        snprintf(body, sizeof(body), "{'user': 'u', 'domain': 'temporary', 'temporary': %s}",
                 wrong[i]);
        assert_null(ask("access_key.create", body));
    }
    // One that ended long ago goes when the next is made, and the fronts are told.
    SL_AUTO(sl_tx) tx = sl_tx_begin(thread->db, &err);
    assert_int_equal(sl_sql(tx, arena, "UPDATE iam_access_key SET expires_at = 1 WHERE access = $1",
                            SL_PARAMS(SL_P_TEXT(text(key, "access"))), NULL, &err),
                     0);
    assert_int_equal(sl_tx_commit(&tx, &err), 0);
    assert_non_null(
        ask("access_key.create", "{'user': 'u', 'domain': 'temporary', 'temporary': 60}"));
    json_t *list = json_object_get(ask("access_key.list", "{'user': 'u', 'domain': 'temporary'}"),
                                   "access_keys");
    assert_int_equal(json_array_size(list), 1);
    assert_true(json_is_true(json_object_get(json_array_get(list, 0), "temporary")));
    assert_int_equal(count("SELECT count(*) FROM runtime_change WHERE kind = 'access_key'"
                           " AND key = $1",
                           text(key, "access")),
                     2);
}

static void
a_repeated_command_gets_the_first_answer_and_acts_once(void **state)
{
    (void)state;
    make_account("twice", "");
    json_t *body = json_pack("{s:s, s:s}", "user", "u", "domain", "twice");
    struct sl_command command = make_command("access_key.create", body);
    struct sl_reply reply;
    json_t *first = send(&command, &reply);
    json_t *second = send(&command, &reply);
    assert_non_null(second);
    assert_true(json_equal(first, second));
    assert_int_equal(
        count("SELECT count(*) FROM iam_access_key WHERE access = $1", text(first, "access")), 1);
    json_decref(body);
}

static void
names_are_unique_and_what_is_missing_is_named(void **state)
{
    (void)state;
    make_account("unique", "");
    assert_null(ask("domain.create", "{'name': 'unique'}"));
    assert_int_equal(err.code, SL_E_DOMAIN_EXISTS);
    assert_null(ask("project.create", "{'name': 'main', 'domain': 'unique'}"));
    assert_int_equal(err.code, SL_E_PROJECT_EXISTS);
    assert_null(ask("user.create", "{'name': 'u', 'domain': 'unique'}"));
    assert_int_equal(err.code, SL_E_USER_EXISTS);
    assert_null(ask("user.create", "{'name': 'w', 'domain': 'absent'}"));
    assert_int_equal(err.code, SL_E_DOMAIN_NOT_FOUND);
    assert_null(ask("user.create", "{'name': 'w', 'domain': 'unique', 'policies': ['absent']}"));
    assert_int_equal(err.code, SL_E_POLICY_NOT_FOUND);
    assert_null(ask("user.create", "{'domain': 'unique'}"));
    assert_int_equal(err.code, SL_E_PARAM_MISSING);
    assert_string_equal(err.args[0], "name");
    assert_null(ask("user.create", "{'name': 'w', 'domain': 'unique', 'password': 'short'}"));
    assert_int_equal(err.code, SL_E_PARAM_INVALID);
    assert_null(ask("access_key.create", "{'user': 'w', 'domain': 'unique'}"));
    assert_int_equal(err.code, SL_E_USER_NOT_FOUND);
}

static void
the_audit_says_what_was_before_and_after(void **state)
{
    (void)state;
    const char *id = make_account("audited", "");
    assert_non_null(ask("user.update", "{'user': 'u', 'domain': 'audited', 'enabled': false}"));
    assert_int_equal(count("SELECT count(*) FROM audit WHERE command = 'user.update' AND"
                           " object_id = $1 AND actor = 'admin' AND before->>'enabled' = 'true'"
                           " AND after->>'enabled' = 'false' AND before::text !~ 'scrypt'",
                           id),
                     1);
    assert_non_null(ask("user.delete", "{'user': 'u', 'domain': 'audited'}"));
    assert_int_equal(count("SELECT count(*) FROM audit WHERE command = 'user.delete' AND"
                           " before->>'id' = $1 AND after IS NULL",
                           id),
                     1);
}

static void
deleting_a_user_takes_the_keys_along(void **state)
{
    (void)state;
    const char *id = make_account("gone", "");
    json_t *key = ask("access_key.create", "{'user': 'u', 'domain': 'gone'}");
    assert_non_null(ask("user.delete", "{'user': 'u', 'domain': 'gone'}"));
    assert_int_equal(count("SELECT count(*) FROM iam_user WHERE id = $1", id), 0);
    assert_int_equal(
        count("SELECT count(*) FROM iam_access_key WHERE access = $1", text(key, "access")), 0);
    assert_int_equal(count("SELECT count(*) FROM runtime_change WHERE kind = 'access_key'"
                           " AND key = $1",
                           text(key, "access")),
                     2);
}

static void
policies_are_stored_only_when_they_can_be_obeyed(void **state)
{
    (void)state;
    make_account("policies", "");
    const char *attach = "{'policy': 'own', 'user': 'u', 'domain': 'policies'}";
    assert_null(ask("policy.attach", attach));
    assert_int_equal(err.code, SL_E_POLICY_NOT_FOUND);
    assert_null(ask("policy.create", "{'name': 'own', 'document': {'Version': '1.1', 'Statement':"
                                     " [{'Effect': 'Allow', 'Action': ['apig:*:*'],"
                                     " 'Condition': {}}]}}"));
    assert_int_equal(err.code, SL_E_PARAM_INVALID);
    assert_non_null(ask("policy.create", "{'name': 'own', 'document': {'Version': '1.1',"
                                         " 'Statement': [{'Effect': 'Deny', 'Action':"
                                         " ['apig:groups:*']}]}}"));
    assert_non_null(ask("policy.attach", attach));
    assert_non_null(ask("policy.attach", attach));
    assert_null(ask("policy.delete", "{'name': 'own'}"));
    assert_int_equal(err.code, SL_E_POLICY_IN_USE);
    assert_non_null(ask("policy.detach", attach));
    assert_non_null(ask("policy.delete", "{'name': 'own'}"));
    assert_null(ask("policy.delete", "{'name': 'APIG FullAccess'}"));
    assert_int_equal(err.code, SL_E_POLICY_IN_USE);
}

static void
projects_are_those_of_the_callers_account(void **state)
{
    (void)state;
    make_account("lists", "");
    assert_non_null(ask("project.create", "{'name': 'second', 'domain': 'lists'}"));
    json_t *domains = json_object_get(ask("domain.list", "{}"), "domains");
    const char *domain_id = "";
    size_t i = 0;
    json_t *domain = NULL;
    json_array_foreach(domains, i, domain)
    {
        domain_id = strcmp(text(domain, "name"), "lists") == 0 ? text(domain, "id") : domain_id;
    }
    struct sl_command command = make_command("auth_project.list", NULL);
    struct sl_reply reply;
    command.actor.domain_id = domain_id;
    assert_int_equal(json_array_size(json_object_get(send(&command, &reply), "projects")), 2);
    json_t *query = json_pack("{s:s}", "name", "second");
    command.name = "auth_domain.list";
    json_t *own = json_object_get(send(&command, &reply), "domains");
    assert_int_equal(json_array_size(own), 1);
    assert_string_equal(text(json_array_get(own, 0), "name"), "lists");
    command.name = "project.list";
    command.query = query;
    json_t *found = json_object_get(send(&command, &reply), "projects");
    assert_int_equal(json_array_size(found), 1);
    assert_string_equal(text(json_array_get(found, 0), "domain_id"), domain_id);
    json_object_set_new(query, "domain_id", json_string("another"));
    assert_int_equal(json_array_size(json_object_get(send(&command, &reply), "projects")), 0);
    json_decref(query);
}

static void
only_admin_peers_run_admin_commands(void **state)
{
    (void)state;
    struct sl_command command = make_command("domain.list", NULL);
    struct sl_call call = {.arena = arena, .command = &command, .context = thread};
    struct sl_reply reply;
    assert_int_equal(task_handle(&call, &reply, &err), 0);
    command.peer_role = "front";
    assert_int_equal(task_handle(&call, &reply, &err), -1);
    assert_int_equal(err.code, SL_E_ADMIN_ONLY);
    command.peer_role = NULL;
    assert_int_equal(task_handle(&call, &reply, &err), -1);
    command.name = "no.such";
    assert_int_equal(task_handle(&call, &reply, &err), -1);
    assert_int_equal(err.code, SL_E_COMMAND_UNKNOWN);
}

static void
rows_are_sorted_and_writes_wake_the_publishers(void **state)
{
    (void)state;
    for (size_t i = 1; i < command_row_count; i++) {
        assert_true(strcmp(command_rows[i - 1].name, command_rows[i].name) < 0);
    }
    size_t before = wakes;
    assert_non_null(ask("domain.create", "{'name': 'wakes'}"));
    assert_int_equal(wakes, before + 1);
    assert_non_null(ask("domain.list", "{}"));
    assert_int_equal(wakes, before + 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_logs_in_with_a_password_and_gets_a_keystone_token),
        cmocka_unit_test(a_token_can_be_checked_by_its_own_account_only),
        cmocka_unit_test(every_failed_login_is_the_same_answer),
        cmocka_unit_test(many_failures_make_wait_whether_the_user_exists_or_not),
        cmocka_unit_test(an_attack_stops_neither_the_owner_nor_the_neighbours),
        cmocka_unit_test(a_scope_of_another_account_is_refused),
        cmocka_unit_test(a_login_needs_method_user_and_account),
        cmocka_unit_test(an_access_key_shows_its_secret_once_and_keeps_it_sealed),
        cmocka_unit_test(a_temporary_key_has_a_security_token_and_ends),
        cmocka_unit_test(a_repeated_command_gets_the_first_answer_and_acts_once),
        cmocka_unit_test(names_are_unique_and_what_is_missing_is_named),
        cmocka_unit_test(the_audit_says_what_was_before_and_after),
        cmocka_unit_test(deleting_a_user_takes_the_keys_along),
        cmocka_unit_test(policies_are_stored_only_when_they_can_be_obeyed),
        cmocka_unit_test(projects_are_those_of_the_callers_account),
        cmocka_unit_test(only_admin_peers_run_admin_commands),
        cmocka_unit_test(rows_are_sorted_and_writes_wake_the_publishers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
