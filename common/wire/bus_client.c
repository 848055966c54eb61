// bus_client.c - see bus_client.h: the client's thread, and what callers' threads do.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/bus_client.h"

#include "common/base/clock.h"
#include "common/wire/client_state.h"

#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define CREDITS  1024 // unless the options say otherwise
#define ROUND_MS 5    // the longest sleep while something is timed
#define IDLE_MS  50   // the longest sleep otherwise
#define BATCH    256  // messages of one socket before the next has its turn

void
client_wake(struct sl_bus_client *client)
{
    uint64_t one = 1;
    ssize_t written = write(client->wake_fd, &one, sizeof(one));
    (void)written; // full means that it is readable already
}

static void
beat(struct sl_bus_client *client)
{
    size_t live = 0;
    for (size_t i = 0; i < client->peer->bus_count; i++) {
        struct sl_link *link = &client->buses[i].commands;
        if (link->heard_ms != 0 && client->now_ms >= link->beat_at_ms) {
            const struct sl_str word = SL_STR("H");
            sl_link_send(link, &word, 1);
            link->beat_at_ms = client->now_ms + SL_LINK_BEAT_MS;
        }
        bool was_silent = link->heard_ms != 0 && !sl_link_is_live(link, client->now_ms);
        if (was_silent) {
            // Silent, yet connected: its commands go elsewhere; the next sign of life brings it
            // back.
            link->heard_ms = 0;
            client_on_link_change(client, i);
        }
        live += sl_link_is_live(link, client->now_ms);
    }
    atomic_store(&client->live, live);
}

static void
read_bus(struct sl_bus_client *client, size_t index)
{
    struct client_bus *bus = &client->buses[index];
    if (sl_link_watch(&bus->commands, client->now_ms) != SL_LINK_SAME) {
        client_on_link_change(client, index);
    }
    struct sl_link_message message;
    for (int i = 0; i < BATCH && sl_link_receive(&bus->commands, &message); i++) {
        client_on_message(client, index, &message);
        sl_link_message_clear(&message);
    }
    client_announce(client, index);
    for (int i = 0; bus->has_events && i < BATCH && sl_link_receive(&bus->events, &message); i++) {
        client_on_event(client, &message);
        sl_link_message_clear(&message);
    }
}

static bool
run_timers(struct sl_bus_client *client)
{
    bool has_timer = false;
    pthread_mutex_lock(&client->running);
    for (size_t i = 0; i < SL_CLIENT_TIMERS; i++) {
        if (client->timers[i].fn != NULL) {
            has_timer = true;
            client->timers[i].fn(client->timers[i].arg);
        }
    }
    pthread_mutex_unlock(&client->running);
    return has_timer;
}

static struct attachment
attached_of(struct sl_bus_client *client)
{
    pthread_mutex_lock(&client->lock);
    struct attachment attached = client->attached;
    pthread_mutex_unlock(&client->lock);
    return attached;
}

// After what came was delivered, so that it goes on in the same round.
static void
run_attached(struct sl_bus_client *client)
{
    struct attachment attached = attached_of(client);
    client->has_more = false;
    if (attached.fn != NULL && attached.fn(attached.arg)) {
        client->has_more = true;
    }
}

// Sleeps until a socket or a caller has something. Callers may send meanwhile.
static void
wait_round(struct sl_bus_client *client, bool is_timed)
{
    struct pollfd items[2 + 2 * SL_LINK_POLLS * SL_BUSES_MAX];
    struct sl_link *links[2 * SL_BUSES_MAX];
    size_t count = 0;
    bool is_awake = client->has_more;
    items[0] = (struct pollfd){.fd = client->wake_fd, .events = POLLIN};
    for (size_t i = 0; i < client->peer->bus_count; i++) {
        links[count++] = &client->buses[i].commands;
        if (client->buses[i].has_events) {
            links[count++] = &client->buses[i].events;
        }
    }
    for (size_t i = 0; i < count; i++) {
        sl_link_poll(links[i], &items[1 + i * SL_LINK_POLLS]);
        (void)sl_link_settle(links[i]); // the attached function may have sent
        is_awake = is_awake || sl_link_is_unread(links[i]);
    }
    nfds_t polls = 1 + count * SL_LINK_POLLS;
    items[polls] = (struct pollfd){.fd = attached_of(client).fd, .events = POLLIN};
    int sleep_ms = is_timed || client->calls != NULL ? ROUND_MS : IDLE_MS;
    pthread_mutex_unlock(&client->busy);
    (void)poll(items, polls + 1, is_awake ? 0 : sleep_ms); // failed: saw nothing
    pthread_mutex_lock(&client->busy);
    for (size_t i = 0; i < count; i++) {
        sl_link_polled(links[i], &items[1 + i * SL_LINK_POLLS]);
    }
    uint64_t wakes = 0;
    ssize_t got = items[0].revents != 0 ? read(client->wake_fd, &wakes, sizeof(wakes)) : 0;
    (void)got;
}

static bool
is_stopping(struct sl_bus_client *client)
{
    pthread_mutex_lock(&client->lock);
    bool stopping = client->is_stopping;
    pthread_mutex_unlock(&client->lock);
    return stopping;
}

// Under `lock`: what callers' threads can reach.
static void
forget_shared(struct sl_bus_client *client, const void *arg)
{
    for (size_t i = 0; i < SL_CLIENT_SUBSCRIPTIONS; i++) {
        if (client->subscriptions[i].arg == arg) {
            client->subscriptions[i].fn = NULL;
        }
    }
    for (struct call *call = client->inbox_first; call != NULL; call = call->next) {
        call->fn = call->arg == arg ? NULL : call->fn;
    }
    for (struct delivery *delivery = client->deliveries_first; delivery != NULL;
         delivery = delivery->next) {
        if (delivery->arg == arg) {
            delivery->reply_fn = NULL;
            delivery->event_fn = NULL;
        }
    }
}

// On the client thread: what only it can reach.
static void
forget_own(struct sl_bus_client *client, const void *arg)
{
    pthread_mutex_lock(&client->running);
    for (size_t i = 0; i < SL_CLIENT_TIMERS; i++) {
        if (client->timers[i].arg == arg) {
            client->timers[i].fn = NULL;
        }
    }
    pthread_mutex_unlock(&client->running);
    for (struct call *call = client->calls; call != NULL; call = call->next) {
        call->fn = call->arg == arg ? NULL : call->fn;
    }
}

static void
serve_forget(struct sl_bus_client *client)
{
    pthread_mutex_lock(&client->lock);
    const void *arg = client->forget;
    pthread_mutex_unlock(&client->lock);
    if (arg == NULL) {
        return;
    }
    forget_own(client, arg); // takes `running`, which comes before `lock`
    pthread_mutex_lock(&client->lock);
    client->forget = NULL;
    pthread_cond_broadcast(&client->forgotten);
    pthread_mutex_unlock(&client->lock);
}

static void *
run_client(void *arg)
{
    struct sl_bus_client *client = arg;
    bool is_timed = false;
    pthread_mutex_lock(&client->busy);
    while (!is_stopping(client)) {
        wait_round(client, is_timed);
        client->now_ms = sl_mono_ms();
        client_update_subscriptions(client);
        // Before what came is read: after sending, one look at each socket must follow.
        client_take_inbox(client);
        for (size_t i = 0; i < client->peer->bus_count; i++) {
            read_bus(client, i);
        }
        beat(client);
        client_scan_calls(client);
        serve_forget(client);
        is_timed = run_timers(client);
        run_attached(client);
    }
    client_end_calls(client);
    run_attached(client);
    pthread_mutex_unlock(&client->busy);
    return NULL;
}

static int
open_links(struct sl_bus_client *client, struct sl_error *err)
{
    for (size_t i = 0; i < client->peer->bus_count; i++) {
        if (sl_link_open(&client->buses[i].commands, client->context, SL_LINK_COMMANDS,
                         client->peer, &client->peer->buses[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

// Frees all but the thread.
static void
free_parts(struct sl_bus_client *client)
{
    for (size_t i = 0; i < client->peer->bus_count; i++) {
        sl_link_close(&client->buses[i].commands);
        if (client->buses[i].has_events) {
            sl_link_close(&client->buses[i].events);
        }
    }
    if (client->owns_context) {
        zmq_ctx_term(client->context);
    }
    zhashx_t *calls = client->calls_by_id;
    zhashx_destroy(&calls);
    sl_arena_free(&client->arena);
    close(client->wake_fd);
    close(client->ready_fd);
    pthread_mutex_destroy(&client->busy);
    pthread_mutex_destroy(&client->lock);
    pthread_cond_destroy(&client->forgotten);
    pthread_mutex_destroy(&client->running);
    free(client);
}

static struct sl_bus_client *
make_parts(const struct sl_bus_client_options *options)
{
    struct sl_bus_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return NULL;
    }
    client->peer = options->peer;
    client->turn = client_first_bus(client->peer);
    client->credits = options->credits != 0 ? options->credits : CREDITS;
    client->own_dispatch = options->own_dispatch;
    client->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    client->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    client->owns_context = options->beside == NULL;
    client->context = client->owns_context ? zmq_ctx_new() : options->beside->context;
    client->attached.fd = -1; // which poll(2) passes over
    client->calls_by_id = zhashx_new();
    client->arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    client->now_ms = sl_mono_ms();
    pthread_mutex_init(&client->busy, NULL);
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->forgotten, NULL);
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&client->running, &recursive);
    pthread_mutexattr_destroy(&recursive);
    return client;
}

struct sl_bus_client *
sl_bus_client_new(const struct sl_bus_client_options *options, struct sl_error *err)
{
    struct sl_bus_client *client = make_parts(options);
    if (client == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    if (open_links(client, err) != 0) {
        free_parts(client);
        return NULL;
    }
    if (pthread_create(&client->thread, NULL, run_client, client) != 0) {
        sl_fail(err, SL_E_INTERNAL);
        free_parts(client);
        return NULL;
    }
    return client;
}

void
sl_bus_client_free(struct sl_bus_client **client)
{
    if (client == NULL || *client == NULL) {
        return;
    }
    struct sl_bus_client *gone = SL_TAKE(*client);
    pthread_mutex_lock(&gone->lock);
    gone->is_stopping = true;
    pthread_mutex_unlock(&gone->lock);
    client_wake(gone);
    pthread_join(gone->thread, NULL);
    pthread_mutex_lock(&gone->busy);
    client_end_calls(gone); // what callbacks of the last round sent
    pthread_mutex_unlock(&gone->busy);
    sl_bus_client_dispatch(gone);
    free_parts(gone);
}

// Without an id of its own a command gets a random one: it is a question, not a mutation.
static void
set_id(struct call *call, const char *id)
{
    if (id != NULL && id[0] != '\0') {
        snprintf(call->id, sizeof(call->id), "%s", id);
        return;
    }
    uint8_t bytes[SL_ID_LEN / 2];
    ssize_t got = getrandom(bytes, sizeof(bytes), 0);
    assert(got == (ssize_t)sizeof(bytes));
    sl_hex_encode(bytes, sizeof(bytes), call->id);
}

static void
submit(struct sl_bus_client *client, struct call *call)
{
    call->is_rejected = atomic_fetch_add(&client->in_flight, 1) >= client->credits;
    if (call->is_rejected) {
        atomic_fetch_sub(&client->in_flight, 1);
    } else if (client_send_at_once(client, call)) {
        return;
    }
    pthread_mutex_lock(&client->lock);
    if (client->inbox_last != NULL) {
        client->inbox_last->next = call;
    } else {
        client->inbox_first = call;
    }
    client->inbox_last = call;
    pthread_mutex_unlock(&client->lock);
    client_wake(client);
}

static struct call *
new_call(const struct sl_command *command, sl_reply_fn *fn, void *arg, struct sl_error *err)
{
    struct call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    sl_buf_init(&call->envelope, SL_MESSAGE_MAX);
    set_id(call, command->id);
    struct sl_command named = *command;
    named.id = call->id;
    bool is_good = strlen(call->id) == SL_ID_LEN && command->service != NULL &&
                   strlen(command->service) < sizeof(call->service);
    if (!is_good) {
        sl_fail(err, SL_E_BUS_MESSAGE, "command id or service");
    }
    if (!is_good || sl_command_pack(&call->envelope, &named, err) != 0) {
        client_free_call(call);
        return NULL;
    }
    snprintf(call->service, sizeof(call->service), "%s", command->service);
    call->start_ms = sl_mono_ms();
    call->end_ms = call->start_ms + command->deadline_ms;
    call->bus = -1;
    call->fn = fn;
    call->arg = arg;
    return call;
}

void
sl_bus_call(struct sl_bus_client *client, const struct sl_command *command, sl_reply_fn *fn,
            void *arg)
{
    struct sl_error err;
    struct call *call = new_call(command, fn, arg, &err);
    if (call == NULL) {
        struct sl_reply reply = sl_reply_of_error(&err);
        fn(arg, &reply);
        return;
    }
    submit(client, call);
}

// A caller that waits for its reply.
struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t done;
    struct sl_arena *arena; // the caller's
    struct sl_reply *reply; // the caller's
    bool is_done;           // lock
};

static void
release_headers(void *headers)
{
    json_decref(headers);
}

static void
copy_reply(void *arg, const struct sl_reply *reply)
{
    struct waiter *waiter = arg;
    struct sl_reply *copy = waiter->reply;
    pthread_mutex_lock(&waiter->lock);
    *copy = *reply;
    copy->body.ptr = sl_arena_dupn(waiter->arena, reply->body.ptr, reply->body.len);
    copy->headers = reply->headers != NULL ? json_deep_copy(reply->headers) : NULL;
    if (copy->headers != NULL &&
        sl_arena_defer(waiter->arena, release_headers, copy->headers) != 0) {
        copy->headers = NULL;
    }
    waiter->is_done = true;
    pthread_cond_signal(&waiter->done);
    pthread_mutex_unlock(&waiter->lock);
}

int
sl_bus_request(struct sl_bus_client *client, const struct sl_command *command,
               struct sl_arena *arena, struct sl_reply *ret_reply, struct sl_error *err)
{
    struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER,
                            .done = PTHREAD_COND_INITIALIZER,
                            .arena = arena,
                            .reply = ret_reply};
    struct call *call = new_call(command, copy_reply, &waiter, err);
    if (call == NULL) {
        return -1;
    }
    call->is_direct = true;
    submit(client, call);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.is_done) {
        pthread_cond_wait(&waiter.done, &waiter.lock);
    }
    pthread_mutex_unlock(&waiter.lock);
    pthread_mutex_destroy(&waiter.lock);
    pthread_cond_destroy(&waiter.done);
    if (ret_reply->failed) {
        *err = ret_reply->error;
        return -1;
    }
    return sl_arena_check(arena, err);
}

void
sl_bus_every(struct sl_bus_client *client, sl_timer_fn *fn, void *arg)
{
    assert(!client->own_dispatch);
    size_t i = 0;
    pthread_mutex_lock(&client->running);
    while (i < SL_CLIENT_TIMERS && client->timers[i].fn != NULL) {
        i++;
    }
    assert(i < SL_CLIENT_TIMERS);
    client->timers[i] = (struct timer){fn, arg};
    pthread_mutex_unlock(&client->running);
    client_wake(client);
}

void
sl_bus_attach(struct sl_bus_client *client, int fd, sl_turn_fn *fn, void *arg)
{
    pthread_mutex_lock(&client->lock);
    assert(client->attached.fn == NULL);
    client->attached = (struct attachment){fd, fn, arg};
    pthread_mutex_unlock(&client->lock);
    client_wake(client);
}

void
sl_bus_wake(struct sl_bus_client *client)
{
    if (pthread_equal(pthread_self(), client->thread)) {
        client->has_more = true;
    } else {
        client_wake(client);
    }
}

bool
sl_bus_owns_dispatch(const struct sl_bus_client *client)
{
    return client->own_dispatch;
}

void
sl_bus_forget(struct sl_bus_client *client, const void *arg)
{
    pthread_mutex_lock(&client->lock);
    forget_shared(client, arg);
    if (pthread_equal(pthread_self(), client->thread)) {
        pthread_mutex_unlock(&client->lock);
        forget_own(client, arg);
        return;
    }
    while (client->forget != NULL) { // another thread's turn
        pthread_cond_wait(&client->forgotten, &client->lock);
    }
    client->forget = arg;
    client_wake(client);
    do {
        pthread_cond_wait(&client->forgotten, &client->lock);
    } while (client->forget == arg);
    forget_shared(client, arg); // what was on its way meanwhile
    pthread_mutex_unlock(&client->lock);
    // A dispatcher on a third thread may be inside a callback.
    pthread_mutex_lock(&client->running);
    pthread_mutex_unlock(&client->running);
}

size_t
sl_bus_client_live(const struct sl_bus_client *client)
{
    return atomic_load(&client->live);
}
