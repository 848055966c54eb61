// auth_look.c - see auth_look.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/auth_look.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/wire/stream.h"

#define LOOK_MS  1000 // that somebody waits
#define PAUSE_MS 20   // between two questions, whoever asks

struct look {
    struct look *next;
    look_fn *fn;
    void *arg;
};

struct looks {
    struct sl_bus_client *client;
    struct sl_follow *follow;
    pthread_mutex_t lock;
    struct look *waiting; // lock; for the next question
    bool is_closed;       // lock
    // The client's thread's own.
    struct look *asked;      // for the question that is out, or for the copy
    int64_t asked_ms;        // mono: last question
    bool is_asking;          // its answer has not come
    bool is_answered;        // `want` is set
    struct sl_revision want; // what the copy has to reach
};

static void
run_all(struct look *first)
{
    while (first != NULL) {
        struct look *next = first->next;
        first->fn(first->arg);
        free(first);
        first = next;
    }
}

static void
take_answer(void *arg, const struct sl_reply *reply)
{
    struct looks *looks = arg;
    struct sl_error err;
    looks->is_asking = false;
    looks->is_answered = !reply->failed && sl_head_unpack(reply->body, &looks->want, &err) == 0;
    if (looks->is_answered) {
        sl_follow_heard(looks->follow, &looks->want); // its event may be lost
    } else {
        run_all(SL_TAKE(looks->asked));
    }
}

static void
ask(struct looks *looks)
{
    struct sl_command command = {
        .service = "publisher", .name = "runtime.settle", .deadline_ms = LOOK_MS};
    looks->asked_ms = sl_mono_ms();
    looks->is_asking = true;
    looks->is_answered = false;
    sl_bus_call(looks->client, &command, take_answer, looks);
}

static bool
has_come(const struct looks *looks)
{
    struct sl_revision have = sl_follow_revision(looks->follow);
    return looks->is_answered && strcmp(have.epoch, looks->want.epoch) == 0 &&
           have.number >= looks->want.number;
}

static void
tick(void *arg)
{
    struct looks *looks = arg;
    int64_t passed_ms = sl_mono_ms() - looks->asked_ms;
    if (looks->asked != NULL && (has_come(looks) || passed_ms >= LOOK_MS)) {
        run_all(SL_TAKE(looks->asked));
    }
    if (looks->asked != NULL || looks->is_asking || passed_ms < PAUSE_MS) {
        return;
    }
    pthread_mutex_lock(&looks->lock);
    looks->asked = SL_TAKE(looks->waiting);
    pthread_mutex_unlock(&looks->lock);
    if (looks->asked != NULL) {
        ask(looks);
    }
}

struct looks *
looks_new(struct sl_bus_client *client, struct sl_follow *follow)
{
    struct looks *looks = calloc(1, sizeof(*looks));
    if (looks == NULL) {
        return NULL;
    }
    looks->client = client;
    looks->follow = follow;
    pthread_mutex_init(&looks->lock, NULL);
    sl_bus_every(client, tick, looks);
    return looks;
}

void
looks_ask(struct looks *looks, look_fn *fn, void *arg)
{
    struct look *look = calloc(1, sizeof(*look));
    if (look == NULL) {
        fn(arg);
        return;
    }
    look->fn = fn;
    look->arg = arg;
    pthread_mutex_lock(&looks->lock);
    bool is_closed = looks->is_closed;
    if (!is_closed) {
        look->next = looks->waiting;
        looks->waiting = look;
    }
    pthread_mutex_unlock(&looks->lock);
    if (is_closed) {
        run_all(look);
    }
}

void
looks_close(struct looks *looks)
{
    if (looks == NULL || looks->is_closed) {
        return;
    }
    sl_bus_forget(looks->client, looks);
    pthread_mutex_lock(&looks->lock);
    looks->is_closed = true;
    struct look *waiting = SL_TAKE(looks->waiting);
    pthread_mutex_unlock(&looks->lock);
    run_all(SL_TAKE(looks->asked));
    run_all(waiting);
}

void
looks_free(struct looks **looks)
{
    if (looks == NULL || *looks == NULL) {
        return;
    }
    struct looks *gone = SL_TAKE(*looks);
    assert(gone->is_closed && gone->waiting == NULL);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}
