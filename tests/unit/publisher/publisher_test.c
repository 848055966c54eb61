// publisher_test.c - versions, revisions, since, nodes, over a real PostgreSQL.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

#include "common/base/clock.h"
#include "common/db/change.h"
#include "common/wire/stream.h"

#include <pthread.h>
#include <zmq.h>

static const char *
member(struct fixture *f, const char *name)
{
    json_t *body = json_loadb(f->reply.body.ptr, f->reply.body.len, 0, NULL);
    const char *text = sl_arena_dup(f->arena, json_string_value(json_object_get(body, name)));
    json_decref(body);
    return text;
}

static int64_t
revision_of(struct fixture *f)
{
    return fixture_number(f, sl_arena_printf(f->arena,
                                             "SELECT coalesce(max(revision), 0) FROM "
                                             "gateway_revision WHERE gateway_id = '%s'",
                                             f->gateway));
}

static void
touch(struct fixture *f, const char *kind, const char *key)
{
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->thread.db, &f->err);
    assert_int_equal(sl_runtime_touch(tx, f->arena, f->gateway, kind, key, &f->err), 0);
    assert_int_equal(sl_tx_commit(&tx, &f->err), 0);
}

static void
publish_id_survives_republishing_and_version_id_changes(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    const char *publish_id = member(f, "publish_id");
    const char *version_id = member(f, "version_id");
    assert_int_equal(fixture_action(f, NULL, "offline", 0), 0);
    assert_string_equal(member(f, "version_id"), version_id);
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    assert_string_equal(member(f, "publish_id"), publish_id);
    assert_string_not_equal(member(f, "version_id"), version_id);
}

static void
a_repeated_command_publishes_once_and_answers_the_same(void **state)
{
    struct fixture *f = *state;
    const char *id = "0123456789abcdef0123456789abcdef";
    fixture_sql(f, "DELETE FROM audit");
    assert_int_equal(fixture_action(f, id, "online", 0), 0);
    struct sl_str first = f->reply.body;
    assert_int_equal(fixture_action(f, id, "online", 0), 0);
    assert_true(sl_str_equal(first, f->reply.body));
    assert_int_equal(
        fixture_number(f, sl_arena_printf(f->arena,
                                          "SELECT count(*) FROM api_version WHERE api_id = '%s'",
                                          f->api)),
        1);
}

static void
what_does_not_exist_is_named(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_action(f, NULL, "offline", 0), -1);
    assert_int_equal(f->err.code, SL_E_PUBLICATION_NOT_FOUND);
    json_t *body =
        json_pack("{s:s, s:s, s:s}", "action", "online", "api_id", f->api, "env_id", "nowhere");
    assert_int_equal(fixture_call(f, api_action, "api.action", NULL, body), -1);
    assert_int_equal(f->err.code, SL_E_ENV_NOT_FOUND);
    memset(f->api, '0', SL_ID_LEN);
    assert_int_equal(fixture_action(f, NULL, "online", 0), -1);
    assert_int_equal(f->err.code, SL_E_API_NOT_FOUND);
    assert_string_equal(f->err.args[0], f->api);
    memset(f->project, '0', SL_ID_LEN);
    assert_int_equal(fixture_action(f, NULL, "online", 0), -1);
    assert_int_equal(f->err.code, SL_E_INSTANCE_NOT_FOUND);
}

static void
what_would_shadow_another_published_api_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    // The published API moves on; another takes the path that is still published.
    char sql[512];
    snprintf(sql, sizeof(sql),
             "UPDATE api SET req_uri = '/b', req_uri_shape = '/b' WHERE id = '%s'", f->api);
    fixture_sql(f, sql);
    snprintf(sql, sizeof(sql),
             "INSERT INTO api (instance_id, id, group_id, name, type, req_protocol, req_method, "
             "req_uri, req_uri_shape, auth_type, backend_type, mock_info) SELECT instance_id, "
             "'%.31sx', group_id, 'b', 1, 'HTTP', 'GET', '/a', '/a', 'NONE', 'MOCK', '{}' FROM api "
             "WHERE id = '%s'",
             f->api, f->api);
    fixture_sql(f, sql);
    char first[SL_ID_SIZE];
    memcpy(first, f->api, sizeof(first));
    f->api[SL_ID_LEN - 1] = 'x';
    assert_int_equal(fixture_action(f, NULL, "online", 0), -1);
    assert_int_equal(f->err.code, SL_E_API_EXISTS);
    memcpy(f->api, first, sizeof(first));
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    f->api[SL_ID_LEN - 1] = 'x';
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
}

static json_t *
batch(struct fixture *f, const char *action, json_t *body)
{
    json_object_set_new(body, "action", json_string(action));
    json_object_set_new(body, "env_id", json_string("DEFAULT_ENVIRONMENT_RELEASE_ID"));
    if (fixture_call(f, api_batch, "api.batch", NULL, body) != 0) {
        return NULL;
    }
    return json_loadb(f->reply.body.ptr, f->reply.body.len, 0, NULL);
}

static void
a_batch_answers_for_each_api_alone(void **state)
{
    struct fixture *f = *state;
    const char *unknown = "00000000000000000000000000000000";
    json_t *reply = batch(f, "online", json_pack("{s:[s, s]}", "apis", f->api, unknown));
    const json_t *failure = json_array_get(json_object_get(reply, "failure"), 0);
    assert_int_equal(json_array_size(json_object_get(reply, "success")), 1);
    assert_string_equal(json_string_value(json_object_get(failure, "api_id")), unknown);
    assert_string_equal(json_string_value(json_object_get(failure, "error_code")), "APIG.3002");
    json_decref(reply);
    fixture_publish(f);
    assert_int_equal(revision_of(f), 1);
}

static void
a_batch_without_a_list_takes_the_group(void **state)
{
    struct fixture *f = *state;
    json_t *reply = batch(f, "online", json_pack("{s:s}", "group_id", f->group));
    assert_int_equal(json_array_size(json_object_get(reply, "success")), 1);
    json_decref(reply);
    reply = batch(f, "offline", json_pack("{s:s}", "group_id", f->group));
    assert_int_equal(json_array_size(json_object_get(reply, "success")), 1);
    json_decref(reply);
    reply = batch(f, "offline", json_pack("{s:s}", "group_id", f->group));
    assert_int_equal(json_array_size(json_object_get(reply, "failure")), 1);
    json_decref(reply);
    assert_null(batch(f, "online", json_object()));
    assert_int_equal(f->err.code, SL_E_PARAM_MISSING);
}

static void
the_last_ten_versions_of_a_pair_are_kept(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 13; i++) {
        assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    }
    const char *sql =
        sl_arena_printf(f->arena, "SELECT count(*) FROM api_version WHERE api_id = '%s'", f->api);
    assert_int_equal(fixture_number(f, sql), 10);
}

static void
one_pass_makes_one_revision_and_one_event(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    touch(f, "group", f->group);
    touch(f, "group", f->group);
    fixture_publish(f);
    assert_int_equal(revision_of(f), 1);
    assert_int_equal(caught_events, 1);
    fixture_publish(f);
    assert_int_equal(revision_of(f), 1);
    const char *sql = sl_arena_printf(
        f->arena, "SELECT count(*) FROM runtime_entry WHERE gateway_id = '%s'", f->gateway);
    assert_int_equal(fixture_number(f, sql), 2);
}

static void
offline_leaves_a_tombstone(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    fixture_publish(f);
    assert_int_equal(fixture_action(f, NULL, "offline", 0), 0);
    fixture_publish(f);
    const char *sql = sl_arena_printf(
        f->arena, "SELECT count(*) FROM runtime_entry WHERE gateway_id = '%s' AND body IS NULL",
        f->gateway);
    assert_int_equal(fixture_number(f, sql), 1);
}

static void
a_key_that_never_compiles_is_parked_and_the_rest_goes_on(void **state)
{
    struct fixture *f = *state;
    touch(f, "nonsense", "x");
    for (int i = 0; i < 5; i++) {
        fixture_publish(f);
    }
    assert_int_equal(fixture_number(f, "SELECT failures FROM runtime_change"), 3);
    touch(f, "group", f->group);
    fixture_publish(f);
    assert_int_equal(revision_of(f), 1);
    // Marked anew it is tried again, and its parked mark goes.
    touch(f, "nonsense", "x");
    fixture_publish(f);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM runtime_change"), 1);
}

static void
a_key_that_the_database_refuses_is_parked_and_the_rest_goes_on(void **state)
{
    struct fixture *f = *state;
    struct sl_error err;
    bool more = false;
    fixture_publish(f);
    int64_t before = revision_of(f);
    fixture_sql(f, "ALTER TABLE throttle RENAME COLUMN time_unit TO gone");
    touch(f, "throttle", "t1");
    touch(f, "group", f->group);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(revision_make(&f->publisher, f->thread.db, f->gateway, &more, &err), -1);
    }
    int rc = revision_make(&f->publisher, f->thread.db, f->gateway, &more, &err);
    fixture_sql(f, "ALTER TABLE throttle RENAME COLUMN gone TO time_unit");
    assert_int_equal(rc, 0);
    assert_int_equal(revision_of(f), before + 1);
    assert_int_equal(fixture_number(f, "SELECT failures FROM runtime_change"), 3);
}

static void *
publish_often(void *arg)
{
    struct fixture *f = arg;
    struct sl_db_options options = {.conninfo = getenv("SLUICE_TEST_DB")};
    struct sl_error err;
    struct sl_db *db = sl_db_open(&options, &err);
    for (int i = 0; db != NULL && i < 20; i++) {
        struct sl_arena *arena = sl_arena_new(SL_BODY_MAX);
        struct sl_tx *tx = sl_tx_begin(db, &err);
        bool more = false;
        if (sl_runtime_touch(tx, arena, f->gateway, "group", f->group, &err) != 0 ||
            sl_tx_commit(&tx, &err) != 0 ||
            revision_make(&f->publisher, db, f->gateway, &more, &err) != 0) {
            sl_tx_free(&tx);
        }
        sl_arena_free(&arena);
    }
    sl_db_free(&db);
    return NULL;
}

static void
publishers_side_by_side_lose_no_mark_and_number_without_gaps(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[4];
    for (size_t i = 0; i < SL_COUNT(threads); i++) {
        pthread_create(&threads[i], NULL, publish_often, f);
    }
    for (size_t i = 0; i < SL_COUNT(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    fixture_publish(f);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM runtime_change"), 0);
    assert_int_equal(revision_of(f), (int64_t)caught_events);
}

static void
since_answers_a_delta_and_a_full_set_when_epoch_or_revision_do_not_fit(void **state)
{
    struct fixture *f = *state;
    fixture_node(f, "n-since");
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    fixture_publish(f);
    json_t *reply = fixture_since(f, "", 0);
    assert_true(json_is_true(json_object_get(reply, "full")));
    const char *epoch = json_string_value(json_object_get(reply, "epoch"));
    int64_t head = json_integer_value(json_object_get(reply, "to"));
    assert_int_equal(json_array_size(json_object_get(reply, "entries")), 2);
    touch(f, "group", f->group);
    fixture_publish(f);
    reply = fixture_since(f, epoch, head);
    assert_true(json_is_false(json_object_get(reply, "full")));
    assert_int_equal(json_array_size(json_object_get(reply, "entries")), 1);
    reply = fixture_since(f, epoch, head + 100);
    assert_true(json_is_true(json_object_get(reply, "full")));
}

static void
settling_makes_what_was_committed_part_of_the_head(void **state)
{
    struct fixture *f = *state;
    struct sl_revision head;
    f->role = "front";
    assert_int_equal(fixture_call(f, runtime_settle, "runtime.settle", NULL, NULL), 0);
    assert_int_equal(sl_head_unpack(f->reply.body, &head, &f->err), 0);
    fixture_sql(f, "INSERT INTO runtime_change (gateway_id, kind, key) "
                   "VALUES ('control', 'project', 'new')");
    assert_int_equal(fixture_call(f, runtime_settle, "runtime.settle", NULL, NULL), 0);
    assert_int_equal(sl_head_unpack(f->reply.body, &head, &f->err), 0);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM runtime_change "
                                       "WHERE gateway_id = 'control'"),
                     0);
    assert_int_equal(fixture_number(f, "SELECT revision FROM gateway_revision "
                                       "WHERE gateway_id = 'control'"),
                     (int64_t)head.number);
    f->role = "node:n-settle";
    assert_int_not_equal(fixture_call(f, runtime_settle, "runtime.settle", NULL, NULL), 0);
    assert_int_equal(f->err.code, SL_E_BUS_FORBIDDEN);
}

static void
since_is_for_the_gateways_own_nodes_and_control_for_fronts(void **state)
{
    struct fixture *f = *state;
    assert_non_null(fixture_since(f, "", 0));
    f->role = "worker:registry";
    assert_null(fixture_since(f, "", 0));
    assert_int_equal(f->err.code, SL_E_BUS_FORBIDDEN);
    f->role = "node:stranger";
    f->peer = "stranger";
    assert_null(fixture_since(f, "", 0));
    assert_int_equal(f->err.code, SL_E_BUS_FORBIDDEN);
}

// Opens the content key of a since reply as the node would, and with it the entry at `index`.
static int
open_entry(struct fixture *f, const json_t *reply, size_t index, struct sl_seal_key *key)
{
    uint8_t secret[32];
    struct sl_str plain;
    const json_t *box = json_object_get(reply, "content_key");
    struct sl_str boxed = {json_string_value(box), json_string_length(box)};
    if (key->bytes[0] == 0) {
        assert_non_null(zmq_z85_decode(secret, f->peer_secret));
        assert_int_equal(sl_box_open(f->arena, secret, boxed, &plain, &f->err), 0);
        memcpy(key->bytes, plain.ptr, sizeof(key->bytes));
    }
    const json_t *entry = json_array_get(json_object_get(reply, "entries"), index);
    const json_t *body = json_object_get(entry, "b");
    const char *context = sl_arena_printf(f->arena, "%s/%s/%s", f->gateway,
                                          json_string_value(json_object_get(entry, "k")),
                                          json_string_value(json_object_get(entry, "key")));
    struct sl_str sealed = {json_string_value(body), json_string_length(body)};
    return sl_unseal(f->arena, key, sl_str(context), sealed, &plain, &f->err);
}

static void
removing_a_node_rotates_the_content_key(void **state)
{
    struct fixture *f = *state;
    struct sl_seal_key old_key = {{0}};
    struct sl_seal_key new_key = {{0}};
    fixture_node(f, "n-gone");
    fixture_publish(f);
    json_t *reply = fixture_since(f, "", 0);
    assert_int_equal(open_entry(f, reply, 0, &old_key), 0);
    f->role = "admin";
    json_t *body = json_pack("{s:s}", "id", "n-gone");
    assert_int_equal(fixture_call(f, node_remove, "node.remove", NULL, body), 0);
    fixture_publish(f);
    f->role = "node:n-gone";
    assert_null(fixture_since(f, "", 0));
    fixture_node(f, "n-stays");
    fixture_publish(f);
    reply = fixture_since(f, "", 0);
    assert_int_equal(open_entry(f, reply, 0, &old_key), -1);
    assert_int_equal(open_entry(f, reply, 0, &new_key), 0);
}

static int
report(struct fixture *f, int64_t revision)
{
    const char *epoch = fixture_text(f, "SELECT md5(system_identifier::text || '/' || "
                                        "left(pg_walfile_name(pg_current_wal_lsn()), 8)) FROM "
                                        "pg_control_system()");
    json_t *body =
        json_pack("{s:s, s:I, s:s, s:[s], s:s}", "epoch", epoch, "revision", (json_int_t)revision,
                  "version", "0.1.0", "addresses", "127.0.0.1", "reason", "");
    return fixture_call(f, node_report, "node.report", NULL, body);
}

// Waits at most a minute for a deferred reply.
static bool
replied(void)
{
    for (int64_t end = sl_mono_ms() + 60000; sl_mono_ms() < end;) {
        pthread_mutex_lock(&caught_lock);
        bool done = caught_replies > 0;
        pthread_mutex_unlock(&caught_lock);
        if (done) {
            return true;
        }
        sched_yield();
    }
    return false;
}

static void
a_publish_that_waits_is_answered_when_the_node_reports_it(void **state)
{
    struct fixture *f = *state;
    const char *admin_sees = "SELECT count(*) FROM node WHERE id = 'n-live'";
    fixture_node(f, "n-live");
    fixture_publish(f);
    assert_int_equal(fixture_number(f, admin_sees), 1);
    assert_int_equal(report(f, revision_of(f)), 0);
    pass_start(f->publisher.pass);
    f->role = "front";
    assert_int_equal(fixture_action(f, NULL, "online", 30000), 0);
    assert_int_equal(caught_replies, 0);
    f->role = "node:n-live";
    assert_int_equal(report(f, revision_of(f)), 0);
    assert_true(replied());
    assert_null(strstr(caught_body, "nodes"));
}

static void
a_wait_that_runs_out_says_which_nodes_serve(void **state)
{
    struct fixture *f = *state;
    fixture_node(f, "n-slow");
    fixture_publish(f);
    assert_int_equal(report(f, 0), 0);
    pass_start(f->publisher.pass);
    f->role = "front";
    assert_int_equal(fixture_action(f, NULL, "online", 50), 0);
    assert_true(replied());
    json_t *body = json_loads(caught_body, 0, NULL);
    const json_t *node = json_array_get(json_object_get(body, "nodes"), 0);
    assert_string_equal(json_string_value(json_object_get(node, "id")), "n-slow");
    assert_true(json_is_false(json_object_get(node, "served")));
    json_decref(body);
}

static void
the_list_tells_a_ready_node_from_one_that_never_reported(void **state)
{
    struct fixture *f = *state;
    fixture_node(f, "n-b");
    fixture_node(f, "n-a");
    assert_int_equal(report(f, 5), 0);
    f->role = "front";
    assert_int_equal(fixture_call(f, node_list, "node.list", NULL, NULL), 0);
    json_t *body = json_loadb(f->reply.body.ptr, f->reply.body.len, 0, NULL);
    const json_t *nodes = json_object_get(body, "nodes");
    assert_int_equal(json_integer_value(json_object_get(body, "total")), 2);
    const json_t *first = json_array_get(nodes, 0);
    const json_t *second = json_array_get(nodes, 1);
    assert_string_equal(json_string_value(json_object_get(first, "health")), "ready");
    assert_int_equal(json_integer_value(json_object_get(first, "revision")), 5);
    assert_string_equal(json_string_value(json_object_get(second, "health")), "gone");
    json_decref(body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(publish_id_survives_republishing_and_version_id_changes),
        FIXTURE_TEST(a_repeated_command_publishes_once_and_answers_the_same),
        FIXTURE_TEST(what_does_not_exist_is_named),
        FIXTURE_TEST(what_would_shadow_another_published_api_is_refused),
        FIXTURE_TEST(a_batch_answers_for_each_api_alone),
        FIXTURE_TEST(a_batch_without_a_list_takes_the_group),
        FIXTURE_TEST(the_last_ten_versions_of_a_pair_are_kept),
        FIXTURE_TEST(one_pass_makes_one_revision_and_one_event),
        FIXTURE_TEST(offline_leaves_a_tombstone),
        FIXTURE_TEST(a_key_that_never_compiles_is_parked_and_the_rest_goes_on),
        FIXTURE_TEST(a_key_that_the_database_refuses_is_parked_and_the_rest_goes_on),
        FIXTURE_TEST(publishers_side_by_side_lose_no_mark_and_number_without_gaps),
        FIXTURE_TEST(since_answers_a_delta_and_a_full_set_when_epoch_or_revision_do_not_fit),
        FIXTURE_TEST(settling_makes_what_was_committed_part_of_the_head),
        FIXTURE_TEST(since_is_for_the_gateways_own_nodes_and_control_for_fronts),
        FIXTURE_TEST(removing_a_node_rotates_the_content_key),
        FIXTURE_TEST(a_publish_that_waits_is_answered_when_the_node_reports_it),
        FIXTURE_TEST(a_wait_that_runs_out_says_which_nodes_serve),
        FIXTURE_TEST(the_list_tells_a_ready_node_from_one_that_never_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
