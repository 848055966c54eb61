// gateway.c - a gateway's revision row: head, epoch, content key.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/publisher.h"

#include "common/crypto/crypto.h"

#include <stdio.h>
#include <string.h>

static const char epoch_sql[] =
    "SELECT md5(system_identifier::text || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8)) "
    "FROM pg_control_system()";

static const char revision_sql[] = "SELECT revision FROM gateway_revision WHERE gateway_id = $1";

static const char ensure_sql[] = "INSERT INTO gateway_revision (gateway_id, content_key) "
                                 "VALUES ($1, $2) ON CONFLICT (gateway_id) DO NOTHING";

static const char key_sql[] = "SELECT content_key FROM gateway_revision WHERE gateway_id = $1";

static const char rotate_sql[] =
    "UPDATE gateway_revision SET content_key = $2 WHERE gateway_id = $1";

static const char touch_all_sql[] =
    "INSERT INTO runtime_change (gateway_id, kind, key) "
    "SELECT gateway_id, kind, key FROM runtime_entry WHERE gateway_id = $1 AND body IS NOT NULL";

int
epoch_read(struct sl_tx *tx, struct sl_arena *arena, char ret_epoch[SL_ID_SIZE],
           struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(tx, arena, epoch_sql, SL_NO_PARAMS, &rows, err) != 0) {
        return -1;
    }
    snprintf(ret_epoch, SL_ID_SIZE, "%s", sl_rows_text(rows, 0, 0));
    return 0;
}

int
head_read(struct sl_tx *tx, struct sl_arena *arena, const char *gateway, struct head *ret_head,
          struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct head head = {.revision = 0};
    if (epoch_read(tx, arena, head.epoch, err) != 0 ||
        sl_sql(tx, arena, revision_sql, SL_PARAMS(SL_P_TEXT(gateway)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 1) {
        head.revision = (uint64_t)sl_rows_int(rows, 0, 0);
    }
    *ret_head = head;
    return 0;
}

static struct sl_str
key_context(struct sl_arena *arena, const char *gateway)
{
    return sl_str(sl_arena_printf(arena, "content_key:%s", gateway));
}

// A fresh content key, sealed under the deployment's.
static int
fresh_key(struct sl_arena *arena, const struct publisher *publisher, const char *gateway,
          struct sl_str *ret_sealed, struct sl_error *err)
{
    struct sl_seal_key key;
    sl_random(key.bytes, sizeof(key.bytes));
    struct sl_str plain = {(const char *)key.bytes, sizeof(key.bytes)};
    int rc = sl_seal(arena, &publisher->key, key_context(arena, gateway), plain, ret_sealed, err);
    sl_wipe(&key, sizeof(key));
    return rc;
}

int
gateway_ensure(struct sl_tx *tx, struct sl_arena *arena, const struct publisher *publisher,
               const char *gateway, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(tx, arena, revision_sql, SL_PARAMS(SL_P_TEXT(gateway)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 1) {
        return 0;
    }
    struct sl_str sealed;
    if (fresh_key(arena, publisher, gateway, &sealed, err) != 0) {
        return -1;
    }
    return sl_sql(tx, arena, ensure_sql,
                  SL_PARAMS(SL_P_TEXT(gateway), SL_P_BYTES(sealed.ptr, sealed.len)), NULL, err);
}

int
gateway_key(struct sl_tx *tx, struct sl_arena *arena, const struct publisher *publisher,
            const char *gateway, struct sl_seal_key *ret_key, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_str plain;
    if (sl_sql(tx, arena, key_sql, SL_PARAMS(SL_P_TEXT(gateway)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) != 1) {
        return sl_fail(err, SL_E_INSTANCE_NOT_FOUND, gateway);
    }
    if (sl_unseal(arena, &publisher->key, key_context(arena, gateway), sl_rows_bytes(rows, 0, 0),
                  &plain, err) != 0) {
        return -1;
    }
    if (plain.len != sizeof(ret_key->bytes)) {
        return sl_fail(err, SL_E_SEAL_BROKEN);
    }
    memcpy(ret_key->bytes, plain.ptr, plain.len);
    return 0;
}

int
gateway_rotate(struct sl_tx *tx, struct sl_arena *arena, const struct publisher *publisher,
               const char *gateway, struct sl_error *err)
{
    struct sl_str sealed;
    if (fresh_key(arena, publisher, gateway, &sealed, err) != 0) {
        return -1;
    }
    struct sl_params params = SL_PARAMS(SL_P_TEXT(gateway), SL_P_BYTES(sealed.ptr, sealed.len));
    if (sl_sql(tx, arena, rotate_sql, params, NULL, err) != 0) {
        return -1;
    }
    return sl_sql(tx, arena, touch_all_sql, SL_PARAMS(SL_P_TEXT(gateway)), NULL, err);
}
