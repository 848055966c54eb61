// pass.c - see pass.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/pass.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "services/publisher/debug.h"
#include "services/publisher/nodes.h"
#include "services/publisher/revision.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS     250     // between two looks nobody asked for
#define WAITING_MS  20      // the same while someone waits for nodes
#define HEADS_MS    1000    // between two broadcasts of heads
#define SWEEP_MS    3600000 // between two sweeps of tombstones
#define WAITERS_MAX 256     // deferred replies at once

struct pass {
    struct publisher *publisher;
    struct sl_db *db;       // the thread's own
    pthread_t thread;       //
    bool started;           // the thread runs; the owner's
    pthread_mutex_t lock;   // guards what follows
    pthread_cond_t changed; // woken, reported or stopped; on the monotonic clock
    bool woken;             // a pass was asked for
    bool reported;          // a node reported
    bool stopped;           //
    struct pass_waiter *waiters[WAITERS_MAX];
    size_t waiter_count;
};

static void
log_once(const char *what, const struct sl_error *err)
{
    sl_log_error(SL_WARNING, "a pass failed and is tried again", err, SL_LOG_STR("step", what));
}

// Makes revisions until no gateway has dirty keys left.
static void
make_revisions(struct pass *pass)
{
    struct sl_error err;
    struct sl_rows *gateways = NULL;
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    if (arena == NULL || revision_waiting(pass->db, arena, &gateways, &err) != 0) {
        return; // the database is away: the next look tries again
    }
    for (size_t i = 0; i < sl_rows_count(gateways); i++) {
        bool more = true;
        while (more) {
            more = false;
            if (revision_make(pass->publisher, pass->db, sl_rows_text(gateways, i, 0), &more,
                              &err) != 0) {
                log_once("revision", &err);
            }
        }
    }
}

// Ends a waiter with this reply.
static void
end_waiter(struct pass *pass, struct pass_waiter *waiter, const struct sl_reply *reply)
{
    sl_worker_reply(pass->publisher->worker, waiter->token, reply);
    free(waiter->body);
    free(waiter);
}

static void
answer(struct pass *pass, struct pass_waiter *waiter, const char *nodes)
{
    struct sl_reply gone = {.failed = true};
    if (waiter->body == NULL) {
        (void)sl_fail(&gone.error, SL_E_UNAVAILABLE);
        end_waiter(pass, waiter, &gone);
        return;
    }
    struct sl_buf body;
    sl_buf_init(&body, SL_BODY_MAX);
    size_t len = strlen(waiter->body);
    if (nodes == NULL || len < 2) {
        sl_buf_adds(&body, waiter->body);
    } else {
        // The reply's object, with one member more.
        sl_buf_add(&body, waiter->body, len - 1);
        sl_buf_addf(&body, ", \"nodes\": %s}", nodes);
    }
    struct sl_reply reply = {.body = {body.ptr, body.len}};
    end_waiter(pass, waiter, &reply);
    sl_buf_clear(&body);
}

// Whether the waiter is done; `nodes` is filled (in the arena) when its time ran out.
static bool
is_done(struct pass *pass, struct sl_arena *arena, const struct pass_waiter *waiter,
        const char **ret_nodes)
{
    struct sl_error err;
    struct nodes_served served = {.all = false};
    bool late = sl_mono_ms() >= waiter->deadline_mono_ms;
    if (nodes_serve(pass->db, arena, waiter->gateway, &waiter->want, &served, &err) != 0) {
        log_once("waiters", &err);
    }
    *ret_nodes = served.all ? NULL : served.nodes;
    return served.all || late;
}

// Answers the waiters that are done. Only this thread takes waiters out.
static void
look_at_waiters(struct pass *pass)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    pthread_mutex_lock(&pass->lock);
    size_t count = pass->waiter_count;
    pthread_mutex_unlock(&pass->lock);
    for (size_t i = count; arena != NULL && i-- > 0;) {
        struct pass_waiter *waiter = pass->waiters[i];
        const char *nodes = NULL;
        struct sl_reply reply;
        bool debugs = waiter->debug_id[0] != '\0';
        bool late = sl_mono_ms() >= waiter->deadline_mono_ms;
        if (debugs
                ? !debug_is_over(pass->db, arena, waiter->gateway, waiter->debug_id, late, &reply)
                : !is_done(pass, arena, waiter, &nodes)) {
            continue;
        }
        pthread_mutex_lock(&pass->lock);
        pass->waiters[i] = pass->waiters[--pass->waiter_count];
        pthread_mutex_unlock(&pass->lock);
        if (debugs) {
            end_waiter(pass, waiter, &reply);
        } else {
            answer(pass, waiter, nodes);
        }
    }
}

// Sleeps until there is something to do; false when the thread is to end. *ret_woken: a pass was
// asked for.
static bool
wait_for_work(struct pass *pass, bool *ret_woken)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    pthread_mutex_lock(&pass->lock);
    long wait_ms = pass->waiter_count > 0 ? WAITING_MS : LOOK_MS;
    until.tv_nsec += wait_ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int rc = 0;
    while (!pass->woken && !pass->reported && !pass->stopped && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&pass->changed, &pass->lock, &until);
    }
    *ret_woken = pass->woken;
    bool go_on = !pass->stopped;
    pass->woken = false;
    pass->reported = false;
    pthread_mutex_unlock(&pass->lock);
    return go_on;
}

static void
run_timers(struct pass *pass, int64_t *heads_at_ms, int64_t *sweep_at_ms)
{
    struct sl_error err;
    int64_t now_ms = sl_mono_ms();
    if (now_ms >= *heads_at_ms) {
        *heads_at_ms = now_ms + HEADS_MS;
        if (revision_heads(pass->publisher, pass->db, &err) != 0) {
            log_once("heads", &err);
        }
        if (debug_sweep(pass->db, &err) != 0) {
            log_once("debugging calls", &err);
        }
    }
    if (now_ms >= *sweep_at_ms) {
        *sweep_at_ms = now_ms + SWEEP_MS;
        if (revision_sweep(pass->db, &err) != 0) {
            log_once("sweep", &err);
        }
    }
}

// The thread's connection; while there is none, nothing can be done.
static bool
has_database(struct pass *pass)
{
    struct sl_error err;
    struct sl_db_options options = {.conninfo = pass->publisher->database,
                                    .application = "sluice-publisher pass"};
    if (pass->db == NULL) {
        pass->db = sl_db_open(&options, &err);
        if (pass->db == NULL) {
            sl_log_error(SL_INFO, "the database is out of reach", &err);
        }
    }
    return pass->db != NULL;
}

static void *
run(void *arg)
{
    struct pass *pass = arg;
    int64_t heads_at_ms = 0;
    int64_t sweep_at_ms = sl_mono_ms() + SWEEP_MS;
    int64_t looked_at_ms = 0;
    bool woken = true;
    do {
        if (!has_database(pass)) {
            continue;
        }
        if (woken || sl_mono_ms() - looked_at_ms >= LOOK_MS) {
            looked_at_ms = sl_mono_ms();
            make_revisions(pass);
        }
        look_at_waiters(pass);
        run_timers(pass, &heads_at_ms, &sweep_at_ms);
    } while (wait_for_work(pass, &woken));
    return NULL;
}

struct pass *
pass_new(struct publisher *publisher, struct sl_error *err)
{
    struct pass *pass = calloc(1, sizeof(*pass));
    if (pass == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    pass->publisher = publisher;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pass->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&pass->lock, NULL);
    return pass;
}

void
pass_start(struct pass *pass)
{
    int rc = pthread_create(&pass->thread, NULL, run, pass);
    assert(rc == 0);
    pass->started = true;
}

void
pass_stop(struct pass *pass)
{
    if (!pass->started) {
        return;
    }
    pthread_mutex_lock(&pass->lock);
    pass->stopped = true;
    pthread_cond_signal(&pass->changed);
    pthread_mutex_unlock(&pass->lock);
    pthread_join(pass->thread, NULL);
    pass->started = false;
    for (size_t i = 0; i < pass->waiter_count; i++) {
        answer(pass, pass->waiters[i], NULL);
    }
    pass->waiter_count = 0;
}

void
pass_free(struct pass **pass)
{
    struct pass *self = pass == NULL ? NULL : *pass;
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < self->waiter_count; i++) { // of a thread that never ran
        free(self->waiters[i]->body);
        free(self->waiters[i]);
    }
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    sl_db_free(&self->db);
    free(self);
    *pass = NULL;
}

void
pass_wake(struct pass *pass)
{
    pthread_mutex_lock(&pass->lock);
    pass->woken = true;
    pthread_cond_signal(&pass->changed);
    pthread_mutex_unlock(&pass->lock);
}

void
pass_reported(struct pass *pass)
{
    pthread_mutex_lock(&pass->lock);
    pass->reported = pass->waiter_count > 0;
    if (pass->reported) {
        pthread_cond_signal(&pass->changed);
    }
    pthread_mutex_unlock(&pass->lock);
}

int
pass_wait(struct pass *pass, const struct pass_waiter *waiter, struct sl_error *err)
{
    struct pass_waiter *copy = malloc(sizeof(*copy));
    if (copy == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    *copy = *waiter;
    pthread_mutex_lock(&pass->lock);
    bool fits = pass->waiter_count < WAITERS_MAX && !pass->stopped;
    if (fits) {
        pass->waiters[pass->waiter_count++] = SL_TAKE(copy);
        pass->reported = true;
        pthread_cond_signal(&pass->changed);
    }
    pthread_mutex_unlock(&pass->lock);
    free(copy);
    return fits ? 0 : sl_fail(err, SL_E_UNAVAILABLE);
}
