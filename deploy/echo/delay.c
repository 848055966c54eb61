// delay.c - a list of waiting connections, and the thread that looks when the next is due.
//
// SPDX-License-Identifier: Apache-2.0
#include "deploy/echo/delay.h"

#include <microhttpd.h>

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define MS_PER_S  1000L
#define NS_PER_MS 1000000L

struct waiting {
    int64_t due_ms; // monotonic
    struct MHD_Connection *connection;
};

static struct waiting waiting[DELAYS_MAX];
static size_t count; // of waiting
static bool stopping;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // the three above
static pthread_cond_t changed;
static pthread_t thread;

static int64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / NS_PER_MS;
}

// Resumes who is due, at the end everybody. Returns when the next one is; INT64_MAX: there is none.
static int64_t
resume_due(int64_t now)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < count;) {
        if (stopping || waiting[i].due_ms <= now) {
            MHD_resume_connection(waiting[i].connection);
            waiting[i] = waiting[--count];
        } else {
            next = waiting[i].due_ms < next ? waiting[i].due_ms : next;
            i++;
        }
    }
    return next;
}

static void *
watch(void *unused)
{
    pthread_mutex_lock(&lock);
    while (!stopping || count > 0) {
        int64_t next = resume_due(now_ms());
        if (next == INT64_MAX && !stopping) {
            pthread_cond_wait(&changed, &lock);
        } else if (!stopping) {
            struct timespec until = {next / MS_PER_S, next % MS_PER_S * NS_PER_MS};
            pthread_cond_timedwait(&changed, &lock, &until);
        }
    }
    pthread_mutex_unlock(&lock);
    return unused;
}

bool
delay_start(void)
{
    pthread_condattr_t clock;
    bool started = pthread_condattr_init(&clock) == 0;

    if (started) {
        started = pthread_condattr_setclock(&clock, CLOCK_MONOTONIC) == 0 &&
                  pthread_cond_init(&changed, &clock) == 0 &&
                  pthread_create(&thread, NULL, watch, NULL) == 0;
        pthread_condattr_destroy(&clock);
    }
    return started;
}

bool
delay_connection(struct MHD_Connection *connection, long ms)
{
    pthread_mutex_lock(&lock);
    bool taken = !stopping && count < DELAYS_MAX;
    if (taken) {
        MHD_suspend_connection(connection);
        waiting[count++] = (struct waiting){now_ms() + ms, connection};
        pthread_cond_signal(&changed);
    }
    pthread_mutex_unlock(&lock);
    return taken;
}

void
delay_stop(void)
{
    pthread_mutex_lock(&lock);
    stopping = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
}
