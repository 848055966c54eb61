// limits.c - grants.h on the bus: requests as commands, recalls as events, the state file.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/limits.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/crypto/crypto.h"
#include "services/node/grants.h"

#define CALL_MS     300 // of an exchange; a request waits 20 ms at most, a sweep has a beat
#define ARENA_MAX   ((size_t)32 * 1024 * 1024)
#define SERVICE_MAX 24
#define PATH_SIZE   4096

// An exchange that is out. It outlives the limits when it has to: the client answers every call.
struct call {
    struct limits *limits; // NULL: gone
    uint64_t token;        // of grants
    struct call *next;     // in limits.calls
    struct call **link;    // what points here
};

struct limits {
    struct sl_bus_client *client;
    struct sl_counters *counters;
    struct grants *grants;
    struct sl_arena *arena;     // of the message in hand
    struct call *calls;         // that are out
    int64_t noted_divides;      // what the state file says
    char state_path[PATH_SIZE]; // of the state file
    bool was_up;                // for the log
};

// -- the state file: how many nodes a fresh memory may divide limits among

static int64_t
read_state(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[32] = "";
    int64_t divides = 0;
    if (file == NULL) {
        return 0;
    }
    struct sl_str text = {line, 0};
    if (fgets(line, sizeof(line), file) != NULL) {
        text.len = strcspn(line, "\n");
        if (!sl_str_int(text, &divides) || divides < 0) {
            divides = 0;
        }
    }
    fclose(file);
    return divides;
}

// By rename, so that a crash leaves the old or the new number. Failing only costs a share later.
static void
write_state(struct limits *limits)
{
    char path[PATH_SIZE + 8];
    int64_t divides = grants_divides(limits->grants);
    if (divides == limits->noted_divides) {
        return;
    }
    snprintf(path, sizeof(path), "%s.new", limits->state_path);
    FILE *file = fopen(path, "we");
    bool written = file != NULL && fprintf(file, "%lld\n", (long long)divides) > 0;
    written = (file == NULL || fclose(file) == 0) && written;
    if (written && rename(path, limits->state_path) == 0) {
        limits->noted_divides = divides;
    }
}

// -- the bus

static void
unlink_call(struct call *call)
{
    *call->link = call->next;
    if (call->next != NULL) {
        call->next->link = call->link;
    }
}

static void
on_reply(void *arg, const struct sl_reply *reply)
{
    struct call *call = arg;
    struct limits *limits = call->limits;
    struct sl_error err;
    json_t *body = NULL;
    if (limits != NULL) {
        unlink_call(call);
        if (!reply->failed && sl_json_unpack(limits->arena, reply->body, &body, &err) != 0) {
            sl_log_error(SL_WARNING, "accounting's answer cannot be read", &err);
            body = NULL;
        }
        grants_reply(limits->grants, call->token, body, sl_mono_ms());
        sl_arena_clear(limits->arena);
    }
    free(call);
}

static void
on_event(void *arg, struct sl_str topic, struct sl_str bytes)
{
    struct limits *limits = arg;
    struct sl_error err;
    json_t *body;
    if (topic.len == 0) {
        return; // what was missed is in the next answers
    }
    if (sl_json_unpack(limits->arena, bytes, &body, &err) != 0) {
        sl_log_error(SL_WARNING, "an event of accounting cannot be read", &err);
    } else {
        grants_event(limits->grants, body, sl_mono_ms());
    }
    sl_arena_clear(limits->arena);
}

static void
send_exchange(void *arg, uint32_t shard, json_t *body, uint64_t token)
{
    struct limits *limits = arg;
    char service[SERVICE_MAX];
    char id[SL_ID_SIZE];
    struct call *call = calloc(1, sizeof(*call));
    assert(call != NULL); // without it the answer could not be waited for
    snprintf(service, sizeof(service), "throttle/%u", shard);
    sl_random_id(id);
    call->limits = limits;
    call->token = token;
    call->next = limits->calls;
    call->link = &limits->calls;
    if (call->next != NULL) {
        call->next->link = &call->next;
    }
    limits->calls = call;
    struct sl_command command = {.id = id,
                                 .service = service,
                                 .name = "limits.exchange",
                                 .body = body,
                                 .deadline_ms = CALL_MS};
    sl_bus_call(limits->client, &command, on_reply, call);
    json_decref(body);
}

// -- life

static int
open_counters(struct limits *limits, const struct limits_options *options, struct sl_error *err)
{
    limits->counters = sl_counters_open(options->shm_name, options->keys, err);
    if (limits->counters == NULL || sl_counters_attend(limits->counters, err) != 0) {
        return -1;
    }
    limits->noted_divides = read_state(limits->state_path);
    limits->grants = grants_new(
        &(struct grants_options){.counters = limits->counters,
                                 .node_id = options->node_id,
                                 .incarnation = sl_counters_incarnation(limits->counters),
                                 .divides = limits->noted_divides,
                                 .send = send_exchange,
                                 .arg = limits});
    limits->arena = sl_arena_new(ARENA_MAX);
    if (limits->grants == NULL || limits->arena == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    return 0;
}

struct limits *
limits_new(const struct limits_options *options, struct sl_error *err)
{
    struct limits *limits = calloc(1, sizeof(*limits));
    char topic[SL_ID_SIZE + 8];
    if (limits == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    limits->client = options->client;
    snprintf(limits->state_path, sizeof(limits->state_path), "%s/limits.state", options->state_dir);
    snprintf(topic, sizeof(topic), "node/%s", options->node_id);
    if (open_counters(limits, options, err) != 0 ||
        sl_bus_subscribe(limits->client, topic, on_event, limits, err) != 0) {
        limits_free(&limits);
    }
    return limits;
}

void
limits_free(struct limits **limits)
{
    if (limits == NULL || *limits == NULL) {
        return;
    }
    struct limits *self = *limits;
    sl_bus_forget(self->client, self); // the client hands out what has come as it ends
    for (struct call *call = self->calls; call != NULL; call = call->next) {
        call->limits = NULL;
    }
    if (self->grants != NULL) {
        write_state(self);
    }
    grants_free(&self->grants);
    sl_arena_free(&self->arena);
    sl_counters_free(&self->counters);
    free(self);
    *limits = NULL;
}

int
limits_fd(const struct limits *limits)
{
    return sl_counters_wake_fd(limits->counters);
}

void
limits_wake(struct limits *limits)
{
    grants_asked(limits->grants, sl_mono_ms());
}

void
limits_tick(struct limits *limits)
{
    grants_tick(limits->grants, sl_mono_ms());
    write_state(limits);
    if (grants_is_up(limits->grants) != limits->was_up) {
        limits->was_up = !limits->was_up;
        sl_log(SL_INFO, "accounting changed", SL_LOG_INT("up", limits->was_up));
    }
}

void
limits_leave(struct limits *limits)
{
    int64_t end_ms = sl_mono_ms() + CALL_MS;
    struct pollfd answers = {.fd = sl_bus_client_fd(limits->client), .events = POLLIN};
    bool is_done = false;
    while (!is_done && sl_mono_ms() < end_ms) {
        is_done = grants_leave(limits->grants, sl_mono_ms());
        if (!is_done && poll(&answers, 1, LIMITS_TICK_MS) > 0) {
            sl_bus_client_dispatch(limits->client);
        }
    }
    sl_log(SL_INFO, "unspent units given back", SL_LOG_INT("complete", is_done));
}

void
limits_members(struct limits *limits, const struct sl_gateway *gateway)
{
    grants_members(limits->grants, gateway->node_ids, gateway->node_count,
                   (int64_t)gateway->membership);
    write_state(limits);
}

int64_t
limits_clock_offset_ms(const struct limits *limits)
{
    int64_t mono_ms = sl_mono_ms();
    return sl_counters_clock(limits->counters, mono_ms) - sl_wall_ms();
}

bool
limits_is_up(const struct limits *limits)
{
    return grants_is_up(limits->grants);
}
