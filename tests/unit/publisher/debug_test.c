// debug_test.c - debugging calls: the request that is made, and the way of a call through its row.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

#include "common/crypto/crypto.h"
#include "common/wire/message.h"
#include "services/publisher/compile.h"
#include "services/publisher/debug.h"
#include "services/publisher/debug_request.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define DATE   1717207445000 // 2024-06-01T02:04:05Z

// -- the request

static int
make(struct fixture *f, const char *members, struct debug_request *ret_request)
{
    json_error_t fault;
    const char *text = sl_arena_printf(
        f->arena, "{\"mode\": \"DEVELOPER\", \"method\": \"GET\", \"path\": \"/a\"%s}", members);
    json_t *body = json_loads(text, 0, &fault);
    assert_non_null(body);
    const struct debug_sending sending = {"h.example", SECRET, DATE};
    int rc = debug_request_make(f->arena, body, &sending, ret_request, &f->err);
    json_decref(body);
    return rc;
}

static void
a_request_is_shown_without_the_secret_it_is_sent_with(void **state)
{
    struct fixture *f = *state;
    struct debug_request request;
    assert_int_equal(make(f,
                          ", \"method\": \"POST\", \"body\": \"hi\", \"path\": \"/\xc3\xa4\","
                          " \"header\": {\"x-MY-name\": [\"1\", \"2\"]},"
                          " \"query\": {\"q\": [\"a b\", \"\"]}",
                          &request),
                     0);
    assert_string_equal(request.shown, "POST /%C3%A4?q=a%20b&q= HTTP/1.1\nHost: h.example\n"
                                       "User-Agent: APIGatewayDebugClient/1.0\nX-Apig-Mode: debug\n"
                                       "X-My-Name: 1\nX-My-Name: 2\nContent-Length: 2\n\nhi");
    assert_string_equal(request.sent,
                        "POST /%C3%A4?q=a%20b&q= HTTP/1.1\r\nHost: h.example\r\n"
                        "User-Agent: APIGatewayDebugClient/1.0\r\nX-Apig-Mode: debug\r\n"
                        "X-My-Name: 1\r\nX-My-Name: 2\r\nContent-Length: 2\r\n"
                        "X-Apig-Debug: " SECRET "\r\nConnection: close\r\n\r\nhi");
    assert_int_equal(make(f, ", \"mode\": \"CONSUMER\", \"stage\": \"TEST\"", &request), 0);
    assert_non_null(strstr(request.shown, "\nX-Stage: TEST\n"));
    assert_null(strstr(request.shown, "Content-Length"));
}

static void
an_app_s_request_is_signed(void **state)
{
    struct fixture *f = *state;
    struct debug_request request;
    assert_int_equal(make(f, ", \"app_key\": \"key\", \"app_secret\": \"hush-hush\"", &request), 0);
    assert_non_null(strstr(request.shown, "\nX-Sdk-Date: 20240601T020405Z\n"));
    assert_non_null(strstr(request.shown, "\nAuthorization: SDK-HMAC-SHA256 Access=key, "));
    assert_null(strstr(request.sent, "hush-hush"));
}

static void
what_no_request_can_have_is_named(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *members;
        const char *named;
    } rows[] = {
        {", \"path\": \"/a b\"", "path"},
        {", \"path\": \"/a?b\"", "path"},
        {", \"path\": \"/a#b\"", "path"},
        {", \"path\": \"/a%2\"", "path"},
        {", \"path\": \"/a\\r\\nX: y\"", "path"},
        {", \"header\": {\"X-Apig-Debug\": [\"1\"]}", "header.X-Apig-Debug"},
        {", \"header\": {\"x-sdk-date\": [\"1\"]}", "header.x-sdk-date"},
        {", \"header\": {\"X-STAGE\": [\"1\"]}", "header.X-STAGE"},
        {", \"header\": {\"Transfer-Encoding\": [\"chunked\"]}", "header.Transfer-Encoding"},
        {", \"header\": {\"content-length\": [\"1\"]}", "header.content-length"},
        {", \"header\": {\"1st\": [\"1\"]}", "header.1st"},
        {", \"header\": {\"a_b\": [\"1\"]}", "header.a_b"},
        {", \"header\": {\"\": [\"1\"]}", "header."},
        {", \"header\": {\"A\": [\"1\\nB: 2\"]}", "header.A"},
        {", \"header\": {\"a23456789012345678901234567890123\": [\"1\"]}",
         "header.a23456789012345678901234567890123"},
        {", \"mode\": \"CONSUMER\", \"header\": {\"Authorization\": [\"x\"]}",
         "header.Authorization"},
        {", \"mode\": \"CONSUMER\", \"header\": {\"x-auth-token\": [\"x\"]}",
         "header.x-auth-token"},
        {", \"query\": {\"a b\": [\"1\"]}", "query.a b"},
        {", \"query\": {\"X-Stage\": [\"1\"]}", "query.X-Stage"},
        {", \"query\": {\"x-apig-x\": [\"1\"]}", "query.x-apig-x"},
        {", \"app_secret\": \"x\"", "app_key"},
        {", \"app_key\": \"x\"", "app_secret"},
    };
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct debug_request request;
        if (make(f, rows[i].members, &request) == 0) {
            fail_msg("%s", rows[i].members);
        }
        assert_string_equal(f->err.args[0], rows[i].named);
    }
    struct debug_request request;
    assert_int_equal(make(f, ", \"header\": {\"Authorization\": [\"x\"]}", &request), 0);
    assert_int_equal(make(f, ", \"query\": {\"a_b.c-d\": [\"1\"]}", &request), 0);
}

// -- the call

static int
debug(struct fixture *f, const char *id, const char *mode)
{
    f->path = json_pack("{s:s}", "api_id", f->api);
    json_t *body = json_pack("{s:s, s:s, s:s, s:s}", "mode", mode, "method", "GET", "path", "/a",
                             "scheme", "HTTP");
    f->role = "front";
    int rc = fixture_call(f, api_debug, "api.debug", id, body);
    json_decref(f->path);
    f->path = NULL;
    return rc;
}

// A report of the node; the calls that it is given.
static json_t *
given(struct fixture *f, bool makes_calls)
{
    json_t *reply = NULL;
    json_int_t revision = fixture_number(
        f,
        sl_arena_printf(f->arena, "SELECT revision FROM gateway_revision WHERE gateway_id = '%s'",
                        f->gateway));
    f->role = sl_arena_printf(f->arena, "node:%s", f->peer);
    json_t *body =
        json_pack("{s:s, s:I, s:s, s:[s], s:s, s:b}", "epoch", "e", "revision", revision, "version",
                  "1", "addresses", "127.0.0.1", "reason", "", "debugs", makes_calls);
    assert_int_equal(fixture_call(f, node_report, "node.report", NULL, body), 0);
    assert_int_equal(sl_json_unpack(f->arena, f->reply.body, &reply, &f->err), 0);
    return json_object_get(reply, "debug");
}

// Calls that have not ended, and APIs that nodes serve.
static int64_t
calls_of(struct fixture *f)
{
    return fixture_number(f, sl_arena_printf(f->arena,
                                             "SELECT count(*) FROM api_debug WHERE"
                                             " instance_id = '%s'",
                                             f->gateway));
}

static int64_t
entries_of(struct fixture *f)
{
    return fixture_number(f, sl_arena_printf(f->arena,
                                             "SELECT count(*) FROM runtime_entry WHERE"
                                             " gateway_id = '%s' AND kind = 'api'"
                                             " AND body IS NOT NULL",
                                             f->gateway));
}

static void
node_is_there(struct fixture *f)
{
    fixture_node(f, sl_arena_printf(f->arena, "n-%.20s", f->gateway));
    fixture_publish(f);
    assert_int_equal(json_array_size(given(f, true)), 0);
}

static void
a_call_is_given_once_to_a_node_that_makes_calls(void **state)
{
    struct fixture *f = *state;
    char id[SL_ID_SIZE];
    sl_random_id(id);
    node_is_there(f);
    assert_int_equal(debug(f, id, "DEVELOPER"), 0);
    assert_int_equal(debug(f, id, "DEVELOPER"), 0); // a repeat is the same call
    assert_int_equal(calls_of(f), 1);
    assert_int_equal(json_array_size(given(f, false)), 0);
    const json_t *call = json_array_get(given(f, true), 0);
    const char *request = json_string_value(json_object_get(call, "request"));
    assert_non_null(strstr(request, "GET /a HTTP/1.1\r\nHost: "));
    assert_non_null(strstr(request, "\r\nX-Apig-Debug: "));
    assert_false(json_is_true(json_object_get(call, "tls")));
    assert_int_equal(json_array_size(given(f, true)), 0);
}

static void
an_answer_ends_the_call_and_its_entry(void **state)
{
    struct fixture *f = *state;
    struct sl_reply reply;
    node_is_there(f);
    assert_int_equal(debug(f, NULL, "DEVELOPER"), 0);
    const char *id = json_string_value(json_object_get(json_array_get(given(f, true), 0), "id"));
    assert_int_equal(entries_of(f), 1);
    assert_false(debug_is_over(f->thread.db, f->arena, f->gateway, id, false, &reply));
    json_t *body = json_pack("{s:s, s:s, s:i}", "id", id, "response",
                             "HTTP/1.1 200 OK\nA: b\n\nbody", "latency_ms", 12);
    assert_int_equal(fixture_call(f, node_debugged, "node.debugged", NULL, body), 0);
    assert_true(debug_is_over(f->thread.db, f->arena, f->gateway, id, false, &reply));
    assert_false(reply.failed);
    json_t *told = json_loadb(reply.body.ptr, reply.body.len, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(told, "latency")), 12);
    const char *log = json_string_value(json_object_get(told, "log"));
    assert_non_null(strstr(log, "GET /a HTTP/1.1\n"));
    assert_non_null(strstr(log, "\n\nHTTP/1.1 200 OK\nA: b"));
    assert_null(strstr(log, "body"));
    assert_null(strstr(json_string_value(json_object_get(told, "request")), "X-Apig-Debug"));
    json_decref(told);
    fixture_publish(f);
    assert_int_equal(entries_of(f), 0);
    assert_true(debug_is_over(f->thread.db, f->arena, f->gateway, id, false, &reply));
    assert_true(reply.failed);
}

static void
another_node_cannot_answer(void **state)
{
    struct fixture *f = *state;
    struct sl_reply reply;
    node_is_there(f);
    assert_int_equal(debug(f, NULL, "DEVELOPER"), 0);
    const char *id = json_string_value(json_object_get(json_array_get(given(f, true), 0), "id"));
    sl_peer_keys(f->peer_public, f->peer_secret);
    fixture_node(f, sl_arena_printf(f->arena, "o-%.20s", f->gateway));
    json_t *body = json_pack("{s:s, s:s, s:i}", "id", id, "response", "forged", "latency_ms", 1);
    assert_int_equal(fixture_call(f, node_debugged, "node.debugged", NULL, body), 0);
    assert_false(debug_is_over(f->thread.db, f->arena, f->gateway, id, false, &reply));
    assert_true(debug_is_over(f->thread.db, f->arena, f->gateway, id, true, &reply));
    assert_int_equal(reply.error.code, SL_E_DEBUG_TIMEOUT);
}

static void
what_nobody_waits_for_is_swept(void **state)
{
    struct fixture *f = *state;
    node_is_there(f);
    assert_int_equal(debug(f, NULL, "DEVELOPER"), 0);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE api_debug SET expires_at = now() - interval"
                                   " '1 s' WHERE instance_id = '%s'",
                                   f->gateway));
    assert_int_equal(json_array_size(given(f, true)), 0);
    assert_int_equal(debug_sweep(f->thread.db, &f->err), 0);
    assert_int_equal(calls_of(f), 0);
    fixture_publish(f);
    assert_int_equal(entries_of(f), 0);
}

static void
a_call_is_refused_where_it_cannot_be_made(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(debug(f, NULL, "DEVELOPER"), -1);
    assert_int_equal(f->err.code, SL_E_DEBUG_NO_NODE);
    node_is_there(f);
    assert_int_equal(debug(f, NULL, "CONSUMER"), -1);
    assert_int_equal(f->err.code, SL_E_PUBLICATION_NOT_FOUND);
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(debug(f, NULL, i % 2 == 0 ? "CONSUMER" : "DEVELOPER"), 0);
    }
    assert_int_equal(debug(f, NULL, "CONSUMER"), -1);
    assert_int_equal(f->err.code, SL_E_DEBUG_BUSY);
    memset(f->api, '0', SL_ID_LEN);
    assert_int_equal(debug(f, NULL, "DEVELOPER"), -1);
    assert_int_equal(f->err.code, SL_E_API_NOT_FOUND);
}

static void
a_published_form_keeps_its_authentication_and_a_defined_one_has_none(void **state)
{
    struct fixture *f = *state;
    node_is_there(f);
    fixture_sql(
        f, sl_arena_printf(f->arena, "UPDATE api SET auth_type = 'APP' WHERE id = '%s'", f->api));
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    const char *publish_id = fixture_text(
        f, sl_arena_printf(f->arena, "SELECT publish_id FROM publication WHERE api_id = '%s'",
                           f->api));
    for (int consumer = 0; consumer < 2; consumer++) {
        assert_int_equal(debug(f, NULL, consumer != 0 ? "CONSUMER" : "DEVELOPER"), 0);
        const char *id = fixture_text(
            f, sl_arena_printf(f->arena,
                               "SELECT id FROM api_debug WHERE instance_id = '%s' AND is_open = %s",
                               f->gateway, consumer != 0 ? "false" : "true"));
        SL_AUTO(sl_tx) tx = sl_tx_begin(f->thread.db, &f->err);
        struct compile compile = {tx, f->arena, &f->publisher, f->gateway};
        struct sl_entry entry = {.kind = SL_KIND_API};
        bool found = false;
        assert_int_equal(compile_api(&compile, id, &entry, &found, &f->err), 0);
        assert_true(found);
        assert_int_equal(entry.api.auth, consumer != 0 ? SL_AUTH_APP : SL_AUTH_NONE);
        assert_string_equal(entry.api.publish_id, consumer != 0 ? publish_id : id);
        assert_true(strncmp(entry.api.env_name, "debug/", 6) == 0);
        assert_int_equal(strlen(entry.api.env_name), 6 + SL_ID_LEN);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_request_is_shown_without_the_secret_it_is_sent_with),
        FIXTURE_TEST(an_app_s_request_is_signed),
        FIXTURE_TEST(what_no_request_can_have_is_named),
        FIXTURE_TEST(a_call_is_given_once_to_a_node_that_makes_calls),
        FIXTURE_TEST(an_answer_ends_the_call_and_its_entry),
        FIXTURE_TEST(another_node_cannot_answer),
        FIXTURE_TEST(what_nobody_waits_for_is_swept),
        FIXTURE_TEST(a_call_is_refused_where_it_cannot_be_made),
        FIXTURE_TEST(a_published_form_keeps_its_authentication_and_a_defined_one_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
