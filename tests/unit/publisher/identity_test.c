// identity_test.c - who may call APIs of IAM: which gateways know it, and what of it.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

#include "services/publisher/identity.h"

#include "common/crypto/crypto.h"

// Inserts a user; its id.
static const char *
make_user(struct fixture *f)
{
    char id[SL_ID_SIZE];
    sl_random_id(id);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO iam_user (id, domain_id, name, not_before) VALUES"
                                   " ('%s', '%s', 'n%s', 17)",
                                   id, f->project, id));
    return sl_arena_dup(f->arena, id);
}

static const char *
sealed(struct fixture *f, const char *context, const char *plain)
{
    struct sl_str bytes;
    assert_int_equal(
        sl_seal(f->arena, &f->publisher.key, sl_str(context), sl_str(plain), &bytes, &f->err), 0);
    char *hex = sl_arena_alloc(f->arena, 2 * bytes.len + 1);
    sl_hex_encode(bytes.ptr, bytes.len, hex);
    return sl_arena_printf(f->arena, "'\\x%s'", hex);
}

static const char *
make_key(struct fixture *f, const char *user)
{
    char id[SL_ID_SIZE];
    sl_random_id(id);
    const char *access = sl_arena_printf(f->arena, "AK%s", id);
    fixture_sql(
        f, sl_arena_printf(
               f->arena,
               "INSERT INTO iam_access_key (access, user_id, secret, expires_at, security_token)"
               " VALUES ('%s', '%s', %s, 99, %s)",
               access, user, sealed(f, sl_arena_printf(f->arena, "access_key:%s", access), "sk"),
               sealed(f, sl_arena_printf(f->arena, "security_token:%s", access), "st")));
    return access;
}

// How many entries of a kind and key this gateway has that are no tombstones.
static int64_t
entries(struct fixture *f, const char *kind, const char *key)
{
    return fixture_number(
        f, sl_arena_printf(f->arena,
                           "SELECT count(*) FROM runtime_entry WHERE gateway_id = '%s'"
                           " AND kind = '%s' AND key = '%s' AND body IS NOT NULL",
                           f->gateway, kind, key));
}

static void
touch_control(struct fixture *f, const char *kind, const char *key)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO runtime_change (gateway_id, kind, key) VALUES"
                                   " ('control', '%s', '%s')",
                                   kind, key));
    struct sl_error err;
    bool more = false;
    assert_int_equal(revision_make(&f->publisher, f->thread.db, CONTROL_GATEWAY, &more, &err), 0);
    fixture_publish(f);
}

static void
publish_iam(struct fixture *f)
{
    fixture_sql(
        f, sl_arena_printf(f->arena, "UPDATE api SET auth_type = 'IAM' WHERE id = '%s'", f->api));
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    fixture_publish(f);
}

static void
a_gateway_without_such_apis_knows_nobody(void **state)
{
    struct fixture *f = *state;
    const char *user = make_user(f);
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    fixture_publish(f);
    touch_control(f, "user", user);
    assert_int_equal(entries(f, "user", user), 0);
    // Marked by mistake or not: it gets a tombstone.
    struct compiled compiled;
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->thread.db, &f->err);
    struct compile c = {tx, f->arena, &f->publisher, f->gateway};
    assert_int_equal(compile_key(&c, "user", user, &compiled, &f->err), 0);
    assert_null(compiled.plain.ptr);
}

static void
the_first_such_api_brings_all_that_are_there(void **state)
{
    struct fixture *f = *state;
    const char *user = make_user(f);
    const char *access = make_key(f, user);
    publish_iam(f);
    assert_int_equal(entries(f, "user", user), 1);
    assert_int_equal(entries(f, "access_key", access), 1);
    // No later than the API itself.
    assert_int_equal(
        fixture_number(f, sl_arena_printf(f->arena,
                                          "SELECT count(*) FROM runtime_entry a JOIN runtime_entry"
                                          " b ON b.gateway_id = a.gateway_id WHERE a.gateway_id ="
                                          " '%s' AND a.kind IN ('user', 'access_key') AND b.kind ="
                                          " 'api' AND a.revision > b.revision",
                                          f->gateway)),
        0);
    fixture_sql(f, "DELETE FROM runtime_change");
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    assert_int_equal(
        fixture_number(f,
                       "SELECT count(*) FROM runtime_change WHERE kind IN ('user', 'token_key')"),
        0);
}

static void
what_changes_later_follows(void **state)
{
    struct fixture *f = *state;
    publish_iam(f);
    const char *user = make_user(f);
    const char *access = make_key(f, user);
    touch_control(f, "user", user);
    touch_control(f, "access_key", access);
    touch_control(f, "policy", "APIG FullAccess"); // no concern of nodes
    assert_int_equal(entries(f, "user", user), 1);
    assert_int_equal(entries(f, "access_key", access), 1);
    assert_int_equal(entries(f, "policy", "APIG FullAccess"), 0);
    fixture_sql(
        f, sl_arena_printf(f->arena, "DELETE FROM iam_access_key WHERE access = '%s'", access));
    touch_control(f, "access_key", access);
    assert_int_equal(entries(f, "access_key", access), 0);
    assert_int_equal(entries(f, "user", user), 1);
}

static void
entries_hold_what_their_rows_say(void **state)
{
    struct fixture *f = *state;
    publish_iam(f);
    const char *user = make_user(f);
    const char *access = make_key(f, user);
    struct sl_entry entry = {.kind = SL_KIND_USER};
    bool found = false;
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->thread.db, &f->err);
    struct compile c = {tx, f->arena, &f->publisher, f->gateway};
    assert_int_equal(compile_user(&c, user, &entry, &found, &f->err), 0);
    assert_true(found);
    assert_string_equal(entry.user.id, user);
    assert_string_equal(entry.user.domain_id, f->project);
    assert_true(strlen(entry.user.domain_name) > 0);
    assert_true(entry.user.enabled);
    assert_int_equal(entry.user.not_before_s, 17);
    assert_int_equal(compile_access_key(&c, access, &entry, &found, &f->err), 0);
    assert_true(found);
    assert_string_equal(entry.access_key.secret, "sk");
    assert_string_equal(entry.access_key.security_token, "st");
    assert_string_equal(entry.access_key.user_id, user);
    assert_string_equal(entry.access_key.project_id, "");
    assert_int_equal(entry.access_key.expires_s, 99);
    assert_int_equal(compile_token_key(&c, "none", &entry, &found, &f->err), 0);
    assert_false(found);
    entry.kind = SL_KIND_API;
    entry.api = (struct sl_api){.auth = SL_AUTH_IAM, .http.host = ""};
    assert_int_equal(sl_entry_min_reader(&entry), 5);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_gateway_without_such_apis_knows_nobody),
        FIXTURE_TEST(the_first_such_api_brings_all_that_are_there),
        FIXTURE_TEST(what_changes_later_follows),
        FIXTURE_TEST(entries_hold_what_their_rows_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
