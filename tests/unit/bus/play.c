// play.c - see play.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bus/play.h"

#include "common/base/clock.h"

#include <string.h>
#include <time.h>

void
play_pause(int64_t ms)
{
    struct timespec pause = {ms / 1000, (ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

struct play play;

static int
echo(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    (void)err;
    atomic_fetch_add(&play.handled, 1);
    reply->status = 200;
    const char *text = sl_arena_printf(
        call->arena, "{\"peer\":\"%s\",\"role\":\"%s\",\"actor\":\"%s\"}", call->command->peer,
        call->command->peer_role, call->command->actor.user_id);
    reply->body = sl_str(text);
    return 0;
}

static int
block(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    atomic_store(&play.has_started, true);
    while (atomic_load(&play.is_blocked)) {
        play_pause(1);
    }
    return echo(call, reply, err);
}

static int
refuse(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    (void)call;
    (void)reply;
    return sl_fail(err, SL_E_PARAM_INVALID, "name");
}

static int
defer(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    (void)reply;
    (void)err;
    atomic_store(&play.token, sl_call_defer(call));
    atomic_store(&play.has_started, true);
    return 0;
}

const struct sl_handler play_handlers[PLAY_HANDLERS] = {
    {"block", block},
    {"defer", defer},
    {"echo", echo},
    {"fail", refuse},
};

struct sl_worker *
play_worker(const struct sl_peer *peer, const char *service, size_t threads, size_t credits)
{
    const char *const services[] = {service};
    struct sl_worker_options options = {.peer = peer,
                                        .services = services,
                                        .service_count = 1,
                                        .handlers = play_handlers,
                                        .handler_count = PLAY_HANDLERS,
                                        .threads = threads,
                                        .credits = credits};
    struct sl_error err;
    struct sl_worker *worker = sl_worker_new(&options, &err);
    assert_non_null(worker);
    return worker;
}

struct sl_bus_client *
play_client(const struct sl_peer *peer, bool own_dispatch)
{
    struct sl_bus_client_options options = {.peer = peer, .own_dispatch = own_dispatch};
    struct sl_error err;
    struct sl_bus_client *client = sl_bus_client_new(&options, &err);
    assert_non_null(client);
    return client;
}

void
play_begin(size_t buses, const char *worker_role, size_t threads, size_t credits)
{
    memset(&play, 0, sizeof(play));
    play.stage = stage_new(buses);
    play.arena = sl_arena_new(1 << 24);
    const struct sl_peer *worker = stage_peer(play.stage, "worker-1", worker_role, NULL);
    const struct sl_peer *front = stage_peer(play.stage, "front-1", "front", NULL);
    play.worker = play_worker(worker, "registry", threads, credits);
    play.client = play_client(front, false);
    stage_wait_live(play.client, buses);
}

void
play_end(void)
{
    sl_bus_client_free(&play.client);
    sl_worker_free(&play.worker);
    stage_free(&play.stage);
    sl_arena_free(&play.arena);
}

struct sl_command
play_command(const char *name)
{
    return (struct sl_command){.service = "registry",
                               .name = name,
                               .actor = {.user_id = "u1"},
                               .deadline_ms = STAGE_PATIENCE_MS};
}

int
play_request(struct sl_bus_client *client, const char *name, struct sl_reply *ret_reply,
             struct sl_error *err)
{
    struct sl_command sent = play_command(name);
    return sl_bus_request(client, &sent, play.arena, ret_reply, err);
}

static void
count_answer(void *arg, const struct sl_reply *reply)
{
    struct play_slot *slot = arg;
    atomic_fetch_add(&slot->tally->answers[slot->index], 1);
    atomic_fetch_add(&slot->tally->good, !reply->failed);
    atomic_fetch_add(&slot->tally->all, 1);
}

void
play_send_many(struct play_tally *tally, struct play_slot *slots, const char *name, int from,
               int to)
{
    for (int i = from; i < to; i++) {
        slots[i] = (struct play_slot){tally, i};
        struct sl_command sent = play_command(name);
        sl_bus_call(play.client, &sent, count_answer, &slots[i]);
    }
}

void
play_wait_for_answers(struct play_tally *tally, int count)
{
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    while (atomic_load(&tally->all) < count && sl_mono_ms() < end_ms) {
        play_pause(1);
    }
    assert_int_equal(atomic_load(&tally->all), count);
}
