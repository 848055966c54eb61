// ngx_http_sluice_aside.c - work that would hold up a worker's loop, done by threads beside it.
//
// The threads begin with the first such work. A pool of nginx's own would begin with the worker,
// and libc makes every request of a process with two threads pay: locks around memory, cancellation
// points around system calls.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include <pthread.h>
#include <signal.h>

#define THREADS 2

// What the worker and its threads share under `lock`. `done` is newest first.
static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t threads[THREADS]; // the worker's own
    size_t count;               // of those that run
    bool ends;                  // they shall end
    ngx_http_sluice_aside_t *todo, **todo_end;
    ngx_http_sluice_aside_t *done;
} aside = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .todo_end = &aside.todo};

// In the worker, after a thread has told.
static void
on_done(ngx_event_t *event)
{
    ngx_http_sluice_aside_t *next;

    (void)event;
    pthread_mutex_lock(&aside.lock);
    ngx_http_sluice_aside_t *job = aside.done;
    aside.done = NULL;
    pthread_mutex_unlock(&aside.lock);
    for (; job != NULL; job = next) {
        next = job->next; // the request may end, and the job with it
        job->done(job->data);
    }
}

// The next job, waited for; NULL: the thread shall end.
static ngx_http_sluice_aside_t *
take_job(void)
{
    ngx_http_sluice_aside_t *job;

    pthread_mutex_lock(&aside.lock);
    while (aside.todo == NULL && !aside.ends) {
        pthread_cond_wait(&aside.wake, &aside.lock);
    }
    job = aside.ends ? NULL : aside.todo;
    if (job != NULL) {
        aside.todo = job->next;
        if (aside.todo == NULL) {
            aside.todo_end = &aside.todo;
        }
    }
    pthread_mutex_unlock(&aside.lock);
    return job;
}

static void *
run(void *unused)
{
    ngx_http_sluice_aside_t *job;

    (void)unused;
    while ((job = take_job()) != NULL) {
        job->work(job->data);
        pthread_mutex_lock(&aside.lock);
        job->next = aside.done;
        aside.done = job;
        pthread_mutex_unlock(&aside.lock);
        (void)ngx_notify(on_done);
    }
    return NULL;
}

// Signals are the worker's: no thread takes any. One thread is enough to go on with.
static bool
begin(void)
{
    sigset_t all;
    sigset_t before;

    if (aside.count > 0 || ngx_notify == NULL) {
        return aside.count > 0;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    while (aside.count < THREADS &&
           pthread_create(&aside.threads[aside.count], NULL, run, NULL) == 0) {
        aside.count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return aside.count > 0;
}

ngx_int_t
ngx_http_sluice_aside(ngx_http_sluice_aside_t *job)
{
    if (!begin()) {
        return NGX_ERROR;
    }
    job->next = NULL;
    pthread_mutex_lock(&aside.lock);
    *aside.todo_end = job;
    aside.todo_end = &job->next;
    pthread_cond_signal(&aside.wake);
    pthread_mutex_unlock(&aside.lock);
    return NGX_OK;
}

void
ngx_http_sluice_aside_exit(void)
{
    pthread_mutex_lock(&aside.lock);
    aside.ends = true;
    pthread_cond_broadcast(&aside.wake);
    pthread_mutex_unlock(&aside.lock);
    while (aside.count > 0) {
        pthread_join(aside.threads[--aside.count], NULL);
    }
}
