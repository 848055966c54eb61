// worker.c - see worker.h: starting, stopping, and what is offered.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/worker.h"

#include "common/wire/worker_state.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CREDITS_PER_THREAD 32 // waiting inside a worker costs less than a refusal

static void
add_service(struct sl_worker *worker, const char *service)
{
    for (size_t i = 0; i < worker->service_count; i++) {
        if (strcmp(worker->services[i], service) == 0) {
            return;
        }
    }
    assert(strlen(service) < SL_SERVICE_SIZE);
    if (worker->service_count == worker->service_cap) {
        worker->service_cap = worker->service_cap == 0 ? 8 : worker->service_cap * 2;
        worker->services = reallocarray(worker->services, worker->service_cap, SL_SERVICE_SIZE);
        assert(worker->services != NULL);
    }
    memset(worker->services[worker->service_count], 0, SL_SERVICE_SIZE);
    memcpy(worker->services[worker->service_count++], service, strlen(service));
    worker->offer_version++;
}

void
sl_worker_offer(struct sl_worker *worker, const char *service)
{
    pthread_mutex_lock(&worker->lock);
    add_service(worker, service);
    pthread_mutex_unlock(&worker->lock);
    worker_wake(worker);
}

void
sl_worker_withdraw(struct sl_worker *worker, const char *service)
{
    pthread_mutex_lock(&worker->lock);
    for (size_t i = 0; i < worker->service_count; i++) {
        if (strcmp(worker->services[i], service) == 0) {
            worker->service_count--;
            memmove(worker->services[i], worker->services[worker->service_count], SL_SERVICE_SIZE);
            worker->offer_version++;
            break;
        }
    }
    pthread_mutex_unlock(&worker->lock);
    worker_wake(worker);
}

bool
sl_worker_has_all_buses(struct sl_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    bool has_all = worker->buses_live == worker->options.peer->bus_count;
    pthread_mutex_unlock(&worker->lock);
    return has_all;
}

static void
block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static void
free_parts(struct sl_worker *worker)
{
    for (size_t i = 0; i < worker->options.peer->bus_count; i++) {
        sl_link_close(&worker->links[i]);
    }
    if (worker->context != NULL) {
        zmq_ctx_term(worker->context);
    }
    while (worker->deferred != NULL) {
        struct deferred *note = worker->deferred;
        worker->deferred = note->next;
        free(note);
    }
    worker_free_jobs(worker);
    close(worker->wake_fd);
    for (size_t i = 0; i < worker->options.threads; i++) {
        pthread_cond_destroy(&worker->threads[i].called);
    }
    free(worker->services);
    free(worker->threads);
    pthread_mutex_destroy(&worker->lock);
    pthread_mutex_destroy(&worker->io_lock);
    free(worker);
}

static struct sl_worker *
make_parts(const struct sl_worker_options *options)
{
    struct sl_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return NULL;
    }
    worker->options = *options;
    worker->credits =
        options->credits != 0 ? options->credits : options->threads * CREDITS_PER_THREAD;
    worker->options.width = options->width != 0 ? options->width : options->threads;
    worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    worker->context = zmq_ctx_new();
    worker->threads = calloc(options->threads, sizeof(*worker->threads));
    worker->offer_version = 1;
    pthread_mutex_init(&worker->lock, NULL);
    pthread_mutex_init(&worker->io_lock, NULL);
    for (size_t i = 0; i < options->threads; i++) {
        pthread_cond_init(&worker->threads[i].called, NULL);
    }
    for (size_t i = 0; i < options->service_count; i++) {
        add_service(worker, options->services[i]);
    }
    for (size_t i = 0; i < SL_BUSES_MAX; i++) {
        worker->known_offer[i] = -1;
    }
    return worker;
}

static int
open_links(struct sl_worker *worker, struct sl_error *err)
{
    const struct sl_peer *peer = worker->options.peer;
    for (size_t i = 0; i < peer->bus_count; i++) {
        if (sl_link_open(&worker->links[i], worker->context, SL_LINK_WORKERS, peer, &peer->buses[i],
                         err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void
check_options(const struct sl_worker_options *options)
{
    assert(options->threads >= 1 && options->threads <= 64);
    for (size_t i = 1; i < options->handler_count; i++) {
        assert(strcmp(options->handlers[i - 1].command, options->handlers[i].command) < 0);
    }
}

struct sl_worker *
sl_worker_new(const struct sl_worker_options *options, struct sl_error *err)
{
    check_options(options);
    block_signals();
    struct sl_worker *worker = make_parts(options);
    if (worker == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    if (open_links(worker, err) != 0) {
        free_parts(worker);
        return NULL;
    }
    worker->threads_running = options->threads;
    for (size_t i = 0; i < options->threads; i++) {
        worker->threads[i].worker = worker;
        int rc = pthread_create(&worker->threads[i].thread, NULL, worker_run_thread,
                                &worker->threads[i]);
        assert(rc == 0); // at the start of a process there are threads
    }
    int rc = pthread_create(&worker->io_thread, NULL, worker_run_io, worker);
    assert(rc == 0);
    return worker;
}

void
sl_worker_free(struct sl_worker **worker)
{
    if (worker == NULL || *worker == NULL) {
        return;
    }
    struct sl_worker *gone = SL_TAKE(*worker);
    pthread_mutex_lock(&gone->lock);
    gone->is_draining = true;
    gone->offer_version++;
    worker_call_all(gone);
    pthread_mutex_unlock(&gone->lock);
    worker_wake(gone);
    for (size_t i = 0; i < gone->options.threads; i++) {
        pthread_join(gone->threads[i].thread, NULL);
    }
    pthread_join(gone->io_thread, NULL);
    free_parts(gone);
}

int
sl_worker_wait(struct sl_worker *worker)
{
    (void)worker;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    int signal = 0;
    while (sigwait(&signals, &signal) != 0) {
    }
    return 0;
}
