// token_key.c - see token_key.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/identity/token_key.h"

#include <string.h>

#include "common/crypto/crypto.h"
#include "common/db/change.h"

#define ARENA_MAX 65536

// Serialises processes that start together; the number is arbitrary and ours.
static const char lock_sql[] = "SELECT pg_advisory_xact_lock(7021480)";

static const char current_sql[] = "SELECT id, private_key FROM iam_token_key"
                                  " WHERE retired_at IS NULL ORDER BY created_at DESC LIMIT 1";

static const char insert_sql[] =
    "INSERT INTO iam_token_key (id, public_key, private_key) VALUES ($1, $2, $3)";

static struct sl_str
context_of(struct sl_arena *arena, const char *id)
{
    return sl_str(sl_arena_printf(arena, "token_key:%s", id));
}

static int
insert_key(struct identity *identity, struct sl_tx *tx, struct sl_arena *arena,
           struct sl_error *err)
{
    char id[33];
    char public_hex[2 * SL_TOKEN_KEY_LEN + 1];
    uint8_t private_key[SL_TOKEN_KEY_LEN];
    uint8_t public_key[SL_TOKEN_KEY_LEN];
    struct sl_str sealed = {NULL, 0};
    sl_random_id(id);
    sl_token_key_new(private_key, public_key);
    sl_hex_encode(public_key, sizeof(public_key), public_hex);
    int rc = sl_seal(arena, &identity->seal_key, context_of(arena, id),
                     (struct sl_str){(char *)private_key, sizeof(private_key)}, &sealed, err);
    sl_wipe(private_key, sizeof(private_key));
    if (rc != 0 ||
        sl_sql(tx, arena, insert_sql,
               SL_PARAMS(SL_P_TEXT(id), SL_P_TEXT(public_hex), SL_P_BYTES(sealed.ptr, sealed.len)),
               NULL, err) != 0) {
        return -1;
    }
    return sl_runtime_touch(tx, arena, CONTROL, "token_key", id, err);
}

int
token_key_ensure(struct identity *identity, struct sl_db *db, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(ARENA_MAX);
    SL_AUTO(sl_tx) tx = arena != NULL ? sl_tx_begin(db, err) : NULL;
    struct sl_rows *rows = NULL;
    if (tx == NULL || sl_sql(tx, arena, lock_sql, SL_NO_PARAMS, NULL, err) != 0 ||
        sl_sql(tx, arena, current_sql, SL_NO_PARAMS, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) > 0) {
        return 0;
    }
    if (insert_key(identity, tx, arena, err) != 0) {
        return -1;
    }
    return sl_tx_commit(&tx, err);
}

int
token_key_current(struct task *task, const char **ret_id, uint8_t ret_private[SL_TOKEN_KEY_LEN],
                  struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_str plain;
    if (sl_sql(task->tx, task->arena, current_sql, SL_NO_PARAMS, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "there is no key that signs");
    }
    const char *id = sl_rows_text(rows, 0, 0);
    if (sl_unseal(task->arena, &task->identity->seal_key, context_of(task->arena, id),
                  sl_rows_bytes(rows, 0, 1), &plain, err) != 0) {
        return -1;
    }
    if (plain.len != SL_TOKEN_KEY_LEN) {
        return sl_fail(err, SL_E_SEAL_BROKEN);
    }
    memcpy(ret_private, plain.ptr, SL_TOKEN_KEY_LEN);
    *ret_id = id;
    return 0;
}

int
token_key_find(struct task *task, const char *id, bool *ret_found,
               uint8_t ret_public[SL_TOKEN_KEY_LEN], struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(task->tx, task->arena, "SELECT public_key FROM iam_token_key WHERE id = $1",
               SL_PARAMS(SL_P_TEXT(id)), &rows, err) != 0) {
        return -1;
    }
    *ret_found = sl_rows_count(rows) == 1 &&
                 sl_hex_decode(sl_str(sl_rows_text(rows, 0, 0)), ret_public, SL_TOKEN_KEY_LEN);
    return 0;
}
