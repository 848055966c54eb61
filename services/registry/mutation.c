// mutation.c - see mutation.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/mutation.h"

#include "common/db/change.h"

#include <string.h>

#define WAKE_TOPIC "wake/publisher"

// What differs between commands that only read: their transaction, and how they ask for the
// gateway.
typedef struct sl_tx *begin_fn(struct sl_db *db, struct sl_error *err);
typedef int guard_fn(struct mutation *m, mutation_work_fn *work, struct sl_error *err);

static const char instance_sql[] = "SELECT 1 FROM instance WHERE id = $1 AND project_id = $2";

static const char instance_lock_sql[] =
    "SELECT 1 FROM instance WHERE id = $1 AND project_id = $2 FOR KEY SHARE";

static const char *
text_or_empty(const char *text)
{
    return text != NULL ? text : "";
}

const char *
command_project(const struct sl_command *command)
{
    const char *own = text_or_empty(command->actor.project_id);
    return own[0] != '\0' ? own : text_or_empty(command->project);
}

static int
queue_instance(struct mutation *m, const char *sql, struct sl_error *err)
{
    if (m->instance[0] == '\0') {
        return 0;
    }
    return sl_sql_later(m->tx, m->arena, sql,
                        SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(m->project)), &m->gateway, err);
}

static int
check_instance(struct mutation *m, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (m->gateway == NULL) {
        return 0;
    }
    if (sl_sql_rows(m->gateway, &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 1 ? 0 : sl_fail(err, SL_E_INSTANCE_NOT_FOUND, m->instance);
}

int
mutation_gateway(struct mutation *m, struct sl_error *err)
{
    return queue_instance(m, instance_sql, err) != 0 ? -1 : check_instance(m, err);
}

// Who did it: the user, or the peer when no user stands behind the command.
static const char *
actor_of(const struct sl_command *command)
{
    const char *user = text_or_empty(command->actor.user_id);
    return user[0] != '\0' ? user : text_or_empty(command->peer);
}

static struct mutation *
mutation_of(struct sl_call *call, struct sl_error *err)
{
    const struct sl_command *command = call->command;
    struct mutation *m = sl_arena_alloc(call->arena, sizeof(*m));
    if (m == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    m->command = command;
    m->registry = call->context;
    m->arena = call->arena;
    m->instance = text_or_empty(command->instance);
    m->project = command_project(command);
    m->who = (struct sl_audit_who){.command_id = command->id,
                                   .request_id = command->request_id,
                                   .command = command->name,
                                   .actor = actor_of(command),
                                   .project_id = m->project,
                                   .instance_id = m->instance};
    return m;
}

static struct sl_str
audit_context(const struct mutation *m)
{
    return sl_str(sl_arena_printf(m->arena, "audit:%s", m->who.command_id));
}

// The reply that the first run of this command gave. The transaction that found out may have been
// ended by a statement behind the claim.
static int
repeat_reply(struct mutation *m, struct sl_reply *reply, struct sl_error *err)
{
    struct sl_audit_outcome stored = {.status = 0};
    struct sl_str plain = {NULL, 0};
    sl_tx_free(&m->tx);
    SL_AUTO(sl_tx) tx = sl_tx_begin_read(m->registry->db, err);
    if (tx == NULL || sl_audit_stored(tx, m->arena, m->who.command_id, &stored, err) != 0 ||
        (stored.reply_text == NULL &&
         sl_unseal(m->arena, m->registry->key, audit_context(m), stored.reply, &plain, err) != 0)) {
        return -1;
    }
    if (stored.reply_text != NULL) {
        *reply = (struct sl_reply){.body = sl_str(stored.reply_text)};
        return 0;
    }
    return sl_reply_decode(m->arena, plain, reply, err);
}

static int
seal_reply(struct mutation *m, const struct sl_reply *reply, struct sl_error *err)
{
    struct sl_str plain = {NULL, 0};
    if (sl_reply_encode(m->arena, reply, &plain, err) != 0) {
        return -1;
    }
    m->outcome.status = sl_error_status(SL_E_OK);
    return sl_seal(m->arena, m->registry->key, audit_context(m), plain, &m->outcome.reply, err);
}

static int
settle_quotas(struct mutation *m, struct sl_error *err)
{
    for (size_t i = 0; i < m->quota_count; i++) {
        const struct mutation_quota *q = &m->quotas[i];
        int rc = q->units > 0 ? sl_quota_take(m->tx, m->arena, &q->quota, q->units, err)
                              : sl_quota_give(m->tx, m->arena, &q->quota, -q->units, err);
        if (rc != 0) {
            return -1;
        }
    }
    return 0;
}

static void
wake_publishers(struct sl_call *call, const struct mutation *m)
{
    struct sl_error ignored;
    struct sl_str packed = {NULL, 0};
    if (!m->touched || call->worker == NULL) {
        return;
    }
    json_t *body = json_pack("{s:s}", "gateway", m->instance);
    if (body != NULL && sl_json_pack(m->arena, body, &packed, &ignored) == 0) {
        sl_worker_publish(call->worker, WAKE_TOPIC, packed);
    }
    json_decref(body);
}

int
mutation_open(struct mutation *m, struct sl_error *err)
{
    if (m->open) {
        return 0;
    }
    if (sl_audit_claimed(m->claim, &m->repeat, err) != 0) {
        return -1;
    }
    if (m->repeat) {
        return sl_fail(err, SL_E_INTERNAL); // for nobody: the stored reply is the answer
    }
    m->open = true;
    return check_instance(m, err);
}

static int
end_audit(struct mutation *m, struct sl_error *err)
{
    return m->claim != NULL ? sl_audit_end(m->tx, m->arena, &m->who, &m->outcome, err)
                            : sl_audit_record(m->tx, m->arena, &m->who, &m->outcome, err);
}

static int
work_and_commit(struct mutation *m, struct sl_reply *reply, mutation_work_fn *work,
                struct sl_error *err)
{
    if (work(m, err) != 0) {
        return -1;
    }
    assert(m->open);
    *reply = (struct sl_reply){.body = m->body};
    if (seal_reply(m, reply, err) != 0 || end_audit(m, err) != 0 || settle_quotas(m, err) != 0 ||
        sl_arena_check(m->arena, err) != 0) {
        return -1;
    }
    return sl_tx_commit(&m->tx, err);
}

// What was refused may have been so because the gateway is not the caller's: that goes before it.
// In a transaction of its own, as the work's may be broken. A database that is away explains
// itself.
static void
explain_refusal(struct mutation *m, struct sl_error *err)
{
    struct sl_error other = {.code = SL_E_OK};
    sl_tx_free(&m->tx);
    if (err->code == SL_E_UNAVAILABLE) {
        return;
    }
    m->tx = sl_tx_begin_read(m->registry->db, &other);
    if (m->tx == NULL || mutation_gateway(m, &other) != 0) {
        *err = other;
    }
}

// Asks what an optimistic mutation took for granted. Its turn comes when the command's first run is
// over, where that is still at work: nobody is told of a refusal by a command that was done.
static int
ask_late(struct mutation *m, struct sl_error *err)
{
    m->open = false;
    m->tx = sl_tx_begin(m->registry->db, err);
    if (m->tx == NULL || sl_audit_turn(m->tx, m->arena, &m->who, err) != 0 ||
        sl_audit_claim(m->tx, m->arena, &m->who, &m->claim, err) != 0 ||
        queue_instance(m, instance_sql, err) != 0) {
        return -1;
    }
    // What it queues is heard before it says anything.
    struct sl_error other = {.code = SL_E_OK};
    int rc = m->explain != NULL ? m->explain(m, &other) : 0;
    if (mutation_open(m, err) != 0) {
        return -1;
    }
    if (rc != 0) {
        *err = other;
    }
    return rc;
}

static void
explain_late(struct mutation *m, struct sl_error *err)
{
    struct sl_error other = {.code = SL_E_OK};
    sl_tx_free(&m->tx);
    if (err->code != SL_E_UNAVAILABLE && ask_late(m, &other) != 0) {
        *err = other;
    }
}

// When a mutation claims its command id and asks for its gateway.
enum asks {
    ASKS_FIRST,      // both before the work
    ASKS_ON_REFUSAL, // for the gateway when the work refuses
    ASKS_LATE,       // both when the work refuses
};

static int
begin_mutation(struct mutation *m, enum asks asks, struct sl_error *err)
{
    m->tx = sl_tx_begin(m->registry->db, err);
    if (m->tx == NULL) {
        return -1;
    }
    if (asks == ASKS_LATE) {
        m->open = true;
        return sl_audit_turn(m->tx, m->arena, &m->who, err);
    }
    if (sl_audit_claim(m->tx, m->arena, &m->who, &m->claim, err) != 0 ||
        (asks == ASKS_FIRST && queue_instance(m, instance_lock_sql, err) != 0)) {
        return -1;
    }
    return asks == ASKS_FIRST ? mutation_open(m, err) : 0;
}

static int
run_mutation(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work, enum asks asks,
             struct sl_error *err)
{
    struct mutation *m = mutation_of(call, err);
    if (m == NULL) {
        return -1;
    }
    int rc = begin_mutation(m, asks, err) != 0 ? -1 : work_and_commit(m, reply, work, err);
    if (rc != 0 && asks == ASKS_LATE) {
        explain_late(m, err);
    }
    if (m->repeat) {
        rc = repeat_reply(m, reply, err);
    } else if (rc != 0 && asks == ASKS_ON_REFUSAL) {
        explain_refusal(m, err);
    }
    sl_tx_free(&m->tx);
    if (rc == 0 && !m->repeat) {
        wake_publishers(call, m);
    }
    return rc;
}

int
mutation_run(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
             struct sl_error *err)
{
    return run_mutation(call, reply, work, ASKS_FIRST, err);
}

int
mutation_run_optimistic(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
                        struct sl_error *err)
{
    return run_mutation(call, reply, work, ASKS_LATE, err);
}

int
mutation_run_whole(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
                   struct sl_error *err)
{
    struct mutation *m = mutation_of(call, err);
    if (m == NULL) {
        return -1;
    }
    m->tx = sl_tx_begin_alone(m->registry->db, err);
    if (m->tx == NULL) {
        return -1;
    }
    int rc = work(m, err);
    if (rc != 0) {
        explain_late(m, err);
    }
    sl_tx_free(&m->tx);
    if (m->repeat) {
        return repeat_reply(m, reply, err);
    }
    *reply = (struct sl_reply){.body = m->body};
    return rc != 0 ? rc : sl_arena_check(m->arena, err);
}

int
mutation_run_lookup(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
                    struct sl_error *err)
{
    return run_mutation(call, reply, work, ASKS_ON_REFUSAL, err);
}

// The gateway's check travels with the first statement of the work. Nothing is changed, so it may
// be looked at last, and goes before what the work refused.
static int
check_and_work(struct mutation *m, mutation_work_fn *work, struct sl_error *err)
{
    struct sl_error other = {.code = SL_E_OK};
    if (queue_instance(m, instance_sql, err) != 0) {
        return -1;
    }
    int rc = work(m, err);
    if (check_instance(m, &other) != 0 && (rc == 0 || other.code == SL_E_INSTANCE_NOT_FOUND)) {
        *err = other;
        rc = -1;
    }
    return rc;
}

// A row that is found belongs to the caller's gateway; only when none is, its gateway may be the
// reason.
static int
work_and_explain(struct mutation *m, mutation_work_fn *work, struct sl_error *err)
{
    struct sl_error other = {.code = SL_E_OK};
    int rc = work(m, err);
    bool ask = rc != 0 && err->code != SL_E_UNAVAILABLE && m->tx != NULL;
    // INTERNAL: the transaction is broken, which *err explains better.
    if (ask && mutation_gateway(m, &other) != 0 && other.code != SL_E_INTERNAL) {
        *err = other;
    }
    return rc;
}

static int
run_query(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work, begin_fn *begin,
          guard_fn *guard, struct sl_error *err)
{
    struct mutation *m = mutation_of(call, err);
    if (m == NULL) {
        return -1;
    }
    m->tx = begin(m->registry->db, err);
    if (m->tx == NULL) {
        return -1;
    }
    int rc = guard(m, work, err);
    sl_tx_free(&m->tx);
    if (rc == 0) {
        rc = sl_arena_check(m->arena, err);
    }
    *reply = (struct sl_reply){.body = m->body};
    return rc;
}

int
query_run(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
          struct sl_error *err)
{
    return run_query(call, reply, work, sl_tx_begin_read, check_and_work, err);
}

int
snapshot_run(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
             struct sl_error *err)
{
    return run_query(call, reply, work, sl_tx_begin_snapshot, work_and_explain, err);
}

int
lookup_run(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
           struct sl_error *err)
{
    return run_query(call, reply, work, sl_tx_begin_read, work_and_explain, err);
}

struct mutation *
lookup_ask(struct sl_call *call, mutation_work_fn *ask, struct sl_error *err)
{
    struct mutation *m = mutation_of(call, err);
    if (m == NULL) {
        return NULL;
    }
    if (m->registry->shared == NULL) {
        m->registry->shared = sl_tx_begin_read(m->registry->db, err);
    }
    m->tx = m->registry->shared;
    return m->tx != NULL && ask(m, err) == 0 ? m : NULL;
}

int
lookup_answer(struct mutation *m, struct sl_reply *reply, mutation_work_fn *answer,
              struct sl_error *err)
{
    int rc = work_and_explain(m, answer, err);
    if (rc != 0 && sl_tx_is_broken(m->tx)) {
        lookup_end(m->registry);
        return -1;
    }
    *reply = (struct sl_reply){.body = m->body};
    return rc != 0 ? rc : sl_arena_check(m->arena, err);
}

void
lookup_end(void *context)
{
    struct registry *registry = context;
    sl_tx_free(&registry->shared);
}

int
mutation_touch(struct mutation *m, const char *kind, const char *key, struct sl_error *err)
{
    m->touched = true;
    return sl_runtime_touch(m->tx, m->arena, m->instance, kind, key, err);
}

int
mutation_quota(struct mutation *m, const struct mutation_quota *quota, struct sl_error *err)
{
    if (m->quota_count == MUTATION_QUOTAS) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "more than %d quotas in one command", MUTATION_QUOTAS);
    }
    m->quotas[m->quota_count++] = *quota;
    return 0;
}
