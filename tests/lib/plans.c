// plans.c - see plans.h.
//
// auto_explain writes each plan, those of foreign keys too, into the scratch server's log.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/plans.h"

#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_SMALL     2500   // rows that a node of a plan may read whatever matches
#define ROWS_PER_MATCH 25     // and beside them, for each row that matches
#define LINE_MAX_BYTES 262144 // of the log
#define ARENA_MAX      (1 << 20)

struct plans {
    struct sl_db *db;       // borrowed
    struct sl_arena *arena; // of the statement in hand
    FILE *log;              // read up to the last judgement
    size_t marks;           //
    size_t faults;          //
};

// Ids are md5 of a letter and a number. 100 groups of 1,000 APIs, all online; of each
// kind a hundred are unlike the rest, for the filters.
static const char *const apis[] = {
    "SET statement_timeout = 0", // on a busy machine, loading takes longer than a command may
    "SET session_replication_role = replica",
    // Made at once when the rows are there, an index costs a third of one that grows with them.
    // What is not ready is not written to; keys stay, and REINDEX refuses rows that break them.
    "CREATE TEMP TABLE late AS SELECT indexrelid AS id, indrelid AS tab FROM pg_index WHERE "
    "indrelid"
    " = ANY ('{api, api_shown, api_version, publication, app_auth, sign_binding, throttle_binding, "
    "runtime_entry, audit}'"
    "::regclass[])",
    "UPDATE pg_index SET indisready = false, indisvalid = false FROM late WHERE indexrelid = id",
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
    "INSERT INTO sign (instance_id, id, name, sign_key, sign_key_lookup, sign_secret,"
    " sign_secret_lookup) SELECT current_setting('test.gateway'), md5('k' || n), 'sign_' || n, '', "
    "n, '', n FROM generate_series(1, 1000) n",
    "INSERT INTO sign_binding (instance_id, id, sign_id, publish_id)"
    " SELECT current_setting('test.gateway'), md5('h' || n), md5('k' || n / 100 + 1), md5('p' || "
    "md5('a' || n))"
    " FROM generate_series(1, 99999) n",
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
    "INSERT INTO channel (instance_id, id, name, port, balance_strategy, member_type)"
    " SELECT current_setting('test.gateway'), md5('k' || n), 'channel_' || n, 80, 1, 'ip'"
    " FROM generate_series(1, 200) n",
    "INSERT INTO channel_group (instance_id, id, vpc_channel_id, member_group_name)"
    " SELECT current_setting('test.gateway'), md5('y' || n), md5('k' || n), 'part_' || n"
    " FROM generate_series(1, 200) n",
    "INSERT INTO channel_member (instance_id, id, vpc_channel_id, member_group_id, host, port,"
    " weight, is_backup, status, ecs_id, ecs_name)"
    " SELECT current_setting('test.gateway'), md5('z' || n), md5('k' || 1 + n / 10),"
    " md5('y' || 1 + n / 10), 'host_' || n, n, 1, false, 1, 'i', 'host_' || n"
    " FROM generate_series(0, 1999) n",
    "INSERT INTO channel_api (instance_id, api_id, channel_id)"
    " SELECT current_setting('test.gateway'), md5('a' || n), md5('k' || 1 + n / 10)"
    " FROM generate_series(1, 1999) n",
    "INSERT INTO audit (command_id, request_id, command, actor, project_id, instance_id, status)"
    " SELECT md5('x' || n), '', 'c', 'a', 'p', current_setting('test.gateway'), 200 FROM "
    "generate_series(1, 20000) n",
    "INSERT INTO runtime_entry (gateway_id, kind, key, revision, body)"
    " SELECT instance_id, 'api', publish_id, 1 + row_number() OVER () / 100, "
    "decode(repeat('00', 600), 'hex')"
    " FROM publication WHERE instance_id = current_setting('test.gateway')",
    "INSERT INTO quota_usage (instance_id, quota, used, \"limit\") VALUES "
    "(current_setting('test.gateway'), 'apis', 99999,"
    " 200000) ON CONFLICT (instance_id, quota, scope) DO UPDATE SET \"limit\" = 200000",
    "INSERT INTO api_shown SELECT * FROM api_shown_due"
    " WHERE instance_id = current_setting('test.gateway')"
    " AND id NOT IN (SELECT id FROM api_shown)",
    "SET session_replication_role = origin",
    "DO $$ DECLARE name text; BEGIN FOR name IN SELECT DISTINCT tab::regclass FROM late LOOP"
    " EXECUTE 'REINDEX TABLE ' || name; END LOOP; END $$",
};

// For this connection; settings of the database are for those that follow it.
static const char *const explain[] = {
    "LOAD 'auto_explain'",
    "SET auto_explain.log_min_duration = 0",
    "SET auto_explain.log_analyze = on",
    "SET auto_explain.log_timing = off",
    "SET auto_explain.log_nested_statements = on",
    "DO $$ DECLARE wanted text; BEGIN FOR wanted IN SELECT format('%s = %L', name, setting)"
    " FROM pg_settings WHERE name = ANY ('{auto_explain.log_min_duration, auto_explain.log_analyze,"
    " auto_explain.log_timing, auto_explain.log_nested_statements}')"
    " UNION ALL SELECT 'session_preload_libraries = auto_explain' LOOP"
    " EXECUTE format('ALTER DATABASE %I SET ', current_database()) || wanted; END LOOP; END $$",
};

// Tables that grow with APIs and with requests; what has a few thousand rows is best read whole.
static const char *const large[] = {"api",           "api_shown",    "api_version",
                                    "app_auth",      "audit",        "iam_access_key",
                                    "iam_login",     "iam_user",     "publication",
                                    "runtime_entry", "sign_binding", "throttle_binding",
                                    "throttle_usage"};

void
plans_run(struct plans *plans, const char *sql)
{
    struct sl_error err;
    sl_arena_clear(plans->arena);
    SL_AUTO(sl_tx) tx = sl_tx_begin(plans->db, &err);
    assert_non_null(tx);
    if (sl_sql_built(tx, plans->arena, sql, SL_NO_PARAMS, NULL, &err) != 0 ||
        sl_tx_commit(&tx, &err) != 0) {
        fail_msg("%s: %s", sql, err.detail);
    }
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
complain(struct plans *plans, const char *what, const char *why, const char *query,
         const char *line)
{
    plans->faults++;
    print_error("%s: %s\n  %.1500s\n  %s", what, why, query, line);
}

static void
judge_line(struct plans *plans, const char *what, const char *query, const char *line, double most)
{
    static double loops;
    const char *scan = strstr(line, "Seq Scan on ");
    for (size_t i = 0; scan != NULL && i < SL_COUNT(large); i++) {
        size_t len = strlen(large[i]);
        const char *name = scan + strlen("Seq Scan on ");
        if (strncmp(name, large[i], len) == 0 && name[len] == ' ' && most < PLANS_WHOLE) {
            complain(plans, what, "a large table is read through", query, line);
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
            complain(plans, what, "more rows were thrown away than match", query, line);
        }
    }
    if (strstr(line, "Scan") != NULL && rows_of(line) > most) {
        complain(plans, what, "more rows were read than match", query, line);
    }
}

void
plans_judge(struct plans *plans, const char *what, double matches)
{
    static char line[LINE_MAX_BYTES];
    static char query[LINE_MAX_BYTES];
    char end[64];
    bool seen = false;
    // Without parameters the text tells where this command's plans end.
    snprintf(end, sizeof(end), "SELECT 'mark %zu'", ++plans->marks);
    plans_run(plans, end);
    while (fgets(line, sizeof(line), plans->log) != NULL) {
        const char *text = strstr(line, "Query Text: ");
        if (text != NULL && strstr(text, end) != NULL) {
            seen = true;
        } else if (text != NULL) {
            snprintf(query, sizeof(query), "%s", text);
        } else {
            judge_line(plans, what, query, line, ROWS_SMALL + ROWS_PER_MATCH * matches);
        }
    }
    clearerr(plans->log);
    assert_true(seen); // else nothing was judged
}

static void
run_all(struct plans *plans, const char *const *statements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        plans_run(plans, statements[i]);
    }
}

struct plans *
plans_new(struct sl_db *db)
{
    char path[512];
    struct plans *plans = calloc(1, sizeof(*plans));
    assert_non_null(plans);
    plans->db = db;
    plans->arena = sl_arena_new(ARENA_MAX);
    assert_non_null(plans->arena);
    snprintf(path, sizeof(path), "%s/log", getenv("SLUICE_TEST_PG_DIR"));
    plans->log = fopen(path, "re");
    assert_non_null(plans->log);
    return plans;
}

void
plans_free(struct plans **plans)
{
    fclose((*plans)->log);
    sl_arena_free(&(*plans)->arena);
    free(*plans);
    *plans = NULL;
}

void
plans_fill(struct plans *plans, const char *gateway)
{
    char setting[128];
    snprintf(setting, sizeof(setting), "SELECT set_config('test.gateway', '%s', false)", gateway);
    plans_run(plans, setting);
    run_all(plans, apis, SL_COUNT(apis));
}

void
plans_begin(struct plans *plans)
{
    plans_run(plans, "ANALYZE");
    run_all(plans, explain, SL_COUNT(explain));
    assert_int_equal(fseek(plans->log, 0, SEEK_END), 0);
}

size_t
plans_faults(struct plans *plans)
{
    size_t faults = plans->faults;
    plans->faults = 0;
    return faults;
}
