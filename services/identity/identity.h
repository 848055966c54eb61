// identity.h - what the files of this service share: the process, a task, the helpers of commands.
//
// A task is one command on one thread with one transaction. Commands are rows of commands.c; they
// see the open transaction, set the answer and return; begin, audit, commit and waking the
// publishers are task.c's.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_IDENTITY_IDENTITY_H
#define SL_IDENTITY_IDENTITY_H

#include "common/crypto/seal.h"
#include "common/db/db.h"
#include "common/wire/worker.h"

#define CONTROL "control" // the pseudo-gateway that fronts follow

struct pool;

// The process; made in main.c, constant after start.
struct identity {
    const char *database;        // libpq conninfo
    const char *endpoint;        // public URL of the management API, for the catalog
    const char *region;          // region of the catalog
    struct sl_seal_key seal_key; // the deployment's
    struct pool *pool;           // where passwords are hashed
};

// What a thread owns; a worker's context.
struct thread {
    SL_MAGIC;
    struct identity *identity;
    struct sl_db *db;
};
#define THREAD_MAGIC 0x1de27170

// One command being answered.
struct task {
    struct identity *identity;
    struct sl_arena *arena;
    const struct sl_command *command;
    struct sl_db *db;
    struct sl_tx *tx;      // open, but for commands that manage their own
    json_t *answer;        // body of the reply; the arena releases it
    json_t *headers;       // response headers; the arena releases it; NULL: none
    int status;            // HTTP status; 0: the documented one
    const char *object_id; // for the audit: what was made, changed or deleted
    const char *before;    // for the audit, JSON without secrets; NULL: it was not there
    json_t *audit_after;   // for the audit, without secrets; the arena releases it
};

// Runs a command; -1 with *err filled.
typedef int command_fn(struct task *task, struct sl_error *err);

enum command_kind {
    COMMAND_READ,  // in a transaction that is rolled back
    COMMAND_WRITE, // audited, committed; wakes the publishers
    COMMAND_OWN,   // manages its own transactions
};

struct command_row {
    const char *name;       // "user.create"
    command_fn *run;        //
    enum command_kind kind; //
    bool admin;             // only for peers of role admin
    bool slow;              // hashes passwords: runs on the pool
};

// Sorted by name.
extern const struct command_row command_rows[];
extern const size_t command_row_count;

// Opens and closes a thread's database connection; as worker.h wants them, arg is struct identity.
// The first also makes sure that a token key exists.
int thread_open(void *arg, void **ret_context, struct sl_error *err);
void thread_close(void *arg, void *context);

// The handler of every command: finds the row, checks the role, runs it here or on the pool.
int task_handle(struct sl_call *call, struct sl_reply *reply, struct sl_error *err);

// Runs a row for a command on this thread.
int task_run(const struct command_row *row, struct thread *thread, struct sl_call *call,
             struct sl_reply *reply, struct sl_error *err);

// Lets the arena release a new reference; NULL stays NULL.
json_t *task_keep(struct task *task, json_t *value);

// A member of the body: text ("" when absent or of another type), or any value (NULL when absent).
const char *task_text(const struct task *task, const char *name);
json_t *task_value(const struct task *task, const char *name);

// Like task_text, but refuses (PARAM_MISSING, PARAM_INVALID) an absent or empty text and one that
// is longer than `max` bytes or has control characters.
int task_need(const struct task *task, const char *name, size_t max, const char **ret_text,
              struct sl_error *err) SL_MUST_CHECK;

// The `id` of the body when it is given (1 to 64 of [A-Za-z0-9_-]), else a fresh one.
int task_id(struct task *task, const char **ret_id, struct sl_error *err) SL_MUST_CHECK;

// Marks an entry of `control` dirty.
int task_touch(struct task *task, const char *kind, const char *key,
               struct sl_error *err) SL_MUST_CHECK;

// Keeps for the audit what a row was before it changes: `sql` answers it as one JSON text for the
// key $1. No row is no refusal.
int task_before(struct task *task, const char *sql, const char *key,
                struct sl_error *err) SL_MUST_CHECK;

// Finds an account, a project or a user by the body's `domain`, `project`, `user` (name or id).
// Refuses DOMAIN_NOT_FOUND, PROJECT_NOT_FOUND, USER_NOT_FOUND.
int find_domain(struct task *task, const char **ret_id, struct sl_error *err) SL_MUST_CHECK;
int find_project(struct task *task, const char *domain_id, const char **ret_id,
                 struct sl_error *err) SL_MUST_CHECK;
int find_user(struct task *task, const char **ret_id, struct sl_error *err) SL_MUST_CHECK;

// The commands.
command_fn domain_create, domain_list, project_create, project_all;
command_fn project_list, auth_project_list, auth_domain_list;
command_fn user_create, user_update, user_delete, user_list;
command_fn access_key_create, access_key_delete, access_key_list;
command_fn policy_create, policy_delete, policy_list, policy_attach, policy_detach;
command_fn token_create, token_show;

#endif
