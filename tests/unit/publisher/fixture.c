// fixture.c - see fixture.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "common/db/migrate.h"
#include "common/wire/peer.h"

#include <pthread.h>
#include <stdio.h>

size_t caught_events;
size_t caught_heads;
size_t caught_replies;
char caught_body[4096];
pthread_mutex_t caught_lock = PTHREAD_MUTEX_INITIALIZER;

void __wrap_sl_worker_publish(struct sl_worker *worker, const char *topic, struct sl_str body);
void __wrap_sl_worker_reply(struct sl_worker *worker, uint64_t token, const struct sl_reply *reply);

void
__wrap_sl_worker_publish(struct sl_worker *worker, const char *topic, struct sl_str body)
{
    (void)worker;
    (void)body;
    pthread_mutex_lock(&caught_lock);
    caught_events += strncmp(topic, "rt/", 3) == 0;
    caught_heads += strncmp(topic, "head/", 5) == 0;
    pthread_mutex_unlock(&caught_lock);
}

void
__wrap_sl_worker_reply(struct sl_worker *worker, uint64_t token, const struct sl_reply *reply)
{
    (void)worker;
    (void)token;
    pthread_mutex_lock(&caught_lock);
    snprintf(caught_body, sizeof(caught_body), "%.*s", SL_STR_FMT(reply->body));
    caught_replies++;
    pthread_mutex_unlock(&caught_lock);
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
        fail_msg("%s %s", err.args[0], err.detail);
    }
    done = true;
}

void
fixture_sql(struct fixture *f, const char *sql)
{
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->thread.db, &f->err);
    assert_non_null(tx);
    if (sl_sql_built(tx, f->arena, sql, SL_NO_PARAMS, NULL, &f->err) != 0 ||
        sl_tx_commit(&tx, &f->err) != 0) {
        fail_msg("%s: %s", sql, f->err.detail);
    }
}

const char *
fixture_text(struct fixture *f, const char *sql)
{
    struct sl_rows *rows = NULL;
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->thread.db, &f->err);
    assert_non_null(tx);
    if (sl_sql_built(tx, f->arena, sql, SL_NO_PARAMS, &rows, &f->err) != 0) {
        fail_msg("%s: %s", sql, f->err.detail);
    }
    return sl_rows_text(rows, 0, 0);
}

int64_t
fixture_number(struct fixture *f, const char *sql)
{
    return strtoll(fixture_text(f, sql), NULL, 10);
}

static void
insert_rows(struct fixture *f)
{
    char sql[2048];
    snprintf(sql, sizeof(sql),
             "WITH d AS (INSERT INTO domain (id, name) VALUES ('%s', '%s')) "
             "INSERT INTO project (id, domain_id, name) VALUES ('%s', '%s', 'p')",
             f->project, f->project, f->project, f->project);
    fixture_sql(f, sql);
    snprintf(sql, sizeof(sql),
             "INSERT INTO instance (id, project_id, name, domain_suffix) "
             "VALUES ('%s', '%s', 'g', 'example.com')",
             f->gateway, f->project);
    fixture_sql(f, sql);
    snprintf(sql, sizeof(sql),
             "INSERT INTO environment (instance_id, id, name) VALUES "
             "('%s', 'DEFAULT_ENVIRONMENT_RELEASE_ID', 'RELEASE')",
             f->gateway);
    fixture_sql(f, sql);
    snprintf(sql, sizeof(sql),
             "INSERT INTO api_group (instance_id, id, name, sl_domain) "
             "VALUES ('%s', '%s', 'g', '%s.example.com')",
             f->gateway, f->group, f->group);
    fixture_sql(f, sql);
    snprintf(sql, sizeof(sql),
             "INSERT INTO api (instance_id, id, group_id, name, type, req_protocol, req_method, "
             "req_uri, req_uri_shape, auth_type, backend_type, mock_info) VALUES ('%s', '%s', "
             "'%s', 'a', 1, 'HTTP', 'GET', '/a', '/a', 'NONE', 'MOCK', '{\"result_content\": "
             "\"x\"}')",
             f->gateway, f->api, f->group);
    fixture_sql(f, sql);
}

int
fixture_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct sl_db_options options = {.conninfo = getenv("SLUICE_TEST_DB")};
    migrate_once();
    f->arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    sl_random(f->publisher.key.bytes, sizeof(f->publisher.key.bytes));
    f->publisher.database = options.conninfo;
    f->publisher.pass = pass_new(&f->publisher, &f->err);
    assert_non_null(f->publisher.pass);
    f->thread = (struct publisher_thread){&f->publisher, sl_db_open(&options, &f->err)};
    assert_non_null(f->thread.db);
    sl_random_id(f->project);
    sl_random_id(f->gateway);
    sl_random_id(f->group);
    sl_random_id(f->api);
    sl_peer_keys(f->peer_public, f->peer_secret);
    f->role = "front";
    f->peer = "front-1";
    insert_rows(f);
    caught_events = caught_heads = caught_replies = 0;
    *state = f;
    return 0;
}

int
fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    pass_stop(f->publisher.pass);
    pass_free(&f->publisher.pass);
    // Marks that another test's deployment key cannot serve would stay dirty for it.
    fixture_sql(f, "DELETE FROM runtime_change");
    fixture_sql(f, "DELETE FROM gateway_revision");
    fixture_sql(f, "DELETE FROM runtime_entry");
    sl_db_free(&f->thread.db);
    sl_arena_free(&f->arena);
    free(f);
    return 0;
}

int
fixture_call(struct fixture *f, sl_handler_fn *handler, const char *name, const char *id,
             json_t *body)
{
    char fresh[SL_ID_SIZE];
    sl_random_id(fresh);
    struct sl_command command = {.id = id != NULL ? id : fresh,
                                 .service = "publisher",
                                 .name = name,
                                 .request_id = fresh,
                                 .actor = {"u", "u", "d", f->project},
                                 .project = f->project,
                                 .instance = f->gateway,
                                 .path = f->path,
                                 .body = body,
                                 .peer = f->peer,
                                 .peer_role = f->role,
                                 .peer_key = f->peer_public};
    struct sl_call call = {.arena = f->arena,
                           .command = &command,
                           .context = &f->thread,
                           .deadline_mono_ms = sl_mono_ms() + SL_DEADLINE_MS,
                           .token = 7};
    f->reply = (struct sl_reply){.status = 0};
    int rc = handler(&call, &f->reply, &f->err);
    json_decref(body);
    return rc;
}

int
fixture_action(struct fixture *f, const char *id, const char *action, int wait_ms)
{
    json_t *body = json_pack("{s:s, s:s, s:s, s:i}", "action", action, "api_id", f->api, "env_id",
                             "DEFAULT_ENVIRONMENT_RELEASE_ID", "wait_ms", wait_ms);
    return fixture_call(f, api_action, "api.action", id, body);
}

void
fixture_publish(struct fixture *f)
{
    bool more = true;
    while (more) {
        more = false;
        if (revision_make(&f->publisher, f->thread.db, f->gateway, &more, &f->err) != 0) {
            fail_msg("%s %s", sl_error_name(f->err.code), f->err.detail);
        }
    }
}

json_t *
fixture_since(struct fixture *f, const char *epoch, int64_t revision)
{
    json_t *reply = NULL;
    json_t *body = json_pack("{s:s, s:s, s:I}", "gateway",
                             strcmp(f->role, "front") == 0 ? CONTROL_GATEWAY : f->gateway, "epoch",
                             epoch, "revision", (json_int_t)revision);
    if (fixture_call(f, runtime_since, "runtime.since", NULL, body) != 0) {
        return NULL;
    }
    assert_int_equal(sl_json_unpack(f->arena, f->reply.body, &reply, &f->err), 0);
    return reply;
}

void
fixture_node(struct fixture *f, const char *id)
{
    f->role = "admin";
    json_t *body =
        json_pack("{s:s, s:s, s:s}", "id", id, "gateway", f->gateway, "public_key", f->peer_public);
    assert_int_equal(fixture_call(f, node_add, "node.add", NULL, body), 0);
    f->role = sl_arena_printf(f->arena, "node:%s", id);
    f->peer = sl_arena_dup(f->arena, id);
}
