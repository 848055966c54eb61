// api_reply_test.c - what creating an API answers is what reading it answers, member by member.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "tests/unit/registry/fixture.h"

#include <pthread.h>

#define FUNCTION "\"function_urn\": \"urn:fss:r1:p1:function:default:hello\", \"timeout\": 5000"

// A kind of API: its head, and all that may stand behind.
struct kind {
    const char *method, *protocol, *type;
    const char *rest;
};

static const struct kind kinds[] = {
    {"GET", "HTTPS", "MOCK", "\"mock_info\": {\"result_content\": \"</x> \\\"\\u00e9\\\\ %s\"}"},
    {"POST", "BOTH", "MOCK",
     "\"mock_info\": {}, \"policy_mocks\": [{\"name\": \"pol_1\", \"effect_mode\": \"ANY\","
     " \"result_content\": \"%\", \"conditions\": [{\"condition_origin\": \"source\","
     " \"condition_value\": \"10.0.0.1\"}]}]"},
    {"GET", "HTTPS", "HTTP",
     "\"backend_api\": {\"url_domain\": \"127.0.0.1:80\", \"req_protocol\": \"HTTP\","
     " \"req_method\": \"GET\", \"req_uri\": \"/b/{id}\", \"timeout\": 5000},"
     " \"req_params\": [{\"name\": \"user\", \"type\": \"STRING\", \"location\": \"QUERY\","
     " \"remark\": \"\\\"%d\\u0001\"}], \"backend_params\": [{\"name\": \"id\", \"value\":"
     " \"user\", \"location\": \"PATH\", \"origin\": \"REQUEST\"}], \"cors\": true,"
     " \"tags\": [\"web,a\", \"other\"], \"tag\": \"third\", \"remark\": \"a\\nb\\t\\\"\","
     " \"body_remark\": \"\", \"version\": \"V1.\\\"0\", \"result_normal_sample\":"
     " \"{\\\"a\\\": null}\", \"result_failure_sample\": \"</x>\""},
    {"GET", "HTTPS", "HTTP",
     "\"backend_api\": {\"url_domain\": \"127.0.0.1:80\", \"req_protocol\": \"HTTP\","
     " \"req_method\": \"GET\", \"req_uri\": \"/b\", \"timeout\": 5000}, \"policy_https\":"
     " [{\"name\": \"pol_1\", \"effect_mode\": \"ALL\", \"url_domain\": \"127.0.0.1:81\","
     " \"req_protocol\": \"HTTP\", \"req_method\": \"GET\", \"req_uri\": \"/p\", \"timeout\": 1000,"
     " \"conditions\": [{\"condition_origin\": \"source\", \"condition_value\": \"10.0.0.1\"}]}]"},
    {"POST", "GRPCS", "GRPC",
     "\"match_mode\": \"SWA\", \"backend_api\": {\"url_domain\": \"127.0.0.1:80\","
     " \"req_protocol\": \"GRPCS\", \"req_method\": \"POST\", \"req_uri\": \"/\","
     " \"timeout\": 5000}"},
    {"POST", "HTTPS", "FUNCTION",
     "\"func_info\": {" FUNCTION ", \"req_protocol\": \"HTTPS\", \"network_type\": \"V1\","
     " \"invocation_type\": \"async\"}, \"policy_functions\": [{\"name\": \"pol_1\","
     " \"effect_mode\": \"ALL\", \"conditions\": [{\"condition_origin\": \"source\","
     " \"condition_value\": \"10.0.0.1\"}], " FUNCTION ", \"req_protocol\": \"HTTPS\","
     " \"network_type\": \"V1\", \"invocation_type\": \"async\"}]"},
};

static const char *
new_group(struct fixture *f)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO instance_setting (instance_id, name, value) VALUES"
                                   " ('%s', 'function_endpoint', 'http://127.0.0.1:9')",
                                   f->gateway));
    return fixture_create(f, "group.create", "", "{\"name\": \"group_1\"}");
}

static const char *
body_of(struct fixture *f, const char *group, size_t number)
{
    const struct kind *kind = &kinds[number];
    return sl_arena_printf(f->arena,
                           "{\"group_id\": \"%s\", \"name\": \"api_%zu\", \"type\": 1,"
                           " \"req_protocol\": \"%s\", \"req_method\": \"%s\", \"req_uri\":"
                           " \"/a/%zu\", \"auth_type\": \"APP\", \"auth_opt\":"
                           " {\"app_code_auth_type\": \"HEADER\"}, \"backend_type\": \"%s\", %s}",
                           group, number, kind->protocol, kind->method, number, kind->type,
                           kind->rest);
}

// Refuses with both texts, which tell more than that they differ.
static void
assert_same(struct fixture *f, const json_t *made)
{
    if (json_equal(made, f->body) == 0) {
        fail_msg("made %s\nread %s", json_dumps(made, JSON_SORT_KEYS),
                 json_dumps(f->body, JSON_SORT_KEYS));
    }
}

static void
a_creation_answers_what_a_read_answers(void **state)
{
    struct fixture *f = *state;
    const char *group = new_group(f);
    for (size_t i = 0; i < SL_COUNT(kinds); i++) {
        const char *id = fixture_create(f, "api.create", "", body_of(f, group, i));
        const json_t *made = f->body;
        const struct sl_str text = f->reply.body;
        assert_true(json_object_size(made) > 20);
        assert_int_equal(fixture_call(f, "api.read", fixture_path(f, "api_id", id), "", ""), 0);
        assert_same(f, made);
        // Byte by byte too: the same members in the same order.
        assert_int_equal(text.len, f->reply.body.len);
        assert_memory_equal(text.ptr, f->reply.body.ptr, text.len);
    }
}

static void
a_creation_of_a_group_with_odd_names_answers_them_quoted(void **state)
{
    struct fixture *f = *state;
    const char *group = new_group(f);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE api_group SET name = E'g\"\\\\ %%s', sl_domain ="
                                   " E'd\"' WHERE id = '%s'",
                                   group));
    const char *id = fixture_create(f, "api.create", "", body_of(f, group, 0));
    const json_t *made = f->body;
    assert_string_equal(fixture_text(f, "group_name"), "g\"\\ %s");
    assert_int_equal(fixture_call(f, "api.read", fixture_path(f, "api_id", id), "", ""), 0);
    assert_same(f, made);
}

static void
a_record_holds_the_row_that_was_made(void **state)
{
    struct fixture *f = *state;
    const char *group = new_group(f);
    for (size_t i = 0; i < SL_COUNT(kinds); i++) {
        const char *id = fixture_create(f, "api.create", "", body_of(f, group, i));
        const char *same = sl_arena_printf(
            f->arena,
            "SELECT count(*) FROM audit a JOIN api t ON t.id = a.object_id WHERE command_id = '%s'"
            " AND object_id = '%s' AND before IS NULL AND after::jsonb = to_jsonb(t)"
            " AND a.instance_id = t.instance_id AND command = 'api.create'",
            f->command_id, id);
        assert_int_equal(fixture_count(f, same), 1);
    }
}

struct creation {
    struct fixture *f; // with a connection of its own
    const char *body;
    int rc;
};

static void *
create(void *context)
{
    struct creation *creation = context;
    creation->rc = fixture_call(creation->f, "api.create", "", "", creation->body);
    return NULL;
}

// A transaction of `holder` that keeps others from the group.
static struct sl_tx *
hold_group(struct fixture *f, struct fixture *holder, const char *group)
{
    struct sl_tx *tx = sl_tx_begin(holder->registry.db, &f->err);
    assert_int_equal(sl_sql(tx, f->arena, "SELECT 1 FROM api_group WHERE id = $1 FOR UPDATE",
                            SL_PARAMS(SL_P_TEXT(group)), NULL, &f->err),
                     0);
    return tx;
}

static void
wait_for_blocked_session(struct fixture *f)
{
    static const char waits[] =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    for (int64_t end = sl_mono_ms() + 60000; fixture_count(f, waits) == 0;) {
        assert_true(sl_mono_ms() < end);
    }
}

// Who deletes a group holds it and gives its quota back last: who took a unit first and then waited
// for the group would wait for ever.
static void
a_creation_waits_for_its_group_before_it_takes_a_unit(void **state)
{
    struct fixture *f = *state;
    struct fixture deleter;
    struct fixture maker;
    pthread_t thread;
    const char *group = new_group(f);
    fixture_create(f, "api.create", "", body_of(f, group, 0));
    fixture_open(&deleter, f);
    fixture_open(&maker, f);
    struct sl_tx *tx = hold_group(f, &deleter, group);
    struct creation creation = {.f = &maker, .body = body_of(f, group, 1)};
    assert_int_equal(pthread_create(&thread, NULL, create, &creation), 0);
    wait_for_blocked_session(f);
    assert_int_equal(sl_sql(tx, f->arena,
                            "SELECT 1 FROM quota_usage WHERE instance_id = $1 FOR UPDATE NOWAIT",
                            SL_PARAMS(SL_P_TEXT(f->gateway)), NULL, &f->err),
                     0);
    sl_tx_free(&tx);
    pthread_join(thread, NULL);
    assert_int_equal(creation.rc, 0);
    fixture_close(&maker);
    fixture_close(&deleter);
}

// The foreign key alone would say that the channel is in use.
static void
a_channel_that_goes_while_an_api_is_made_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct fixture holder;
    struct fixture maker;
    pthread_t thread;
    const char *group = new_group(f);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO channel (instance_id, id, name, port,"
                                   " balance_strategy, member_type) VALUES ('%s', 'c1', 'ch_1', 80,"
                                   " 1, 'ip')",
                                   f->gateway));
    fixture_open(&holder, f);
    fixture_open(&maker, f);
    const char *body = sl_arena_printf(
        f->arena,
        "{\"group_id\": \"%s\", \"name\": \"api_1\", \"type\": 1, \"req_protocol\":"
        " \"HTTPS\", \"req_method\": \"GET\", \"req_uri\": \"/a\", \"auth_type\": \"NONE\","
        " \"backend_type\": \"HTTP\", \"backend_api\": {\"vpc_channel_status\": 1,"
        " \"vpc_channel_info\": {\"vpc_channel_id\": \"c1\"}, \"req_protocol\": \"HTTP\","
        " \"req_method\": \"GET\", \"req_uri\": \"/\", \"timeout\": 5000}}",
        group);
    struct creation creation = {.f = &maker, .body = body};
    struct sl_tx *tx = hold_group(f, &holder, group);
    assert_int_equal(pthread_create(&thread, NULL, create, &creation), 0);
    wait_for_blocked_session(f);
    fixture_sql(f, "DELETE FROM channel WHERE id = 'c1'");
    sl_tx_free(&tx);
    pthread_join(thread, NULL);
    assert_int_equal(creation.rc, -1);
    assert_int_equal(maker.err.code, SL_E_CHANNEL_NOT_FOUND);
    fixture_close(&maker);
    fixture_close(&holder);
}

static void
a_refused_creation_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    const char *counted = sl_arena_printf(
        f->arena,
        "SELECT (SELECT count(*) FROM audit WHERE instance_id = '%s') + (SELECT count(*) FROM api"
        " WHERE instance_id = '%s') + (SELECT coalesce(sum(used), 0) FROM quota_spent WHERE"
        " instance_id = '%s')",
        f->gateway, f->gateway, f->gateway);
    const char *group = new_group(f);
    fixture_create(f, "api.create", "", body_of(f, group, 0));
    int64_t before = fixture_count(f, counted);
    assert_int_equal(fixture_call(f, "api.create", "", "", body_of(f, group, 0)), -1);
    assert_int_equal(f->err.code, SL_E_API_NAME_EXISTS);
    assert_int_equal(fixture_call(f, "api.create", "", "", body_of(f, "elsewhere", 1)), -1);
    assert_int_equal(f->err.code, SL_E_GROUP_NOT_FOUND);
    assert_string_equal(f->err.args[0], "elsewhere");
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE quota_usage SET \"limit\" = 1 WHERE instance_id = '%s'"
                                   " AND quota = 'apis'",
                                   f->gateway));
    assert_int_equal(fixture_call(f, "api.create", "", "", body_of(f, group, 1)), -1);
    assert_int_equal(f->err.code, SL_E_API_QUOTA);
    assert_int_equal(fixture_count(f, counted), before);
}

static void
a_repeat_gets_the_reply_that_was_given(void **state)
{
    struct fixture *f = *state;
    char id[SL_ID_SIZE];
    sl_random_id(id);
    const char *group = new_group(f);
    assert_int_equal(fixture_repeat(f, id, "api.create", "", body_of(f, group, 2)), 0);
    const struct sl_str first = f->reply.body;
    fixture_sql(
        f, sl_arena_printf(f->arena, "UPDATE api_group SET name = 'other' WHERE id = '%s'", group));
    assert_int_equal(fixture_repeat(f, id, "api.create", "", body_of(f, group, 3)), 0);
    assert_int_equal(first.len, f->reply.body.len);
    assert_memory_equal(first.ptr, f->reply.body.ptr, first.len);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_creation_answers_what_a_read_answers),
        FIXTURE_TEST(a_creation_of_a_group_with_odd_names_answers_them_quoted),
        FIXTURE_TEST(a_record_holds_the_row_that_was_made),
        FIXTURE_TEST(a_creation_waits_for_its_group_before_it_takes_a_unit),
        FIXTURE_TEST(a_channel_that_goes_while_an_api_is_made_is_not_found),
        FIXTURE_TEST(a_refused_creation_leaves_nothing),
        FIXTURE_TEST(a_repeat_gets_the_reply_that_was_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
