// shards.c - see shards.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/throttle/shards.h"

#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"

// Serialises the hand-over of shards among workers.
#define HAND_OVER_LOCK 7240161

#define TRIP_MS 10 // to the server, at most: a look comes when the lease is over there

#define ARRAY_MAX  (SL_SHARDS * 24)          // bytes of an array of times as text
#define COLUMN_MAX ((size_t)4 * 1024 * 1024) // bytes of a column of keys as text

// Whether worker `w` lives: its lease runs, and its session has not ended on a server that went on.
// That of a killed process ends at once. A session of another role hides its start.
#define LIVES                                                                                      \
    "w.lease > clock_timestamp() AND (w.server IS DISTINCT FROM pg_postmaster_start_time() OR "    \
    "EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = w.pid AND "                              \
    "coalesce(a.backend_start, w.since) = w.since))"

static const char renew_sql[] =
    "INSERT INTO throttle_worker (worker, lease, takes, pid, since, server) "
    "SELECT $1, clock_timestamp() + $2 * interval '1 millisecond', $3::int <> 0, b.pid, "
    "a.backend_start, pg_postmaster_start_time() "
    "FROM (SELECT pg_backend_pid() AS pid) b LEFT JOIN pg_stat_activity a USING (pid) "
    "ON CONFLICT (worker) DO UPDATE SET lease = EXCLUDED.lease, takes = EXCLUDED.takes, "
    "pid = EXCLUDED.pid, since = EXCLUDED.since, server = EXCLUDED.server "
    "RETURNING (extract(epoch FROM clock_timestamp()) * 1000)::bigint, pid";

// Whoever looks counts itself: an answer may take longer than its lease.
static const char look_sql[] =
    "WITH live AS MATERIALIZED (SELECT w.worker, w.takes, w.lease FROM throttle_worker w "
    "WHERE " LIVES ") SELECT (SELECT 1 + count(*) FROM live WHERE takes AND worker <> $1), "
    "(SELECT count(*) FROM live WHERE worker <> $1), count(*) FILTER (WHERE s.owner IS NULL), "
    "count(*) FILTER (WHERE s.owner IS NOT NULL AND l.worker IS NULL), "
    "(extract(epoch FROM min(l.lease) FILTER (WHERE l.worker <> $1) - clock_timestamp()) "
    "* 1000)::bigint FROM throttle_shard s "
    "LEFT JOIN live l ON l.worker = s.owner";

static const char own_sql[] =
    "SELECT shard, epoch FROM throttle_shard WHERE owner = $1 ORDER BY shard";

// Who is taken for dead writes nothing any more before it has looked at the table again. One that
// is writing is left for the next time: it may have stopped half-way.
static const char bury_sql[] =
    "DELETE FROM throttle_worker WHERE worker IN (SELECT w.worker FROM throttle_worker w "
    "WHERE w.worker <> $1 AND NOT (" LIVES ") FOR UPDATE SKIP LOCKED)";

static const char take_sql[] =
    "UPDATE throttle_shard SET owner = $1, epoch = epoch + 1 WHERE shard IN "
    "(SELECT s.shard FROM throttle_shard s WHERE s.owner IS NULL OR ($3::int <> 0 AND NOT EXISTS "
    "(SELECT FROM throttle_worker w WHERE w.worker = s.owner AND w.lease > clock_timestamp())) "
    "ORDER BY s.shard LIMIT $2) RETURNING shard, epoch";

static const char lock_sql[] = "SELECT pg_advisory_xact_lock($1)";

static const char release_sql[] =
    "UPDATE throttle_shard SET owner = NULL WHERE shard IN "
    "(SELECT shard FROM throttle_shard WHERE owner = $1 ORDER BY shard DESC LIMIT $2)";

static const char forget_worker_sql[] =
    "DELETE FROM throttle_worker WHERE worker = $1 OR lease < clock_timestamp() - interval '1 day'";

static const char nodes_sql[] =
    "SELECT n.instance_id, n.id, c.boot, c.until_ms, c.lost_until_ms, c.divides, c.lost_divides "
    "FROM node n "
    "LEFT JOIN throttle_contact c ON c.gateway_id = n.instance_id AND c.node_id = n.id "
    "ORDER BY n.instance_id, n.id";

// `guard`, here and below: nobody takes the worker for dead while it writes, and nothing is written
// once somebody did.

// A row of another memory makes that memory a lost one, until now ($8) at the latest. Times only
// grow.
static const char contact_sql[] =
    "WITH guard AS (SELECT FROM throttle_worker WHERE worker = $9 FOR SHARE) "
    "INSERT INTO throttle_contact AS c (gateway_id, node_id, boot, until_ms, lost_until_ms, "
    "divides, vouched) SELECT $1, $2, $3, $4::bigint, $5::bigint, greatest($6::bigint, 0), "
    "$7::bigint[] FROM guard "
    "ON CONFLICT (gateway_id, node_id) DO UPDATE SET "
    "lost_until_ms = greatest(c.lost_until_ms, EXCLUDED.lost_until_ms, "
    "CASE WHEN c.boot <> EXCLUDED.boot THEN least(c.until_ms, $8) ELSE 0 END), "
    "until_ms = greatest(c.until_ms, EXCLUDED.until_ms), boot = EXCLUDED.boot, "
    "divides = CASE WHEN $6 >= 0 THEN $6 ELSE c.divides END, "
    "lost_divides = CASE WHEN c.boot = EXCLUDED.boot THEN c.lost_divides "
    "ELSE least(c.lost_divides, nullif(c.divides, 0)) END, "
    "alone = CASE WHEN c.boot = EXCLUDED.boot THEN c.alone "
    "WHEN c.lost_until_ms = 0 THEN coalesce(c.vouched, array_fill(0::bigint, ARRAY[1024])) "
    "ELSE (SELECT array_agg(least(coalesce(a, 0), coalesce(v, 0)) ORDER BY n) "
    "FROM unnest(c.alone, coalesce(c.vouched, array_fill(0::bigint, ARRAY[1024]))) "
    "WITH ORDINALITY x (a, v, n)) END, "
    "vouched = CASE WHEN c.boot <> EXCLUDED.boot THEN EXCLUDED.vouched ELSE "
    "(SELECT array_agg(greatest(a, b) ORDER BY n) FROM unnest(c.vouched, EXCLUDED.vouched) "
    "WITH ORDINALITY x (a, b, n)) END "
    "RETURNING boot, until_ms, lost_until_ms, divides, lost_divides";

static const char vouched_sql[] =
    "SELECT gateway_id, node_id, boot, array_to_string(vouched, ' '), CASE WHEN lost_until_ms <> 0 "
    "THEN array_to_string(alone, ' ') END FROM throttle_contact WHERE boot <> ''";

// Ceilings come first: a row of an earlier window is left alone, and so is one that is not there.
static const char usage_sql[] =
    "UPDATE throttle_usage u SET used = greatest(u.used, x.used), at = now() "
    "FROM jsonb_to_recordset($1::jsonb) AS x (gateway text, key text, \"window\" bigint, used "
    "bigint) "
    "WHERE u.gateway_id = x.gateway AND u.key = x.key AND u.window_no = x.window";

// A row outlives its window: without one nothing of the window counts as granted.
static const char old_usage_sql[] =
    "DELETE FROM throttle_usage WHERE at < now() - interval '2 days' "
    "AND (window_no + 1) * window_s < extract(epoch FROM now()) - 60";

// A newer window replaces the older; within one a ceiling only rises. A row for each, in any order;
// none when the worker is not in the table.
static const char raise_sql[] =
    "WITH guard AS (SELECT FROM throttle_worker WHERE worker = $1 FOR SHARE) "
    "INSERT INTO throttle_usage AS u (gateway_id, key, window_s, window_no, used, \"limit\", "
    "ceiling) "
    "SELECT x.gateway, x.key, x.window_s, x.window_no, 0, x.limit, x.ceiling FROM guard, "
    "unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) "
    "AS x (gateway, key, window_s, window_no, \"limit\", ceiling) "
    "ON CONFLICT (gateway_id, key) DO UPDATE SET "
    "window_no = greatest(u.window_no, EXCLUDED.window_no), \"limit\" = EXCLUDED.\"limit\", "
    "ceiling = CASE WHEN u.window_no < EXCLUDED.window_no THEN EXCLUDED.ceiling "
    "WHEN u.window_no > EXCLUDED.window_no THEN u.ceiling "
    "ELSE greatest(u.ceiling, EXCLUDED.ceiling) END, "
    "used = CASE WHEN u.window_no < EXCLUDED.window_no THEN 0 ELSE u.used END, at = now() "
    "RETURNING gateway_id, key, window_no, coalesce(ceiling, 2147483647)";

// The same of keys that are only looked at; one without a row has window 0.
static const char look_ceiling_sql[] =
    "WITH guard AS (SELECT FROM throttle_worker WHERE worker = $1 FOR SHARE) "
    "SELECT x.gateway, x.key, coalesce(u.window_no, 0), CASE WHEN u.window_no IS NULL THEN 0 "
    "ELSE coalesce(u.ceiling, 2147483647) END FROM guard, unnest($2::text[], $3::text[]) "
    "AS x (gateway, key) LEFT JOIN throttle_usage u ON u.gateway_id = x.gateway AND u.key = x.key";

// Keys that ask for a first call, in an order that all keep: rows of their table are locked by it.
static const char first_sql[] =
    "WITH guard AS (SELECT FROM throttle_worker WHERE worker = $1 FOR SHARE) "
    "SELECT y.gateway, y.key, 0, coalesce(app_quota_begin(y.gateway, y.key), 0) FROM (SELECT "
    "x.gateway, x.key FROM guard, unnest($2::text[], $3::text[]) AS x (gateway, key) "
    "ORDER BY 1, 2 OFFSET 0) y";

static int
buried(struct sl_error *err)
{
    sl_fail(err, SL_E_UNAVAILABLE);
    return sl_error_detail(err, "another worker took this one for dead");
}

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
shards_renew(struct sl_db *db, struct sl_arena *arena, const char *worker, bool takes,
             struct shards_state *ret_state, struct sl_error *err)
{
    struct sl_rows *rows;
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    int64_t asked_ms = sl_mono_ms(); // connected by now, which may have taken seconds
    if (tx == NULL ||
        sl_sql(tx, arena, renew_sql,
               SL_PARAMS(SL_P_TEXT(worker), SL_P_INT(SHARDS_LEASE_MS), SL_P_INT(takes ? 1 : 0)),
               &rows, err) != 0) {
        return -1;
    }
    int64_t trip_ms = sl_mono_ms() - asked_ms;
    ret_state->clock =
        (struct shards_clock){sl_rows_int(rows, 0, 0), asked_ms + trip_ms / 2, trip_ms};
    ret_state->session = sl_rows_int(rows, 0, 1);
    int64_t looked_ms = sl_mono_ms();
    if (sl_sql(tx, arena, look_sql, SL_PARAMS(SL_P_TEXT(worker)), &rows, err) != 0) {
        return -1;
    }
    ret_state->next_end_ms =
        sl_rows_is_null(rows, 0, 4) ? INT64_MAX : looked_ms + sl_rows_int(rows, 0, 4) + TRIP_MS;
    ret_state->live = (size_t)sl_rows_int(rows, 0, 0);
    ret_state->others = (size_t)sl_rows_int(rows, 0, 1);
    ret_state->free = (size_t)sl_rows_int(rows, 0, 2);
    ret_state->orphans = (size_t)sl_rows_int(rows, 0, 3);
    if (sl_sql(tx, arena, own_sql, SL_PARAMS(SL_P_TEXT(worker)), &rows, err) != 0) {
        return -1;
    }
    read_list(rows, &ret_state->own);
    return sl_tx_commit(&tx, err);
}

int
shards_take(struct sl_db *db, struct sl_arena *arena, const char *worker,
            const struct shards_wish *wish, struct shards_list *ret_taken, struct sl_error *err)
{
    struct sl_rows *rows;
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    if (tx == NULL ||
        sl_sql(tx, arena, lock_sql, SL_PARAMS(SL_P_INT(HAND_OVER_LOCK)), NULL, err) != 0 ||
        (wish->with_orphans &&
         sl_sql(tx, arena, bury_sql, SL_PARAMS(SL_P_TEXT(worker)), NULL, err) != 0) ||
        sl_sql(
            tx, arena, take_sql,
            SL_PARAMS(SL_P_TEXT(worker), SL_P_INT(wish->max), SL_P_INT(wish->with_orphans ? 1 : 0)),
            &rows, err) != 0) {
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
    ret_contact->lost_divides = sl_rows_int(rows, row, column + 4); // NULL is 0
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

// 1,024 numbers as PostgreSQL takes an array of them; negative ones as 0.
static const char *
array_text(struct sl_arena *arena, const int64_t *values, struct sl_error *err)
{
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, ARRAY_MAX);
    for (size_t i = 0; i < SL_SHARDS; i++) {
        sl_buf_addf(&buf, "%c%lld", i == 0 ? '{' : ',', (long long)(values[i] > 0 ? values[i] : 0));
    }
    sl_buf_addc(&buf, '}');
    const char *text = buf.failed ? NULL : sl_arena_dupn(arena, buf.ptr, buf.len);
    if (text == NULL) {
        sl_fail(err, SL_E_INTERNAL);
    }
    return text;
}

// NULL for a column that is null.
static int64_t *
read_array(struct sl_arena *arena, const struct sl_rows *rows, size_t row, size_t column)
{
    if (sl_rows_is_null(rows, row, column)) {
        return NULL;
    }
    int64_t *values = sl_arena_array(arena, SL_SHARDS, sizeof(*values));
    struct sl_str rest = sl_str(sl_rows_text(rows, row, column));
    for (size_t i = 0; values != NULL && i < SL_SHARDS; i++) {
        struct sl_str word = sl_str_split(&rest, ' ');
        if (word.ptr == NULL || !sl_str_int(word, &values[i])) {
            values[i] = 0;
        }
    }
    return values;
}

int
shards_vouched(struct sl_db *db, struct sl_arena *arena, struct shards_vouch **ret_vouches,
               size_t *ret_count, struct sl_error *err)
{
    struct sl_rows *rows;
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    if (tx == NULL || sl_sql(tx, arena, vouched_sql, SL_NO_PARAMS, &rows, err) != 0) {
        return -1;
    }
    size_t count = sl_rows_count(rows);
    struct shards_vouch *vouches = sl_arena_array(arena, count + 1, sizeof(*vouches));
    for (size_t i = 0; vouches != NULL && i < count; i++) {
        vouches[i] = (struct shards_vouch){.gateway_id = sl_rows_text(rows, i, 0),
                                           .node_id = sl_rows_text(rows, i, 1),
                                           .boot = sl_rows_text(rows, i, 2),
                                           .vouched = read_array(arena, rows, i, 3),
                                           .alone = read_array(arena, rows, i, 4)};
    }
    if (sl_arena_check(arena, err) != 0) {
        return -1;
    }
    *ret_vouches = vouches;
    *ret_count = count;
    return sl_tx_commit(&tx, err);
}

int
shards_write_contact(struct sl_db *db, struct sl_arena *arena, const char *worker,
                     struct shards_node *node, struct sl_error *err)
{
    struct sl_rows *rows;
    struct sl_later *written;
    const char *vouched = array_text(arena, node->contact.vouched, err);
    int64_t written_ms = node->contact.until_ms - ACCOUNT_CONTACT_MS;
    SL_AUTO(sl_tx) tx = vouched != NULL ? sl_tx_begin(db, err) : NULL;
    // In one round trip: who stops half-way must not keep others from taking its shards.
    if (tx == NULL ||
        sl_sql_later(tx, arena, contact_sql,
                     SL_PARAMS(SL_P_TEXT(node->gateway_id), SL_P_TEXT(node->node_id),
                               SL_P_TEXT(node->contact.boot), SL_P_INT(node->contact.until_ms),
                               SL_P_INT(node->contact.lost_until_ms),
                               SL_P_INT(node->contact.divides), SL_P_TEXT(vouched),
                               SL_P_INT(written_ms + ACCOUNT_CLOCKS_MS), SL_P_TEXT(worker)),
                     &written, err) != 0 ||
        sl_tx_commit(&tx, err) != 0 || sl_sql_rows(written, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return buried(err);
    }
    read_contact(rows, 0, 0, &node->contact);
    return 0;
}

// A list of JSON objects as a parameter; drops the list.
static const char *
list_text(struct sl_arena *arena, json_t *list, struct sl_error *err)
{
    size_t size = json_dumpb(list, NULL, 0, JSON_COMPACT);
    char *text = sl_arena_alloc(arena, size + 1);
    if (text == NULL) {
        sl_fail(err, SL_E_INTERNAL);
    } else {
        json_dumpb(list, text, size, JSON_COMPACT);
        text[size] = '\0';
    }
    json_decref(list);
    return text;
}

// -- ceilings

// The columns of ceilings to write; the other kinds take the first two.
enum column {
    GATEWAY,
    KEY,
    WINDOW_S,
    WINDOW_NO,
    LIMIT,
    CEILING,
    COLUMNS
};

// What is asked for, each by a statement of its own.
enum kind {
    RAISE,
    LEARN,
    FIRST,
    KINDS
};

static enum kind
kind_of(const struct account_ceiling *wanted)
{
    return wanted->ceiling >= 0 ? RAISE : wanted->ceiling == ACCOUNT_FIRST ? FIRST : LEARN;
}

// A text as an element of an array: quoted, for it may hold anything.
static void
add_quoted(struct sl_buf *buf, const char *text)
{
    sl_buf_addc(buf, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            sl_buf_addc(buf, '\\');
        }
        sl_buf_addc(buf, *text);
    }
    sl_buf_addc(buf, '"');
}

static void
add_cell(struct sl_buf *buf, const struct account_ceiling *wanted, enum column column)
{
    const int64_t numbers[COLUMNS] = {[WINDOW_S] = wanted->window_s,
                                      [WINDOW_NO] = wanted->window,
                                      [LIMIT] = wanted->limit,
                                      [CEILING] = wanted->ceiling};
    if (column == GATEWAY || column == KEY) {
        add_quoted(buf, column == GATEWAY ? wanted->gateway_id : wanted->key);
    } else {
        sl_buf_addf(buf, "%lld", (long long)numbers[column]);
    }
}

// A column of the ceilings of a kind, as PostgreSQL takes an array; NULL when memory is out.
static const char *
column_text(struct sl_arena *arena, const struct shards_ceilings *ceilings, enum kind kind,
            enum column column)
{
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, COLUMN_MAX);
    char before = '{';
    for (size_t i = 0; i < ceilings->count; i++) {
        if (kind_of(&ceilings->wanted[i]) == kind) {
            sl_buf_addc(&buf, before);
            add_cell(&buf, &ceilings->wanted[i], column);
            before = ',';
        }
    }
    sl_buf_addc(&buf, '}');
    return buf.failed ? NULL : sl_arena_dupn(arena, buf.ptr, buf.len);
}

static int
ask_ceilings(struct sl_tx *tx, struct sl_arena *arena, const struct shards_ceilings *ceilings,
             enum kind kind, struct sl_later **ret_rows, struct sl_error *err)
{
    static const char *const sql[KINDS] = {
        [RAISE] = raise_sql, [LEARN] = look_ceiling_sql, [FIRST] = first_sql};
    struct sl_param params[1 + COLUMNS] = {SL_P_TEXT(ceilings->worker)};
    size_t columns = kind == RAISE ? COLUMNS : KEY + 1;
    for (size_t i = 0; i < columns; i++) {
        const char *text = column_text(arena, ceilings, kind, (enum column)i);
        if (text == NULL) {
            return sl_fail(err, SL_E_INTERNAL);
        }
        params[1 + i] = SL_P_TEXT(text);
    }
    return sl_sql_later(tx, arena, sql[kind], (struct sl_params){params, 1 + columns}, ret_rows,
                        err);
}

// The key that a row speaks of; they come in the order in which they were asked for, but nobody
// promises it. NULL: none.
static const struct account_ceiling *
find_wanted(const struct shards_ceilings *ceilings, size_t expected, const char *gateway_id,
            const char *key)
{
    for (size_t i = 0; i < ceilings->count; i++) {
        const struct account_ceiling *at = &ceilings->wanted[(expected + i) % ceilings->count];
        if (strcmp(at->key, key) == 0 && strcmp(at->gateway_id, gateway_id) == 0) {
            return at;
        }
    }
    return NULL;
}

static int
take_ceilings(const struct shards_ceilings *ceilings, struct sl_later *later, size_t expected,
              struct account_ceiling *ret_rows, struct sl_error *err)
{
    struct sl_rows *rows;
    size_t next = 0;
    if (sl_sql_rows(later, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) != expected) {
        return buried(err);
    }
    for (size_t i = 0; i < expected; i++) {
        const struct account_ceiling *wanted =
            find_wanted(ceilings, next, sl_rows_text(rows, i, 0), sl_rows_text(rows, i, 1));
        if (wanted == NULL) {
            return sl_fail(err, SL_E_INTERNAL);
        }
        size_t at = (size_t)(wanted - ceilings->wanted);
        ret_rows[at] = *wanted;
        ret_rows[at].window = (uint32_t)sl_rows_int(rows, i, 2);
        ret_rows[at].ceiling = sl_rows_int(rows, i, 3);
        next = at + 1;
    }
    return 0;
}

int
shards_write_ceilings(struct sl_db *db, struct sl_arena *arena,
                      const struct shards_ceilings *ceilings, struct account_ceiling *ret_rows,
                      struct sl_error *err)
{
    size_t counts[KINDS] = {0};
    struct sl_later *later[KINDS] = {NULL};
    for (size_t i = 0; i < ceilings->count; i++) {
        counts[kind_of(&ceilings->wanted[i])]++;
    }
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    if (tx == NULL) {
        return -1;
    }
    // In one round trip: the first request of a window waits for it.
    for (enum kind kind = 0; kind < KINDS; kind++) {
        if (counts[kind] > 0 && ask_ceilings(tx, arena, ceilings, kind, &later[kind], err) != 0) {
            return -1;
        }
    }
    if (sl_tx_commit(&tx, err) != 0) {
        return -1;
    }
    for (enum kind kind = 0; kind < KINDS; kind++) {
        if (counts[kind] > 0 &&
            take_ceilings(ceilings, later[kind], counts[kind], ret_rows, err) != 0) {
            return -1;
        }
    }
    return 0;
}

// -- usage

int
shards_write_usage(struct sl_db *db, struct sl_arena *arena, const struct account_usage *usages,
                   size_t count, struct sl_error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_pack("{sssssIsI}", "gateway", usages[i].gateway_id, "key",
                                              usages[i].key, "window", (json_int_t)usages[i].window,
                                              "used", (json_int_t)usages[i].used));
    }
    const char *text = list_text(arena, list, err);
    SL_AUTO(sl_tx) tx = text != NULL ? sl_tx_begin(db, err) : NULL;
    if (tx == NULL || sl_sql(tx, arena, usage_sql, SL_PARAMS(SL_P_TEXT(text)), NULL, err) != 0 ||
        sl_sql(tx, arena, old_usage_sql, SL_NO_PARAMS, NULL, err) != 0) {
        return -1;
    }
    return sl_tx_commit(&tx, err);
}
