// debug.c - see debug.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/debug.h"

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "services/node/debug_call.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_MAX   4     // at once
#define TIMEOUT_MS  60000 // of one
#define DEADLINE_MS 5000  // of the command with its answer
#define NO_ANSWER   ""    // what is told of a call that nginx did not answer

struct slot {
    struct debug_call call; //
    pthread_t thread;       //
    char id[SL_ID_SIZE];    // of the call; "": free
    char *request;          // call.request
    char *response;         // NULL: none
    int64_t latency_ms;     //
    _Atomic bool done;      // the thread is at its end
};

struct debug {
    struct sl_bus_client *client;
    const struct settings *settings;
    struct slot slots[CALLS_MAX];
};

struct debug *
debug_new(struct sl_bus_client *client, const struct settings *settings)
{
    struct debug *debug = calloc(1, sizeof(*debug));
    if (debug != NULL) {
        debug->client = client;
        debug->settings = settings;
    }
    return debug;
}

static void
clear_slot(struct slot *slot)
{
    pthread_join(slot->thread, NULL);
    free(slot->request);
    free(slot->response);
    memset(slot, 0, sizeof(*slot));
}

void
debug_free(struct debug **debug)
{
    struct debug *self = debug != NULL ? *debug : NULL;
    if (self == NULL) {
        return;
    }
    sl_bus_forget(self->client, self);
    for (size_t i = 0; i < CALLS_MAX; i++) {
        struct slot *slot = &self->slots[i];
        while (slot->id[0] != '\0' && !atomic_load(&slot->done)) {
            debug_call_break(&slot->call); // it may be about to connect
            (void)poll(NULL, 0, 1);
        }
        if (slot->id[0] != '\0') {
            clear_slot(slot);
        }
    }
    free(self);
    *debug = NULL;
}

static void *
run(void *arg)
{
    struct slot *slot = arg;
    int64_t began_ms = sl_mono_ms();
    slot->response = debug_call_make(&slot->call);
    slot->latency_ms = sl_mono_ms() - began_ms;
    atomic_store(&slot->done, true);
    return NULL;
}

static void
begin(struct debug *debug, struct slot *slot, const json_t *item)
{
    const char *id = json_string_value(json_object_get(item, "id"));
    const char *request = json_string_value(json_object_get(item, "request"));
    bool tls = json_is_true(json_object_get(item, "tls"));
    if (id == NULL || strlen(id) != SL_ID_LEN || request == NULL) {
        return;
    }
    size_t len = json_string_length(json_object_get(item, "request"));
    slot->request = malloc(len + 1);
    if (slot->request == NULL) {
        return;
    }
    memcpy(slot->request, request, len + 1);
    slot->call = (struct debug_call){.listen = tls ? debug->settings->https_listen
                                                   : debug->settings->http_listen,
                                     .request = {slot->request, len},
                                     .tls = tls,
                                     .timeout_ms = TIMEOUT_MS,
                                     .fd = -1};
    atomic_store(&slot->done, false);
    if (pthread_create(&slot->thread, NULL, run, slot) != 0) {
        free(SL_TAKE(slot->request));
        return;
    }
    memcpy(slot->id, id, SL_ID_SIZE);
}

void
debug_begin(struct debug *debug, const json_t *list)
{
    size_t at = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        while (at < CALLS_MAX && debug->slots[at].id[0] != '\0') {
            at++;
        }
        if (at == CALLS_MAX) {
            sl_log(SL_WARNING, "too many debugging calls at once");
            return;
        }
        begin(debug, &debug->slots[at], json_array_get(list, i));
    }
}

static void
on_reply(void *arg, const struct sl_reply *reply)
{
    (void)arg;
    if (reply->failed) {
        sl_log_error(SL_INFO, "an answer of a debugging call was not taken", &reply->error);
    }
}

void
debug_tick(struct debug *debug)
{
    for (size_t i = 0; i < CALLS_MAX; i++) {
        struct slot *slot = &debug->slots[i];
        if (slot->id[0] == '\0' || !atomic_load(&slot->done)) {
            continue;
        }
        json_t *body = json_pack("{s:s, s:s, s:I}", "id", slot->id, "response",
                                 slot->response != NULL ? slot->response : NO_ANSWER, "latency_ms",
                                 (json_int_t)slot->latency_ms);
        struct sl_command command = {.service = "publisher",
                                     .name = "node.debugged",
                                     .body = body,
                                     .deadline_ms = DEADLINE_MS};
        if (body != NULL) {
            sl_bus_call(debug->client, &command, on_reply, debug);
        }
        json_decref(body);
        clear_slot(slot);
    }
}
