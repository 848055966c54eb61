// nodes.c - see nodes.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/nodes.h"

#include "common/base/clock.h"
#include "common/db/change.h"
#include "common/wire/pack.h"
#include "services/publisher/debug.h"
#include "services/publisher/pass.h"

#include <string.h>

// $2, $3: epoch and revision wanted; $4: how old a report may be, in ms.
static const char serve_sql[] =
    "SELECT coalesce(bool_and(epoch = $2 AND revision >= $3), true), "
    "coalesce(jsonb_agg(jsonb_build_object('id', id, 'revision', revision, 'served', "
    "epoch = $2 AND revision >= $3) ORDER BY id), '[]') FROM node "
    "WHERE instance_id = $1 AND seen_at > now() - $4 * interval '1 millisecond'";

// $2, $3: offset and limit; $4, $5: from when a node is stale, gone, in ms. Behind: a report says
// why, or the node is told by its age.
static const char list_sql[] =
    "WITH page AS (SELECT *, floor(extract(epoch FROM now() - seen_at) * 1000)::bigint AS age_ms "
    "FROM node WHERE instance_id = $1 ORDER BY id OFFSET $2 LIMIT $3) "
    "SELECT jsonb_build_object('total', (SELECT count(*) FROM node WHERE instance_id = $1), "
    "'size', (SELECT count(*) FROM page), 'nodes', (SELECT coalesce(jsonb_agg("
    "jsonb_build_object('id', id, 'addresses', addresses, 'version', version, "
    "'revision', revision, 'age_ms', age_ms, 'health', CASE WHEN age_ms IS NULL OR age_ms >= $5 "
    "THEN 'gone' WHEN age_ms >= $4 OR reason <> '' THEN 'stale' ELSE 'ready' END, "
    "'reason', CASE WHEN age_ms IS NULL THEN 'it never reported' WHEN reason = '' AND "
    "age_ms >= $4 THEN 'no report' ELSE reason END) ORDER BY id), '[]') FROM page))";

static const char add_sql[] =
    "INSERT INTO node (instance_id, id, public_key) VALUES ($1, $2, $3) "
    "ON CONFLICT (instance_id, id) DO UPDATE SET public_key = excluded.public_key";

static const char remove_sql[] = "DELETE FROM node WHERE id = $1 RETURNING instance_id";

static const char membership_sql[] =
    "UPDATE gateway_revision SET membership = membership + 1 WHERE gateway_id = $1";

static const char exists_sql[] = "SELECT 1 FROM instance WHERE id = $1 FOR KEY SHARE";

static const char find_sql[] = "SELECT instance_id FROM node WHERE id = $1 AND public_key = $2";

static const char report_sql[] =
    "UPDATE node SET seen_at = now(), epoch = $2, revision = $3, version = $4, addresses = $5, "
    "reason = $6 WHERE id = $1";

int
nodes_serve(struct sl_db *db, struct sl_arena *arena, const char *gateway, const struct head *want,
            struct nodes_served *ret_served, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    struct sl_params params = SL_PARAMS(SL_P_TEXT(gateway), SL_P_TEXT(want->epoch),
                                        SL_P_INT(want->revision), SL_P_INT(NODE_STALE_MS));
    if (tx == NULL || sl_sql(tx, arena, serve_sql, params, &rows, err) != 0) {
        return -1;
    }
    *ret_served = (struct nodes_served){.all = sl_rows_bool(rows, 0, 0),
                                        .nodes = sl_arena_dup(arena, sl_rows_text(rows, 0, 1))};
    return sl_arena_check(arena, err);
}

static int64_t
query_number(const struct sl_command *command, const char *name, int64_t fallback)
{
    const json_t *value = json_object_get(command->query, name);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

int
node_list(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    const struct sl_command *command = call->command;
    struct sl_rows *rows = NULL;
    SL_AUTO(sl_tx) tx = sl_tx_begin(thread->db, err);
    if (tx == NULL) {
        return -1;
    }
    bool is_admin = caller_is_admin(command, NULL) == 0;
    if (!is_admin && caller_gateway(command, tx, call->arena, err) != 0) {
        return -1;
    }
    const char *gateway = is_admin ? body_text(command, "gateway") : command->instance;
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(gateway), SL_P_INT(query_number(command, "offset", 0)),
                  SL_P_INT(query_number(command, "limit", is_admin ? 500 : 20)),
                  SL_P_INT(NODE_STALE_MS), SL_P_INT(NODE_GONE_MS));
    if (sl_sql(tx, call->arena, list_sql, params, &rows, err) != 0) {
        return -1;
    }
    reply->body = sl_str(sl_arena_dup(call->arena, sl_rows_text(rows, 0, 0)));
    return sl_arena_check(call->arena, err);
}

// The set of nodes changed: N of the shares with it.
static int
change_membership(struct sl_call *call, struct sl_tx *tx, const char *gateway, struct sl_error *err)
{
    if (sl_sql(tx, call->arena, membership_sql, SL_PARAMS(SL_P_TEXT(gateway)), NULL, err) != 0) {
        return -1;
    }
    return sl_runtime_touch(tx, call->arena, gateway, "gateway", gateway, err);
}

static int
add_work(struct sl_call *call, struct sl_tx *tx, struct sl_str *ret_body, struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    const char *gateway = body_text(call->command, "gateway");
    const char *id = body_text(call->command, "id");
    const char *key = body_text(call->command, "public_key");
    struct sl_rows *rows = NULL;
    if (id[0] == '\0') {
        return sl_fail(err, SL_E_PARAM_MISSING, "id");
    }
    if (strlen(key) != SL_Z85_SIZE - 1) {
        return sl_fail(err, SL_E_PARAM_INVALID, "public_key");
    }
    if (sl_sql(tx, call->arena, exists_sql, SL_PARAMS(SL_P_TEXT(gateway)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_INSTANCE_NOT_FOUND, gateway);
    }
    struct sl_params params = SL_PARAMS(SL_P_TEXT(gateway), SL_P_TEXT(id), SL_P_TEXT(key));
    if (gateway_ensure(tx, call->arena, thread->publisher, gateway, err) != 0 ||
        sl_sql(tx, call->arena, add_sql, params, NULL, err) != 0 ||
        change_membership(call, tx, gateway, err) != 0) {
        return -1;
    }
    *ret_body =
        sl_str(sl_arena_printf(call->arena, "{\"id\": \"%s\", \"gateway\": \"%s\"}", id, gateway));
    return 0;
}

static int
remove_work(struct sl_call *call, struct sl_tx *tx, struct sl_str *ret_body, struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    const char *id = body_text(call->command, "id");
    struct sl_rows *rows = NULL;
    if (sl_sql(tx, call->arena, remove_sql, SL_PARAMS(SL_P_TEXT(id)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_NODE_NOT_FOUND, id);
    }
    const char *gateway = sl_rows_text(rows, 0, 0);
    *ret_body = sl_str("{}");
    if (gateway_rotate(tx, call->arena, thread->publisher, gateway, err) != 0) {
        return -1;
    }
    return change_membership(call, tx, gateway, err);
}

static int
change_nodes(struct sl_call *call, mutation_fn *work, struct sl_reply *reply, struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    if (caller_is_admin(call->command, err) != 0 ||
        mutation_run(call, work, &reply->body, NULL, err) != 0) {
        return -1;
    }
    pass_wake(thread->publisher->pass);
    return 0;
}

int
node_add(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return change_nodes(call, add_work, reply, err);
}

int
node_remove(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return change_nodes(call, remove_work, reply, err);
}

int
node_gateway(const struct sl_command *command, struct sl_tx *tx, struct sl_arena *arena,
             const char **ret_gateway, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_params params = SL_PARAMS(SL_P_TEXT(command->peer), SL_P_TEXT(command->peer_key));
    if (sl_sql(tx, arena, find_sql, params, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_BUS_FORBIDDEN, command->name);
    }
    *ret_gateway = sl_rows_text(rows, 0, 0);
    return 0;
}

static int
store_report(struct sl_call *call, struct sl_tx *tx, struct sl_error *err)
{
    const json_t *body = call->command->body;
    json_t *list = json_object_get(body, "addresses");
    char *addresses = json_is_array(list) ? json_dumps(list, JSON_COMPACT) : NULL;
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(call->command->peer), SL_P_TEXT(body_text(call->command, "epoch")),
                  SL_P_INT(json_integer_value(json_object_get(body, "revision"))),
                  SL_P_TEXT(body_text(call->command, "version")),
                  SL_P_TEXT(addresses == NULL ? "[]" : addresses),
                  SL_P_TEXT(body_text(call->command, "reason")));
    int rc = sl_sql(tx, call->arena, report_sql, params, NULL, err);
    free(addresses);
    return rc;
}

int
node_report(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    const char *gateway = NULL;
    struct head head;
    SL_AUTO(sl_tx) tx = sl_tx_begin(thread->db, err);
    if (tx == NULL || node_gateway(call->command, tx, call->arena, &gateway, err) != 0 ||
        store_report(call, tx, err) != 0 || head_read(tx, call->arena, gateway, &head, err) != 0) {
        return -1;
    }
    SL_AUTO_BUF packed;
    sl_buf_init(&packed, SL_MESSAGE_MAX);
    sl_pack_map(&packed, 4);
    sl_pack_text(&packed, "debug");
    if (debug_give(call, tx, gateway, &packed, err) != 0 || sl_tx_commit(&tx, err) != 0) {
        return -1;
    }
    pass_reported(thread->publisher->pass);
    sl_pack_text(&packed, "epoch");
    sl_pack_text(&packed, head.epoch);
    sl_pack_text(&packed, "revision");
    sl_pack_int(&packed, (int64_t)head.revision);
    sl_pack_text(&packed, "now_ms");
    sl_pack_int(&packed, sl_wall_ms());
    reply->body = (struct sl_str){sl_arena_dupn(call->arena, packed.ptr, packed.len), packed.len};
    return sl_arena_check(call->arena, err);
}
