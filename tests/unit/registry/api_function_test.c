// api_function_test.c - functions of APIs over GRPCS: what they must be, and what must be with
// them.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#define URN      "urn:fss:r1:p1:function:default:hello"
#define FUNCTION "\"function_urn\": \"" URN "\", \"timeout\": 5000"
#define SOURCE   "{\"condition_origin\": \"source\", \"condition_value\": \"10.0.0.1\"}"

// A function of the API or of a policy.
struct function {
    const char *protocol, *network, *invocation;
};

static const struct function by_grpc = {"GRPCS", "V2", "sync"};
static const struct function by_https = {"HTTPS", "V1", "async"};

static void
set_service(struct fixture *f)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO instance_setting (instance_id, name, value) VALUES"
                                   " ('%s', 'function_endpoint', 'http://127.0.0.1:9')",
                                   f->gateway));
}

static const char *
members(struct fixture *f, const struct function *function)
{
    return sl_arena_printf(f->arena,
                           FUNCTION ", \"req_protocol\": \"%s\", \"network_type\": \"%s\","
                                    " \"invocation_type\": \"%s\"",
                           function->protocol, function->network, function->invocation);
}

// An API with a function of its own and one of a policy, in a group of its own; `rest` begins with
// a comma.
static const char *
body(struct fixture *f, const char *protocol, const struct function *own,
     const struct function *policy, const char *rest)
{
    static int number;
    const char *name = sl_arena_printf(f->arena, "{\"name\": \"g%03d\"}", number++);
    const char *group = fixture_create(f, "group.create", "", name);
    return sl_arena_printf(
        f->arena,
        "{\"group_id\": \"%s\", \"name\": \"Api_f\", \"type\": 1, \"req_protocol\": \"%s\","
        " \"req_method\": \"POST\", \"req_uri\": \"/pkg.Service\", \"match_mode\": \"SWA\","
        " \"auth_type\": \"NONE\", \"backend_type\": \"FUNCTION\", \"func_info\": {%s},"
        " \"policy_functions\": [{\"name\": \"pol\", \"effect_mode\": \"ALL\","
        " \"conditions\": [" SOURCE "], %s}]%s}",
        group, protocol, members(f, own), members(f, policy), rest);
}

static void
functions_speak_the_protocol_of_their_api(void **state)
{
    static const struct function v1 = {"GRPCS", "V1", "sync"};
    static const struct function async = {"GRPCS", "V2", "async"};
    static const struct {
        const char *protocol;
        const struct function *own, *policy;
        const char *named; // NULL: it is taken
    } rows[] = {
        {"GRPCS", &by_grpc, &by_grpc, NULL},
        {"HTTPS", &by_https, &by_https, NULL},
        {"GRPCS", &by_https, &by_grpc, "func_info.req_protocol"},
        {"GRPCS", &by_grpc, &by_https, "policy_functions.req_protocol"},
        {"HTTPS", &by_grpc, &by_https, "func_info.req_protocol"},
        {"BOTH", &by_https, &by_grpc, "policy_functions.req_protocol"},
        {"GRPCS", &v1, &by_grpc, "func_info.network_type"},
        {"GRPCS", &by_grpc, &v1, "policy_functions.network_type"},
        {"GRPCS", &async, &by_grpc, "func_info.invocation_type"},
        {"GRPCS", &by_grpc, &async, "policy_functions.invocation_type"},
    };
    struct fixture *f = *state;
    set_service(f);
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        const char *given = body(f, rows[i].protocol, rows[i].own, rows[i].policy, "");
        int rc = fixture_call(f, "api.create", "", "", given);
        if (rows[i].named == NULL) {
            assert_int_equal(rc, 0);
            const json_t *own = json_object_get(f->body, "func_info");
            assert_string_equal(json_string_value(json_object_get(own, "req_protocol")),
                                rows[i].own->protocol);
            continue;
        }
        assert_int_equal(rc, -1);
        assert_int_equal(f->err.code, SL_E_PARAM_INVALID);
        assert_string_equal(f->err.args[0], rows[i].named);
    }
}

static void
what_grpc_has_no_place_for_is_refused_beside_a_function_too(void **state)
{
    static const char *const rows[][2] = {
        {", \"req_method\": \"GET\"", "req_method"},
        {", \"result_failure_sample\": \"{}\"", "result_failure_sample"},
        {", \"req_params\": [{\"name\": \"a\", \"type\": \"STRING\", \"location\": \"QUERY\"}]",
         "req_params"},
        {", \"backend_params\": [{\"name\": \"a\", \"value\": \"1\", \"location\": \"QUERY\","
         " \"origin\": \"CONSTANT\"}]",
         "backend_params"},
    };
    struct fixture *f = *state;
    set_service(f);
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        const char *given = body(f, "GRPCS", &by_grpc, &by_grpc, rows[i][0]);
        assert_int_equal(fixture_call(f, "api.create", "", "", given), -1);
        assert_int_equal(f->err.code, SL_E_PARAM_INVALID);
        assert_string_equal(f->err.args[0], rows[i][1]);
    }
}

static void
an_api_does_not_leave_its_functions_protocol_behind(void **state)
{
    struct fixture *f = *state;
    set_service(f);
    const char *id = fixture_create(f, "api.create", "", body(f, "GRPCS", &by_grpc, &by_grpc, ""));
    const char *path = fixture_path(f, "api_id", id);
    assert_int_equal(fixture_call(f, "api.update", path, "", "{\"req_protocol\": \"HTTPS\"}"), -1);
    assert_string_equal(f->err.args[0], "func_info.req_protocol");
    const char *own = sl_arena_printf(f->arena, "{\"func_info\": {%s}}", members(f, &by_https));
    assert_int_equal(fixture_call(f, "api.update", path, "", own), -1);
    assert_string_equal(f->err.args[0], "func_info.req_protocol");
    assert_int_equal(fixture_call(f, "api.update", path, "",
                                  "{\"backend_type\": \"MOCK\","
                                  " \"mock_info\": {\"result_content\": \"hi\"}}"),
                     -1);
    assert_string_equal(f->err.args[0], "backend_type");
    assert_int_equal(fixture_call(f, "api.update", path, "",
                                  "{\"backend_type\": \"MOCK\", \"req_protocol\": \"HTTPS\","
                                  " \"mock_info\": {\"result_content\": \"hi\"}}"),
                     0);
    assert_null(json_object_get(f->body, "func_info"));
}

static void
without_a_service_there_is_no_function(void **state)
{
    struct fixture *f = *state;
    const char *given = body(f, "GRPCS", &by_grpc, &by_grpc, "");
    assert_int_equal(fixture_call(f, "api.create", "", "", given), -1);
    assert_int_equal(f->err.code, SL_E_FUNCTION_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(functions_speak_the_protocol_of_their_api),
        FIXTURE_TEST(what_grpc_has_no_place_for_is_refused_beside_a_function_too),
        FIXTURE_TEST(an_api_does_not_leave_its_functions_protocol_behind),
        FIXTURE_TEST(without_a_service_there_is_no_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
