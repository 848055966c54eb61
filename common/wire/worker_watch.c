// worker_watch.c - who serves a worker's sockets: a handler thread that rests or waits for its
// database, so that a command comes to the thread that runs it and to no other before.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/worker_state.h"

#include <time.h>

#define GUARD_MS 5 // nobody watched for so long, and nobody began to: the I/O thread does
#define MS_NS    1000000L
#define S_NS     1000000000L

bool
worker_may_watch(const struct sl_worker *worker)
{
    return worker->options.watches && !worker->is_watched && !worker->is_draining;
}

bool
worker_watch(struct sl_worker *worker, int fd)
{
    bool is_ready = false;
    bool rests = fd < 0;
    worker->is_watched = true;
    worker->watches++;
    while (!is_ready && !worker->is_draining && !(rests && worker->jobs_first != NULL)) {
        pthread_mutex_unlock(&worker->lock);
        is_ready = worker_turn(worker, fd, rests);
        pthread_mutex_lock(&worker->lock);
    }
    worker->is_watched = false;
    if (worker->is_guard_resting || worker->is_draining) {
        pthread_cond_signal(&worker->guard_called);
    }
    return is_ready;
}

// A tick of the guard; it ends early when the worker drains.
static void
tick(struct sl_worker *worker)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += GUARD_MS * MS_NS;
    until.tv_sec += until.tv_nsec / S_NS;
    until.tv_nsec %= S_NS;
    (void)pthread_cond_timedwait(&worker->guard_called, &worker->lock, &until);
}

// Watches until something came, which an idle thread was called for.
static void
stand_in(struct sl_worker *worker)
{
    worker->is_watched = true;
    do {
        pthread_mutex_unlock(&worker->lock);
        (void)worker_turn(worker, -1, false);
        pthread_mutex_lock(&worker->lock);
    } while (worker->jobs_first == NULL && !worker->is_draining);
    worker->is_watched = false;
}

void
worker_guard(struct sl_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    while (worker->options.watches && !worker->is_draining) {
        uint64_t seen = worker->watches;
        tick(worker);
        if (worker->watches != seen) {
            continue; // they come and go
        }
        if (!worker->is_watched) {
            stand_in(worker);
        }
        worker->is_guard_resting = true;
        while (worker->is_watched && worker->watches == seen && !worker->is_draining) {
            pthread_cond_wait(&worker->guard_called, &worker->lock);
        }
        worker->is_guard_resting = false;
    }
    while (worker->is_watched) {
        pthread_cond_wait(&worker->guard_called, &worker->lock);
    }
    worker->is_watched = true;
    pthread_mutex_unlock(&worker->lock);
}
