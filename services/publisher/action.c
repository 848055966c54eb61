// action.c - see action.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/action.h"

#include "common/base/clock.h"
#include "services/publisher/pass.h"
#include "services/publisher/publication.h"
#include "services/publisher/revision.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char group_apis_sql[] =
    "SELECT id FROM api WHERE instance_id = $1 AND group_id = $2 ORDER BY id COLLATE \"C\"";

// A parameter of ours that may stand in the body or the query.
static const json_t *
body_or_query(const struct sl_command *command, const char *name)
{
    const json_t *value = json_object_get(command->body, name);
    return value != NULL ? value : json_object_get(command->query, name);
}

static struct publication
publication_of(struct sl_call *call, struct sl_tx *tx)
{
    const struct sl_command *command = call->command;
    const char *action = json_string_value(body_or_query(command, "action"));
    return (struct publication){
        .tx = tx,
        .arena = call->arena,
        .instance = command->instance,
        .api_id = body_text(command, "api_id"),
        .env_id = body_text(command, "env_id"),
        .remark = json_string_value(json_object_get(command->body, "remark")),
        .online = action == NULL || strcmp(action, "offline") != 0,
    };
}

// The object as the reply; takes the reference.
static int
write_reply(struct sl_call *call, json_t *object, struct sl_str *ret_body, struct sl_error *err)
{
    char *text = json_dumps(object, 0);
    json_decref(object);
    *ret_body = sl_str(sl_arena_dup(call->arena, text));
    free(text);
    return ret_body->ptr != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}

static int
act(struct sl_call *call, struct sl_tx *tx, struct sl_str *ret_body, struct sl_error *err)
{
    struct publication publication = publication_of(call, tx);
    json_t *object = NULL;
    if (caller_gateway(call->command, tx, call->arena, err) != 0 ||
        publication_check_env(&publication, err) != 0 ||
        publication_change(&publication, &object, err) != 0) {
        return -1;
    }
    return write_reply(call, object, ret_body, err);
}

static int
compare_ids(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    return strcmp(*left, *right);
}

// Which APIs a batch is about: those listed, else all of the group; in the order of their ids, so
// that batches side by side lock them in the same order.
static int
batch_apis(struct sl_call *call, struct sl_tx *tx, const char *const **ret_ids, size_t *ret_count,
           struct sl_error *err)
{
    const struct sl_command *command = call->command;
    const json_t *listed = json_object_get(command->body, "apis");
    const char *group = body_text(command, "group_id");
    struct sl_rows *rows = NULL;
    if (json_array_size(listed) == 0 && group[0] == '\0') {
        return sl_fail(err, SL_E_PARAM_MISSING, "apis");
    }
    if (json_array_size(listed) == 0) {
        struct sl_params params = SL_PARAMS(SL_P_TEXT(command->instance), SL_P_TEXT(group));
        if (sl_sql(tx, call->arena, group_apis_sql, params, &rows, err) != 0) {
            return -1;
        }
    }
    *ret_count = rows != NULL ? sl_rows_count(rows) : json_array_size(listed);
    const char **ids = sl_arena_array(call->arena, *ret_count + 1, sizeof(*ids));
    for (size_t i = 0; ids != NULL && i < *ret_count; i++) {
        ids[i] =
            rows != NULL ? sl_rows_text(rows, i, 0) : json_string_value(json_array_get(listed, i));
    }
    if (sl_arena_check(call->arena, err) != 0 || ids == NULL) {
        return -1;
    }
    qsort(ids, *ret_count, sizeof(*ids), compare_ids);
    *ret_ids = ids;
    return 0;
}

// What of a refusal belongs to one API; anything else ends the whole command.
static bool
is_of_one_api(const struct sl_error *err)
{
    return err->code == SL_E_API_NOT_FOUND || err->code == SL_E_API_EXISTS ||
           err->code == SL_E_PUBLICATION_NOT_FOUND || err->code == SL_E_VARIABLE_UNDEFINED ||
           err->code == SL_E_PARAM_INVALID;
}

static json_t *
failure_of(const char *api_id, const struct sl_error *err)
{
    char text[512];
    sl_error_message(err, text, sizeof(text));
    return json_pack("{s:s, s:s, s:s}", "api_id", api_id, "error_code", sl_error_wire(err->code),
                     "error_msg", text);
}

static int
act_on_each(const struct publication *first, const char *const *ids, size_t count, json_t *reply,
            struct sl_error *err)
{
    struct publication publication = *first;
    for (size_t i = 0; i < count; i++) {
        json_t *object = NULL;
        publication.api_id = ids[i];
        if (publication_change(&publication, &object, err) == 0) {
            json_array_append_new(json_object_get(reply, "success"), object);
        } else if (is_of_one_api(err)) {
            json_array_append_new(json_object_get(reply, "failure"), failure_of(ids[i], err));
        } else {
            return -1;
        }
    }
    return 0;
}

static int
act_on_batch(struct sl_call *call, struct sl_tx *tx, struct sl_str *ret_body, struct sl_error *err)
{
    struct publication publication = publication_of(call, tx);
    const char *const *ids = NULL;
    size_t count = 0;
    if (caller_gateway(call->command, tx, call->arena, err) != 0 ||
        publication_check_env(&publication, err) != 0 ||
        batch_apis(call, tx, &ids, &count, err) != 0) {
        return -1;
    }
    json_t *reply = json_pack("{s:[], s:[]}", "success", "failure");
    if (reply == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    if (act_on_each(&publication, ids, count, reply, err) != 0) {
        json_decref(reply);
        return -1;
    }
    return write_reply(call, reply, ret_body, err);
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

static int
change_and_wait(struct sl_call *call, mutation_fn *work, struct sl_reply *reply,
                struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    struct sl_error ignored;
    int64_t wait_ms = json_integer_value(body_or_query(call->command, "wait_ms"));
    if (mutation_run(call, work, &reply->body, NULL, err) != 0) {
        return -1;
    }
    if (wait_ms > 0 && wait_for_nodes(call, wait_ms, reply->body, &ignored) == 0) {
        return 0;
    }
    // Committed: the pass goes on with it, now or when the database is back.
    pass_wake(thread->publisher->pass);
    return 0;
}

// A path parameter; "" when absent.
static const char *
path_text(const struct sl_command *command, const char *name)
{
    const char *text = json_string_value(json_object_get(command->path, name));
    return text != NULL ? text : "";
}

static int
serve(struct sl_call *call, struct sl_tx *tx, struct sl_str *ret_body, struct sl_error *err)
{
    struct publication publication = publication_of(call, tx);
    json_t *object = NULL;
    publication.api_id = path_text(call->command, "api_id");
    if (caller_gateway(call->command, tx, call->arena, err) != 0 ||
        publication_serve(&publication, body_text(call->command, "version_id"), &object, err) !=
            0) {
        return -1;
    }
    return write_reply(call, object, ret_body, err);
}

static int
end_version(struct sl_call *call, struct sl_tx *tx, struct sl_str *ret_body, struct sl_error *err)
{
    struct publication publication = publication_of(call, tx);
    *ret_body = SL_STR("");
    if (caller_gateway(call->command, tx, call->arena, err) != 0) {
        return -1;
    }
    return publication_end_version(&publication, path_text(call->command, "version_id"), err);
}

int
api_action(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return change_and_wait(call, act, reply, err);
}

int
api_batch(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return change_and_wait(call, act_on_batch, reply, err);
}

int
version_serve(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return change_and_wait(call, serve, reply, err);
}

int
version_offline(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return change_and_wait(call, end_version, reply, err);
}
