// plans_test.c - what commands read of a gateway with 100,000 APIs, by the plans that PostgreSQL
// ran.
//
// Every list with each of its filters (from the descriptors), every other reading that clients may
// ask for (from the contract), and the commands that every request comes down to, run against
// tables of that size.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/table.h"
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
    {"channel", "id", "md5('k7')"},
    {"channel", "name", "'hannel_77'"},
    {"channel_member", "name", "'ost_77'"},
    {"env", "name", "'other'"},
    {"sign", "id", "md5('k7')"},
    {"sign", "name", "'ign_777'"},
    {"throttle", "id", "md5('t7')"},
    {"throttle", "name", "'hrottle_77'"},
    {NULL, "api_id", "md5('a7')"},
    {NULL, "api_name", "'pi_7777'"},
    {NULL, "app_code_id", "md5('c7')"},
    {NULL, "app_id", "md5('u7')"},
    {NULL, "app_key", "'key_7'"},
    {NULL, "app_name", "'pp_777'"},
    {NULL, "app_quota_id", "md5('o7')"},
    {NULL, "auth_type", "'IAM'"},
    {NULL, "creator", "'MARKET'"},
    {NULL, "certificate_id", "md5('k7')"},
    {NULL, "domain_id", "md5('d7')"},
    {NULL, "env_id", "md5('e1')"},
    {NULL, "env_variable_id", "md5('w7')"},
    {NULL, "env_name", "'other'"},
    {NULL, "group_id", "md5('g7')"},
    {NULL, "group_name", "'roup_77'"},
    {NULL, "id", "md5('a7')"},
    {NULL, "member_group_id", "md5('y7')"},
    {NULL, "member_group_name", "'art_77'"},
    {NULL, "member_host", "'host_777'"},
    {NULL, "member_port", "'777'"},
    {NULL, "name", "'pi_7777'"},
    {NULL, "object_type", "'USER'"},
    {NULL, "req_method", "'PATCH'"},
    {NULL, "req_protocol", "'HTTP'"},
    {NULL, "req_uri", "'ath/7777'"},
    {NULL, "sign_id", "md5('k7')"},
    {NULL, "sign_name", "'ign_777'"},
    {NULL, "status", "'2'"},
    {NULL, "throttle_id", "md5('t7')"},
    {NULL, "throttle_name", "'hrottle_77'"},
    {NULL, "type", "'2'"},
    {NULL, "user", "'nobody'"},
    {NULL, "variable_name", "'ariable_77'"},
    {NULL, "vpc_channel_id", "md5('k7')"},
    {NULL, "vpc_channel_name", "'hannel_77'"},
    {NULL, "version_id", "md5('v' || md5('a7'))"},
};

// What counts a gateway through, or says something of all its APIs.
static const char *const whole[] = {"outline.apis", "outline.apps", "outline.groups", "tag.list"};

static struct plans *plans;

// The value for a parameter, as a JSON member.
static const char *
member_of(struct fixture *f, const char *resource, const char *parameter)
{
    for (size_t i = 0; i < SL_COUNT(samples); i++) {
        const struct sample *s = &samples[i];
        if (strcmp(s->parameter, parameter) == 0 &&
            (s->resource == NULL || strcmp(s->resource, resource) == 0)) {
            struct sl_rows *rows = NULL;
            SL_AUTO(sl_tx) tx = sl_tx_begin(f->registry.db, &f->err);
            const char *sql = sl_arena_printf(f->arena, "SELECT %s::text", s->value);
            assert_int_equal(sl_sql_built(tx, f->arena, sql, SL_NO_PARAMS, &rows, &f->err), 0);
            return sl_arena_printf(f->arena, "\"%s\": \"%s\"", parameter, sl_rows_text(rows, 0, 0));
        }
    }
    fail_msg("%s has a new parameter %s: say in `samples` what to ask for", resource, parameter);
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
        query = member_of(f, resource->name, owner);
        path = sl_arena_printf(f->arena, "{%s}", query);
    }
    if (filter != NULL && (owner == NULL || strcmp(filter, owner) != 0)) {
        query = sl_arena_printf(f->arena, "%s%s%s", query, query[0] != '\0' ? ", " : "",
                                member_of(f, resource->name, filter));
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

// Runs a reading until its generic plan is in use, which `matches` rows are the matter of.
static void
judge_reading(struct fixture *f, const char *name, const char *path, double matches)
{
    for (int i = 0; i < PLANS_RUNS; i++) {
        const char *query = sl_arena_printf(f->arena, "{\"instance_id\": \"%s\"}", f->gateway);
        if (fixture_call(f, name, path, query, "") != 0 && f->err.code != SL_E_SEAL_BROKEN) {
            fail_msg("%s %s: %s %s", name, path, sl_error_name(f->err.code), f->err.detail);
        }
    }
    plans_judge(plans, name, matches);
}

// {"api_id": …} for the parameters of a path but project and gateway; "" without any.
static const char *
path_of(struct fixture *f, const struct rest_row *row)
{
    const char *path = "";
    for (size_t i = 0; i < row->path_param_count; i++) {
        const char *name = row->path_params[i].name;
        if (strcmp(name, "project_id") != 0 && strcmp(name, "instance_id") != 0) {
            path = sl_arena_printf(f->arena, "%s%s%s", path, path[0] != '\0' ? ", " : "",
                                   member_of(f, row->command, name));
        }
    }
    return path[0] != '\0' ? sl_arena_printf(f->arena, "{%s}", path) : "";
}

// Whether clients may read it from the registry, and the list test does not.
static bool
is_other_reading(const struct rest_row *row)
{
    const char *end = strchr(row->command, '.');
    if (row->service == NULL || strcmp(row->service, "registry") != 0 ||
        strcmp(row->method, "GET") != 0) {
        return false;
    }
    const struct resource *resource =
        end != NULL ? resource_find(row->command, (size_t)(end - row->command)) : NULL;
    return resource == NULL || resource->list_key == NULL || strcmp(end, ".list") != 0;
}

static bool
is_of_all(const char *command)
{
    for (size_t i = 0; i < SL_COUNT(whole); i++) {
        if (strcmp(whole[i], command) == 0) {
            return true;
        }
    }
    return false;
}

// A domain of a group, and what it shows.
static void
make_certificate(struct fixture *f)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO certificate (project_id, id, name, content,"
                                   " certificate_key, algorithm, facts)"
                                   " VALUES ('%s', md5('k7'), 'k7', '', '', 'ECC', '{}')",
                                   f->project));
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO group_domain (instance_id, id, group_id,"
                                   " url_domain) VALUES ('%s', md5('d7'), md5('g7'), 'd7.com')",
                                   f->gateway));
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO domain_certificate (instance_id, domain_id,"
                                   " project_id, certificate_id, algorithm)"
                                   " VALUES ('%s', md5('d7'), '%s', md5('k7'), 'ECC')",
                                   f->gateway, f->project));
}

static void
no_other_reading_reads_more_than_it_answers(void **state)
{
    struct fixture *f = *state;
    size_t judged = 0;
    make_certificate(f);
    for (size_t i = 0; i < rest_row_count; i++) {
        const struct rest_row *row = rest_rows[i];
        if (is_other_reading(row)) {
            judge_reading(f, row->command, path_of(f, row),
                          is_of_all(row->command) ? PLANS_WHOLE : 1);
            judged++;
        }
    }
    assert_true(judged > SL_COUNT(whole));
    assert_int_equal(plans_faults(plans), 0);
}

static void
a_small_gateway_does_not_read_a_large_one(void **state)
{
    struct fixture *f = *state;
    struct fixture small;
    fixture_open(&small, f);
    const char *body =
        sl_arena_printf(f->arena, "{\"name\": \"small\", \"project\": \"%s\"}", f->project);
    assert_int_equal(fixture_admin(&small, "instance.create", body), 0);
    snprintf(small.gateway, sizeof(small.gateway), "%s", fixture_text(&small, "id"));
    const char *group = fixture_create(&small, "group.create", "", "{\"name\": \"only\"}");
    fixture_api(&small, group, "only", "/only", true);
    plans_run(plans, "ANALYZE");
    plans_judge(plans, "instance.create", PLANS_WHOLE);
    for (size_t i = 0; i < SL_COUNT(whole); i++) {
        judge_reading(&small, whole[i], "", 1);
    }
    for (size_t i = 0; i < resource_count; i++) {
        if (resource_table[i].list_key != NULL && resource_table[i].owner.column == NULL) {
            const char *name = sl_arena_printf(f->arena, "%s.list", resource_table[i].name);
            judge_reading(&small, name, "", 1);
        }
    }
    fixture_close(&small);
    assert_int_equal(plans_faults(plans), 0);
}

// One API of many is online in it.
static void
a_rename_of_an_environment_reads_what_is_online_there(void **state)
{
    struct fixture *f = *state;
    const char *env = fixture_create(f, "env.create", "", "{\"name\": \"plan_env\"}");
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO publication (instance_id, publish_id, api_id,"
                                   " env_id, version_id) VALUES ('%s', 'plan', md5('a7'), '%s',"
                                   " md5('v' || md5('a7')))",
                                   f->gateway, env));
    plans_judge(plans, "publishing", 1);
    for (int i = 0; i < PLANS_RUNS; i++) {
        const char *name = sl_arena_printf(f->arena, "{\"name\": \"plan_env_%d\"}", i);
        assert_int_equal(fixture_call(f, "env.update", fixture_path(f, "env_id", env), "", name),
                         0);
        plans_judge(plans, "env.update", 1);
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
        cmocka_unit_test(no_other_reading_reads_more_than_it_answers),
        cmocka_unit_test(a_rename_of_an_environment_reads_what_is_online_there),
        cmocka_unit_test(what_a_command_reads_does_not_grow_with_the_gateway),
        cmocka_unit_test(a_small_gateway_does_not_read_a_large_one),
    };
    return cmocka_run_group_tests(tests, set_up_large, tear_down_large);
}
