// shards.c - see shards.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/throttle/shards.h"

#include <stdio.h>
#include <string.h>

// Serialises the hand-over of shards among workers.
#define HAND_OVER_LOCK 7240161

static const char renew_sql[] = "INSERT INTO throttle_worker (worker, lease) "
                                "VALUES ($1, clock_timestamp() + $2 * interval '1 millisecond') "
                                "ON CONFLICT (worker) DO UPDATE SET lease = EXCLUDED.lease "
                                "RETURNING (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

static const char look_sql[] =
    "SELECT (SELECT count(*) FROM throttle_worker WHERE lease > clock_timestamp()), "
    "(SELECT count(*) FROM throttle_shard s WHERE s.owner IS NULL OR NOT EXISTS "
    "(SELECT FROM throttle_worker w WHERE w.worker = s.owner AND w.lease > clock_timestamp()))";

static const char own_sql[] =
    "SELECT shard, epoch FROM throttle_shard WHERE owner = $1 ORDER BY shard";

static const char take_sql[] =
    "UPDATE throttle_shard SET owner = $1, epoch = epoch + 1 WHERE shard IN "
    "(SELECT s.shard FROM throttle_shard s WHERE s.owner IS NULL OR NOT EXISTS "
    "(SELECT FROM throttle_worker w WHERE w.worker = s.owner AND w.lease > clock_timestamp()) "
    "ORDER BY s.shard LIMIT $2) RETURNING shard, epoch";

static const char lock_sql[] = "SELECT pg_advisory_xact_lock($1)";

static const char release_sql[] =
    "UPDATE throttle_shard SET owner = NULL WHERE shard IN "
    "(SELECT shard FROM throttle_shard WHERE owner = $1 ORDER BY shard DESC LIMIT $2)";

static const char forget_worker_sql[] =
    "DELETE FROM throttle_worker WHERE worker = $1 OR lease < clock_timestamp() - interval '1 day'";

static const char nodes_sql[] =
    "SELECT n.instance_id, n.id, c.boot, c.until_ms, c.lost_until_ms, c.divides FROM node n "
    "LEFT JOIN throttle_contact c ON c.gateway_id = n.instance_id AND c.node_id = n.id "
    "ORDER BY n.instance_id, n.id";

// A row of another memory makes that memory a lost one. Times only grow.
static const char contact_sql[] =
    "INSERT INTO throttle_contact AS c (gateway_id, node_id, boot, until_ms, lost_until_ms, "
    "divides) VALUES ($1, $2, $3, $4, $5, greatest($6, 0)) "
    "ON CONFLICT (gateway_id, node_id) DO UPDATE SET "
    "lost_until_ms = greatest(c.lost_until_ms, EXCLUDED.lost_until_ms, "
    "CASE WHEN c.boot <> EXCLUDED.boot THEN c.until_ms ELSE 0 END), "
    "until_ms = greatest(c.until_ms, EXCLUDED.until_ms), boot = EXCLUDED.boot, "
    "divides = CASE WHEN $6 >= 0 THEN $6 ELSE c.divides END "
    "RETURNING boot, until_ms, lost_until_ms, divides";

static const char usage_sql[] =
    "INSERT INTO throttle_usage AS u (gateway_id, key, window_s, window_no, used, \"limit\", at) "
    "VALUES ($1, $2, $3, $4, $5, $6, now()) ON CONFLICT (gateway_id, key) DO UPDATE SET "
    "window_no = EXCLUDED.window_no, used = EXCLUDED.used, \"limit\" = EXCLUDED.\"limit\", "
    "at = EXCLUDED.at WHERE u.window_no < EXCLUDED.window_no OR u.used < EXCLUDED.used";

static const char old_usage_sql[] =
    "DELETE FROM throttle_usage WHERE at < now() - interval '2 days'";

static void
read_list(const struct sl_rows *rows, struct shards_list *ret_list)
{
    ret_list->count = sl_rows_count(rows); // at most SL_SHARDS: the column's constraint
    for (size_t i = 0; i < ret_list->count; i++) {
        ret_list->at[i] =
            (struct shards_epoch){(uint32_t)sl_rows_int(rows, i, 0), sl_rows_int(rows, i, 1)};
    }
}

int
shards_renew(struct sl_db *db, struct sl_arena *arena, const char *worker,
             struct shards_state *ret_state, struct sl_error *err)
{
    struct sl_rows *rows;
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    if (tx == NULL ||
        sl_sql(tx, arena, renew_sql, SL_PARAMS(SL_P_TEXT(worker), SL_P_INT(SHARDS_LEASE_MS)), &rows,
               err) != 0) {
        return -1;
    }
    ret_state->clock_ms = sl_rows_int(rows, 0, 0);
    if (sl_sql(tx, arena, look_sql, SL_NO_PARAMS, &rows, err) != 0) {
        return -1;
    }
    ret_state->live = (size_t)sl_rows_int(rows, 0, 0);
    ret_state->free = (size_t)sl_rows_int(rows, 0, 1);
    if (sl_sql(tx, arena, own_sql, SL_PARAMS(SL_P_TEXT(worker)), &rows, err) != 0) {
        return -1;
    }
    read_list(rows, &ret_state->own);
    return sl_tx_commit(&tx, err);
}

int
shards_take(struct sl_db *db, struct sl_arena *arena, const char *worker, size_t max,
            struct shards_list *ret_taken, struct sl_error *err)
{
    struct sl_rows *rows;
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    if (tx == NULL ||
        sl_sql(tx, arena, lock_sql, SL_PARAMS(SL_P_INT(HAND_OVER_LOCK)), NULL, err) != 0 ||
        sl_sql(tx, arena, take_sql, SL_PARAMS(SL_P_TEXT(worker), SL_P_INT(max)), &rows, err) != 0) {
        return -1;
    }
    read_list(rows, ret_taken);
    return sl_tx_commit(&tx, err);
}

int
shards_release(struct sl_db *db, struct sl_arena *arena, const char *worker, size_t count,
               struct sl_error *err)
{
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    if (tx == NULL ||
        sl_sql(tx, arena, lock_sql, SL_PARAMS(SL_P_INT(HAND_OVER_LOCK)), NULL, err) != 0 ||
        sl_sql(tx, arena, release_sql, SL_PARAMS(SL_P_TEXT(worker), SL_P_INT(count)), NULL, err) !=
            0) {
        return -1;
    }
    if (count == SL_SHARDS &&
        sl_sql(tx, arena, forget_worker_sql, SL_PARAMS(SL_P_TEXT(worker)), NULL, err) != 0) {
        return -1;
    }
    return sl_tx_commit(&tx, err);
}

static void
read_contact(const struct sl_rows *rows, size_t row, size_t column,
             struct account_contact *ret_contact)
{
    snprintf(ret_contact->boot, sizeof(ret_contact->boot), "%s", sl_rows_text(rows, row, column));
    ret_contact->until_ms = sl_rows_int(rows, row, column + 1);
    ret_contact->lost_until_ms = sl_rows_int(rows, row, column + 2);
    ret_contact->divides = sl_rows_int(rows, row, column + 3);
}

int
shards_nodes(struct sl_db *db, struct sl_arena *arena, struct shards_node **ret_nodes,
             size_t *ret_count, struct sl_error *err)
{
    struct sl_rows *rows;
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    if (tx == NULL || sl_sql(tx, arena, nodes_sql, SL_NO_PARAMS, &rows, err) != 0) {
        return -1;
    }
    size_t count = sl_rows_count(rows);
    struct shards_node *nodes = sl_arena_array(arena, count + 1, sizeof(*nodes));
    if (nodes == NULL) {
        return sl_arena_check(arena, err);
    }
    for (size_t i = 0; i < count; i++) {
        nodes[i].gateway_id = sl_rows_text(rows, i, 0);
        nodes[i].node_id = sl_rows_text(rows, i, 1);
        nodes[i].has_contact = !sl_rows_is_null(rows, i, 2);
        if (nodes[i].has_contact) {
            read_contact(rows, i, 2, &nodes[i].contact);
        }
    }
    *ret_nodes = nodes;
    *ret_count = count;
    return sl_tx_commit(&tx, err);
}

int
shards_write_contact(struct sl_db *db, struct sl_arena *arena, struct shards_node *node,
                     struct sl_error *err)
{
    struct sl_rows *rows;
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    if (tx == NULL ||
        sl_sql(tx, arena, contact_sql,
               SL_PARAMS(SL_P_TEXT(node->gateway_id), SL_P_TEXT(node->node_id),
                         SL_P_TEXT(node->contact.boot), SL_P_INT(node->contact.until_ms),
                         SL_P_INT(node->contact.lost_until_ms), SL_P_INT(node->contact.divides)),
               &rows, err) != 0) {
        return -1;
    }
    read_contact(rows, 0, 0, &node->contact);
    return sl_tx_commit(&tx, err);
}

int
shards_write_usage(struct sl_db *db, struct sl_arena *arena, const struct account_usage *usages,
                   size_t count, struct sl_error *err)
{
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    if (tx == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct account_usage *usage = &usages[i];
        if (sl_sql(tx, arena, usage_sql,
                   SL_PARAMS(SL_P_TEXT(usage->gateway_id), SL_P_TEXT(usage->key),
                             SL_P_INT(usage->window_s), SL_P_INT(usage->window),
                             SL_P_INT(usage->used), SL_P_INT(usage->limit)),
                   NULL, err) != 0) {
            return -1;
        }
    }
    if (sl_sql(tx, arena, old_usage_sql, SL_NO_PARAMS, NULL, err) != 0) {
        return -1;
    }
    return sl_tx_commit(&tx, err);
}
