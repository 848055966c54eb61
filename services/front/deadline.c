// deadline.c - a list, a mutex and a slow thread.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/deadline.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "common/base/clock.h"

#define SWEEP_MS 250 // how late a connection may be closed

struct deadline {
    struct deadline_list *list;
    struct deadline *previous; // NULL: first
    struct deadline *next;     // NULL: last
    int fd;                    // the socket; owned by libmicrohttpd
    _Atomic int64_t due_ms;    // sl_mono_ms()
};

struct deadline_list {
    pthread_mutex_t lock; // of the links
    pthread_cond_t wake;  // stop came
    pthread_t thread;
    bool stop;
    struct deadline *first;
};

static void
close_late(const struct deadline_list *list, int64_t now_ms)
{
    for (struct deadline *each = list->first; each != NULL; each = each->next) {
        if (atomic_load(&each->due_ms) <= now_ms) {
            (void)shutdown(each->fd, SHUT_RDWR);
        }
    }
}

static void *
sweep(void *arg)
{
    struct deadline_list *list = arg;
    pthread_mutex_lock(&list->lock);
    while (!list->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += SWEEP_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_cond_timedwait(&list->wake, &list->lock, &until);
        close_late(list, sl_mono_ms());
    }
    pthread_mutex_unlock(&list->lock);
    return NULL;
}

struct deadline_list *
deadline_list_new(struct sl_error *err)
{
    pthread_condattr_t monotonic;
    struct deadline_list *list = calloc(1, sizeof(*list));
    if (list == NULL) {
        (void)sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    pthread_mutex_init(&list->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&list->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&list->thread, NULL, sweep, list) != 0) {
        (void)sl_fail(err, SL_E_INTERNAL);
        free(list);
        return NULL;
    }
    return list;
}

void
deadline_list_free(struct deadline_list **list)
{
    if (*list == NULL) {
        return;
    }
    struct deadline_list *self = SL_TAKE(*list);
    pthread_mutex_lock(&self->lock);
    self->stop = true;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    assert(self->first == NULL);
    pthread_cond_destroy(&self->wake);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

struct deadline *
deadline_new(struct deadline_list *list, int fd, int64_t in_ms)
{
    struct deadline *deadline = calloc(1, sizeof(*deadline));
    if (deadline == NULL) {
        return NULL;
    }
    deadline->list = list;
    deadline->fd = fd;
    deadline_set(deadline, in_ms);
    pthread_mutex_lock(&list->lock);
    deadline->next = list->first;
    if (list->first != NULL) {
        list->first->previous = deadline;
    }
    list->first = deadline;
    pthread_mutex_unlock(&list->lock);
    return deadline;
}

void
deadline_set(struct deadline *deadline, int64_t in_ms)
{
    if (deadline != NULL) {
        atomic_store(&deadline->due_ms, sl_mono_ms() + in_ms);
    }
}

void
deadline_free(struct deadline **deadline)
{
    if (*deadline == NULL) {
        return;
    }
    struct deadline *self = SL_TAKE(*deadline);
    pthread_mutex_lock(&self->list->lock);
    if (self->previous != NULL) {
        self->previous->next = self->next;
    } else {
        self->list->first = self->next;
    }
    if (self->next != NULL) {
        self->next->previous = self->previous;
    }
    pthread_mutex_unlock(&self->list->lock);
    free(self);
}
