// app_route_test.c - with app_route on, an app's entry names the groups of its APIs.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

#include "common/crypto/crypto.h"
#include "services/publisher/compile.h"

#define APP   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"
#define OTHER "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb1" // a group

#define RELEASE "DEFAULT_ENVIRONMENT_RELEASE_ID"

static void
insert_app(struct fixture *f)
{
    struct sl_str bytes;
    assert_int_equal(sl_seal(f->arena, &f->publisher.key, SL_STR("app_secret:" APP),
                             SL_STR("secret"), &bytes, &f->err),
                     0);
    char *hex = sl_arena_alloc(f->arena, 2 * bytes.len + 1);
    sl_hex_encode(bytes.ptr, bytes.len, hex);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO app (instance_id, id, name, app_key, app_secret,"
                                   " app_secret_lookup, domain_id) VALUES ('%s', '" APP
                                   "', 'shop', 'key-1', '\\x%s', 'l', 'account')",
                                   f->gateway, hex));
}

static void
authorise(struct fixture *f, const char *api, int seconds_ago)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO app_auth (instance_id, id, app_id, api_id, env_id,"
                                   " auth_time) VALUES ('%s', '%s', '" APP "', '%s', '" RELEASE
                                   "', now() - interval '%d seconds')",
                                   f->gateway, api, api, seconds_ago));
}

static void
set_feature(struct fixture *f, const char *enable, const char *config)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO feature (instance_id, id, name, enable, config)"
                                   " VALUES ('%s', 'f', 'app_route', %s, '%s') ON CONFLICT"
                                   " (instance_id, id) DO UPDATE SET enable = excluded.enable,"
                                   " config = excluded.config",
                                   f->gateway, enable, config));
}

// The app as a node gets it.
static struct sl_app
app_of(struct fixture *f)
{
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->thread.db, &f->err);
    struct compile c = {tx, f->arena, &f->publisher, f->gateway};
    struct compiled compiled;
    struct sl_entry entry;
    assert_non_null(tx);
    assert_int_equal(compile_key(&c, "app", APP, &compiled, &f->err), 0);
    assert_int_equal(sl_entry_decode(f->arena, SL_KIND_APP, compiled.plain, &entry, &f->err), 0);
    return entry.app;
}

// A second group with a copy of the fixture's API; its id.
static const char *
second_api(struct fixture *f)
{
    static const char id[] = "ddddddddddddddddddddddddddddddd1";
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO api_group SELECT (jsonb_populate_record(g,"
                                   " jsonb_build_object('id', '" OTHER "', 'name', 'h',"
                                   " 'sl_domain', 'h.example.com'))).* FROM api_group g"
                                   " WHERE instance_id = '%s' AND id = '%s'",
                                   f->gateway, f->group));
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO api SELECT (jsonb_populate_record(a,"
                                   " jsonb_build_object('id', '%s', 'group_id', '" OTHER
                                   "'))).* FROM api a WHERE instance_id = '%s' AND id = '%s'",
                                   id, f->gateway, f->api));
    return id;
}

static int64_t
touched_apps(struct fixture *f)
{
    int64_t count = fixture_number(f, "SELECT count(*) FROM runtime_change WHERE kind = 'app'");
    fixture_sql(f, "DELETE FROM runtime_change");
    return count;
}

static void
online(struct fixture *f, const char *api)
{
    json_t *body =
        json_pack("{s:s, s:s, s:s}", "action", "online", "api_id", api, "env_id", RELEASE);
    assert_int_equal(fixture_call(f, api_action, "api.action", NULL, body), 0);
}

static void
an_app_knows_the_groups_of_its_apis_while_the_feature_is_on(void **state)
{
    struct fixture *f = *state;
    const char *second = second_api(f);
    insert_app(f);
    online(f, f->api);
    online(f, second);
    authorise(f, f->api, 10);
    authorise(f, second, 20);
    assert_int_equal(app_of(f).group_count, 0);
    set_feature(f, "true", "on");
    struct sl_app app = app_of(f);
    assert_int_equal(app.publish_id_count, 2);
    assert_int_equal(app.group_count, 2);
    assert_string_equal(app.groups[0], OTHER); // authorised first
    assert_string_equal(app.groups[1], f->group);
    assert_int_equal(fixture_action(f, NULL, "offline", 0), 0);
    assert_int_equal(app_of(f).group_count, 1);
    set_feature(f, "true", "off");
    assert_int_equal(app_of(f).group_count, 0);
    set_feature(f, "false", "on");
    assert_int_equal(app_of(f).group_count, 0);
}

static void
publishing_elsewhere_than_before_tells_the_apps(void **state)
{
    struct fixture *f = *state;
    (void)second_api(f);
    insert_app(f);
    authorise(f, f->api, 0);
    online(f, f->api);
    assert_int_equal(touched_apps(f), 1); // the pair has a publish_id
    online(f, f->api);
    assert_int_equal(fixture_action(f, NULL, "offline", 0), 0);
    online(f, f->api);
    assert_int_equal(touched_apps(f), 0); // the feature is off
    set_feature(f, "true", "on");
    online(f, f->api);
    assert_int_equal(touched_apps(f), 0); // nothing moved
    assert_int_equal(fixture_action(f, NULL, "offline", 0), 0);
    assert_int_equal(touched_apps(f), 0);
    online(f, f->api);
    assert_int_equal(touched_apps(f), 1);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "DELETE FROM api WHERE instance_id = '%s' AND group_id = '" OTHER
                                   "'",
                                   f->gateway));
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE api SET group_id = '" OTHER "' WHERE instance_id = '%s'",
                                   f->gateway));
    assert_string_equal(app_of(f).groups[0], f->group); // what is published
    online(f, f->api);
    assert_int_equal(touched_apps(f), 1);
    assert_int_equal(app_of(f).group_count, 1);
    assert_string_equal(app_of(f).groups[0], OTHER);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(an_app_knows_the_groups_of_its_apis_while_the_feature_is_on),
        FIXTURE_TEST(publishing_elsewhere_than_before_tells_the_apps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
