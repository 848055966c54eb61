// plans_test.c - what commands read of a gateway with 100,000 APIs, by the plans that PostgreSQL
// ran.
//
// Every list with each of its filters (from the descriptors), and the commands that every request
// comes down to, run against tables of that size. auto_explain writes each plan, those of foreign
// keys too, into the scratch server's log. No plan may read a large table through, and none may
// read many more rows than match. Each runs often enough that PostgreSQL turns to its generic plan.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#include <stdio.h>

#define RUNS           6      // five custom plans, then what PostgreSQL holds for cheapest
#define ROWS_SMALL     2500   // rows that a node of a plan may read whatever matches
#define ROWS_PER_MATCH 25     // and beside them, for each row that matches
#define ROWS_WHOLE     100000 // what may read as many is best read through
#define LINE_MAX_BYTES 262144 // of the log

// Ids are md5 of a letter and a number. 100 groups of 1,000 APIs, all online; of each
// kind a hundred are unlike the rest, for the filters.
static const char *const load[] = {
    "SET statement_timeout = 0", // on a busy machine, loading takes longer than a command may
    "SET session_replication_role = replica",
    // Made at once when the rows are there, an index of trigrams costs a tenth.
    "CREATE TEMP TABLE late AS SELECT indexname, indexdef FROM pg_indexes"
    " WHERE schemaname = 'public' AND indexdef LIKE '%USING gin%'",
    "DO $$ DECLARE name text; BEGIN FOR name IN SELECT indexname FROM late LOOP"
    " EXECUTE format('DROP INDEX %I', name); END LOOP; END $$",
    "INSERT INTO api_group (instance_id, id, name, sl_domain)"
    " SELECT current_setting('test.gateway'), md5('g' || n), 'group_' || n, 'd' FROM "
    "generate_series(1, 1000) n",
    "INSERT INTO environment (instance_id, id, name) VALUES (current_setting('test.gateway'), "
    "md5('e1'), 'other_env')",
    "INSERT INTO api (instance_id, id, group_id, name, type, req_protocol, req_method, req_uri,"
    " req_uri_shape, auth_type, backend_type, mock_info, register_time)"
    " SELECT current_setting('test.gateway'), md5('a' || n), md5('g' || n / 100 + 1), 'api_' || n, "
    "1 + (n % 1000 = "
    "1)::integer,"
    " CASE n % 1000 WHEN 2 THEN 'HTTP' ELSE 'HTTPS' END,"
    " CASE n % 1000 WHEN 3 THEN 'PATCH' ELSE 'GET' END, '/path/' || n, '/path/' || n,"
    " CASE n % 1000 WHEN 4 THEN 'IAM' WHEN 5 THEN 'NONE' ELSE 'APP' END, 'MOCK', '{}',"
    " now() - n * interval '1 second' FROM generate_series(1, 99999) n",
    "INSERT INTO api_version (instance_id, version_id, version_no, api_id, env_id, definition)"
    " SELECT instance_id, md5('v' || id), '1', id, 'DEFAULT_ENVIRONMENT_RELEASE_ID', "
    "jsonb_build_object('group_id', group_id, 'req_uri_shape', req_uri, 'req_method', req_method)"
    " FROM api WHERE instance_id = current_setting('test.gateway')",
    "INSERT INTO publication (instance_id, publish_id, api_id, env_id, version_id, publish_time)"
    " SELECT instance_id, md5('p' || id), id, 'DEFAULT_ENVIRONMENT_RELEASE_ID', md5('v' || id),"
    " register_time FROM api WHERE instance_id = current_setting('test.gateway')",
    // The other environment serves a hundred.
    "INSERT INTO publication (instance_id, publish_id, api_id, env_id, version_id)"
    " SELECT current_setting('test.gateway'), md5('q' || n), md5('a' || n), md5('e1'), md5('v' || "
    "md5('a' || n))"
    " FROM generate_series(1, 100) n",
    "INSERT INTO app (instance_id, id, name, app_key, app_secret, app_secret_lookup, domain_id,"
    " status, creator) SELECT current_setting('test.gateway'), md5('u' || n), 'app_' || n, 'key_' "
    "|| n, '', n, 'd',"
    " 1 + (n % 100 = 1)::integer, CASE n % 100 WHEN 2 THEN 'MARKET' ELSE 'USER' END"
    " FROM generate_series(1, 2000) n",
    "INSERT INTO app_auth (instance_id, id, app_id, api_id, env_id)"
    " SELECT current_setting('test.gateway'), md5('b' || n), md5('u' || n % 2000 + 1), md5('a' || "
    "n),"
    " 'DEFAULT_ENVIRONMENT_RELEASE_ID' FROM generate_series(1, 99999) n",
    "INSERT INTO app_code (instance_id, id, app_id, app_code, app_code_lookup)"
    " SELECT current_setting('test.gateway'), md5('c' || n), md5('u' || n), '', n FROM "
    "generate_series(1, 2000) n",
    "INSERT INTO throttle (instance_id, id, name, time_interval, time_unit, api_call_limits)"
    " SELECT current_setting('test.gateway'), md5('t' || n), 'throttle_' || n, 1, 'HOUR', 9 FROM "
    "generate_series(1, 1000) n",
    "INSERT INTO throttle_binding (instance_id, id, throttle_id, publish_id)"
    " SELECT current_setting('test.gateway'), md5('d' || n), md5('t' || n / 100 + 1), md5('p' || "
    "md5('a' || n))"
    " FROM generate_series(1, 99999) n",
    "INSERT INTO throttle_special (instance_id, id, throttle_id, object_type, object_id,"
    " call_limits) SELECT current_setting('test.gateway'), md5('s' || n), md5('t' || n / 30 + 1), "
    "'APP', md5('u' || n), 1"
    " FROM generate_series(1, 2000) n",
    "INSERT INTO app_quota (instance_id, id, name, call_limits, time_unit, time_interval)"
    " SELECT current_setting('test.gateway'), md5('o' || n), 'quota_' || n, 9, 'DAY', 1 FROM "
    "generate_series(1, 1000) n",
    "INSERT INTO app_quota_app (instance_id, app_id, app_quota_id)"
    " SELECT current_setting('test.gateway'), md5('u' || n), md5('o' || n / 10 + 1) FROM "
    "generate_series(1, 9999) n",
    "INSERT INTO env_variable (instance_id, id, group_id, env_id, variable_name, variable_value)"
    " SELECT current_setting('test.gateway'), md5('w' || n), md5('g' || n / 10 + 1), "
    "'DEFAULT_ENVIRONMENT_RELEASE_ID',"
    " 'variable_' || n, 'v' FROM generate_series(1, 1999) n",
    "INSERT INTO audit (command_id, request_id, command, actor, project_id, instance_id, status)"
    " SELECT md5('x' || n), '', 'c', 'a', 'p', current_setting('test.gateway'), 200 FROM "
    "generate_series(1, 20000) n",
    "INSERT INTO quota_usage (instance_id, quota, used, \"limit\") VALUES "
    "(current_setting('test.gateway'), 'apis', 99999,"
    " 200000) ON CONFLICT (instance_id, quota, scope) DO UPDATE SET \"limit\" = 200000",
    "SET session_replication_role = origin",
    "DO $$ DECLARE def text; BEGIN FOR def IN SELECT indexdef FROM late LOOP"
    " EXECUTE def; END LOOP; END $$",
    "ANALYZE",
};

static const char *const explain[] = {
    "LOAD 'auto_explain'",
    "SET auto_explain.log_min_duration = 0",
    "SET auto_explain.log_analyze = on",
    "SET auto_explain.log_timing = off",
    "SET auto_explain.log_nested_statements = on",
};

// Tables that grow with APIs and with requests; what has a few thousand rows is best read whole.
static const char *const large[] = {"api",         "api_version",   "app_auth",        "audit",
                                    "publication", "runtime_entry", "throttle_binding"};

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

static size_t marks;
static size_t faults;

static void
run_all(struct fixture *f, const char *const *statements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fixture_sql(f, statements[i]);
    }
}

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

// A node's rows and loops: "(actual rows=3 loops=2)".
static double
rows_of(const char *line)
{
    const char *actual = strstr(line, "(actual rows=");
    double rows = 0;
    double loops = 0;
    if (actual != NULL && sscanf(actual, "(actual rows=%lf loops=%lf)", &rows, &loops) == 2) {
        return rows * loops;
    }
    return 0;
}

static void
complain(const char *what, const char *why, const char *query, const char *line)
{
    faults++;
    print_error("%s: %s\n  %.1500s\n  %s", what, why, query, line);
}

static void
judge_line(const char *what, const char *query, const char *line, double most)
{
    static double loops;
    const char *scan = strstr(line, "Seq Scan on ");
    for (size_t i = 0; scan != NULL && i < SL_COUNT(large); i++) {
        size_t len = strlen(large[i]);
        const char *name = scan + strlen("Seq Scan on ");
        if (strncmp(name, large[i], len) == 0 && name[len] == ' ' && most < ROWS_WHOLE) {
            complain(what, "a large table is read through", query, line);
        }
    }
    const char *actual = strstr(line, "loops=");
    if (actual != NULL) {
        loops = strtod(actual + strlen("loops="), NULL);
    }
    const char *removed = strstr(line, "Rows Removed by ");
    if (removed != NULL) {
        removed = strchr(removed, ':');
        if (removed != NULL && strtod(removed + 1, NULL) * loops > most) {
            complain(what, "more rows were thrown away than match", query, line);
        }
    }
    if (strstr(line, "Scan") != NULL && rows_of(line) > most) {
        complain(what, "more rows were read than match", query, line);
    }
}

// Judges all plans since the last call, of commands that matched `matches` rows.
static void
judge(struct fixture *f, FILE *log, const char *what, double matches)
{
    static char line[LINE_MAX_BYTES];
    static char query[LINE_MAX_BYTES];
    char end[64];
    bool seen = false;
    // Without parameters the text tells where this command's plans end.
    snprintf(end, sizeof(end), "SELECT 'mark %zu'", ++marks);
    fixture_sql(f, sl_arena_dup(f->arena, end));
    while (fgets(line, sizeof(line), log) != NULL) {
        const char *text = strstr(line, "Query Text: ");
        if (text != NULL && strstr(text, end) != NULL) {
            seen = true;
        } else if (text != NULL) {
            snprintf(query, sizeof(query), "%s", text);
        } else {
            judge_line(what, query, line, ROWS_SMALL + ROWS_PER_MATCH * matches);
        }
    }
    clearerr(log);
    assert_true(seen); // else nothing was judged
}

static void
judge_list(struct fixture *f, FILE *log, const struct resource *resource, const char *filter)
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
    for (int i = 0; i < RUNS; i++) {
        // Secrets of apps that SQL made cannot be opened: the plans are run all the same.
        if (fixture_call(f, name, path, query, "") != 0 && f->err.code != SL_E_SEAL_BROKEN) {
            fail_msg("%s: %s %s", what, sl_error_name(f->err.code), f->err.detail);
        }
        if (f->body != NULL && fixture_number(f, "total") > ROWS_WHOLE / ROWS_PER_MATCH) {
            break; // whatever the plan: most of the gateway matches
        }
    }
    judge(f, log, what, f->body != NULL ? (double)fixture_number(f, "total") : 0);
}

static FILE *
open_log(void)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/log", getenv("SLUICE_TEST_PG_DIR"));
    FILE *log = fopen(path, "re");
    assert_non_null(log);
    assert_int_equal(fseek(log, 0, SEEK_END), 0);
    return log;
}

static void
no_list_and_no_filter_reads_more_than_matches(void **state)
{
    struct fixture *f = *state;
    FILE *log = open_log();
    faults = 0;
    for (size_t i = 0; i < resource_count; i++) {
        const struct resource *resource = &resource_table[i];
        if (resource->list_key == NULL) {
            continue;
        }
        judge_list(f, log, resource, NULL);
        for (const struct resource_filter *filter = resource->filters; filter->parameter != NULL;
             filter++) {
            judge_list(f, log, resource, filter->parameter);
        }
    }
    fclose(log);
    assert_int_equal(faults, 0);
}

static void
what_a_command_reads_does_not_grow_with_the_gateway(void **state)
{
    struct fixture *f = *state;
    FILE *log = open_log();
    faults = 0;
    for (int i = 0; i < RUNS; i++) {
        const char *group = fixture_create(f, "group.create", "",
                                           sl_arena_printf(f->arena, "{\"name\": \"plan_%d\"}", i));
        judge(f, log, "group.create", 1);
        const char *api = fixture_api(f, group, "plan_one", "/plan", false);
        judge(f, log, "api.create", 1);
        const char *path = fixture_path(f, "api_id", api);
        assert_int_equal(fixture_call(f, "api.read", path, "", ""), 0);
        judge(f, log, "api.read", 1);
        assert_int_equal(fixture_call(f, "api.update", path, "", "{\"remark\": \"changed\"}"), 0);
        judge(f, log, "api.update", 1);
        assert_int_equal(fixture_call(f, "api.delete", path, "", ""), 0);
        judge(f, log, "api.delete", 1);
        path = fixture_path(f, "group_id", group);
        assert_int_equal(fixture_call(f, "group.delete", path, "", ""), 0);
        judge(f, log, "group.delete", 1);
    }
    fclose(log);
    assert_int_equal(faults, 0);
}

static int
set_up_large(void **state)
{
    if (fixture_set_up(state) != 0) {
        return -1;
    }
    struct fixture *f = *state;
    fixture_sql(
        f, sl_arena_printf(f->arena, "SELECT set_config('test.gateway', '%s', false)", f->gateway));
    run_all(f, load, SL_COUNT(load));
    run_all(f, explain, SL_COUNT(explain));
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_list_and_no_filter_reads_more_than_matches),
        cmocka_unit_test(what_a_command_reads_does_not_grow_with_the_gateway),
    };
    return cmocka_run_group_tests(tests, set_up_large, fixture_tear_down);
}
