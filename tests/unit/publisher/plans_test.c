// plans_test.c - what publishing reads of a gateway with 100,000 APIs, by the plans that PostgreSQL
// ran.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

#include "common/crypto/crypto.h"
#include "tests/lib/plans.h"

#define PAGE  1001 // entries that one page of a full set reads
#define BATCH 100  // APIs of a batch
#define NODES 100  // of the gateway; others have 20,000

static struct plans *plans;

// APIs, publications, groups and so on: md5 of a letter and a number.
static const char *
id_of(struct fixture *f, const char *word)
{
    return fixture_text(f, sl_arena_printf(f->arena, "SELECT md5('%s')", word));
}

static int
act(struct fixture *f, const char *action, const char *api)
{
    json_t *body = json_pack("{s:s, s:s, s:s}", "action", action, "api_id", api, "env_id",
                             "DEFAULT_ENVIRONMENT_RELEASE_ID");
    return fixture_call(f, api_action, "api.action", NULL, body);
}

static json_t *
batch_of(struct fixture *f)
{
    json_t *list = json_array();
    for (int i = 1; i <= BATCH; i++) {
        char word[16];
        snprintf(word, sizeof(word), "a%d", 2000 + i);
        json_array_append_new(list, json_string(id_of(f, word)));
    }
    return json_pack("{s:s, s:s, s:o}", "action", "online", "env_id",
                     "DEFAULT_ENVIRONMENT_RELEASE_ID", "apis", list);
}

static void
publishing_reads_what_it_publishes(void **state)
{
    struct fixture *f = *state;
    const char *api = id_of(f, "a7");
    for (int i = 0; i < PLANS_RUNS; i++) {
        assert_int_equal(act(f, "offline", api), 0);
        plans_judge(plans, "offline", 1);
        assert_int_equal(act(f, "online", api), 0);
        plans_judge(plans, "online", 1);
        assert_int_equal(fixture_call(f, api_batch, "api.batch", NULL, batch_of(f)), 0);
        plans_judge(plans, "batch", BATCH);
        json_t *group = json_pack("{s:s, s:s, s:s}", "action", "online", "env_id",
                                  "DEFAULT_ENVIRONMENT_RELEASE_ID", "group_id", id_of(f, "g9"));
        assert_int_equal(fixture_call(f, api_batch, "api.batch", NULL, group), 0);
        plans_judge(plans, "batch of a group", BATCH);
    }
    assert_int_equal(plans_faults(plans), 0);
}

static void
versions_are_found_by_their_ids(void **state)
{
    struct fixture *f = *state;
    const char *api = id_of(f, "a11");
    assert_int_equal(act(f, "online", api), 0);
    const char *version =
        fixture_text(f, "SELECT version_id FROM publication WHERE instance_id = "
                        "current_setting('test.gateway') AND publish_id = md5('p' || md5('a11'))");
    for (int i = 0; i < PLANS_RUNS; i++) {
        f->path = json_pack("{s:s}", "version_id", version);
        assert_int_equal(fixture_call(f, version_offline, "version.offline", NULL, NULL), 0);
        json_decref(f->path);
        plans_judge(plans, "version.offline", 1);
        f->path = json_pack("{s:s}", "api_id", api);
        json_t *body = json_pack("{s:s}", "version_id", version);
        assert_int_equal(fixture_call(f, version_serve, "version.serve", NULL, body), 0);
        json_decref(f->path);
        f->path = NULL;
        plans_judge(plans, "version.serve", 1);
    }
    assert_int_equal(plans_faults(plans), 0);
}

static void
touch(struct fixture *f, const char *gateway, const char *kind, const char *key)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO runtime_change (gateway_id, kind, key) "
                                   "VALUES ('%s', '%s', %s)",
                                   gateway, kind, key));
}

// Makes the revision of what was touched; none of it may be left.
static void
make(struct fixture *f, const char *gateway, const char *what, double matches)
{
    bool more = false;
    assert_int_equal(revision_make(&f->publisher, f->thread.db, gateway, &more, &f->err), 0);
    plans_judge(plans, what, matches);
    const char *left = sl_arena_printf(
        f->arena, "SELECT count(*) FROM runtime_change WHERE gateway_id = '%s'", gateway);
    assert_int_equal(fixture_number(f, left), 0);
}

static void
an_entry_is_made_of_its_own_rows(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *kind, *key;
        double matches;
    } keys[] = {
        {"api", "md5('p' || md5('a7'))", 1},
        {"app", "md5('u7')", 50}, // authorised for so many
        {"group", "md5('g7')", 1},
        {"host", "md5('g7') || '.example.com'", 1},
        {"throttle", "md5('t7')", 30}, // specials
        {"gateway", "current_setting('test.gateway')", 1},
    };
    fixture_publish(f); // what was touched before
    plans_judge(plans, "revisions of 500 keys", PLANS_WHOLE);
    for (int i = 0; i < PLANS_RUNS; i++) {
        for (size_t k = 0; k < SL_COUNT(keys); k++) {
            touch(f, f->gateway, keys[k].kind, keys[k].key);
            make(f, f->gateway, keys[k].kind, keys[k].matches);
        }
    }
    assert_int_equal(plans_faults(plans), 0);
}

static void
an_entry_of_control_is_made_of_its_own_rows(void **state)
{
    struct fixture *f = *state;
    static const char *const keys[][2] = {{"user", "md5('n7')"}, {"access_key", "md5('k7')"}};
    for (int i = 0; i < PLANS_RUNS; i++) {
        for (size_t k = 0; k < SL_COUNT(keys); k++) {
            touch(f, CONTROL_GATEWAY, keys[k][0], keys[k][1]);
            make(f, CONTROL_GATEWAY, keys[k][0], 1);
        }
    }
    assert_int_equal(plans_faults(plans), 0);
}

static json_t *
since(struct fixture *f, const char *epoch, int64_t revision, const char *after)
{
    json_t *body = json_pack("{s:s, s:s, s:I}", "gateway", f->gateway, "epoch", epoch, "revision",
                             (json_int_t)revision);
    json_t *reply = NULL;
    if (after != NULL) {
        json_object_set_new(body, "after", json_pack("[s, s]", "api", after));
    }
    assert_int_equal(fixture_call(f, runtime_since, "runtime.since", NULL, body), 0);
    assert_int_equal(sl_json_unpack(f->arena, f->reply.body, &reply, &f->err), 0);
    return reply;
}

static void
a_page_reads_a_page_and_a_delta_what_changed(void **state)
{
    struct fixture *f = *state;
    const char *middle = id_of(f, "a7");
    fixture_node(f, "n-plans");
    f->role = "node:n-plans"; // the arena is cleared
    f->peer = "n-plans";
    fixture_publish(f);
    plans_judge(plans, "node.add", PLANS_WHOLE);
    for (int i = 0; i < PLANS_RUNS; i++) {
        json_t *page = since(f, "", 0, NULL);
        assert_true(json_is_true(json_object_get(page, "more")));
        const char *epoch = json_string_value(json_object_get(page, "epoch"));
        plans_judge(plans, "the first page", PAGE);
        assert_true(json_is_true(json_object_get(since(f, "", 0, middle), "full")));
        plans_judge(plans, "a page in the middle", PAGE);
        json_int_t head = json_integer_value(json_object_get(page, "at"));
        assert_true(json_is_false(json_object_get(since(f, epoch, head - 1, NULL), "full")));
        plans_judge(plans, "a delta", 1);
        sl_arena_clear(f->arena);
        middle = id_of(f, "a7");
    }
    assert_int_equal(plans_faults(plans), 0);
}

// Whatever other gateways of the deployment have.
static void
the_nodes_of_a_gateway_are_read_alone(void **state)
{
    struct fixture *f = *state;
    f->role = "front";
    for (int i = 0; i < PLANS_RUNS; i++) {
        struct nodes_served served;
        const struct head head = {.epoch = "e", .revision = 1};
        assert_int_equal(fixture_call(f, node_list, "node.list", NULL, NULL), 0);
        plans_judge(plans, "node.list", NODES);
        assert_int_equal(nodes_serve(f->thread.db, f->arena, f->gateway, &head, &served, &f->err),
                         0);
        plans_judge(plans, "waiting for nodes", NODES);
    }
    json_t *body = json_loadb(f->reply.body.ptr, f->reply.body.len, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(body, "total")), NODES);
    json_decref(body);
    assert_int_equal(plans_faults(plans), 0);
}

// A secret that opens as what an id has, as SQL text.
static const char *
sealed(struct fixture *f, const char *kind, const char *word)
{
    struct sl_str bytes;
    struct sl_str context = sl_str(sl_arena_printf(f->arena, "%s:%s", kind, id_of(f, word)));
    assert_int_equal(
        sl_seal(f->arena, &f->publisher.key, context, SL_STR("secret"), &bytes, &f->err), 0);
    char *hex = sl_arena_alloc(f->arena, 2 * bytes.len + 1);
    sl_hex_encode(bytes.ptr, bytes.len, hex);
    return sl_arena_printf(f->arena, "'\\x%s'", hex);
}

// Users and keys are many; what is compiled has secrets that open.
static void
fill_more(struct fixture *f)
{
    plans_run(plans,
              "INSERT INTO iam_user (id, domain_id, name) SELECT md5('n' || n), d.id, "
              "'user_' || n FROM generate_series(1, 20000) n, (SELECT id FROM domain LIMIT 1) d");
    plans_run(plans, "INSERT INTO iam_access_key (access, user_id, secret) SELECT md5('k' || n), "
                     "md5('n' || n), '' FROM generate_series(1, 20000) n");
    fixture_sql(f, sl_arena_printf(f->arena, "UPDATE app SET app_secret = %s WHERE id = md5('u7')",
                                   sealed(f, "app_secret", "u7")));
    fixture_sql(f,
                sl_arena_printf(f->arena, "UPDATE app_code SET app_code = %s WHERE id = md5('c7')",
                                sealed(f, "app_code", "c7")));
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE iam_access_key SET secret = %s WHERE access = md5('k7')",
                                   sealed(f, "access_key", "k7")));
    plans_run(plans,
              "INSERT INTO instance (id, project_id, name, domain_suffix) SELECT md5('i' || n), "
              "project_id, 'gateway_' || n, 'i' || n || '.test' FROM instance, "
              "generate_series(1, 200) n WHERE id = current_setting('test.gateway')");
    plans_run(plans,
              "INSERT INTO node (instance_id, id, public_key) SELECT md5('i' || n % 200 + 1), "
              "'other-' || n, '' FROM generate_series(1, 20000) n");
    plans_run(plans,
              "INSERT INTO node (instance_id, id, public_key) SELECT "
              "current_setting('test.gateway'), 'own-' || n, '' FROM generate_series(1, 100) n");
    // The first API of IAM marks all users and keys for the gateway: that is behind us.
    fixture_sql(f, "INSERT INTO gateway_identity VALUES (current_setting('test.gateway'))");
    fixture_sql(f, "INSERT INTO runtime_change (gateway_id, kind, key) SELECT "
                   "current_setting('test.gateway'), 'gateway', current_setting('test.gateway')");
    fixture_publish(f); // makes the gateway's row
    fixture_sql(f, "UPDATE gateway_revision SET revision = 2000");
}

static int
set_up_large(void **state)
{
    if (fixture_set_up(state) != 0) {
        return -1;
    }
    struct fixture *f = *state;
    plans = plans_new(f->thread.db);
    plans_fill(plans, f->gateway);
    fill_more(f);
    plans_begin(plans);
    return 0;
}

static int
tear_down_large(void **state)
{
    plans_free(&plans);
    return fixture_tear_down(state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nodes_of_a_gateway_are_read_alone), // before one is added
        cmocka_unit_test(publishing_reads_what_it_publishes),
        cmocka_unit_test(versions_are_found_by_their_ids),
        cmocka_unit_test(an_entry_is_made_of_its_own_rows),
        cmocka_unit_test(an_entry_of_control_is_made_of_its_own_rows),
        cmocka_unit_test(a_page_reads_a_page_and_a_delta_what_changed),
    };
    return cmocka_run_group_tests(tests, set_up_large, tear_down_large);
}
