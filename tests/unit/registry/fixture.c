// fixture.c - see fixture.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#include "common/base/limits.h"
#include "common/crypto/crypto.h"
#include "common/db/migrate.h"

#include <stdio.h>

#define ARENA_MAX (64 * 1024 * 1024)

static sl_handler_fn *
handler_of(const char *name)
{
    for (size_t i = 0; i < registry_handler_count; i++) {
        if (strcmp(registry_handlers[i].command, name) == 0) {
            return registry_handlers[i].handle;
        }
    }
    return engine_handle;
}

static void
open_database(struct fixture *f)
{
    struct sl_db_options options = {.conninfo = getenv("SLUICE_TEST_DB"),
                                    .faults = resource_faults};
    f->registry.db = sl_db_open(&options, &f->err);
    assert_non_null(f->registry.db);
    f->registry.key = &f->key;
    f->arena = sl_arena_new(ARENA_MAX);
}

static void
migrate_once(void)
{
    static bool done = false;
    struct sl_error err = {0};
    char directory[512];
    if (done) {
        return;
    }
    sl_crypto_init();
    snprintf(directory, sizeof(directory), "%s/proto/sql", getenv("SLUICE_SOURCE"));
    if (sl_migrate(getenv("SLUICE_TEST_DB"), directory, NULL, &err) != 0) {
        fail_msg("%s", err.detail);
    }
    done = true;
}

static void
make_project(struct fixture *f)
{
    char sql[512];
    sl_random_id(f->project);
    snprintf(sql, sizeof(sql), "INSERT INTO domain (id, name) VALUES ('d%s', '%s')", f->project,
             f->project);
    fixture_sql(f, sql);
    snprintf(sql, sizeof(sql),
             "INSERT INTO project (id, domain_id, name) VALUES ('%s', 'd%s', 'p')", f->project,
             f->project);
    fixture_sql(f, sql);
}

int
fixture_set_up(void **state)
{
    migrate_once();
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    memset(f->key.bytes, 7, sizeof(f->key.bytes));
    open_database(f);
    make_project(f);
    const char *body =
        sl_arena_printf(f->arena, "{\"name\": \"main\", \"project\": \"%s\"}", f->project);
    assert_int_equal(fixture_admin(f, "instance.create", body), 0);
    snprintf(f->gateway, sizeof(f->gateway), "%s", fixture_text(f, "id"));
    *state = f;
    return 0;
}

int
fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    free(f);
    return 0;
}

void
fixture_open(struct fixture *fixture, const struct fixture *other)
{
    *fixture = (struct fixture){.key = other->key};
    memcpy(fixture->project, other->project, sizeof(fixture->project));
    memcpy(fixture->gateway, other->gateway, sizeof(fixture->gateway));
    open_database(fixture);
}

void
fixture_close(struct fixture *fixture)
{
    sl_arena_free(&fixture->arena);
    sl_db_free(&fixture->registry.db);
}

static json_t *
parse(struct fixture *f, const char *text, size_t len)
{
    if (len == 0) {
        return NULL;
    }
    json_t *value = json_loadb(text, len, 0, NULL);
    assert_non_null(value);
    sl_arena_defer(f->arena, (void (*)(void *))json_decref, value);
    return value;
}

static int
run(struct fixture *f, struct sl_command *command)
{
    struct sl_call call = {.arena = f->arena, .command = command, .context = &f->registry};
    snprintf(f->command_id, sizeof(f->command_id), "%s", command->id);
    f->reply = (struct sl_reply){0};
    memset(&f->err, 0, sizeof(f->err));
    int rc = handler_of(command->name)(&call, &f->reply, &f->err);
    f->body = rc == 0 ? parse(f, f->reply.body.ptr, f->reply.body.len) : NULL;
    return rc;
}

struct sl_command
fixture_command(struct fixture *f, const char *id, const char *name)
{
    return (struct sl_command){
        .id = id,
        .service = "registry",
        .name = name,
        .request_id = "00000000000000000000000000000000",
        .actor = {"user", "user", "domain", f->project},
        .project = f->project,
        .instance = f->gateway,
        .peer = "front-1",
        .peer_role = "front",
    };
}

int
fixture_call(struct fixture *fixture, const char *name, const char *path, const char *query,
             const char *body)
{
    char id[SL_ID_SIZE];
    sl_random_id(id);
    struct sl_command command = fixture_command(fixture, id, name);
    command.path = parse(fixture, path, strlen(path));
    command.query = parse(fixture, query, strlen(query));
    command.body = parse(fixture, body, strlen(body));
    return run(fixture, &command);
}

int
fixture_repeat(struct fixture *fixture, const char *id, const char *name, const char *path,
               const char *body)
{
    struct sl_command command = fixture_command(fixture, id, name);
    command.path = parse(fixture, path, strlen(path));
    command.body = parse(fixture, body, strlen(body));
    return run(fixture, &command);
}

int
fixture_admin(struct fixture *fixture, const char *name, const char *body)
{
    char id[SL_ID_SIZE];
    sl_random_id(id);
    struct sl_command command = {.id = id,
                                 .service = "registry",
                                 .name = name,
                                 .request_id = "",
                                 .actor = {"", "", "", ""},
                                 .project = "",
                                 .instance = "",
                                 .peer = "admin",
                                 .peer_role = "admin"};
    command.body = parse(fixture, body, strlen(body));
    return run(fixture, &command);
}

const char *
fixture_create(struct fixture *fixture, const char *name, const char *path, const char *body)
{
    if (fixture_call(fixture, name, path, "", body) != 0) {
        fail_msg("%s refused: %s %s", name, sl_error_name(fixture->err.code), fixture->err.detail);
    }
    return fixture_text(fixture, "id");
}

const char *
fixture_text(const struct fixture *fixture, const char *name)
{
    const char *text = json_string_value(json_object_get(fixture->body, name));
    return text != NULL ? text : "";
}

int64_t
fixture_number(const struct fixture *fixture, const char *name)
{
    return json_integer_value(json_object_get(fixture->body, name));
}

const char *
fixture_path(struct fixture *fixture, const char *name, const char *value)
{
    return sl_arena_printf(fixture->arena, "{\"%s\": \"%s\"}", name, value);
}

int64_t
fixture_count(struct fixture *fixture, const char *sql)
{
    struct sl_rows *rows = NULL;
    SL_AUTO(sl_tx) tx = sl_tx_begin(fixture->registry.db, &fixture->err);
    assert_non_null(tx);
    if (sl_sql_built(tx, fixture->arena, sql, SL_NO_PARAMS, &rows, &fixture->err) != 0) {
        fail_msg("%s: %s", sql, fixture->err.detail);
    }
    return sl_rows_int(rows, 0, 0);
}

void
fixture_sql(struct fixture *fixture, const char *sql)
{
    struct sl_tx *tx = sl_tx_begin(fixture->registry.db, &fixture->err);
    assert_non_null(tx);
    if (sl_sql_built(tx, fixture->arena, sql, SL_NO_PARAMS, NULL, &fixture->err) != 0) {
        fail_msg("%s: %s", sql, fixture->err.detail);
    }
    assert_int_equal(sl_tx_commit(&tx, &fixture->err), 0);
}

const char *
fixture_api(struct fixture *fixture, const char *group, const char *name, const char *uri,
            bool online)
{
    const char *body = sl_arena_printf(
        fixture->arena,
        "{\"group_id\": \"%s\", \"name\": \"%s\", \"type\": 1, \"req_protocol\": \"HTTPS\","
        " \"req_method\": \"GET\", \"req_uri\": \"%s\", \"auth_type\": \"APP\","
        " \"backend_type\": \"MOCK\", \"mock_info\": {\"result_content\": \"hi\"}}",
        group, name, uri);
    const char *id = fixture_create(fixture, "api.create", "", body);
    if (online) {
        fixture_sql(fixture, sl_arena_printf(
                                 fixture->arena,
                                 "WITH v AS (INSERT INTO api_version (instance_id, version_id,"
                                 " version_no, api_id, env_id, definition) SELECT instance_id,"
                                 " 'v' || id, '1', id, '%s', to_jsonb(api) FROM api WHERE id = '%s'"
                                 " RETURNING *) INSERT INTO publication (instance_id, publish_id,"
                                 " api_id, env_id, version_id) SELECT instance_id, api_id, api_id,"
                                 " env_id, version_id FROM v",
                                 ENV_RELEASE_ID, id));
    }
    return id;
}
