// engine_test.c - create, read, list, update, delete, tenancy, quotas, repeats, races.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#include "common/base/clock.h"
#include "common/crypto/crypto.h"

#include <pthread.h>

static void
a_new_group_has_every_documented_field(void **state)
{
    static const char *const names[] = {
        "id",          "name",           "status",      "sl_domain", "register_time",
        "update_time", "on_sell_status", "url_domains", "remark",    "sl_domain_access_enabled",
        "sl_domains",  "is_default",     "version"};
    struct fixture *f = *state;
    fixture_create(f, "group.create", "", "{\"name\": \"api_group_001\", \"remark\": \"one\"}");
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        assert_non_null(json_object_get(f->body, names[i]));
    }
    assert_int_equal(fixture_number(f, "is_default"), 2);
    const char *domain = fixture_text(f, "sl_domain");
    assert_memory_equal(domain, fixture_text(f, "id"), 32);
    assert_string_equal(domain + 32, ".apic.localhost");
    assert_int_equal(f->reply.status, 0);
    assert_int_equal(strlen(fixture_text(f, "register_time")),
                     strlen("2020-07-31T06:55:55.383169Z"));
}

static void
what_was_created_is_read_back_the_same(void **state)
{
    struct fixture *f = *state;
    const char *id = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    json_t *made = f->body;
    assert_int_equal(fixture_call(f, "group.read", fixture_path(f, "group_id", id), "", ""), 0);
    assert_true(json_equal(made, f->body));
    assert_null(json_object_get(f->body, "remark"));
}

static void
an_update_leaves_absent_fields_and_empties_empty_ones(void **state)
{
    struct fixture *f = *state;
    const char *id =
        fixture_create(f, "group.create", "", "{\"name\": \"g01\", \"remark\": \"one\"}");
    const char *path = fixture_path(f, "group_id", id);
    assert_int_equal(fixture_call(f, "group.update", path, "", "{\"name\": \"g02\"}"), 0);
    assert_string_equal(fixture_text(f, "name"), "g02");
    assert_string_equal(fixture_text(f, "remark"), "one");
    assert_int_equal(
        fixture_call(f, "group.update", path, "", "{\"name\": \"g02\", \"remark\": \"\"}"), 0);
    assert_string_equal(fixture_text(f, "remark"), "");
    assert_non_null(json_object_get(f->body, "remark"));
}

static void
what_does_not_exist_is_not_found_by_its_id(void **state)
{
    static const char *const commands[] = {"group.read", "group.update", "group.delete"};
    struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT(commands); i++) {
        assert_int_equal(
            fixture_call(f, commands[i], "{\"group_id\": \"nope\"}", "", "{\"name\": \"abc\"}"),
            -1);
        assert_int_equal(f->err.code, SL_E_GROUP_NOT_FOUND);
        assert_string_equal(f->err.args[0], "nope");
    }
}

static void
a_deleted_group_is_gone_and_its_domain_goes_with_it(void **state)
{
    struct fixture *f = *state;
    const char *id = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *path = fixture_path(f, "group_id", id);
    fixture_sql(f, "DELETE FROM runtime_change");
    assert_int_equal(fixture_call(f, "group.delete", path, "", ""), 0);
    assert_int_equal(f->reply.body.len, 0);
    assert_int_equal(fixture_call(f, "group.read", path, "", ""), -1);
    assert_int_equal(fixture_count(f, sl_arena_printf(f->arena,
                                                      "SELECT count(*) FROM runtime_change WHERE"
                                                      " (kind, key) IN (('group', '%s'),"
                                                      " ('host', '%s.apic.localhost'))",
                                                      id, id)),
                     2);
}

static void
another_projects_gateway_does_not_exist(void **state)
{
    struct fixture *f = *state;
    char own[SL_ID_SIZE];
    memcpy(own, f->project, sizeof(own));
    memset(f->project, 'e', 32);
    assert_int_equal(fixture_call(f, "group.list", "", "", ""), -1);
    assert_int_equal(f->err.code, SL_E_INSTANCE_NOT_FOUND);
    assert_string_equal(f->err.args[0], f->gateway);
    assert_int_equal(fixture_call(f, "group.create", "", "", "{\"name\": \"abc\"}"), -1);
    assert_int_equal(f->err.code, SL_E_INSTANCE_NOT_FOUND);
    assert_int_equal(fixture_call(f, "instance.read", "", "", ""), -1);
    assert_int_equal(f->err.code, SL_E_GATEWAY_NOT_FOUND);
    memcpy(f->project, own, sizeof(own));
}

static int64_t
groups_named(struct fixture *f, const char *name)
{
    return fixture_count(f, sl_arena_printf(f->arena,
                                            "SELECT count(*) FROM api_group WHERE instance_id ="
                                            " '%s' AND name = '%s'",
                                            f->gateway, name));
}

// What finds its row by gateway and project asks for the gateway only where it finds none: a reply
// must not tell whether another's row is there.
static void
nothing_in_another_projects_gateway_is_read_changed_or_counted(void **state)
{
    struct fixture *f = *state;
    char own[SL_ID_SIZE];
    const char *id = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *paths[] = {fixture_path(f, "group_id", id),
                           fixture_path(f, "group_id", "0123456789abcdef0123456789abcdef")};
    memcpy(own, f->project, sizeof(own));
    memset(f->project, 'e', 32);
    for (size_t i = 0; i < SL_COUNT(paths); i++) {
        static const char *const names[] = {"group.read", "group.delete", "group.update"};
        for (size_t k = 0; k < SL_COUNT(names); k++) {
            const char *body = k == 2 ? "{\"name\": \"g02\"}" : "";
            assert_int_equal(fixture_call(f, names[k], paths[i], "", body), -1);
            assert_int_equal(f->err.code, SL_E_INSTANCE_NOT_FOUND);
            assert_string_equal(f->err.args[0], f->gateway);
        }
    }
    static const char *const queries[] = {"{}", "{\"name\": \"g01\"}", "{\"offset\": 5}"};
    for (size_t i = 0; i < SL_COUNT(queries); i++) {
        assert_int_equal(fixture_call(f, "group.list", "", queries[i], ""), -1);
        assert_int_equal(f->err.code, SL_E_INSTANCE_NOT_FOUND);
    }
    const char *api = fixture_path(f, "api_id", "0123456789abcdef0123456789abcdef");
    assert_int_equal(fixture_call(f, "api_version.list", api, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_INSTANCE_NOT_FOUND);
    memcpy(f->project, own, sizeof(own));
    assert_int_equal(groups_named(f, "g01"), 1);
    assert_int_equal(fixture_call(f, "group.update", paths[1], "", "{\"name\": \"g02\"}"), -1);
    assert_int_equal(f->err.code, SL_E_GROUP_NOT_FOUND);
    assert_int_equal(fixture_call(f, "group.list", "", "{\"offset\": 5}", ""), 0);
    assert_int_equal(fixture_number(f, "size"), 0);
    assert_int_equal(fixture_call(f, "api_version.list", api, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_API_NOT_FOUND);
}

static void
another_gateways_group_does_not_exist(void **state)
{
    struct fixture *f = *state;
    const char *id = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *body =
        sl_arena_printf(f->arena, "{\"name\": \"second\", \"project\": \"%s\"}", f->project);
    assert_int_equal(fixture_admin(f, "instance.create", body), 0);
    memcpy(f->gateway, fixture_text(f, "id"), SL_ID_LEN);
    assert_int_equal(fixture_call(f, "group.read", fixture_path(f, "group_id", id), "", ""), -1);
    assert_int_equal(f->err.code, SL_E_GROUP_NOT_FOUND);
}

static void
a_name_is_taken_once_a_gateway(void **state)
{
    struct fixture *f = *state;
    fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    assert_int_equal(fixture_call(f, "group.create", "", "", "{\"name\": \"g01\"}"), -1);
    assert_int_equal(f->err.code, SL_E_GROUP_EXISTS);
    assert_int_equal(fixture_call(f, "group.check", "", "", "{\"group_name\": \"g01\"}"), -1);
    assert_int_equal(f->err.code, SL_E_GROUP_EXISTS);
    assert_int_equal(fixture_call(f, "group.check", "", "", "{\"group_name\": \"g02\"}"), 0);
}

static void
a_repeated_command_runs_once_and_answers_the_same(void **state)
{
    static const char id[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct fixture *f = *state;
    fixture_sql(f, "DELETE FROM audit WHERE command_id = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'");
    assert_int_equal(fixture_repeat(f, id, "group.create", "", "{\"name\": \"g01\"}"), 0);
    json_t *first = f->body;
    assert_int_equal(fixture_repeat(f, id, "group.create", "", "{\"name\": \"g01\"}"), 0);
    assert_true(json_equal(first, f->body));
    assert_int_equal(groups_named(f, "g01"), 1);
}

static void
a_refused_command_leaves_nothing_and_may_be_repeated(void **state)
{
    static const char id[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    struct fixture *f = *state;
    fixture_sql(f, "DELETE FROM audit WHERE command_id = 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb'");
    fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    assert_int_equal(fixture_repeat(f, id, "group.create", "", "{\"name\": \"g01\"}"), -1);
    assert_int_equal(fixture_repeat(f, id, "group.create", "", "{\"name\": \"g02\"}"), 0);
    assert_string_equal(fixture_text(f, "name"), "g02");
}

static void
every_mutation_is_recorded_without_secrets(void **state)
{
    struct fixture *f = *state;
    fixture_create(f, "app.create", "",
                   "{\"name\": \"app_demo\", \"app_secret\": \"verysecret1\"}");
    const char *sql = sl_arena_printf(
        f->arena,
        "SELECT count(*) FROM audit WHERE command_id = '%s' AND command = 'app.create'"
        " AND actor = 'user' AND instance_id = '%s' AND object_id = '%s'"
        " AND after ->> 'name' = 'app_demo' AND before IS NULL"
        " AND NOT after::jsonb ?| ARRAY['app_secret', 'app_secret_lookup']"
        " AND audit::text NOT LIKE '%%verysecret1%%'",
        f->command_id, f->gateway, fixture_text(f, "id"));
    assert_int_equal(fixture_count(f, sql), 1);
}

static void
what_is_shown_of_a_group_is_no_part_of_its_record(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    assert_int_equal(fixture_call(f, "group.update", fixture_path(f, "group_id", group), "",
                                  "{\"name\": \"g02\"}"),
                     0);
    const char *sql =
        sl_arena_printf(f->arena,
                        "SELECT count(*) FROM audit a JOIN api_group g ON g.id = a.object_id"
                        " WHERE object_id = '%s' AND coalesce(before ->> 'name', 'g01') = 'g01'"
                        " AND g.brief_text = ',\"group_name\":\"g02\"'"
                        " AND (command = 'group.create' OR after::jsonb = to_jsonb(g) - "
                        "'brief_text' - 'whole_text')"
                        " AND NOT (concat(before, after) LIKE '%%_text%%')",
                        group);
    assert_int_equal(fixture_count(f, sql), 2);
}

static void
lists_page_in_a_stable_order(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        fixture_create(f, "throttle.create", "",
                       sl_arena_printf(f->arena,
                                       "{\"name\": \"t_%d\", \"time_interval\": 1, \"time_unit\":"
                                       " \"SECOND\", \"api_call_limits\": 5}",
                                       i));
    }
    assert_int_equal(fixture_call(f, "throttle.list", "", "{\"offset\": 1, \"limit\": 2}", ""), 0);
    assert_int_equal(fixture_number(f, "total"), 5);
    assert_int_equal(fixture_number(f, "size"), 2);
    json_t *rows = json_object_get(f->body, "throttles");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "name")), "t_1");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "name")), "t_2");
    assert_int_equal(fixture_call(f, "throttle.list", "", "{\"offset\": 9}", ""), 0);
    assert_int_equal(fixture_number(f, "total"), 5);
    assert_int_equal(fixture_number(f, "size"), 0);
}

// The view's plan takes longer than reading a page of it.
static void
the_elements_of_a_list_are_planned_once_for_all_pages(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 4; i++) {
        fixture_create(f, "group.create", "",
                       sl_arena_printf(f->arena, "{\"name\": \"grp_%d\"}", i));
    }
    for (int i = 0; i < 20; i++) {
        const char *query =
            sl_arena_printf(f->arena, "{\"name\": \"grp_%d\", \"limit\": %d}", i % 4, i);
        assert_int_equal(fixture_call(f, "group.list", "", i % 2 == 0 ? query : "", ""), 0);
        assert_int_equal(fixture_number(f, "size"), i % 2 == 0 ? 1 : 5);
    }
    const char *made = "SELECT sum(custom_plans) FROM pg_prepared_statements"
                       " WHERE statement LIKE 'SELECT l%api_group_json v%'";
    const char *reused = "SELECT sum(generic_plans) FROM pg_prepared_statements"
                         " WHERE statement LIKE 'SELECT l%api_group_json v%'";
    assert_int_equal(fixture_count(f, made), 5); // before PostgreSQL thinks of one for all
    assert_int_equal(fixture_count(f, reused), 15);
}

static int64_t
groups_found(struct fixture *f, const char *query)
{
    assert_int_equal(fixture_call(f, "group.list", "", query, ""), 0);
    assert_int_equal(fixture_number(f, "total"), fixture_number(f, "size"));
    return fixture_number(f, "total");
}

static void
filters_find_parts_of_names_unless_asked_to_be_precise(void **state)
{
    struct fixture *f = *state;
    const char *id = fixture_create(f, "group.create", "", "{\"name\": \"alpha_1\"}");
    fixture_create(f, "group.create", "", "{\"name\": \"alphaX1\"}");
    assert_int_equal(groups_found(f, "{}"), 3); // the group DEFAULT is there from the start
    assert_int_equal(groups_found(f, "{\"name\": \"alpha\"}"), 2);
    assert_int_equal(groups_found(f, "{\"name\": \"a_1\"}"), 1);
    assert_int_equal(groups_found(f, "{\"name\": \"%\"}"), 0);
    assert_int_equal(groups_found(f, "{\"name\": \"\"}"), 3);
    assert_int_equal(groups_found(f, "{\"name\": \"alpha\", \"precise_search\": \"name\"}"), 0);
    assert_int_equal(groups_found(f, "{\"name\": \"alpha_1\", \"precise_search\": \"name\"}"), 1);
    assert_int_equal(groups_found(f, fixture_path(f, "id", id)), 1);
}

static void
a_quota_refuses_and_a_deletion_makes_room(void **state)
{
    struct fixture *f = *state;
    const char *body = sl_arena_printf(
        f->arena, "{\"id\": \"%s\", \"settings\": {\"quota_groups\": \"2\"}}", f->gateway);
    assert_int_equal(fixture_admin(f, "instance.set", body), 0);
    const char *id = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    assert_int_equal(fixture_call(f, "group.create", "", "", "{\"name\": \"g02\"}"), -1);
    assert_int_equal(f->err.code, SL_E_GROUP_QUOTA);
    assert_int_equal(fixture_call(f, "group.delete", fixture_path(f, "group_id", id), "", ""), 0);
    fixture_create(f, "group.create", "", "{\"name\": \"g02\"}");
}

// One thread of a race: creates and keeps the outcome.
struct racer {
    const struct fixture *f;
    const char *body;
    const char *id;   // command id, or NULL for one of its own
    const char *name; // of the command; NULL: group.create
    int rc;
    enum sl_code code;
    char made[SL_ID_SIZE]; // of what the reply shows
};

static void *
race(void *arg)
{
    struct racer *racer = arg;
    struct fixture own;
    const char *name = racer->name != NULL ? racer->name : "group.create";
    fixture_open(&own, racer->f);
    racer->rc = racer->id != NULL ? fixture_repeat(&own, racer->id, name, "", racer->body)
                                  : fixture_call(&own, name, "", "", racer->body);
    racer->code = own.err.code;
    if (racer->rc == 0) {
        snprintf(racer->made, sizeof(racer->made), "%s", fixture_text(&own, "id"));
    }
    fixture_close(&own);
    return NULL;
}

// How many of the racers succeeded.
static int
run_race(struct racer *racers, size_t count)
{
    pthread_t threads[16];
    int won = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        won += racers[i].rc == 0 ? 1 : 0;
    }
    return won;
}

static void
of_two_creates_of_one_name_one_wins(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 5; round++) {
        const char *body = sl_arena_printf(f->arena, "{\"name\": \"race_%d\"}", round);
        struct racer racers[2] = {{.f = f, .body = body}, {.f = f, .body = body}};
        assert_int_equal(run_race(racers, 2), 1);
        struct racer *loser = racers[0].rc == 0 ? &racers[1] : &racers[0];
        assert_int_equal(loser->code, SL_E_GROUP_EXISTS);
    }
}

static void
a_command_sent_twice_at_once_runs_once(void **state)
{
    struct fixture *f = *state;
    char id[SL_ID_SIZE];
    sl_random_id(id);
    struct racer racers[4];
    for (size_t i = 0; i < SL_COUNT(racers); i++) {
        racers[i] = (struct racer){.f = f, .body = "{\"name\": \"once\"}", .id = id};
    }
    assert_int_equal(run_race(racers, SL_COUNT(racers)), 4);
    assert_int_equal(groups_named(f, "once"), 1);
}

static void
wait_for_blocked_sessions(struct fixture *f, int64_t count)
{
    static const char sql[] =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    for (int64_t end = sl_mono_ms() + 60000; fixture_count(f, sql) < count;) {
        assert_true(sl_mono_ms() < end);
    }
}

// The repeat is such that the engine refuses it before it asks the database anything.
static void
a_refused_repeat_of_a_command_at_work_answers_what_that_did(void **state)
{
    struct fixture *f = *state;
    struct fixture own;
    pthread_t threads[2];
    char id[SL_ID_SIZE];
    sl_random_id(id);
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    fixture_api(f, group, "Api_first", "/first", false);
    const char *body = sl_arena_printf(
        f->arena,
        "{\"group_id\": \"%s\", \"name\": \"Api_one\", \"type\": 1, \"req_protocol\": \"HTTPS\","
        " \"req_method\": \"GET\", \"req_uri\": \"/one\", \"auth_type\": \"NONE\","
        " \"backend_type\": \"MOCK\", \"mock_info\": {}}",
        group);
    struct racer first = {.f = f, .body = body, .id = id, .name = "api.create"};
    struct racer repeat = first;
    repeat.body = "{\"backend_type\": \"MOCK\", \"req_protocol\": \"HTTPS\"}";
    fixture_open(&own, f);
    struct sl_tx *holder = sl_tx_begin(own.registry.db, &f->err);
    assert_int_equal(sl_sql(holder, f->arena,
                            "SELECT 1 FROM quota_usage WHERE instance_id = $1 AND quota = 'apis'"
                            " FOR UPDATE",
                            SL_PARAMS(SL_P_TEXT(f->gateway)), NULL, &f->err),
                     0);
    assert_int_equal(pthread_create(&threads[0], NULL, race, &first), 0);
    wait_for_blocked_sessions(f, 1);
    assert_int_equal(pthread_create(&threads[1], NULL, race, &repeat), 0);
    wait_for_blocked_sessions(f, 2);
    sl_tx_free(&holder);
    fixture_close(&own);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    assert_int_equal(first.rc, 0);
    assert_int_equal(repeat.rc, 0);
    assert_string_equal(first.made, repeat.made);
}

// Creating asks for what it refers to only when PostgreSQL refuses.
static void
what_a_new_row_refers_to_is_a_foreign_key_each(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < resource_count; i++) {
        const struct resource *resource = &resource_table[i];
        const struct resource_reference *r = resource->references;
        for (; resource->sql_insert != NULL && r->column != NULL; r++) {
            char table[64] = "";
            assert_int_equal(sscanf(r->sql, "SELECT 1 FROM %63s", table), 1);
            const char *sql = sl_arena_printf(
                f->arena,
                "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid ="
                " '%s'::regclass AND confrelid = '%s'::regclass AND pg_get_constraintdef(oid)"
                " LIKE 'FOREIGN KEY (instance_id, %s)%%'",
                resource->table, table, r->column);
            if (fixture_count(f, sql) != 1) {
                fail_msg("%s.%s has no foreign key", resource->table, r->column);
            }
        }
    }
}

static void
the_last_unit_of_a_quota_goes_to_one(void **state)
{
    struct fixture *f = *state;
    const char *body = sl_arena_printf(
        f->arena, "{\"id\": \"%s\", \"settings\": {\"quota_groups\": \"3\"}}", f->gateway);
    assert_int_equal(fixture_admin(f, "instance.set", body), 0);
    struct racer racers[6];
    for (size_t i = 0; i < SL_COUNT(racers); i++) {
        racers[i] = (struct racer){
            .f = f, .body = sl_arena_printf(f->arena, "{\"name\": \"racer_%zu\"}", i)};
    }
    assert_int_equal(run_race(racers, SL_COUNT(racers)), 2);
    for (size_t i = 0; i < SL_COUNT(racers); i++) {
        assert_true(racers[i].rc == 0 || racers[i].code == SL_E_GROUP_QUOTA);
    }
}

static void
a_command_that_nothing_offers_is_refused(void **state)
{
    static const char *const names[] = {"group.destroy", "nothing.read",     "group",
                                        "app_auth.list", "bound_api.delete", "app_auth.update"};
    struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        assert_int_equal(fixture_call(f, names[i], "", "", ""), -1);
        assert_int_equal(f->err.code, SL_E_COMMAND_UNKNOWN);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_new_group_has_every_documented_field),
        FIXTURE_TEST(what_was_created_is_read_back_the_same),
        FIXTURE_TEST(an_update_leaves_absent_fields_and_empties_empty_ones),
        FIXTURE_TEST(what_does_not_exist_is_not_found_by_its_id),
        FIXTURE_TEST(a_deleted_group_is_gone_and_its_domain_goes_with_it),
        FIXTURE_TEST(another_projects_gateway_does_not_exist),
        FIXTURE_TEST(nothing_in_another_projects_gateway_is_read_changed_or_counted),
        FIXTURE_TEST(another_gateways_group_does_not_exist),
        FIXTURE_TEST(a_name_is_taken_once_a_gateway),
        FIXTURE_TEST(a_repeated_command_runs_once_and_answers_the_same),
        FIXTURE_TEST(a_refused_command_leaves_nothing_and_may_be_repeated),
        FIXTURE_TEST(every_mutation_is_recorded_without_secrets),
        FIXTURE_TEST(what_is_shown_of_a_group_is_no_part_of_its_record),
        FIXTURE_TEST(lists_page_in_a_stable_order),
        FIXTURE_TEST(the_elements_of_a_list_are_planned_once_for_all_pages),
        FIXTURE_TEST(filters_find_parts_of_names_unless_asked_to_be_precise),
        FIXTURE_TEST(a_quota_refuses_and_a_deletion_makes_room),
        FIXTURE_TEST(of_two_creates_of_one_name_one_wins),
        FIXTURE_TEST(a_command_sent_twice_at_once_runs_once),
        FIXTURE_TEST(a_refused_repeat_of_a_command_at_work_answers_what_that_did),
        FIXTURE_TEST(what_a_new_row_refers_to_is_a_foreign_key_each),
        FIXTURE_TEST(the_last_unit_of_a_quota_goes_to_one),
        FIXTURE_TEST(a_command_that_nothing_offers_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
