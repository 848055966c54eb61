// task.c - one command from envelope to reply: role, transaction, audit, commit, wake.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/crypto/crypto.h"
#include "common/db/audit.h"
#include "common/db/change.h"
#include "services/identity/identity.h"
#include "services/identity/pool.h"
#include "services/identity/token_key.h"

#define ID_MAX 64 // characters of an id that the caller chose

// Constraint → row.
static const struct sl_fault faults[] = {
    {"domain_name_key", SL_E_DOMAIN_EXISTS},
    {"domain_pkey", SL_E_DOMAIN_EXISTS},
    {"project_name_key", SL_E_PROJECT_EXISTS},
    {"project_pkey", SL_E_PROJECT_EXISTS},
    {"iam_user_name_key", SL_E_USER_EXISTS},
    {"iam_access_key_pkey", SL_E_ACCESS_KEY_EXISTS},
    {"iam_user_policy_policy_fkey", SL_E_POLICY_NOT_FOUND},
    {NULL, SL_E_INTERNAL},
};

int
thread_open(void *arg, void **ret_context, struct sl_error *err)
{
    struct identity *identity = arg;
    struct sl_db_options options = {
        .conninfo = identity->database, .faults = faults, .application = "sluice-identity"};
    struct thread *thread = calloc(1, sizeof(*thread));
    if (thread == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    thread->magic = THREAD_MAGIC;
    thread->identity = identity;
    thread->db = sl_db_open(&options, err);
    if (thread->db == NULL || token_key_ensure(identity, thread->db, err) != 0) {
        thread_close(identity, thread);
        return -1;
    }
    *ret_context = thread;
    return 0;
}

void
thread_close(void *arg, void *context)
{
    (void)arg;
    struct thread *thread = SL_CAST(thread, THREAD_MAGIC, context);
    sl_db_free(&thread->db);
    free(thread);
}

static void
release_json(void *value)
{
    json_decref(value);
}

json_t *
task_keep(struct task *task, json_t *value)
{
    if (value != NULL && sl_arena_defer(task->arena, release_json, value) != 0) {
        return NULL;
    }
    return value;
}

json_t *
task_value(const struct task *task, const char *name)
{
    return json_object_get(task->command->body, name);
}

const char *
task_text(const struct task *task, const char *name)
{
    const char *text = json_string_value(task_value(task, name));
    return text != NULL ? text : "";
}

int
task_need(const struct task *task, const char *name, size_t max, const char **ret_text,
          struct sl_error *err)
{
    const char *text = task_text(task, name);
    if (text[0] == '\0') {
        return sl_fail(err, SL_E_PARAM_MISSING, name);
    }
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 127) {
            return sl_fail(err, SL_E_PARAM_INVALID, name);
        }
    }
    if (strlen(text) > max) {
        return sl_fail(err, SL_E_PARAM_INVALID, name);
    }
    *ret_text = text;
    return 0;
}

int
task_id(struct task *task, const char **ret_id, struct sl_error *err)
{
    const char *id = task_text(task, "id");
    if (id[0] == '\0') {
        char *fresh = sl_arena_alloc(task->arena, 33);
        if (fresh == NULL) {
            return sl_fail(err, SL_E_INTERNAL);
        }
        sl_random_id(fresh);
        *ret_id = fresh;
        return 0;
    }
    size_t len = strlen(id);
    if (len > ID_MAX || strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789_-") != len) {
        return sl_fail(err, SL_E_PARAM_INVALID, "id");
    }
    *ret_id = id;
    return 0;
}

int
task_touch(struct task *task, const char *kind, const char *key, struct sl_error *err)
{
    return sl_runtime_touch(task->tx, task->arena, CONTROL, kind, key, err);
}

int
task_before(struct task *task, const char *sql, const char *key, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(task->tx, task->arena, sql, SL_PARAMS(SL_P_TEXT(key)), &rows, err) != 0) {
        return -1;
    }
    task->before = sl_rows_count(rows) > 0 ? sl_rows_text(rows, 0, 0) : NULL;
    return 0;
}

// The reply's parts as one JSON text, as the audit keeps them.
static int
dump(struct task *task, json_t *value, const char **ret_text, struct sl_error *err)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;
    if (value != NULL && text == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    *ret_text = sl_arena_dup(task->arena, text);
    free(text);
    return sl_arena_check(task->arena, err);
}

static const char *
audit_context(struct task *task)
{
    return sl_arena_printf(task->arena, "audit:%s", task->command->id);
}

// What a repeat gets: the sealed answer of the first time.
static int
answer_again(struct task *task, const struct sl_audit_outcome *outcome, struct sl_error *err)
{
    struct sl_str plain;
    task->status = outcome->status;
    if (outcome->reply.len == 0) {
        return 0;
    }
    if (sl_unseal(task->arena, &task->identity->seal_key, sl_str(audit_context(task)),
                  outcome->reply, &plain, err) != 0) {
        return -1;
    }
    task->answer = task_keep(task, json_loadb(plain.ptr, plain.len, 0, NULL));
    return task->answer != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}

static int
finish_audit(struct task *task, const struct sl_audit_who *who, struct sl_error *err)
{
    const char *reply = NULL;
    struct sl_audit_outcome outcome = {
        .object_id = task->object_id, .before = task->before, .status = task->status};
    if (dump(task, task->answer, &reply, err) != 0 ||
        dump(task, task->audit_after, &outcome.after, err) != 0) {
        return -1;
    }
    if (reply != NULL &&
        sl_seal(task->arena, &task->identity->seal_key, sl_str(audit_context(task)), sl_str(reply),
                &outcome.reply, err) != 0) {
        return -1;
    }
    return sl_audit_end(task->tx, task->arena, who, &outcome, err);
}

static int
write_in_tx(const struct command_row *row, struct task *task, struct sl_error *err)
{
    const struct sl_command *command = task->command;
    bool has_user = command->actor.user_id != NULL && command->actor.user_id[0] != '\0';
    struct sl_audit_who who = {
        .command_id = command->id,
        .request_id = command->request_id,
        .command = command->name,
        .actor = has_user ? command->actor.user_id : command->peer,
    };
    bool repeat = false;
    struct sl_audit_outcome outcome;
    if (sl_audit_begin(task->tx, task->arena, &who, &repeat, &outcome, err) != 0) {
        return -1;
    }
    if (repeat) {
        return answer_again(task, &outcome, err);
    }
    if (row->run(task, err) != 0 || finish_audit(task, &who, err) != 0) {
        return -1;
    }
    return sl_tx_commit(&task->tx, err);
}

static int
run_in_tx(const struct command_row *row, struct task *task, struct sl_error *err)
{
    task->tx = sl_tx_begin(task->db, err);
    if (task->tx == NULL) {
        return -1;
    }
    int rc = row->kind == COMMAND_WRITE ? write_in_tx(row, task, err) : row->run(task, err);
    sl_tx_free(&task->tx);
    return rc;
}

// Tells the publishers that `control` has work. Lost events do not matter: they also look.
static void
wake(struct task *task, struct sl_worker *worker)
{
    struct sl_str body;
    json_t *event = task_keep(task, json_pack("{s:s}", "gateway", CONTROL));
    if (event != NULL && sl_json_pack(task->arena, event, &body, NULL) == 0) {
        sl_worker_publish(worker, "wake/publisher", body);
    }
}

int
task_run(const struct command_row *row, struct thread *thread, struct sl_call *call,
         struct sl_reply *reply, struct sl_error *err)
{
    struct task task = {
        .identity = thread->identity,
        .arena = call->arena,
        .command = call->command,
        .db = thread->db,
        .object_id = "",
    };
    int rc = row->kind == COMMAND_OWN ? row->run(&task, err) : run_in_tx(row, &task, err);
    if (rc != 0) {
        return -1;
    }
    if (row->kind == COMMAND_WRITE) {
        wake(&task, call->worker);
    }
    const char *text = NULL;
    if (dump(&task, task.answer, &text, err) != 0) {
        return -1;
    }
    *reply =
        (struct sl_reply){.status = task.status, .body = sl_str(text), .headers = task.headers};
    return 0;
}

static int
compare_names(const void *key, const void *row)
{
    return strcmp(key, ((const struct command_row *)row)->name);
}

int
task_handle(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    struct thread *thread = SL_CAST(thread, THREAD_MAGIC, call->context);
    const struct sl_command *command = call->command;
    const struct command_row *row = bsearch(command->name, command_rows, command_row_count,
                                            sizeof(command_rows[0]), compare_names);
    if (row == NULL) {
        return sl_fail(err, SL_E_COMMAND_UNKNOWN, command->name);
    }
    if (row->admin && (command->peer_role == NULL || strcmp(command->peer_role, "admin") != 0)) {
        return sl_fail(err, SL_E_ADMIN_ONLY);
    }
    if (row->slow) {
        return pool_take(thread->identity->pool, row, call, err);
    }
    return task_run(row, thread, call, reply, err);
}
