// pool.c - see pool.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/identity/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"

#define THREADS_MAX   4
#define RETRY_MS      500 // between attempts to open the database
#define JOB_ARENA_MAX (1024 * 1024)

// A command that waits; it owns its arena, which holds the copy of the command.
struct job {
    struct job *next;
    struct sl_arena *arena;
    const struct command_row *row;
    struct sl_command command;
    struct sl_worker *worker;
    uint64_t token;           // of the reply
    int64_t deadline_mono_ms; // after which nobody waits
};

struct pool {
    struct identity *identity;
    pthread_mutex_t lock; // guards all below
    pthread_cond_t wake;  // a job came, or stopping
    struct job *first;    // queue
    struct job **last;    // where the next one is linked
    size_t waiting;       // length of the queue
    bool stopping;        //
    pthread_t threads[THREADS_MAX];
    size_t thread_count;
};

static void
job_reply(struct job *job, const struct sl_reply *reply)
{
    sl_worker_reply(job->worker, job->token, reply);
    struct sl_arena *arena = job->arena; // the job lies in it
    sl_arena_free(&arena);
}

static void
job_refuse(struct job *job, struct sl_error *err)
{
    struct sl_reply reply = sl_reply_of_error(err);
    job_reply(job, &reply);
}

// Waits for a job; NULL when stopping.
static struct job *
next_job(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->first == NULL && !pool->stopping) {
        pthread_cond_wait(&pool->wake, &pool->lock);
    }
    struct job *job = pool->stopping ? NULL : pool->first;
    if (job != NULL) {
        pool->first = job->next;
        pool->last = pool->first != NULL ? pool->last : &pool->first;
        pool->waiting--;
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void
run_job(struct job *job, struct thread *thread)
{
    struct sl_error err = {.code = SL_E_INTERNAL};
    if (sl_mono_ms() >= job->deadline_mono_ms) {
        sl_fail(&err, SL_E_DEADLINE);
        job_refuse(job, &err);
        return;
    }
    struct sl_call call = {
        .arena = job->arena,
        .command = &job->command,
        .worker = job->worker,
        .context = thread,
        .deadline_mono_ms = job->deadline_mono_ms,
        .token = job->token,
    };
    struct sl_reply reply;
    if (task_run(job->row, thread, &call, &reply, &err) != 0) {
        sl_log_error(SL_INFO, "command refused", &err, SL_LOG_STR("command", job->command.name),
                     SL_LOG_STR("request_id", job->command.request_id));
        job_refuse(job, &err);
        return;
    }
    job_reply(job, &reply);
}

static bool
is_stopping(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool stopping = pool->stopping;
    pthread_mutex_unlock(&pool->lock);
    return stopping;
}

// Opens the thread's connection, however long the database takes to come; NULL when stopping.
static struct thread *
open_thread(struct pool *pool)
{
    void *context = NULL;
    struct sl_error err;
    while (thread_open(pool->identity, &context, &err) != 0) {
        if (is_stopping(pool)) {
            return NULL;
        }
        struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
    return context;
}

static void *
run_thread(void *arg)
{
    struct pool *pool = arg;
    struct thread *thread = open_thread(pool);
    struct job *job = NULL;
    while (thread != NULL && (job = next_job(pool)) != NULL) {
        run_job(job, thread);
    }
    if (thread != NULL) {
        thread_close(pool->identity, thread);
    }
    return NULL;
}

struct pool *
pool_new(struct identity *identity, size_t threads, struct sl_error *err)
{
    assert(threads >= 1 && threads <= THREADS_MAX);
    struct pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    pool->identity = identity;
    pool->last = &pool->first;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    for (size_t i = 0; i < threads; i++) {
        if (pthread_create(&pool->threads[i], NULL, run_thread, pool) != 0) {
            sl_fail(err, SL_E_INTERNAL);
            sl_error_detail(err, "no thread for the pool");
            pool_stop(pool);
            pool_free(&pool);
            return NULL;
        }
        pool->thread_count++;
    }
    return pool;
}

void
pool_stop(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->thread_count; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pool->thread_count = 0;
    struct sl_error err;
    sl_fail(&err, SL_E_UNAVAILABLE);
    while (pool->first != NULL) {
        struct job *job = pool->first;
        pool->first = job->next;
        job_refuse(job, &err);
    }
}

void
pool_free(struct pool **pool)
{
    if (pool != NULL && *pool != NULL) {
        pthread_cond_destroy(&(*pool)->wake);
        pthread_mutex_destroy(&(*pool)->lock);
        free(*pool);
        *pool = NULL;
    }
}

// A job in an arena of its own with a copy of the command; NULL with *err filled.
static struct job *
make_job(const struct command_row *row, struct sl_call *call, struct sl_error *err)
{
    struct sl_arena *arena = sl_arena_new(JOB_ARENA_MAX);
    struct job *job = arena != NULL ? sl_arena_alloc(arena, sizeof(*job)) : NULL;
    struct sl_str bytes;
    if (job == NULL || sl_command_encode(arena, call->command, &bytes, err) != 0 ||
        sl_command_decode(arena, bytes, &job->command, err) != 0) {
        if (job == NULL) {
            sl_fail(err, SL_E_INTERNAL);
        }
        sl_arena_free(&arena);
        return NULL;
    }
    // The sender's identity is the bus's word and no part of what is encoded.
    job->command.peer = sl_arena_dup(arena, call->command->peer);
    job->command.peer_role = sl_arena_dup(arena, call->command->peer_role);
    job->arena = arena;
    job->row = row;
    job->worker = call->worker;
    job->deadline_mono_ms = call->deadline_mono_ms;
    return job;
}

int
pool_take(struct pool *pool, const struct command_row *row, struct sl_call *call,
          struct sl_error *err)
{
    struct job *job = make_job(row, call, err);
    if (job == NULL) {
        return -1;
    }
    pthread_mutex_lock(&pool->lock);
    bool full = pool->stopping || pool->waiting >= POOL_QUEUE_MAX;
    if (!full) {
        job->token = sl_call_defer(call);
        *pool->last = job;
        pool->last = &job->next;
        pool->waiting++;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    if (full) {
        struct sl_arena *arena = job->arena;
        sl_arena_free(&arena);
        sl_fail(err, SL_E_UNAVAILABLE);
        return sl_error_detail(err, "the password queue is full");
    }
    return 0;
}
