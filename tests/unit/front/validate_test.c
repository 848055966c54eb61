// validate_test.c - the first fault gets its documented code and names its parameter.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/validate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/limits.h"
#include "tests/unit/test.h"

#define BASE   "/v2/p1/apigw/instances/i1"
#define GROUPS BASE "/api-groups"
#define APIS   BASE "/apis"

struct fixture {
    struct validator *validator;
    struct sl_arena *arena;
    const char *subject; // X-Subject-Token
};

static const char *
header(void *arg, const char *name)
{
    struct fixture *fixture = arg;
    return strcmp(name, "X-Subject-Token") == 0 ? fixture->subject : NULL;
}

// One request as a client would send it.
struct sent {
    const char *method;
    const char *target;
    const char *body;
    const char *type;
};

static int
check(struct fixture *fixture, struct sent sent, struct validate_output *ret_output,
      struct sl_error *err)
{
    struct route_match match;
    struct sl_str query = sl_str(sent.target);
    struct sl_str path = sl_str_split(&query, '?');
    memset(err, 0, sizeof(*err));
    assert_int_equal(route_find(sl_str(sent.method), path, &match, err), 0);
    const struct validate_input input = {.match = &match,
                                         .raw_query = query,
                                         .content_type = sent.type,
                                         .body = sl_str(sent.body),
                                         .header = header,
                                         .header_arg = fixture};
    return validate_request(fixture->validator, &input, NULL, fixture->arena, ret_output, err);
}

static struct validate_output
accepted(struct fixture *fixture, const char *method, const char *target, const char *body)
{
    struct validate_output output = {.path = NULL};
    struct sl_error err;
    int result =
        check(fixture, (struct sent){method, target, body, "application/json"}, &output, &err);
    if (result != 0) {
        print_error("%s %s: %s %s\n", target, body, sl_error_name(err.code), err.args[0]);
    }
    assert_int_equal(result, 0);
    return output;
}

static void
refused(struct fixture *fixture, const char *method, const char *target, const char *body,
        enum sl_code code, const char *name)
{
    struct validate_output output = {.path = NULL};
    struct sl_error err;
    int result =
        check(fixture, (struct sent){method, target, body, "application/json"}, &output, &err);
    if (result == 0 || err.code != code || strcmp(err.args[0], name) != 0) {
        print_error("%s %s: %s %s\n", target, body, sl_error_name(err.code), err.args[0]);
    }
    assert_int_equal(result, -1);
    assert_int_equal(err.code, code);
    assert_string_equal(err.args[0], name);
}

// A whole API, with one more member or one replaced by `change`.
static const char *
api_with(struct fixture *fixture, const char *change)
{
    json_t *api = json_loads(
        "{\"name\":\"first\",\"type\":1,\"req_protocol\":\"HTTP\",\"req_method\":\"GET\","
        "\"req_uri\":\"/a/"
        "{id}\",\"auth_type\":\"NONE\",\"backend_type\":\"HTTP\",\"group_id\":\"g\","
        "\"backend_api\":{\"url_domain\":\"127.0.0.1:17180\",\"req_protocol\":\"HTTP\","
        "\"req_method\":\"GET\",\"req_uri\":\"/b\",\"timeout\":5000}}",
        0, NULL);
    json_t *more = json_loads(change, 0, NULL);
    assert_non_null(more);
    json_object_update_recursive(api, more);
    char *text = json_dumps(api, 0);
    const char *kept = sl_arena_dup(fixture->arena, text);
    free(text);
    json_decref(api);
    json_decref(more);
    return kept;
}

static void
a_missing_parameter_is_named(void **state)
{
    refused(*state, "POST", GROUPS, "{}", SL_E_PARAM_MISSING, "name");
    refused(*state, "POST", GROUPS, "{\"name\":null}", SL_E_PARAM_MISSING, "name");
    refused(*state, "POST", GROUPS, "", SL_E_PARAM_MISSING, "body");
    refused(*state, "POST", APIS, api_with(*state, "{\"backend_api\":{\"timeout\":null}}"),
            SL_E_PARAM_MISSING, "backend_api.timeout");
}

static void
a_number_outside_its_range_is_named(void **state)
{
    refused(*state, "POST", APIS, api_with(*state, "{\"backend_api\":{\"timeout\":0}}"),
            SL_E_PARAM_RANGE, "backend_api.timeout");
    refused(*state, "POST", APIS, api_with(*state, "{\"backend_api\":{\"timeout\":600001}}"),
            SL_E_PARAM_RANGE, "backend_api.timeout");
    refused(*state, "POST", BASE "/throttles",
            "{\"name\":\"abc\",\"time_unit\":\"HOUR\",\"time_interval\":1,\"api_call_limits\":0}",
            SL_E_PARAM_RANGE, "api_call_limits");
}

static void
any_other_fault_of_the_body_is_named(void **state)
{
    refused(*state, "POST", GROUPS, "{\"name\":7}", SL_E_PARAM_INVALID, "name");
    refused(*state, "POST", GROUPS, "{\"name\":\"ab\"}", SL_E_PARAM_INVALID, "name");
    refused(*state, "POST", GROUPS, "{\"name\":\"-ab\"}", SL_E_PARAM_INVALID, "name");
    refused(*state, "POST", GROUPS, "{\"name\":\"abc\\n\"}", SL_E_PARAM_INVALID, "name");
    refused(*state, "POST", GROUPS, "[]", SL_E_PARAM_INVALID, "body");
    refused(*state, "POST", APIS, api_with(*state, "{\"type\":3}"), SL_E_PARAM_INVALID, "type");
    refused(*state, "POST", APIS, api_with(*state, "{\"type\":1.0}"), SL_E_PARAM_INVALID, "type");
    refused(*state, "POST", APIS, api_with(*state, "{\"auth_type\":\"app\"}"), SL_E_PARAM_INVALID,
            "auth_type");
    refused(*state, "POST", APIS, api_with(*state, "{\"req_uri\":\"a\"}"), SL_E_PARAM_INVALID,
            "req_uri");
    refused(*state, "POST", APIS, api_with(*state, "{\"tags\":[\"ok\",\"\"]}"), SL_E_PARAM_INVALID,
            "tags[1]");
    refused(*state, "POST", APIS,
            api_with(*state, "{\"backend_api\":{\"url_domain\":\"a:70000\"}}"), SL_E_PARAM_INVALID,
            "backend_api.url_domain");
    refused(*state, "POST", APIS,
            api_with(*state, "{\"req_params\":[{\"name\":\"1\",\"type\":\"STRING\","
                             "\"location\":\"PATH\"}]}"),
            SL_E_PARAM_INVALID, "req_params[0].name");
}

static void
zero_takes_an_optional_limit_away_in_an_update_only(void **state)
{
    static const char body[] = "{\"name\":\"abc\",\"time_unit\":\"HOUR\",\"time_interval\":1,"
                               "\"api_call_limits\":3,\"ip_call_limits\":0}";
    json_t *sent = accepted(*state, "PUT", BASE "/throttles/t1", body).body;
    assert_int_equal(json_integer_value(json_object_get(sent, "ip_call_limits")), 0);
    refused(*state, "POST", BASE "/throttles", body, SL_E_PARAM_RANGE, "ip_call_limits");
    refused(*state, "PUT", BASE "/throttles/t1",
            "{\"name\":\"abc\",\"time_unit\":\"HOUR\",\"time_interval\":1,\"api_call_limits\":0}",
            SL_E_PARAM_RANGE, "api_call_limits");
}

static void
a_number_beyond_every_type_is_out_of_range(void **state)
{
    const char *throttles = BASE "/throttles";
    refused(*state, "POST", throttles,
            "{\"name\":\"abc\",\"api_call_limits\" : 10000000000000000000000000 }",
            SL_E_PARAM_RANGE, "api_call_limits");
    refused(*state, "POST", throttles, "{\"api_call_limits\":-1e999}", SL_E_PARAM_RANGE,
            "api_call_limits");
    refused(*state, "POST", throttles, "[10000000000000000000000000]", SL_E_PARAM_RANGE, "body");
    refused(*state, "POST", throttles, "10000000000000000000000000", SL_E_PARAM_RANGE, "body");
}

static void
a_malformed_body_says_where(void **state)
{
    refused(*state, "POST", GROUPS, "{\"name\":\n oops}", SL_E_BODY_MALFORMED, "2");
    refused(*state, "POST", GROUPS, "{\"name\":\"abc\"} x", SL_E_BODY_MALFORMED, "1");
    refused(*state, "POST", GROUPS, "{\"name\":\"\xff\"}", SL_E_BODY_MALFORMED, "1");
    refused(*state, "POST", GROUPS, "{\"name\":\"a\\u0000b\"}", SL_E_BODY_NUL, "1");
    refused(*state, "POST", GROUPS, "{\n\"na\\u0000me\":1}", SL_E_BODY_NUL, "2");
    refused(*state, "POST", GROUPS, "{\"name\":\"abc\",\"name\":\"abd\"}", SL_E_BODY_DUPLICATE,
            "name");
}

// `count` copies of `item` with commas between them; freed by the caller.
static char *
repeated(const char *item, size_t count)
{
    size_t length = strlen(item);
    char *text = calloc(count, length + 1);
    for (size_t i = 0; i < count; i++) {
        memcpy(text + i * (length + 1), item, length);
        text[i * (length + 1) + length] = i + 1 < count ? ',' : '\0';
    }
    return text;
}

// An API whose member `name` is a list of `count` items.
static char *
api_listing(const char *name, const char *item, size_t count)
{
    char *items = repeated(item, count);
    char *body = NULL;
    assert_true(
        asprintf(&body,
                 "{\"name\":\"abc\",\"group_id\":\"g\",\"type\":1,\"req_protocol\":\"HTTP\","
                 "\"req_method\":\"GET\",\"req_uri\":\"/a\",\"auth_type\":\"NONE\","
                 "\"backend_type\":\"MOCK\",\"mock_info\":{},\"%s\":[%s]}",
                 name, items) > 0);
    free(items);
    return body;
}

static void
a_list_of_an_api_beyond_its_maximum_has_its_own_code(void **state)
{
    static const char policy[] = "{\"name\":\"abc\",\"effect_mode\":\"ALL\",\"conditions\":[%s]}";
    static const char condition[] =
        "{\"condition_origin\":\"source\",\"condition_value\":\"10.0.0.1\"}";
    char *conditions = repeated(condition, 6);
    char *broken = NULL;
    char *whole = NULL;
    assert_true(asprintf(&broken, policy, conditions) > 0);
    assert_true(asprintf(&whole, policy, condition) > 0);
    const struct {
        const char *name, *item;
        size_t most;
        enum sl_code code;
    } rows[] = {
        {"tags", "\"a\"", 10, SL_E_TAG_QUOTA},
        {"req_params", "{\"name\":\"a\",\"type\":\"STRING\",\"location\":\"QUERY\"}", 50,
         SL_E_REQ_PARAM_QUOTA},
        {"policy_mocks", whole, 5, SL_E_POLICY_QUOTA},
        {"policy_mocks", broken, 0, SL_E_CONDITION_QUOTA},
    };
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        char *most = api_listing(rows[i].name, rows[i].item, rows[i].most);
        char *more = api_listing(rows[i].name, rows[i].item, rows[i].most + 1);
        if (rows[i].most > 0) {
            (void)accepted(*state, "POST", BASE "/apis", most);
        }
        struct validate_output output;
        struct sl_error err;
        assert_int_equal(check(*state,
                               (struct sent){"POST", BASE "/apis", more, "application/json"},
                               &output, &err),
                         -1);
        assert_int_equal(err.code, rows[i].code);
        free(most);
        free(more);
    }
    free(conditions);
    free(broken);
    free(whole);
}

static void
a_deep_body_is_refused(void **state)
{
    struct fixture *fixture = *state;
    for (size_t depth = 31; depth < 5000; depth += depth < 40 ? 1 : 2000) {
        char *text = NULL;
        char *nest = calloc(1, depth * 2 + 1);
        memset(nest, '[', depth);
        memset(nest + depth, ']', depth);
        assert_true(asprintf(&text, "{\"x\":%s,\"name\":\"abc\"}", nest) > 0);
        free(nest);
        if (depth < SL_JSON_DEPTH_MAX) {
            (void)accepted(fixture, "POST", GROUPS, text);
        } else {
            refused(fixture, "POST", GROUPS, text, SL_E_BODY_DEPTH, "32");
        }
        free(text);
    }
}

static void
another_content_type_is_refused_only_where_there_is_a_body(void **state)
{
    struct validate_output output;
    struct sl_error err;
    assert_int_equal(check(*state,
                           (struct sent){"POST", GROUPS, "{\"name\":\"abc\"}", "text/plain"},
                           &output, &err),
                     -1);
    assert_int_equal(err.code, SL_E_BODY_TYPE);
    assert_int_equal(check(*state,
                           (struct sent){"POST", GROUPS, "{\"name\":\"abc\"}",
                                         "Application/JSON; charset=utf-8"},
                           &output, &err),
                     0);
    assert_int_equal(
        check(*state, (struct sent){"POST", GROUPS, "{\"name\":\"abc\"}", NULL}, &output, &err), 0);
    assert_int_equal(
        check(*state, (struct sent){"GET", GROUPS, "", "application/json"}, &output, &err), 0);
    assert_int_equal(check(*state, (struct sent){"GET", GROUPS, "", "text/plain"}, &output, &err),
                     0);
}

static void
defaults_are_filled_in_when_something_is_made(void **state)
{
    json_t *api = accepted(*state, "POST", APIS, api_with(*state, "{}")).body;
    assert_true(json_is_false(json_object_get(api, "cors")));
    assert_string_equal(json_string_value(json_object_get(api, "match_mode")), "NORMAL");
    json_t *backend = json_object_get(api, "backend_api");
    assert_string_equal(json_string_value(json_object_get(backend, "retry_count")), "-1");
}

static void
an_update_keeps_absent_and_empty_apart(void **state)
{
    json_t *group = accepted(*state, "PUT", GROUPS "/g1", "{\"name\":\"abc\"}").body;
    assert_null(json_object_get(group, "remark"));
    group = accepted(*state, "PUT", GROUPS "/g1", "{\"name\":\"abc\",\"remark\":\"\"}").body;
    assert_string_equal(json_string_value(json_object_get(group, "remark")), "");
    json_t *api = accepted(*state, "PUT", APIS "/a1", api_with(*state, "{}")).body;
    assert_null(json_object_get(api, "match_mode"));
}

static void
unknown_fields_and_nulls_are_dropped(void **state)
{
    json_t *group =
        accepted(*state, "POST", GROUPS, "{\"name\":\"abc\",\"remark\":null,\"x\":{}}").body;
    assert_int_equal(json_object_size(group), 2);
    assert_string_equal(json_string_value(json_object_get(group, "version")), "V1");
}

static void
characters_are_counted_not_bytes(void **state)
{
    char body[4096];
    char text[2048] = "";
    for (size_t i = 0; i < 256; i++) {
        memcpy(text + 2 * i, "\xc3\xa4", 2);
    }
    snprintf(body, sizeof(body), "{\"name\":\"abc\",\"remark\":\"%s\"}", text);
    refused(*state, "POST", BASE "/envs", body, SL_E_PARAM_INVALID, "remark");
    text[2 * 255] = '\0';
    snprintf(body, sizeof(body), "{\"name\":\"abc\",\"remark\":\"%s\"}", text);
    (void)accepted(*state, "POST", BASE "/envs", body);
}

static void
a_field_without_effect_passes_only_at_its_default(void **state)
{
    static const char *const refusals[][2] = {
        {"{\"auth_type\":\"AUTHORIZER\"}", "auth_type"},
        {"{\"response_id\":\"r\"}", "response_id"},
        {"{\"backend_api\":{\"authorizer_id\":\"a\"}}", "backend_api.authorizer_id"},
    };
    for (size_t i = 0; i < SL_COUNT(refusals); i++) {
        refused(*state, "POST", APIS, api_with(*state, refusals[i][0]), SL_E_FIELD_UNSUPPORTED,
                refusals[i][1]);
    }
    json_t *api =
        accepted(*state, "POST", APIS,
                 api_with(*state, "{\"cors\":false,\"response_id\":\"\",\"domain_name\":\"\","
                                  "\"backend_api\":{"
                                  "\"enable_client_ssl\":true,"
                                  "\"vpc_channel_status\":2}}"))
            .body;
    assert_null(json_object_get(api, "domain_name"));
    assert_null(json_object_get(api, "response_id"));
    assert_int_equal(sl_error_status(SL_E_FIELD_UNSUPPORTED), 501);
}

static void
what_a_backend_type_needs_is_required(void **state)
{
    refused(*state, "POST", APIS, api_with(*state, "{\"backend_api\":null}"), SL_E_PARAM_MISSING,
            "backend_api");
    refused(*state, "POST", APIS, api_with(*state, "{\"backend_type\":\"MOCK\"}"),
            SL_E_PARAM_MISSING, "mock_info");
    refused(*state, "POST", APIS, api_with(*state, "{\"backend_type\":\"FUNCTION\"}"),
            SL_E_PARAM_MISSING, "func_info");
    (void)accepted(*state, "POST", APIS,
                   api_with(*state, "{\"backend_type\":\"MOCK\",\"backend_api\":null,"
                                    "\"mock_info\":{\"result_content\":\"hi\"}}"));
}

static void
the_query_is_decoded_typed_and_completed(void **state)
{
    json_t *query = accepted(*state, "GET", GROUPS "?name=a+b%2Bc&x=1&limit=7&&x=2", "").query;
    assert_string_equal(json_string_value(json_object_get(query, "name")), "a b+c");
    assert_int_equal(json_integer_value(json_object_get(query, "limit")), 7);
    assert_int_equal(json_integer_value(json_object_get(query, "offset")), 0);
    assert_null(json_object_get(query, "x"));
}

static void
limit_and_offset_are_moved_inside(void **state)
{
    static const struct {
        const char *query;
        int limit;
        int offset;
    } rows[] = {{"?limit=0", 20, 0},
                {"?limit=-5&offset=-1", 20, 0},
                {"?limit=501&offset=7", 500, 7},
                {"?limit=500", 500, 0}};
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        char target[128];
        snprintf(target, sizeof(target), GROUPS "%s", rows[i].query);
        json_t *query = accepted(*state, "GET", target, "").query;
        assert_int_equal(json_integer_value(json_object_get(query, "limit")), rows[i].limit);
        assert_int_equal(json_integer_value(json_object_get(query, "offset")), rows[i].offset);
    }
}

static void
a_fault_of_path_or_query_is_named(void **state)
{
    refused(*state, "GET", GROUPS "?limit=ten", "", SL_E_PARAM_QUERY, "limit");
    refused(*state, "GET", GROUPS "?name=a&name=b", "", SL_E_PARAM_QUERY, "name");
    refused(*state, "GET", GROUPS "?name=%zz", "", SL_E_PARAM_QUERY, "name");
    refused(*state, "GET", GROUPS "?name=%00", "", SL_E_PARAM_QUERY, "name");
    refused(*state, "GET", GROUPS "?name=%ff", "", SL_E_PARAM_QUERY, "name");
    refused(*state, "GET", GROUPS "/g%2F1", "", SL_E_PARAM_QUERY, "group_id");
    refused(*state, "GET", GROUPS "/g%", "", SL_E_PARAM_QUERY, "group_id");
    refused(*state, "GET", "/v2/p1/apigw/instances?status=Walking", "", SL_E_PARAM_QUERY, "status");
    refused(*state, "POST", BASE "/apis/action?wait_ms=30001",
            "{\"action\":\"online\",\"env_id\":\"e\",\"api_id\":\"a\"}", SL_E_PARAM_RANGE,
            "wait_ms");
}

static void
a_declared_header_joins_the_query(void **state)
{
    struct fixture *fixture = *state;
    fixture->subject = NULL;
    refused(fixture, "GET", "/v3/auth/tokens", "", SL_E_PARAM_MISSING, "X-Subject-Token");
    fixture->subject = "t";
    json_t *query = accepted(fixture, "GET", "/v3/auth/tokens", "").query;
    assert_string_equal(json_string_value(json_object_get(query, "X-Subject-Token")), "t");
}

static void
the_path_is_given_decoded(void **state)
{
    json_t *path = accepted(*state, "GET", GROUPS "/g%31", "").path;
    assert_string_equal(json_string_value(json_object_get(path, "group_id")), "g1");
    assert_string_equal(json_string_value(json_object_get(path, "instance_id")), "i1");
}

static int
begin(void **state)
{
    static struct fixture fixture;
    struct sl_error err;
    fixture.validator = validate_new(&err);
    fixture.arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    *state = &fixture;
    return fixture.validator != NULL && fixture.arena != NULL ? 0 : -1;
}

static int
end(void **state)
{
    struct fixture *fixture = *state;
    sl_arena_free(&fixture->arena);
    validate_free(&fixture->validator);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_parameter_is_named),
        cmocka_unit_test(a_number_outside_its_range_is_named),
        cmocka_unit_test(any_other_fault_of_the_body_is_named),
        cmocka_unit_test(a_malformed_body_says_where),
        cmocka_unit_test(zero_takes_an_optional_limit_away_in_an_update_only),
        cmocka_unit_test(a_number_beyond_every_type_is_out_of_range),
        cmocka_unit_test(a_list_of_an_api_beyond_its_maximum_has_its_own_code),
        cmocka_unit_test(a_deep_body_is_refused),
        cmocka_unit_test(another_content_type_is_refused_only_where_there_is_a_body),
        cmocka_unit_test(defaults_are_filled_in_when_something_is_made),
        cmocka_unit_test(an_update_keeps_absent_and_empty_apart),
        cmocka_unit_test(unknown_fields_and_nulls_are_dropped),
        cmocka_unit_test(characters_are_counted_not_bytes),
        cmocka_unit_test(a_field_without_effect_passes_only_at_its_default),
        cmocka_unit_test(what_a_backend_type_needs_is_required),
        cmocka_unit_test(the_query_is_decoded_typed_and_completed),
        cmocka_unit_test(limit_and_offset_are_moved_inside),
        cmocka_unit_test(a_fault_of_path_or_query_is_named),
        cmocka_unit_test(a_declared_header_joins_the_query),
        cmocka_unit_test(the_path_is_given_decoded),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
