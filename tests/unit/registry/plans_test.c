// plans_test.c - what commands read of a gateway with 100,000 APIs, by the plans that PostgreSQL
// ran.
//
// Every list with each of its filters (from the descriptors), and the commands that every request
// comes down to, run against tables of that size.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/plans.h"
#include "tests/unit/registry/fixture.h"

#define BROAD 4000 // matches, above which most of the gateway is read

// What to ask for by a parameter: something that matches, and little. A SQL text that answers it.
struct sample {
    const char *resource; // NULL: in any list
    const char *parameter;
    const char *value; // SQL
};

static const struct sample samples[] = {
    {"api_version", "env_name", "'RELEASE'"},
    {"app", "id", "md5('u7')"},
    {"app", "name", "'pp_777'"},
    {"app_quota", "name", "'uota_77'"},
    {"group", "id", "md5('g7')"},
    {"group", "name", "'roup_77'"},
    {"env", "name", "'other'"},
    {"throttle", "id", "md5('t7')"},
    {"throttle", "name", "'hrottle_77'"},
    {NULL, "api_id", "md5('a7')"},
    {NULL, "api_name", "'pi_7777'"},
    {NULL, "app_id", "md5('u7')"},
    {NULL, "app_key", "'key_7'"},
    {NULL, "app_name", "'pp_777'"},
    {NULL, "app_quota_id", "md5('o7')"},
    {NULL, "auth_type", "'IAM'"},
    {NULL, "creator", "'MARKET'"},
    {NULL, "env_id", "md5('e1')"},
    {NULL, "env_name", "'other'"},
    {NULL, "group_id", "md5('g7')"},
    {NULL, "group_name", "'roup_77'"},
    {NULL, "id", "md5('a7')"},
    {NULL, "name", "'pi_7777'"},
    {NULL, "object_type", "'USER'"},
    {NULL, "req_method", "'PATCH'"},
    {NULL, "req_protocol", "'HTTP'"},
    {NULL, "req_uri", "'ath/7777'"},
    {NULL, "status", "'2'"},
    {NULL, "throttle_id", "md5('t7')"},
    {NULL, "throttle_name", "'hrottle_77'"},
    {NULL, "type", "'2'"},
    {NULL, "user", "'nobody'"},
    {NULL, "variable_name", "'ariable_77'"},
};

static struct plans *plans;

// The value for a parameter, as a JSON member.
static const char *
member_of(struct fixture *f, const struct resource *resource, const char *parameter)
{
    for (size_t i = 0; i < SL_COUNT(samples); i++) {
        const struct sample *s = &samples[i];
        if (strcmp(s->parameter, parameter) == 0 &&
            (s->resource == NULL || strcmp(s->resource, resource->name) == 0)) {
            struct sl_rows *rows = NULL;
            SL_AUTO(sl_tx) tx = sl_tx_begin(f->registry.db, &f->err);
            const char *sql = sl_arena_printf(f->arena, "SELECT %s::text", s->value);
            assert_int_equal(sl_sql_built(tx, f->arena, sql, SL_NO_PARAMS, &rows, &f->err), 0);
            return sl_arena_printf(f->arena, "\"%s\": \"%s\"", parameter, sl_rows_text(rows, 0, 0));
        }
    }
    fail_msg("%s.list has a new filter %s: say in `samples` what to ask for", resource->name,
             parameter);
    return NULL;
}

static void
judge_list(struct fixture *f, const struct resource *resource, const char *filter)
{
    const char *name = sl_arena_printf(f->arena, "%s.list", resource->name);
    const char *what = sl_arena_printf(f->arena, "%s by %s", name, filter != NULL ? filter : "-");
    const char *owner = resource->owner.column;
    const char *path = "";
    const char *query = "";
    if (owner != NULL) {
        query = member_of(f, resource, owner);
        path = sl_arena_printf(f->arena, "{%s}", query);
    }
    if (filter != NULL && (owner == NULL || strcmp(filter, owner) != 0)) {
        query = sl_arena_printf(f->arena, "%s%s%s", query, query[0] != '\0' ? ", " : "",
                                member_of(f, resource, filter));
    }
    query = sl_arena_printf(f->arena, "{%s}", query);
    for (int i = 0; i < PLANS_RUNS; i++) {
        // Secrets of apps that SQL made cannot be opened: the plans are run all the same.
        if (fixture_call(f, name, path, query, "") != 0 && f->err.code != SL_E_SEAL_BROKEN) {
            fail_msg("%s: %s %s", what, sl_error_name(f->err.code), f->err.detail);
        }
        if (f->body != NULL && fixture_number(f, "total") > BROAD) {
            break; // whatever the plan: most of the gateway matches
        }
    }
    plans_judge(plans, what, f->body != NULL ? (double)fixture_number(f, "total") : 0);
}

static void
no_list_and_no_filter_reads_more_than_matches(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < resource_count; i++) {
        const struct resource *resource = &resource_table[i];
        if (resource->list_key == NULL) {
            continue;
        }
        judge_list(f, resource, NULL);
        for (const struct resource_filter *filter = resource->filters; filter->parameter != NULL;
             filter++) {
            judge_list(f, resource, filter->parameter);
        }
    }
    assert_int_equal(plans_faults(plans), 0);
}

static void
what_a_command_reads_does_not_grow_with_the_gateway(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < PLANS_RUNS; i++) {
        const char *group = fixture_create(f, "group.create", "",
                                           sl_arena_printf(f->arena, "{\"name\": \"plan_%d\"}", i));
        plans_judge(plans, "group.create", 1);
        const char *api = fixture_api(f, group, "plan_one", "/plan", false);
        plans_judge(plans, "api.create", 1);
        const char *path = fixture_path(f, "api_id", api);
        assert_int_equal(fixture_call(f, "api.read", path, "", ""), 0);
        plans_judge(plans, "api.read", 1);
        assert_int_equal(fixture_call(f, "api.update", path, "", "{\"remark\": \"changed\"}"), 0);
        plans_judge(plans, "api.update", 1);
        assert_int_equal(fixture_call(f, "api.delete", path, "", ""), 0);
        plans_judge(plans, "api.delete", 1);
        path = fixture_path(f, "group_id", group);
        assert_int_equal(fixture_call(f, "group.delete", path, "", ""), 0);
        plans_judge(plans, "group.delete", 1);
    }
    assert_int_equal(plans_faults(plans), 0);
}

static int
set_up_large(void **state)
{
    if (fixture_set_up(state) != 0) {
        return -1;
    }
    struct fixture *f = *state;
    plans = plans_new(f->registry.db);
    plans_fill(plans, f->gateway);
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
        cmocka_unit_test(no_list_and_no_filter_reads_more_than_matches),
        cmocka_unit_test(what_a_command_reads_does_not_grow_with_the_gateway),
    };
    return cmocka_run_group_tests(tests, set_up_large, tear_down_large);
}
