// route_test.c - every operation is found, and nothing else is.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/route.h"

#include <string.h>

#include "tests/unit/test.h"

#define BASE "/v2/p1/apigw/instances/i1"

static const struct rest_row *
find(const char *method, const char *path, struct sl_error *err)
{
    struct route_match match = {.row = NULL};
    memset(err, 0, sizeof(*err));
    return route_find(sl_str(method), sl_str(path), &match, err) == 0 ? match.row : NULL;
}

static void
every_row_of_the_contract_is_found_by_its_own_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < rest_row_count; i++) {
        char path[256];
        size_t used = 0;
        bool inside = false;
        for (const char *at = rest_rows[i]->path; *at != '\0'; at++) {
            inside = *at == '{' || (inside && *at != '}');
            if (!inside) {
                path[used++] = *at == '}' ? 'x' : *at;
            }
        }
        path[used] = '\0';
        struct sl_error err;
        assert_ptr_equal(find(rest_rows[i]->method, path, &err), rest_rows[i]);
    }
}

static void
parameters_are_the_segments_in_order(void **state)
{
    (void)state;
    struct sl_error err;
    struct route_match match;
    assert_int_equal(route_find(SL_STR("GET"), SL_STR(BASE "/apps/a%20b"), &match, &err), 0);
    assert_string_equal(match.row->command, "app.read");
    assert_int_equal(match.param_count, 3);
    assert_true(sl_str_equal(match.params[0], SL_STR("p1")));
    assert_true(sl_str_equal(match.params[1], SL_STR("i1")));
    assert_true(sl_str_equal(match.params[2], SL_STR("a%20b")));
}

static void
a_literal_beats_a_parameter_and_gives_way_where_it_leads_nowhere(void **state)
{
    (void)state;
    struct sl_error err;
    assert_string_equal(find("PUT", BASE "/apps/secret/a1", &err)->command, "app.reset_secret");
    assert_string_equal(find("GET", BASE "/apps/secret", &err)->command, "app.read");
    assert_string_equal(find("POST", BASE "/apps/secret/app-codes", &err)->command,
                        "app_code.create");
}

static void
a_path_that_no_operation_has_is_unknown(void **state)
{
    (void)state;
    static const char *const paths[] = {"",
                                        "v2",
                                        "/",
                                        "//",
                                        "/v2",
                                        BASE "/api-groups/",
                                        BASE "/api-groups/g/more",
                                        BASE "/nothing",
                                        "/v2//apigw/instances/i1/api-groups",
                                        "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18",
                                        BASE "/API-GROUPS"};
    for (size_t i = 0; i < SL_COUNT(paths); i++) {
        struct sl_error err;
        assert_null(find("GET", paths[i], &err));
        assert_int_equal(err.code, SL_E_PATH_UNKNOWN);
    }
}

static void
another_method_is_refused_with_those_that_there_are(void **state)
{
    (void)state;
    struct sl_error err;
    assert_null(find("PATCH", BASE "/api-groups", &err));
    assert_int_equal(err.code, SL_E_METHOD_UNKNOWN);
    assert_string_equal(err.args[0], "GET, HEAD, POST");
    assert_null(find("get", BASE "/api-groups", &err));
    assert_int_equal(err.code, SL_E_METHOD_UNKNOWN);
}

static void
head_is_served_as_get(void **state)
{
    (void)state;
    struct sl_error err;
    assert_string_equal(find("HEAD", BASE "/api-groups", &err)->command, "group.list");
}

static void
both_spellings_of_a_path_are_one_operation(void **state)
{
    (void)state;
    struct sl_error err;
    const struct rest_row *row = find("GET", BASE "/app-auths/unbinded-apis", &err);
    assert_non_null(row);
    assert_string_equal(row->path,
                        "/v2/{project_id}/apigw/instances/{instance_id}/app-auths/unbinded-apis");
    assert_ptr_equal(find("GET", BASE "/app-auths/unbound-apis", &err), row);
    assert_ptr_not_equal(find("GET", BASE "/acl-bindings/unbound-apis", &err), row);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_contract_is_found_by_its_own_path),
        cmocka_unit_test(parameters_are_the_segments_in_order),
        cmocka_unit_test(a_literal_beats_a_parameter_and_gives_way_where_it_leads_nowhere),
        cmocka_unit_test(a_path_that_no_operation_has_is_unknown),
        cmocka_unit_test(another_method_is_refused_with_those_that_there_are),
        cmocka_unit_test(head_is_served_as_get),
        cmocka_unit_test(both_spellings_of_a_path_are_one_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
