// debug.c - see debug.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/debug.h"

#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "common/wire/pack.h"
#include "services/publisher/debug_request.h"
#include "services/publisher/nodes.h"
#include "services/publisher/pass.h"
#include "services/publisher/revision.h"

#include <stdio.h>
#include <string.h>

#define CALLS_MAX  8     // of one gateway at once
#define PATIENT_MS 70000 // from the command to its reply at the latest

// Whether a backend's address or path has #name# in it.
#define HAS_VARIABLES(definition)                                                                  \
    "jsonb_path_exists(" definition ", '$.** ? (@.url_domain like_regex \"#[^#]+#\" || "           \
    "@.req_uri like_regex \"#[^#]+#\")')"

// The definition as it is, and as an environment serves it.
static const char defined_sql[] =
    "SELECT e.id, to_jsonb(a)::text, $3::text, g.sl_domain, " HAS_VARIABLES(
        "to_jsonb(a)") " FROM api a "
                       "JOIN api_group g ON g.instance_id = a.instance_id AND g.id = a.group_id "
                       "JOIN environment e ON e.instance_id = a.instance_id AND e.name = 'RELEASE' "
                       "WHERE a.instance_id = $1 AND a.id = $2";

static const char served_sql[] =
    "SELECT e.id, v.definition::text, p.publish_id, g.sl_domain, " HAS_VARIABLES(
        "v.definition") " FROM publication p "
                        "JOIN environment e ON e.instance_id = p.instance_id AND e.id = p.env_id "
                        "JOIN api_version v ON v.instance_id = p.instance_id AND v.version_id = "
                        "p.version_id "
                        "JOIN api a ON a.instance_id = p.instance_id AND a.id = p.api_id "
                        "JOIN api_group g ON g.instance_id = a.instance_id AND g.id = a.group_id "
                        "WHERE p.instance_id = $1 AND p.api_id = $2 AND e.name = $3";

static const char exists_sql[] = "SELECT 1 FROM api WHERE instance_id = $1 AND id = $2";

static const char room_sql[] =
    "SELECT (SELECT count(*) FROM api_debug WHERE instance_id = $1 AND expires_at > now()),"
    " EXISTS (SELECT FROM node WHERE instance_id = $1 AND seen_at > now() - interval '3 s')";

static const char begin_sql[] =
    "INSERT INTO api_debug (instance_id, id, api_id, publish_id, env_id, env_name, is_open,"
    " definition, request, shown, tls, expires_at) VALUES ($1, $2, $3, $4, $5, 'debug/' || $6,"
    " $7::boolean, $8::jsonb, $9, $10, $11::boolean, now() + make_interval(secs => $12::float8 / "
    "1000))";

static const char touch_sql[] =
    "INSERT INTO runtime_change (gateway_id, kind, key) VALUES ($1, 'api', $2)";

static const char give_sql[] =
    "UPDATE api_debug d SET node_id = $2 FROM runtime_entry e WHERE d.instance_id = $1"
    " AND d.node_id IS NULL AND d.expires_at > now() AND e.gateway_id = d.instance_id"
    " AND e.kind = 'api' AND e.key = d.id AND e.body IS NOT NULL AND e.revision <= $3::bigint"
    " RETURNING d.id, d.request, d.tls";

static const char answered_sql[] =
    "UPDATE api_debug SET response = $3, latency_ms = $4::integer WHERE id = $1 AND node_id = $2"
    " AND response IS NULL";

// The log is both heads.
static const char end_sql[] =
    "WITH gone AS (DELETE FROM api_debug WHERE instance_id = $1 AND id = $2"
    " AND (response IS NOT NULL OR $3::boolean) RETURNING instance_id, id, shown, response,"
    " latency_ms), touched AS (INSERT INTO runtime_change (gateway_id, kind, key)"
    " SELECT instance_id, 'api', id FROM gone) SELECT response IS NOT NULL,"
    " jsonb_build_object('request', shown, 'response', response, 'latency', latency_ms,"
    " 'log', split_part(shown, E'\\n\\n', 1) || E'\\n\\n' || split_part(response, E'\\n\\n', 1))"
    "::text FROM gone";

static const char waits_sql[] = "SELECT 1 FROM api_debug WHERE instance_id = $1 AND id = $2";

static const char sweep_sql[] =
    "WITH gone AS (DELETE FROM api_debug WHERE expires_at < now() RETURNING instance_id, id)"
    " INSERT INTO runtime_change (gateway_id, kind, key) SELECT instance_id, 'api', id FROM gone";

// -- taking a call

// What is called, from the rows.
struct target {
    const char *api_id;
    const char *id;         // of the call
    bool is_consumer;       // as published
    const char *env_id;     //
    const char *definition; //
    const char *publish_id; //
    const char *host;       //
};

static int
find_target(struct sl_call *call, struct sl_tx *tx, struct target *target, struct sl_error *err)
{
    const char *instance = call->command->instance;
    const char *stage = body_text(call->command, "stage");
    const char *domain = body_text(call->command, "domain");
    const char *third = target->id;
    struct sl_rows *rows = NULL;
    if (sl_sql(tx, call->arena, exists_sql,
               SL_PARAMS(SL_P_TEXT(instance), SL_P_TEXT(target->api_id)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_API_NOT_FOUND, target->api_id);
    }
    if (target->is_consumer) {
        third = stage[0] != '\0' ? stage : "RELEASE";
    }
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(instance), SL_P_TEXT(target->api_id), SL_P_TEXT(third));
    if (sl_sql(tx, call->arena, target->is_consumer ? served_sql : defined_sql, params, &rows,
               err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_PUBLICATION_NOT_FOUND);
    }
    if (sl_rows_bool(rows, 0, 4)) {
        return sl_fail(err, SL_E_DEBUG_VARIABLES); // 3.3.1, note 3
    }
    target->env_id = sl_rows_text(rows, 0, 0);
    target->definition = sl_rows_text(rows, 0, 1);
    target->publish_id = sl_rows_text(rows, 0, 2);
    target->host = domain[0] != '\0' ? domain : sl_rows_text(rows, 0, 3);
    return 0;
}

static int
check_room(struct sl_call *call, struct sl_tx *tx, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(tx, call->arena, room_sql, SL_PARAMS(SL_P_TEXT(call->command->instance)), &rows,
               err) != 0) {
        return -1;
    }
    if (sl_rows_int(rows, 0, 0) >= CALLS_MAX) {
        return sl_fail(err, SL_E_DEBUG_BUSY, "8");
    }
    return sl_rows_bool(rows, 0, 1) ? 0 : sl_fail(err, SL_E_DEBUG_NO_NODE);
}

static int
begin(struct sl_call *call, struct sl_tx *tx, const struct target *target, struct sl_error *err)
{
    const char *instance = call->command->instance;
    bool tls = strcmp(body_text(call->command, "scheme"), "HTTPS") == 0;
    char secret[SL_ID_SIZE];
    struct debug_request request;
    sl_random_id(secret);
    const struct debug_sending sending = {target->host, secret, sl_wall_ms()};
    if (debug_request_make(call->arena, call->command->body, &sending, &request, err) != 0 ||
        check_room(call, tx, err) != 0) {
        return -1;
    }
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(instance), SL_P_TEXT(target->id), SL_P_TEXT(target->api_id),
                  SL_P_TEXT(target->publish_id), SL_P_TEXT(target->env_id), SL_P_TEXT(secret),
                  SL_P_TEXT(target->is_consumer ? "f" : "t"), SL_P_TEXT(target->definition),
                  SL_P_TEXT(request.sent), SL_P_TEXT(request.shown), SL_P_TEXT(tls ? "t" : "f"),
                  SL_P_INT(PATIENT_MS));
    if (sl_sql(tx, call->arena, begin_sql, params, NULL, err) != 0) {
        return -1;
    }
    return sl_sql(tx, call->arena, touch_sql, SL_PARAMS(SL_P_TEXT(instance), SL_P_TEXT(target->id)),
                  NULL, err);
}

// The stored reply is the call's id, as JSON: a command that is repeated waits for the same call.
static int
take(struct sl_call *call, struct sl_tx *tx, struct sl_str *ret_body, struct sl_error *err)
{
    char id[SL_ID_SIZE];
    sl_random_id(id);
    const char *api_id = json_string_value(json_object_get(call->command->path, "api_id"));
    struct target target = {.api_id = api_id != NULL ? api_id : "",
                            .id = sl_arena_dup(call->arena, id),
                            .is_consumer =
                                strcmp(body_text(call->command, "mode"), "CONSUMER") == 0};
    if (sl_arena_check(call->arena, err) != 0 ||
        caller_gateway(call->command, tx, call->arena, err) != 0 ||
        find_target(call, tx, &target, err) != 0 || begin(call, tx, &target, err) != 0) {
        return -1;
    }
    *ret_body = sl_str(sl_arena_printf(call->arena, "\"%s\"", target.id));
    return sl_arena_check(call->arena, err);
}

static int
wait_for_answer(struct sl_call *call, struct sl_str quoted, struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    struct publisher *publisher = thread->publisher;
    struct pass_waiter waiter = {.deadline_mono_ms = sl_mono_ms() + PATIENT_MS - 5000};
    bool more = true;
    while (more) {
        more = false;
        if (revision_make(publisher, thread->db, call->command->instance, &more, err) != 0) {
            return -1;
        }
    }
    snprintf(waiter.gateway, sizeof(waiter.gateway), "%s", call->command->instance);
    snprintf(waiter.debug_id, sizeof(waiter.debug_id), "%.*s", SL_ID_LEN, quoted.ptr + 1);
    waiter.token = sl_call_defer(call);
    if (pass_wait(publisher->pass, &waiter, err) != 0) {
        struct sl_reply reply = {.failed = true, .error = *err};
        sl_worker_reply(call->worker, waiter.token, &reply);
    }
    return 0;
}

int
api_debug(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    struct sl_str quoted = {NULL, 0};
    (void)reply;
    if (mutation_run(call, take, &quoted, NULL, err) != 0) {
        return -1;
    }
    assert(quoted.len == SL_ID_LEN + 2);
    return wait_for_answer(call, quoted, err);
}

// -- the node's part

int
debug_give(struct sl_call *call, struct sl_tx *tx, const char *gateway, struct sl_buf *packed,
           struct sl_error *err)
{
    const json_t *body = call->command->body;
    struct sl_rows *rows = NULL;
    if (!json_is_true(json_object_get(body, "debugs"))) {
        sl_pack_array(packed, 0); // an older agent, which would not make them
        return 0;
    }
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(gateway), SL_P_TEXT(call->command->peer),
                  SL_P_INT(json_integer_value(json_object_get(body, "revision"))));
    if (sl_sql(tx, call->arena, give_sql, params, &rows, err) != 0) {
        return -1;
    }
    sl_pack_array(packed, sl_rows_count(rows));
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        sl_pack_map(packed, 3);
        sl_pack_text(packed, "id");
        sl_pack_text(packed, sl_rows_text(rows, i, 0));
        sl_pack_text(packed, "request");
        sl_pack_text(packed, sl_rows_text(rows, i, 1));
        sl_pack_text(packed, "tls");
        sl_pack_bool(packed, sl_rows_bool(rows, i, 2));
    }
    return 0;
}

int
node_debugged(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    const char *gateway = NULL;
    (void)reply;
    SL_AUTO(sl_tx) tx = sl_tx_begin(thread->db, err);
    if (tx == NULL || node_gateway(call->command, tx, call->arena, &gateway, err) != 0) {
        return -1;
    }
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(body_text(call->command, "id")), SL_P_TEXT(call->command->peer),
                  SL_P_TEXT(body_text(call->command, "response")),
                  SL_P_INT(json_integer_value(json_object_get(call->command->body, "latency_ms"))));
    if (sl_sql(tx, call->arena, answered_sql, params, NULL, err) != 0 ||
        sl_tx_commit(&tx, err) != 0) {
        return -1;
    }
    pass_reported(thread->publisher->pass);
    return 0;
}

// -- the reply

// Looks, and ends the call when it is over. -1: the database is away.
static int
end(struct sl_tx *tx, struct sl_arena *arena, struct sl_params params, struct sl_reply *ret_reply,
    bool *ret_over, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(tx, arena, end_sql, params, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 1) {
        bool is_answered = sl_rows_bool(rows, 0, 0);
        *ret_reply = (struct sl_reply){.failed = !is_answered};
        if (is_answered) {
            ret_reply->body = sl_str(sl_rows_text(rows, 0, 1));
        }
        *ret_over = true;
        return 0;
    }
    struct sl_params pair = {params.list, 2};
    if (sl_sql(tx, arena, waits_sql, pair, &rows, err) != 0) {
        return -1;
    }
    *ret_over = sl_rows_count(rows) == 0; // its API was deleted, or a repeat took the answer
    return 0;
}

bool
debug_is_over(struct sl_db *db, struct sl_arena *arena, const char *gateway, const char *id,
              bool late, struct sl_reply *ret_reply)
{
    struct sl_error err;
    bool is_over = false;
    *ret_reply = (struct sl_reply){.failed = true};
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(gateway), SL_P_TEXT(id), SL_P_TEXT(late ? "t" : "f"));
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, &err);
    if (tx == NULL || end(tx, arena, params, ret_reply, &is_over, &err) != 0 ||
        sl_tx_commit(&tx, &err) != 0) {
        is_over = late;
        *ret_reply = (struct sl_reply){.failed = true};
    }
    if (ret_reply->failed) {
        (void)sl_fail(&ret_reply->error, SL_E_DEBUG_TIMEOUT);
    }
    return is_over;
}

int
debug_sweep(struct sl_db *db, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    SL_AUTO(sl_tx) tx = arena != NULL ? sl_tx_begin(db, err) : NULL;
    if (tx == NULL || sl_sql(tx, arena, sweep_sql, SL_NO_PARAMS, NULL, err) != 0) {
        return -1;
    }
    return sl_tx_commit(&tx, err);
}
