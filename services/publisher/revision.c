// revision.c - see revision.h.
//
// The revision row is locked first, so one gateway's revisions are made one after another whatever
// the number of publishers. Statements then see what was committed before they run, which is at
// least what marked the keys that were claimed.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/revision.h"

#include "common/base/log.h"
#include "common/crypto/crypto.h"
#include "common/wire/pack.h"
#include "services/publisher/identity.h"

#include <string.h>

#define FAILURES_MAX 3 // then a key is parked

static const char waiting_sql[] =
    "SELECT DISTINCT gateway_id FROM runtime_change WHERE failures < 3";

static const char lock_sql[] =
    "SELECT revision FROM gateway_revision WHERE gateway_id = $1 FOR UPDATE";

// A key that is claimed takes its parked marks along: whoever marked it anew may have mended it.
// The ids come as an array, so that a table without statistics is not read through for each of
// them.
static const char claim_sql[] =
    "WITH claimed AS (DELETE FROM runtime_change WHERE id = ANY (ARRAY(SELECT id FROM "
    "runtime_change WHERE gateway_id = $1 AND failures < 3 ORDER BY id LIMIT 500)) "
    "RETURNING kind, key, failures), "
    "parked AS (DELETE FROM runtime_change r USING claimed c WHERE r.gateway_id = $1 "
    "AND r.kind = c.kind AND r.key = c.key AND r.failures >= 3) "
    "SELECT kind, key, max(failures), sum(count(*)) OVER () FROM claimed GROUP BY kind, key";

static const char failed_sql[] =
    "INSERT INTO runtime_change (gateway_id, kind, key, failures) VALUES ($1, $2, $3, $4)";

static const char blame_sql[] =
    "UPDATE runtime_change SET failures = failures + 1 "
    "WHERE gateway_id = $1 AND kind = $2 AND key = $3 RETURNING failures";

static const char stamp_sql[] = "UPDATE gateway_revision SET revision = $2 WHERE gateway_id = $1";

static const char store_sql[] =
    "INSERT INTO runtime_entry (gateway_id, kind, key, revision, min_reader, body) "
    "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (gateway_id, kind, key) DO UPDATE SET "
    "revision = excluded.revision, min_reader = excluded.min_reader, body = excluded.body, "
    "changed_at = now()";

static const char heads_sql[] = "SELECT gateway_id, revision FROM gateway_revision";

static const char sweep_sql[] =
    "WITH gone AS (DELETE FROM runtime_entry WHERE body IS NULL "
    "AND changed_at < now() - interval '7 days' RETURNING gateway_id, revision), "
    "top AS (SELECT gateway_id, max(revision) AS revision FROM gone GROUP BY gateway_id) "
    "UPDATE gateway_revision r SET horizon = greatest(r.horizon, t.revision) FROM top t "
    "WHERE r.gateway_id = t.gateway_id";

#define CLAIM_LIMIT 500 // as in claim_sql: one revision's keys at most

struct making {
    struct compile compile;      // transaction, arena, gateway
    struct sl_seal_key key;      // the gateway's content key
    char epoch[SL_ID_SIZE];      //
    uint64_t revision;           // that is being made
    struct sl_buf entries;       // packed, one after another
    size_t entry_count;          // in entries
    const char *kind, *key_name; // that is being compiled; NULL: none
};

static int
store_entry(struct making *making, const char *kind, const char *key,
            const struct compiled *compiled, struct sl_error *err)
{
    struct sl_arena *arena = making->compile.arena;
    const char *gateway = making->compile.gateway;
    struct sl_str sealed = {NULL, 0};
    if (compiled->plain.ptr != NULL) {
        struct sl_str context = sl_str(sl_arena_printf(arena, "%s/%s/%s", gateway, kind, key));
        if (sl_seal(arena, &making->key, context, compiled->plain, &sealed, err) != 0) {
            return -1;
        }
    }
    sl_pack_map(&making->entries, 5);
    sl_pack_text(&making->entries, "k");
    sl_pack_text(&making->entries, kind);
    sl_pack_text(&making->entries, "key");
    sl_pack_text(&making->entries, key);
    sl_pack_text(&making->entries, "rev");
    sl_pack_int(&making->entries, (int64_t)making->revision);
    sl_pack_text(&making->entries, "mr");
    sl_pack_int(&making->entries, compiled->min_reader);
    sl_pack_text(&making->entries, "b");
    if (sealed.ptr == NULL) {
        sl_pack_nil(&making->entries);
    } else {
        sl_pack_bin(&making->entries, sealed);
    }
    making->entry_count++;
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(gateway), SL_P_TEXT(kind), SL_P_TEXT(key), SL_P_INT(making->revision),
                  SL_P_INT(compiled->min_reader),
                  sealed.ptr == NULL ? SL_P_NULL : SL_P_BYTES(sealed.ptr, sealed.len));
    return sl_sql(making->compile.tx, arena, store_sql, params, NULL, err);
}

// Notes that a key did not compile; the third time it is parked.
static int
mark_failed(const struct making *making, const char *kind, const char *key, int64_t failures,
            struct sl_error *err)
{
    enum sl_log_level level = failures >= FAILURES_MAX ? SL_ALERT : SL_WARNING;
    sl_log_error(level, "a runtime key does not compile", err,
                 SL_LOG_STR("gateway", making->compile.gateway), SL_LOG_STR("kind", kind),
                 SL_LOG_STR("key", key), SL_LOG_INT("failures", failures));
    struct sl_params params = SL_PARAMS(SL_P_TEXT(making->compile.gateway), SL_P_TEXT(kind),
                                        SL_P_TEXT(key), SL_P_INT(failures));
    return sl_sql(making->compile.tx, making->compile.arena, failed_sql, params, NULL, err);
}

static int
make_entries(struct making *making, const struct sl_rows *claimed, struct sl_error *err)
{
    bool is_control = strcmp(making->compile.gateway, CONTROL_GATEWAY) == 0;
    for (size_t i = 0; i < sl_rows_count(claimed); i++) {
        const char *kind = sl_rows_text(claimed, i, 0);
        const char *key = sl_rows_text(claimed, i, 1);
        struct compiled compiled;
        making->kind = kind;
        making->key_name = key;
        int rc = is_control
                     ? identity_spread(making->compile.tx, making->compile.arena, kind, key, err)
                     : 0;
        if (rc == 0) {
            rc = compile_key(&making->compile, kind, key, &compiled, err);
        }
        // What PostgreSQL refused ended the transaction; what an entry lacks did not.
        if (rc == 0) {
            rc = store_entry(making, kind, key, &compiled, err);
        } else if (err->code == SL_E_ENTRY_BROKEN || err->code == SL_E_SEAL_BROKEN) {
            rc = mark_failed(making, kind, key, sl_rows_int(claimed, i, 2) + 1, err);
        }
        if (rc != 0) {
            return -1;
        }
    }
    making->kind = NULL;
    return sl_arena_check(making->compile.arena, err);
}

// PostgreSQL refused a key, and with it the whole revision, which was rolled back: the key's marks
// are counted, so that the next tries go on without it once it is parked.
static void
blame(const struct making *making, struct sl_db *db, const struct sl_error *why)
{
    struct sl_arena *arena = making->compile.arena;
    const char *gateway = making->compile.gateway;
    struct sl_rows *rows = NULL;
    struct sl_error err;
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(gateway), SL_P_TEXT(making->kind), SL_P_TEXT(making->key_name));
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, &err);
    if (tx == NULL || sl_sql(tx, arena, blame_sql, params, &rows, &err) != 0 ||
        sl_tx_commit(&tx, &err) != 0) {
        return; // the next try of the revision finds it again
    }
    int64_t failures = sl_rows_count(rows) > 0 ? sl_rows_int(rows, 0, 0) : 0;
    sl_log_error(failures >= FAILURES_MAX ? SL_ALERT : SL_WARNING,
                 "a runtime key is refused by the database", why, SL_LOG_STR("gateway", gateway),
                 SL_LOG_STR("kind", making->kind), SL_LOG_STR("key", making->key_name),
                 SL_LOG_INT("failures", failures));
}

static void
broadcast(const struct making *making)
{
    const char *gateway = making->compile.gateway;
    SL_AUTO_BUF event;
    sl_buf_init(&event, SL_MESSAGE_MAX);
    sl_pack_map(&event, 4);
    sl_pack_text(&event, "epoch");
    sl_pack_text(&event, making->epoch);
    sl_pack_text(&event, "prev");
    sl_pack_int(&event, (int64_t)making->revision - 1);
    sl_pack_text(&event, "to");
    sl_pack_int(&event, (int64_t)making->revision);
    sl_pack_text(&event, "entries");
    sl_pack_array(&event, making->entry_count);
    sl_buf_add(&event, making->entries.ptr, making->entries.len);
    char topic[SL_KEY_MAX];
    snprintf(topic, sizeof(topic), "rt/%s", gateway);
    // Too large to broadcast: the next head shows the gap, and followers ask.
    if (!event.failed && !making->entries.failed) {
        sl_worker_publish(making->compile.publisher->worker, topic,
                          (struct sl_str){event.ptr, event.len});
    }
}

// Inside the transaction, with the revision row locked.
static int
make_revision(struct making *making, bool *ret_more, struct sl_error *err)
{
    struct sl_tx *tx = making->compile.tx;
    struct sl_arena *arena = making->compile.arena;
    const char *gateway = making->compile.gateway;
    struct sl_rows *head = NULL;
    struct sl_rows *claimed = NULL;
    struct sl_params one = SL_PARAMS(SL_P_TEXT(gateway));
    if (gateway_ensure(tx, arena, making->compile.publisher, gateway, err) != 0 ||
        sl_sql(tx, arena, lock_sql, one, &head, err) != 0 ||
        sl_sql(tx, arena, claim_sql, one, &claimed, err) != 0) {
        return -1;
    }
    if (sl_rows_count(head) == 0 || sl_rows_count(claimed) == 0) {
        return 0;
    }
    *ret_more = sl_rows_int(claimed, 0, 3) >= CLAIM_LIMIT;
    making->revision = (uint64_t)sl_rows_int(head, 0, 0) + 1;
    struct sl_params stamp = SL_PARAMS(SL_P_TEXT(gateway), SL_P_INT(making->revision));
    if (epoch_read(tx, arena, making->epoch, err) != 0 ||
        gateway_key(tx, arena, making->compile.publisher, gateway, &making->key, err) != 0 ||
        make_entries(making, claimed, err) != 0) {
        return -1;
    }
    return making->entry_count == 0 ? 0 : sl_sql(tx, arena, stamp_sql, stamp, NULL, err);
}

int
revision_make(const struct publisher *publisher, struct sl_db *db, const char *gateway,
              bool *ret_more, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    if (arena == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    if (tx == NULL) {
        return -1;
    }
    struct making making = {.compile = {tx, arena, publisher, gateway}};
    bool more = false;
    sl_buf_init(&making.entries, SL_MESSAGE_MAX);
    int rc = make_revision(&making, &more, err);
    sl_wipe(&making.key, sizeof(making.key));
    if (rc == 0) {
        rc = sl_tx_commit(&tx, err);
    }
    if (rc == 0 && making.entry_count > 0) {
        broadcast(&making);
    }
    if (rc != 0 && making.kind != NULL && err->code != SL_E_UNAVAILABLE) {
        sl_tx_free(&tx);
        blame(&making, db, err);
    }
    if (rc == 0) {
        *ret_more = more;
    }
    sl_buf_clear(&making.entries);
    return rc;
}

int
revision_waiting(struct sl_db *db, struct sl_arena *arena, struct sl_rows **ret_gateways,
                 struct sl_error *err)
{
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    if (tx == NULL) {
        return -1;
    }
    return sl_sql(tx, arena, waiting_sql, SL_NO_PARAMS, ret_gateways, err);
}

int
revision_heads(const struct publisher *publisher, struct sl_db *db, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    if (arena == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    char epoch[SL_ID_SIZE];
    struct sl_rows *rows = NULL;
    if (tx == NULL || epoch_read(tx, arena, epoch, err) != 0 ||
        sl_sql(tx, arena, heads_sql, SL_NO_PARAMS, &rows, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        SL_AUTO_BUF event;
        char topic[SL_KEY_MAX];
        sl_buf_init(&event, SL_KEY_MAX);
        sl_pack_map(&event, 2);
        sl_pack_text(&event, "epoch");
        sl_pack_text(&event, epoch);
        sl_pack_text(&event, "revision");
        sl_pack_int(&event, sl_rows_int(rows, i, 1));
        snprintf(topic, sizeof(topic), "head/%s", sl_rows_text(rows, i, 0));
        sl_worker_publish(publisher->worker, topic, (struct sl_str){event.ptr, event.len});
    }
    return 0;
}

int
revision_sweep(struct sl_db *db, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    if (arena == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    if (tx == NULL || sl_sql(tx, arena, sweep_sql, SL_NO_PARAMS, NULL, err) != 0) {
        return -1;
    }
    return sl_tx_commit(&tx, err);
}
