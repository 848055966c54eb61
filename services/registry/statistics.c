// statistics.c - see statistics.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/statistics.h"

#include "common/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define LOOK_S    1           // between two looks
#define ARENA_MAX (64 * 1024) // the texts of one look
#define LOCK_KEY  "7305003"   // advisory: who analyses

// Only what indexes are made of: definitions and records are large, and no plan turns on them.
static const char grown_sql[] =
    "SELECT format('ANALYZE %I (%s)', c.relname, string_agg(DISTINCT quote_ident(a.attname), ', '))"
    " FROM pg_class c JOIN pg_index x ON x.indrelid = c.oid"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (x.indkey)"
    " WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace"
    " AND c.relowner = current_user::regrole"
    " AND pg_stat_get_live_tuples(c.oid) > 2 * greatest(c.reltuples, 250)"
    " GROUP BY c.oid, c.relname";

static const char lock_sql[] = "SELECT pg_try_advisory_xact_lock(" LOCK_KEY ")";

struct statistics {
    const char *conninfo;   // borrowed
    pthread_t thread;       //
    pthread_mutex_t lock;   // guards `stopped`
    pthread_cond_t changed; // stopped; on the monotonic clock
    bool stopped;           //
};

static int
analyse(struct sl_db *db, struct sl_arena *arena, const struct sl_rows *grown, struct sl_error *err)
{
    struct sl_rows *locked = NULL;
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, err);
    if (tx == NULL || sl_sql(tx, arena, lock_sql, SL_NO_PARAMS, &locked, err) != 0) {
        return -1;
    }
    for (size_t i = 0; sl_rows_bool(locked, 0, 0) && i < sl_rows_count(grown); i++) {
        const char *sql = sl_rows_text(grown, i, 0);
        if (sl_sql_built(tx, arena, sql, SL_NO_PARAMS, NULL, err) != 0) {
            return -1;
        }
    }
    return sl_tx_commit(&tx, err);
}

int
statistics_refresh(struct sl_db *db, size_t *ret_count, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(ARENA_MAX);
    struct sl_rows *grown = NULL;
    if (arena == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    SL_AUTO(sl_tx) tx = sl_tx_begin_read(db, err);
    if (tx == NULL || sl_sql(tx, arena, grown_sql, SL_NO_PARAMS, &grown, err) != 0) {
        return -1;
    }
    sl_tx_free(&tx);
    if (ret_count != NULL) {
        *ret_count = sl_rows_count(grown);
    }
    return sl_rows_count(grown) == 0 ? 0 : analyse(db, arena, grown, err);
}

// Sleeps until the next look; false when the thread is to end.
static bool
wait_for_look(struct statistics *statistics)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_S;
    pthread_mutex_lock(&statistics->lock);
    int rc = 0;
    while (!statistics->stopped && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&statistics->changed, &statistics->lock, &until);
    }
    bool go_on = !statistics->stopped;
    pthread_mutex_unlock(&statistics->lock);
    return go_on;
}

static void *
run(void *arg)
{
    struct statistics *statistics = arg;
    struct sl_error err;
    struct sl_db_options options = {.conninfo = statistics->conninfo,
                                    .application = "sluice-registry statistics"};
    struct sl_db *db = NULL;
    while (wait_for_look(statistics)) {
        if (db == NULL) {
            db = sl_db_open(&options, &err);
        }
        // Whatever fails is tried again; the commands of the other threads report an outage.
        if (db != NULL && statistics_refresh(db, NULL, &err) != 0) {
            sl_log_error(SL_DEBUG, "statistics were not renewed", &err);
        }
    }
    sl_db_free(&db);
    return NULL;
}

struct statistics *
statistics_start(const char *conninfo, struct sl_error *err)
{
    struct statistics *statistics = calloc(1, sizeof(*statistics));
    if (statistics == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    statistics->conninfo = conninfo;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&statistics->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&statistics->lock, NULL);
    if (pthread_create(&statistics->thread, NULL, run, statistics) != 0) {
        free(statistics);
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    return statistics;
}

void
statistics_stop(struct statistics **statistics)
{
    struct statistics *self = statistics == NULL ? NULL : SL_TAKE(*statistics);
    if (self == NULL) {
        return;
    }
    pthread_mutex_lock(&self->lock);
    self->stopped = true;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    free(self);
}
