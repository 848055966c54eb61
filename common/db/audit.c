// audit.c - see audit.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/audit.h"

// DO NOTHING still waits for a transaction that holds the key, which is what a repeat must do.
static const char claim_sql[] =
    "INSERT INTO audit (command_id, request_id, command, actor, project_id, instance_id, status)"
    " VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (command_id) DO NOTHING";

static const char turn_sql[] = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";

static const char record_sql[] =
    "INSERT INTO audit (command_id, request_id, command, actor, project_id, instance_id, object_id,"
    " before, after, status, reply) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

static const char outcome_sql[] =
    "SELECT status, reply, object_id, reply_text FROM audit WHERE command_id = $1";

static const char end_sql[] =
    "UPDATE audit SET object_id = $2, before = $3, after = $4, status = $5, reply = $6"
    " WHERE command_id = $1";

static struct sl_param
text_or_null(const char *text)
{
    return text != NULL ? SL_P_TEXT(text) : SL_P_NULL;
}

static const char *
text_or_empty(const char *text)
{
    return text != NULL ? text : "";
}

int
sl_audit_claim(struct sl_tx *tx, struct sl_arena *arena, const struct sl_audit_who *who,
               struct sl_later **ret_claim, struct sl_error *err)
{
    return sl_sql_later(tx, arena, claim_sql,
                        SL_PARAMS(SL_P_TEXT(who->command_id),
                                  SL_P_TEXT(text_or_empty(who->request_id)),
                                  SL_P_TEXT(who->command), SL_P_TEXT(text_or_empty(who->actor)),
                                  SL_P_TEXT(text_or_empty(who->project_id)),
                                  SL_P_TEXT(text_or_empty(who->instance_id))),
                        ret_claim, err);
}

int
sl_audit_claimed(struct sl_later *claim, bool *ret_repeat, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql_rows(claim, &rows, err) != 0) {
        return -1;
    }
    *ret_repeat = sl_rows_affected(rows) != 1;
    return 0;
}

int
sl_audit_stored(struct sl_tx *tx, struct sl_arena *arena, const char *command_id,
                struct sl_audit_outcome *ret_outcome, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(tx, arena, outcome_sql, SL_PARAMS(SL_P_TEXT(command_id)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) != 1) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "audit record of %s is gone", command_id);
    }
    *ret_outcome = (struct sl_audit_outcome){
        .status = (int)sl_rows_int(rows, 0, 0),
        .reply = sl_rows_bytes(rows, 0, 1),
        .object_id = sl_rows_text(rows, 0, 2),
        .reply_text = sl_rows_is_null(rows, 0, 3) ? NULL : sl_rows_text(rows, 0, 3),
    };
    return 0;
}

int
sl_audit_begin(struct sl_tx *tx, struct sl_arena *arena, const struct sl_audit_who *who,
               bool *ret_repeat, struct sl_audit_outcome *ret_outcome, struct sl_error *err)
{
    struct sl_later *claim = NULL;
    bool repeat = false;
    if (sl_audit_claim(tx, arena, who, &claim, err) != 0 ||
        sl_audit_claimed(claim, &repeat, err) != 0 ||
        (repeat && sl_audit_stored(tx, arena, who->command_id, ret_outcome, err) != 0)) {
        return -1;
    }
    *ret_repeat = repeat;
    return 0;
}

static struct sl_param
reply_or_null(const struct sl_audit_outcome *outcome)
{
    return outcome->reply.len > 0 ? SL_P_BYTES(outcome->reply.ptr, outcome->reply.len) : SL_P_NULL;
}

int
sl_audit_turn(struct sl_tx *tx, struct sl_arena *arena, const struct sl_audit_who *who,
              struct sl_error *err)
{
    return sl_sql_later(tx, arena, turn_sql, SL_PARAMS(SL_P_TEXT(who->command_id)), NULL, err);
}

int
sl_audit_record(struct sl_tx *tx, struct sl_arena *arena, const struct sl_audit_who *who,
                const struct sl_audit_outcome *outcome, struct sl_error *err)
{
    return sl_sql_later(
        tx, arena, record_sql,
        SL_PARAMS(SL_P_TEXT(who->command_id), SL_P_TEXT(text_or_empty(who->request_id)),
                  SL_P_TEXT(who->command), SL_P_TEXT(text_or_empty(who->actor)),
                  SL_P_TEXT(text_or_empty(who->project_id)),
                  SL_P_TEXT(text_or_empty(who->instance_id)),
                  SL_P_TEXT(text_or_empty(outcome->object_id)), text_or_null(outcome->before),
                  text_or_null(outcome->after), SL_P_INT(outcome->status), reply_or_null(outcome)),
        NULL, err);
}

int
sl_audit_end(struct sl_tx *tx, struct sl_arena *arena, const struct sl_audit_who *who,
             const struct sl_audit_outcome *outcome, struct sl_error *err)
{
    return sl_sql_later(tx, arena, end_sql,
                        SL_PARAMS(SL_P_TEXT(who->command_id),
                                  SL_P_TEXT(text_or_empty(outcome->object_id)),
                                  text_or_null(outcome->before), text_or_null(outcome->after),
                                  SL_P_INT(outcome->status), reply_or_null(outcome)),
                        NULL, err);
}
