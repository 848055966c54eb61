// action.c - see action.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/action.h"

#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "common/db/change.h"
#include "services/publisher/pass.h"
#include "services/publisher/revision.h"

#include <stdio.h>
#include <string.h>

// The API is locked, so that what is snapshotted is what the reply says, and against deletion.
static const char api_sql[] =
    "SELECT name, to_jsonb(a)::text FROM api a WHERE instance_id = $1 AND id = $2 FOR UPDATE";

static const char env_sql[] =
    "SELECT 1 FROM environment WHERE instance_id = $1 AND id = $2 FOR KEY SHARE";

// Publications of one group are ordered by its row, so that two that clash see each other.
static const char group_sql[] =
    "SELECT 1 FROM api_group g JOIN api a ON a.instance_id = g.instance_id AND a.group_id = g.id "
    "WHERE a.instance_id = $1 AND a.id = $2 FOR UPDATE OF g";

// What is published may differ from what its API says today: the unique key of `api` alone does not
// keep two published definitions of one method and path apart.
static const char clash_sql[] =
    "SELECT 1 FROM api a JOIN api_version v ON v.instance_id = a.instance_id AND v.env_id = $3 "
    "AND v.definition ->> 'group_id' = a.group_id "
    "AND v.definition ->> 'req_uri_shape' = a.req_uri_shape "
    "AND v.definition ->> 'req_method' = a.req_method "
    "JOIN publication p ON p.instance_id = v.instance_id AND p.api_id = v.api_id "
    "AND p.env_id = v.env_id AND p.version_id = v.version_id "
    "WHERE a.instance_id = $1 AND a.id = $2 AND v.api_id <> a.id "
    "AND v.definition ->> 'match_mode' = a.match_mode LIMIT 1";

static const char version_sql[] =
    "INSERT INTO api_version (instance_id, version_id, version_no, api_id, env_id, definition, "
    "remark) VALUES ($1, $2, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSMS'), "
    "$3, $4, $5::jsonb, $6)";

// xmax is 0 on a row that was inserted: the pair is published for the first time.
static const char online_sql[] =
    "INSERT INTO publication (instance_id, publish_id, api_id, env_id, version_id, remark) "
    "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (instance_id, api_id, env_id) DO UPDATE SET "
    "version_id = excluded.version_id, remark = excluded.remark, publish_time = now() "
    "RETURNING publish_id, api_time(publish_time), xmax = 0";

static const char offline_sql[] =
    "UPDATE publication p SET version_id = NULL FROM publication old "
    "WHERE p.instance_id = $1 AND p.api_id = $2 AND p.env_id = $3 AND p.version_id IS NOT NULL "
    "AND old.instance_id = p.instance_id AND old.publish_id = p.publish_id "
    "RETURNING p.publish_id, api_time(now()), old.version_id";

// The newest ten of the pair stay.
static const char prune_sql[] =
    "DELETE FROM api_version WHERE instance_id = $1 AND version_id IN (SELECT version_id FROM "
    "api_version WHERE instance_id = $1 AND api_id = $2 AND env_id = $3 "
    "ORDER BY publish_time DESC, version_no DESC OFFSET 10) AND version_id NOT IN (SELECT "
    "version_id FROM publication WHERE instance_id = $1 AND api_id = $2 AND env_id = $3 "
    "AND version_id IS NOT NULL)";

// Apps that were authorised before the pair had a publish_id.
static const char authorised_sql[] =
    "INSERT INTO runtime_change (gateway_id, kind, key) SELECT instance_id, 'app', app_id "
    "FROM app_auth WHERE instance_id = $1 AND api_id = $2 AND env_id = $3";

static int64_t
wait_of(const struct sl_command *command)
{
    const json_t *value = json_object_get(command->body, "wait_ms");
    if (value == NULL) {
        value = json_object_get(command->query, "wait_ms");
    }
    return json_integer_value(value);
}

// Finds and locks what the action is about.
static int
find_subject(struct sl_call *call, struct sl_tx *tx, struct sl_rows **ret_api, struct sl_error *err)
{
    const struct sl_command *command = call->command;
    const char *api_id = body_text(command, "api_id");
    const char *env_id = body_text(command, "env_id");
    struct sl_rows *env = NULL;
    if (caller_gateway(command, tx, call->arena, err) != 0 ||
        sl_sql(tx, call->arena, api_sql, SL_PARAMS(SL_P_TEXT(command->instance), SL_P_TEXT(api_id)),
               ret_api, err) != 0) {
        return -1;
    }
    if (sl_rows_count(*ret_api) == 0) {
        return sl_fail(err, SL_E_API_NOT_FOUND, api_id);
    }
    if (sl_sql(tx, call->arena, env_sql, SL_PARAMS(SL_P_TEXT(command->instance), SL_P_TEXT(env_id)),
               &env, err) != 0) {
        return -1;
    }
    return sl_rows_count(env) == 1 ? 0 : sl_fail(err, SL_E_ENV_NOT_FOUND, env_id);
}

static struct sl_param
remark_of(const struct sl_command *command)
{
    const json_t *remark = json_object_get(command->body, "remark");
    return json_is_string(remark) ? SL_P_TEXT(json_string_value(remark)) : SL_P_NULL;
}

// Refuses (API_EXISTS) a definition that would shadow another API's in the environment.
static int
check_clash(struct sl_call *call, struct sl_tx *tx, struct sl_error *err)
{
    const struct sl_command *command = call->command;
    struct sl_rows *rows = NULL;
    const struct sl_param list[] = {SL_P_TEXT(command->instance),
                                    SL_P_TEXT(body_text(command, "api_id")),
                                    SL_P_TEXT(body_text(command, "env_id"))};
    if (sl_sql(tx, call->arena, group_sql, (struct sl_params){list, 2}, NULL, err) != 0 ||
        sl_sql(tx, call->arena, clash_sql, (struct sl_params){list, 3}, &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 0 ? 0 : sl_fail(err, SL_E_API_EXISTS);
}

static int
go_online(struct sl_call *call, struct sl_tx *tx, const struct sl_rows *api,
          struct sl_rows **ret_publication, char ret_version_id[SL_ID_SIZE], struct sl_error *err)
{
    const struct sl_command *command = call->command;
    struct sl_param instance = SL_P_TEXT(command->instance);
    struct sl_param api_id = SL_P_TEXT(body_text(command, "api_id"));
    struct sl_param env_id = SL_P_TEXT(body_text(command, "env_id"));
    char publish_id[SL_ID_SIZE];
    sl_random_id(ret_version_id);
    sl_random_id(publish_id);
    struct sl_params version = SL_PARAMS(instance, SL_P_TEXT(ret_version_id), api_id, env_id,
                                         SL_P_TEXT(sl_rows_text(api, 0, 1)), remark_of(command));
    struct sl_params publication = SL_PARAMS(instance, SL_P_TEXT(publish_id), api_id, env_id,
                                             SL_P_TEXT(ret_version_id), remark_of(command));
    struct sl_params pair = SL_PARAMS(instance, api_id, env_id);
    if (check_clash(call, tx, err) != 0 ||
        sl_sql(tx, call->arena, version_sql, version, NULL, err) != 0 ||
        sl_sql(tx, call->arena, online_sql, publication, ret_publication, err) != 0 ||
        sl_sql(tx, call->arena, prune_sql, pair, NULL, err) != 0) {
        return -1;
    }
    bool is_first = sl_rows_bool(*ret_publication, 0, 2);
    return is_first ? sl_sql(tx, call->arena, authorised_sql, pair, NULL, err) : 0;
}

static int
go_offline(struct sl_call *call, struct sl_tx *tx, struct sl_rows **ret_publication,
           char ret_version_id[SL_ID_SIZE], struct sl_error *err)
{
    const struct sl_command *command = call->command;
    struct sl_params pair =
        SL_PARAMS(SL_P_TEXT(command->instance), SL_P_TEXT(body_text(command, "api_id")),
                  SL_P_TEXT(body_text(command, "env_id")));
    if (sl_sql(tx, call->arena, offline_sql, pair, ret_publication, err) != 0) {
        return -1;
    }
    if (sl_rows_count(*ret_publication) == 0) {
        return sl_fail(err, SL_E_PUBLICATION_NOT_FOUND);
    }
    snprintf(ret_version_id, SL_ID_SIZE, "%s", sl_rows_text(*ret_publication, 0, 2));
    return 0;
}

static int
write_reply(struct sl_call *call, const struct sl_rows *api, const struct sl_rows *publication,
            const char *version_id, struct sl_str *ret_body, struct sl_error *err)
{
    const struct sl_command *command = call->command;
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "publish_id", sl_rows_text(publication, 0, 0),
                  "api_id", body_text(command, "api_id"), "api_name", sl_rows_text(api, 0, 0),
                  "env_id", body_text(command, "env_id"), "publish_time",
                  sl_rows_text(publication, 0, 1), "version_id", version_id);
    json_t *remark = json_object_get(command->body, "remark");
    if (object != NULL && json_is_string(remark)) {
        json_object_set(object, "remark", remark);
    }
    char *text = object == NULL ? NULL : json_dumps(object, 0);
    json_decref(object);
    *ret_body = sl_str(sl_arena_dup(call->arena, text));
    free(text);
    return ret_body->ptr != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}

static int
act(struct sl_call *call, struct sl_tx *tx, struct sl_str *ret_body, struct sl_error *err)
{
    const struct sl_command *command = call->command;
    struct sl_rows *api = NULL;
    struct sl_rows *publication = NULL;
    char version_id[SL_ID_SIZE];
    if (find_subject(call, tx, &api, err) != 0) {
        return -1;
    }
    int rc = strcmp(body_text(command, "action"), "offline") == 0
                 ? go_offline(call, tx, &publication, version_id, err)
                 : go_online(call, tx, api, &publication, version_id, err);
    if (rc != 0 || sl_runtime_touch(tx, call->arena, command->instance, "api",
                                    sl_rows_text(publication, 0, 0), err) != 0) {
        return -1;
    }
    return write_reply(call, api, publication, version_id, ret_body, err);
}

// Makes the revision here and now, and defers the reply until it is served.
static int
wait_for_nodes(struct sl_call *call, int64_t wait_ms, struct sl_str body, struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    const struct publisher *publisher = thread->publisher;
    const char *gateway = call->command->instance;
    struct pass_waiter waiter = {.deadline_mono_ms = sl_mono_ms() + wait_ms};
    bool more = true;
    while (more) {
        more = false;
        if (revision_make(publisher, thread->db, gateway, &more, err) != 0) {
            return -1;
        }
    }
    SL_AUTO(sl_tx) tx = sl_tx_begin(thread->db, err);
    if (tx == NULL || head_read(tx, call->arena, gateway, &waiter.want, err) != 0) {
        return -1;
    }
    snprintf(waiter.gateway, sizeof(waiter.gateway), "%s", gateway);
    waiter.body = strndup(body.ptr, body.len);
    waiter.token = sl_call_defer(call);
    if (waiter.body == NULL || pass_wait(publisher->pass, &waiter, err) != 0) {
        free(waiter.body);
        // The change is made all the same; only nobody waits for the nodes.
        struct sl_reply reply = {.body = body};
        sl_worker_reply(call->worker, waiter.token, &reply);
    }
    return 0;
}

int
api_action(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    struct sl_error ignored;
    int64_t wait_ms = wait_of(call->command);
    if (mutation_run(call, act, &reply->body, NULL, err) != 0) {
        return -1;
    }
    if (wait_ms > 0 && wait_for_nodes(call, wait_ms, reply->body, &ignored) == 0) {
        return 0;
    }
    // Committed: the pass goes on with it, now or when the database is back.
    pass_wake(thread->publisher->pass);
    return 0;
}
