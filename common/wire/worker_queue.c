// worker_queue.c - which handler thread takes which job, and when it is called.
//
// Jobs that go together wait for the thread that has some, as its next round trip takes them along:
// another thread is called for them only when none has any, when a whole turn of them waits, or
// when the first has waited too long.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.h"
#include "common/wire/worker_state.h"

#include <stdlib.h>

static void
push(struct job_queue *queue, struct job *job)
{
    if (queue->last != NULL) {
        queue->last->next = job;
    } else {
        queue->first = job;
    }
    queue->last = job;
    queue->count++;
}

// The queue must not be empty.
static struct job *
pop(struct job_queue *queue)
{
    struct job *job = queue->first;
    queue->first = job->next;
    if (job->next == NULL) {
        queue->last = NULL;
    }
    queue->count--;
    return job;
}

// Whether one more thread may take jobs that go together.
static bool
may_go_together(const struct sl_worker *worker, int64_t now_ms)
{
    const struct job_queue *queue = &worker->together;
    return queue->count >= SL_TOGETHER ||
           (queue->count > 0 &&
            (worker->threads_together == 0 ||
             now_ms - queue->first->since_ms > worker->options.together->patience_ms));
}

// Takes the thread out of the idle ones that rested last, for the caller to call; NULL: all work.
static struct worker_thread *
choose_idle(struct sl_worker *worker)
{
    struct worker_thread *idle = worker->idle;
    if (idle != NULL) {
        worker->idle = idle->next_idle;
        idle->is_idle = false;
    }
    return idle;
}

// The thread to call for jobs that go together, where one may take them; one at a time, as the
// first takes all that came while it woke. NULL: none is to be called.
static struct worker_thread *
choose_for_together(struct sl_worker *worker, int64_t now_ms)
{
    if (worker->is_called || !may_go_together(worker, now_ms)) {
        return NULL;
    }
    struct worker_thread *idle = choose_idle(worker);
    if (idle != NULL) {
        worker->is_called = idle->is_called = true;
    }
    return idle;
}

// Without `lock`, which it finds free.
static void
call(struct worker_thread *thread)
{
    if (thread != NULL) {
        pthread_cond_signal(&thread->called);
    }
}

void
worker_put_job(struct sl_worker *worker, struct job *job, bool goes_together)
{
    pthread_mutex_lock(&worker->lock);
    worker->load++;
    job->turn = ++worker->last_turn;
    push(goes_together ? &worker->together : &worker->alone, job);
    struct worker_thread *idle =
        goes_together ? choose_for_together(worker, job->since_ms) : choose_idle(worker);
    pthread_mutex_unlock(&worker->lock);
    call(idle);
}

void
worker_hurry(struct sl_worker *worker, int64_t now_ms)
{
    pthread_mutex_lock(&worker->lock);
    struct worker_thread *idle = choose_for_together(worker, now_ms);
    pthread_mutex_unlock(&worker->lock);
    call(idle);
}

void
worker_call_all(struct sl_worker *worker)
{
    for (size_t i = 0; i < worker->options.threads; i++) {
        pthread_cond_signal(&worker->threads[i].called);
    }
}

void
worker_free_jobs(struct sl_worker *worker)
{
    while (worker->alone.count > 0) {
        free(pop(&worker->alone));
    }
    while (worker->together.count > 0) {
        free(pop(&worker->together));
    }
}

// Takes the thread out of the idle ones; one that woke by itself is still among them.
static void
leave_idle(struct worker_thread *thread)
{
    struct worker_thread **at = &thread->worker->idle;
    while (thread->is_idle && *at != thread) {
        at = &(*at)->next_idle;
    }
    if (thread->is_idle) {
        *at = thread->next_idle;
        thread->is_idle = false;
    }
}

// Rests until called. Under `lock`.
static void
rest(struct worker_thread *thread)
{
    thread->next_idle = thread->worker->idle;
    thread->worker->idle = thread;
    thread->is_idle = true;
    pthread_cond_wait(&thread->called, &thread->worker->lock);
    leave_idle(thread);
    if (thread->is_called) {
        thread->worker->is_called = thread->is_called = false;
    }
}

// Whether the job that came first is one that goes together.
static bool
together_is_next(const struct sl_worker *worker)
{
    return may_go_together(worker, sl_mono_ms()) &&
           (worker->alone.count == 0 || worker->together.first->turn < worker->alone.first->turn);
}

// Takes what is next; 0 when nothing is there for this thread. Under `lock`.
static size_t
take_next(struct worker_thread *thread, struct job *ret_jobs[SL_TOGETHER])
{
    struct sl_worker *worker = thread->worker;
    size_t count = 0;
    if (together_is_next(worker)) {
        thread->is_together = true;
        worker->threads_together++;
        while (count < SL_TOGETHER && worker->together.count > 0) {
            ret_jobs[count++] = pop(&worker->together);
        }
    } else if (worker->alone.count > 0) {
        ret_jobs[count++] = pop(&worker->alone);
    }
    return count;
}

size_t
worker_take_jobs(struct worker_thread *thread, struct job *ret_jobs[SL_TOGETHER])
{
    struct sl_worker *worker = thread->worker;
    pthread_mutex_lock(&worker->lock);
    worker->threads_together -= thread->is_together;
    thread->is_together = false;
    size_t count = take_next(thread, ret_jobs);
    while (count == 0 && !worker->is_stopping) {
        rest(thread);
        count = take_next(thread, ret_jobs);
    }
    // Those that waited for this thread must not wait for what it took instead.
    struct worker_thread *idle = choose_for_together(worker, sl_mono_ms());
    pthread_mutex_unlock(&worker->lock);
    call(idle);
    return count;
}
