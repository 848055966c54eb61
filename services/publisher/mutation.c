// mutation.c - the frame of the publisher's few mutations, and who may ask.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/publisher.h"

#include "common/db/audit.h"

#include <string.h>

static const char gateway_sql[] =
    "SELECT 1 FROM instance WHERE id = $1 AND project_id = $2 FOR KEY SHARE";

const char *
body_text(const struct sl_command *command, const char *name)
{
    const char *text = json_string_value(json_object_get(command->body, name));
    return text == NULL ? "" : text;
}

int
caller_is_admin(const struct sl_command *command, struct sl_error *err)
{
    bool is_admin = command->peer_role != NULL && strcmp(command->peer_role, "admin") == 0;
    return is_admin ? 0 : sl_fail(err, SL_E_BUS_FORBIDDEN, command->name);
}

// The project whose gateways the caller may use: the credential's, else the path's.
static const char *
caller_project(const struct sl_command *command)
{
    const char *own = command->actor.project_id;
    return own != NULL && own[0] != '\0' ? own : command->project;
}

int
caller_gateway(const struct sl_command *command, struct sl_tx *tx, struct sl_arena *arena,
               struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(command->instance), SL_P_TEXT(caller_project(command)));
    if (sl_sql(tx, arena, gateway_sql, params, &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 1 ? 0 : sl_fail(err, SL_E_INSTANCE_NOT_FOUND, command->instance);
}

static struct sl_audit_who
who_asks(const struct sl_command *command)
{
    const char *user = command->actor.user_id;
    return (struct sl_audit_who){.command_id = command->id,
                                 .request_id = command->request_id,
                                 .command = command->name,
                                 .actor = user != NULL && user[0] != '\0' ? user : command->peer,
                                 .project_id = caller_project(command),
                                 .instance_id = command->instance};
}

static struct sl_str
audit_context(struct sl_call *call)
{
    return sl_str(sl_arena_printf(call->arena, "audit:%s", call->command->id));
}

static int
work_and_commit(struct sl_call *call, struct sl_tx **tx, mutation_fn *work, struct sl_str *ret_body,
                struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    struct sl_audit_who who = who_asks(call->command);
    struct sl_audit_outcome outcome = {.object_id = "", .status = sl_error_status(SL_E_OK)};
    if (work(call, *tx, ret_body, err) != 0 ||
        sl_seal(call->arena, &thread->publisher->key, audit_context(call), *ret_body,
                &outcome.reply, err) != 0) {
        return -1;
    }
    outcome.after =
        ret_body->len > 0 ? sl_arena_dupn(call->arena, ret_body->ptr, ret_body->len) : NULL;
    if (sl_audit_end(*tx, call->arena, &who, &outcome, err) != 0 ||
        sl_arena_check(call->arena, err) != 0) {
        return -1;
    }
    return sl_tx_commit(tx, err);
}

int
mutation_run(struct sl_call *call, mutation_fn *work, struct sl_str *ret_body, bool *ret_repeat,
             struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    struct sl_audit_who who = who_asks(call->command);
    struct sl_audit_outcome before = {.object_id = ""};
    bool repeat = false;
    SL_AUTO(sl_tx) tx = sl_tx_begin(thread->db, err);
    if (tx == NULL || sl_audit_begin(tx, call->arena, &who, &repeat, &before, err) != 0) {
        return -1;
    }
    if (ret_repeat != NULL) {
        *ret_repeat = repeat;
    }
    if (repeat) {
        return sl_unseal(call->arena, &thread->publisher->key, audit_context(call), before.reply,
                         ret_body, err);
    }
    return work_and_commit(call, &tx, work, ret_body, err);
}
