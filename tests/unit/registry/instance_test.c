// instance_test.c - gateways: read by clients, made and set by the operator's tool.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#include "common/base/clock.h"

#include <pthread.h>

static int
set(struct fixture *f, const char *settings)
{
    return fixture_admin(
        f, "instance.set",
        sl_arena_printf(f->arena, "{\"id\": \"%s\", \"settings\": {%s}}", f->gateway, settings));
}

static void
a_gateway_is_read_with_every_field(void **state)
{
    static const char *const names[] = {
        "id",       "project_id", "instance_name",  "status",      "instance_status",
        "type",     "spec",       "create_time",    "description", "charging_mode",
        "node_ips", "publicips",  "privateips",     "eip_address", "supported_features",
        "vpc_id",   "subnet_id",  "maintain_begin", "ingress_ip",  "loadbalancer_provider"};
    struct fixture *f = *state;
    assert_int_equal(fixture_call(f, "instance.read", "", "", ""), 0);
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        assert_non_null(json_object_get(f->body, names[i]));
    }
    assert_string_equal(fixture_text(f, "status"), "Running");
    assert_string_equal(fixture_text(f, "id"), f->gateway);
}

static int64_t
gateways_found(struct fixture *f, const char *query)
{
    char gateway[SL_ID_SIZE];
    memcpy(gateway, f->gateway, sizeof(gateway));
    f->gateway[0] = '\0'; // the path of a list has none
    assert_int_equal(fixture_call(f, "instance.list", "", query, ""), 0);
    memcpy(f->gateway, gateway, sizeof(gateway));
    return fixture_number(f, "total");
}

static void
a_project_lists_its_own_gateways(void **state)
{
    struct fixture *f = *state;
    const char *body =
        sl_arena_printf(f->arena, "{\"name\": \"second\", \"project\": \"%s\"}", f->project);
    assert_int_equal(fixture_admin(f, "instance.create", body), 0);
    assert_int_equal(gateways_found(f, "{}"), 2);
    assert_int_equal(gateways_found(f, "{\"instance_name\": \"seco\"}"), 1);
    assert_int_equal(gateways_found(f, fixture_path(f, "instance_id", f->gateway)), 1);
    assert_int_equal(gateways_found(f, "{\"status\": \"Frozen\"}"), 0);
    assert_int_equal(gateways_found(f, "{\"limit\": 1, \"offset\": 1}"), 2);
    assert_int_equal(fixture_number(f, "size"), 1);
    assert_int_equal(gateways_found(f, "{\"limit\": 1, \"offset\": 5}"), 2);
    assert_int_equal(fixture_number(f, "size"), 0);
}

static void
a_new_gateway_has_release_and_the_default_group_and_a_content_key(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_call(f, "group.list", "", "", ""), 0);
    const json_t *group = json_array_get(json_object_get(f->body, "groups"), 0);
    assert_string_equal(json_string_value(json_object_get(group, "name")), "DEFAULT");
    assert_int_equal(json_integer_value(json_object_get(group, "is_default")), 1);
    const char *id = json_string_value(json_object_get(group, "id"));
    assert_int_equal(fixture_call(f, "group.delete", fixture_path(f, "group_id", id), "", ""), -1);
    assert_int_equal(f->err.code, SL_E_GROUP_FIXED);
    assert_int_equal(fixture_count(f, sl_arena_printf(f->arena,
                                                      "SELECT length(content_key) FROM"
                                                      " gateway_revision WHERE gateway_id = '%s'",
                                                      f->gateway)),
                     SL_SEAL_KEY_LEN + SL_SEAL_OVERHEAD);
    assert_int_equal(fixture_count(f, sl_arena_printf(f->arena,
                                                      "SELECT count(*) FROM runtime_change WHERE"
                                                      " (gateway_id, kind, key) IN (('%s',"
                                                      " 'gateway', '%s'), ('control', 'instance',"
                                                      " '%s'))",
                                                      f->gateway, f->gateway, f->gateway)),
                     2);
}

static void
only_the_operators_tool_makes_gateways(void **state)
{
    static const char *const commands[] = {"instance.create", "instance.update", "instance.delete",
                                           "instance.set", "instance.all"};
    struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT(commands); i++) {
        assert_int_equal(fixture_call(f, commands[i], "", "", "{}"), -1);
        assert_int_equal(f->err.code, SL_E_BUS_FORBIDDEN);
    }
}

static void
a_gateway_needs_a_project_and_a_name_of_its_own(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        fixture_admin(f, "instance.create", "{\"name\": \"x\", \"project\": \"nope\"}"), -1);
    assert_int_equal(f->err.code, SL_E_PROJECT_NOT_FOUND);
    const char *body =
        sl_arena_printf(f->arena, "{\"name\": \"main\", \"project\": \"%s\"}", f->project);
    assert_int_equal(fixture_admin(f, "instance.create", body), -1);
    assert_int_equal(f->err.code, SL_E_GATEWAY_EXISTS);
}

static void
settings_have_names_and_bounds(void **state)
{
    static const char *const refused[] = {
        "\"no_such\": \"1\"",       "\"backend_timeout\": \"0\"", "\"backend_timeout\": \"x\"",
        "\"quota_nothing\": \"1\"", "\"quota_groups\": \"-1\"",   "\"request_body_size\": \"1\""};
    struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT(refused); i++) {
        assert_int_equal(set(f, refused[i]), -1);
        assert_int_equal(f->err.code, SL_E_GATEWAY_SETTING);
    }
    assert_int_equal(set(f, "\"domain_call_limit\": \"0\", \"restrict_cidrs\": \"10.0.0.0/8\""), 0);
    const char *stored = sl_arena_printf(
        f->arena, "SELECT count(*) FROM instance_setting WHERE instance_id = '%s'", f->gateway);
    assert_int_equal(fixture_count(f, stored), 2);
    assert_int_equal(set(f, "\"domain_call_limit\": \"\", \"restrict_cidrs\": \"\""), 0);
    assert_int_equal(fixture_count(f, stored), 0);
}

static void
a_gateway_goes_with_all_that_is_in_it(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    fixture_api(f, group, "Api_one", "/one", true);
    const char *body = sl_arena_printf(f->arena, "{\"id\": \"%s\"}", f->gateway);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO runtime_entry (gateway_id, kind, key, revision)"
                                   " VALUES ('%s', 'app', 'a', 1)",
                                   f->gateway));
    assert_int_equal(fixture_admin(f, "instance.delete", body), 0);
    const char *left =
        sl_arena_printf(f->arena,
                        "SELECT (SELECT count(*) FROM runtime_entry WHERE gateway_id = '%1$s')"
                        " + (SELECT count(*) FROM runtime_change WHERE gateway_id = '%1$s')"
                        " + (SELECT count(*) FROM gateway_revision WHERE gateway_id = '%1$s')",
                        f->gateway);
    assert_int_equal(fixture_count(f, left), 0);
    assert_int_equal(fixture_admin(f, "instance.delete", body), -1);
    assert_int_equal(f->err.code, SL_E_GATEWAY_NOT_FOUND);
    assert_int_equal(fixture_call(f, "group.list", "", "", ""), -1);
    assert_int_equal(f->err.code, SL_E_INSTANCE_NOT_FOUND);
}

struct deletion {
    const struct fixture *f;
    int rc;
};

static void *
delete_gateway(void *arg)
{
    struct fixture own;
    struct deletion *deletion = arg;
    fixture_open(&own, deletion->f);
    deletion->rc = fixture_admin(&own, "instance.delete",
                                 sl_arena_printf(own.arena, "{\"id\": \"%s\"}", own.gateway));
    fixture_close(&own);
    return NULL;
}

// The API was not there when the gateway's deletion began.
static void
a_gateway_takes_along_an_api_that_is_being_made(void **state)
{
    struct fixture *f = *state;
    struct fixture own;
    struct deletion deletion = {.f = f, .rc = -2};
    pthread_t thread;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    fixture_api(f, group, "Api_one", "/one", true);
    fixture_open(&own, f);
    struct sl_tx *tx = sl_tx_begin(own.registry.db, &f->err);
    assert_int_equal(
        sl_sql(tx, f->arena,
               "INSERT INTO api (instance_id, id, group_id, name, type, req_protocol,"
               " req_method, req_uri, req_uri_shape, auth_type, backend_type)"
               " VALUES ($1, 'late', $2, 'late', 1, 'HTTPS', 'GET', '/l', '/l', 'NONE',"
               " 'MOCK')",
               SL_PARAMS(SL_P_TEXT(f->gateway), SL_P_TEXT(group)), NULL, &f->err),
        0);
    assert_int_equal(pthread_create(&thread, NULL, delete_gateway, &deletion), 0);
    for (int64_t end = sl_mono_ms() + 60000;
         fixture_count(f, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") ==
         0;) {
        assert_true(sl_mono_ms() < end);
    }
    assert_int_equal(sl_tx_commit(&tx, &f->err), 0);
    pthread_join(thread, NULL);
    fixture_close(&own);
    assert_int_equal(deletion.rc, 0);
    assert_int_equal(fixture_count(f, sl_arena_printf(f->arena,
                                                      "SELECT count(*) FROM api WHERE instance_id ="
                                                      " '%s'",
                                                      f->gateway)),
                     0);
}

static void
a_gateway_that_nodes_serve_stays(void **state)
{
    struct fixture *f = *state;
    const char *body = sl_arena_printf(f->arena, "{\"id\": \"%s\"}", f->gateway);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO node (instance_id, id, public_key)"
                                   " VALUES ('%1$s', 'n-%1$s', 'k')",
                                   f->gateway));
    assert_int_equal(fixture_admin(f, "instance.delete", body), -1);
    assert_int_equal(f->err.code, SL_E_GATEWAY_HAS_NODES);
    assert_int_equal(fixture_call(f, "group.list", "", "", ""), 0);
    fixture_sql(f,
                sl_arena_printf(f->arena, "DELETE FROM node WHERE instance_id = '%s'", f->gateway));
    assert_int_equal(fixture_admin(f, "instance.delete", body), 0);
}

static void
addresses_and_description_can_be_changed(void **state)
{
    struct fixture *f = *state;
    const char *body = sl_arena_printf(
        f->arena, "{\"id\": \"%s\", \"addresses\": [\"127.0.0.1\"], \"description\": \"d\"}",
        f->gateway);
    assert_int_equal(fixture_admin(f, "instance.update", body), 0);
    assert_string_equal(fixture_text(f, "description"), "d");
    assert_string_equal(fixture_text(f, "ingress_ip"), "127.0.0.1");
    assert_string_equal(fixture_text(f, "instance_name"), "main");
    assert_int_equal(fixture_admin(f, "instance.all", "{}"), 0);
    assert_true(json_array_size(json_object_get(f->body, "instances")) > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_gateway_is_read_with_every_field),
        FIXTURE_TEST(a_project_lists_its_own_gateways),
        FIXTURE_TEST(a_new_gateway_has_release_and_the_default_group_and_a_content_key),
        FIXTURE_TEST(only_the_operators_tool_makes_gateways),
        FIXTURE_TEST(a_gateway_needs_a_project_and_a_name_of_its_own),
        FIXTURE_TEST(settings_have_names_and_bounds),
        FIXTURE_TEST(a_gateway_goes_with_all_that_is_in_it),
        FIXTURE_TEST(a_gateway_takes_along_an_api_that_is_being_made),
        FIXTURE_TEST(a_gateway_that_nodes_serve_stays),
        FIXTURE_TEST(addresses_and_description_can_be_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
