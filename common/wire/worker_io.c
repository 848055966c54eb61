// worker_io.c - the worker's sockets: offers, heartbeats, commands in, replies and events out.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.h"
#include "common/wire/joined.h"
#include "common/wire/worker_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUND_MS     50     // the longest sleep
#define BATCH        256    // messages of one socket before the next has its turn
#define OFFER_MS     200    // an offer that no bus acknowledged is sent again after this
#define WITHDRAW_MS  1000   // a bus that acknowledges nothing does not hold up the end longer
#define DRAIN_MS     40000  // longer than any deferred reply may take
#define NUMBER_TEXT  24     // a decimal 64-bit number with terminator
#define DEADLINE_MAX 120000 // of a command

// What the I/O thread needs to know of the shared state in one round.
struct glance {
    int64_t offer_version; //
    size_t load;           //
    bool is_draining;      //
    bool has_threads;      // some handler thread has its context
    bool is_done;          // draining, and nothing is left to do or send
};

void
worker_wake(struct sl_worker *worker)
{
    uint64_t one = 1;
    ssize_t written = write(worker->wake_fd, &one, sizeof(one));
    (void)written; // full means that it is readable already
}

static struct glance
look(struct sl_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    struct glance glance = {
        .offer_version = worker->offer_version,
        .load = worker->load,
        .is_draining = worker->is_draining,
        .has_threads = worker->threads_open > 0,
        // Commands that came too late stay in the queue: their clients send them elsewhere.
        .is_done = worker->is_draining && worker->threads_running == 0 &&
                   worker->deferred == NULL && worker->replying == 0 && worker->out_first == NULL,
    };
    pthread_mutex_unlock(&worker->lock);
    return glance;
}

// The offer's text: names separated by blanks; empty while draining or before a thread can work.
static void
write_offer(struct sl_worker *worker, struct sl_buf *text, int64_t *ret_version)
{
    pthread_mutex_lock(&worker->lock);
    *ret_version = worker->offer_version;
    bool is_open = !worker->is_draining && worker->threads_open > 0;
    for (size_t i = 0; is_open && i < worker->service_count; i++) {
        if (i > 0) {
            sl_buf_addc(text, ' ');
        }
        sl_buf_adds(text, worker->services[i]);
    }
    pthread_mutex_unlock(&worker->lock);
}

static void
send_offer(struct sl_worker *worker, size_t bus, int64_t now_ms)
{
    SL_AUTO_BUF text;
    sl_buf_init(&text, (size_t)SL_SERVICE_SIZE * (SL_SHARDS + 64));
    int64_t version = 0;
    write_offer(worker, &text, &version);
    char number[NUMBER_TEXT];
    snprintf(number, sizeof(number), "%lld", (long long)version);
    const struct sl_str parts[] = {
        SL_STR("O"), sl_str(number), {text.ptr != NULL ? text.ptr : "", text.len}};
    sl_link_send(&worker->links[bus], parts, SL_COUNT(parts));
    worker->offer_sent_ms[bus] = now_ms;
}

static void
send_beat(struct sl_worker *worker, size_t bus, const struct glance *glance)
{
    char credits[NUMBER_TEXT];
    char load[NUMBER_TEXT];
    char width[NUMBER_TEXT];
    snprintf(credits, sizeof(credits), "%zu", glance->is_draining ? 0 : worker->credits);
    snprintf(load, sizeof(load), "%zu", glance->load);
    snprintf(width, sizeof(width), "%zu", worker->options.width);
    const struct sl_str parts[] = {SL_STR("W"), sl_str(credits), sl_str(load), sl_str(width),
                                   SL_STR(SL_JOINED_WORD)};
    sl_link_send(&worker->links[bus], parts, SL_COUNT(parts));
}

// Keeps one bus up to date: heartbeat, and the offer until the bus acknowledges it.
static void
keep_registered(struct sl_worker *worker, size_t bus, const struct glance *glance, int64_t now_ms)
{
    struct sl_link *link = &worker->links[bus];
    if (link->heard_ms == 0) {
        return;
    }
    if (now_ms >= link->beat_at_ms) {
        send_beat(worker, bus, glance);
        link->beat_at_ms = now_ms + SL_LINK_BEAT_MS;
    }
    bool is_known = worker->known_offer[bus] == glance->offer_version;
    bool may_send = glance->has_threads || glance->is_draining;
    if (!is_known && may_send && now_ms - worker->offer_sent_ms[bus] >= OFFER_MS) {
        send_beat(worker, bus, glance);
        send_offer(worker, bus, now_ms);
    }
}

static void
take_command(struct sl_worker *worker, size_t bus, struct sl_link_message *message, int64_t now_ms)
{
    struct sl_str token = sl_link_part(message, 1);
    struct sl_str envelope = sl_link_part(message, 3);
    int64_t deadline_ms = 0;
    if (message->count != 4 || token.len >= SL_TOKEN_SIZE ||
        !sl_str_int(sl_link_part(message, 2), &deadline_ms) || deadline_ms > DEADLINE_MAX) {
        return;
    }
    struct job *job = calloc(1, sizeof(*job) + envelope.len);
    assert(job != NULL);
    job->bus = bus;
    job->since_ms = now_ms;
    memcpy(job->bus_token, token.ptr, token.len);
    job->end_ms = now_ms + deadline_ms;
    job->len = envelope.len;
    memcpy(job->envelope, envelope.ptr, envelope.len);
    worker_put_job(worker, job, worker_goes_together(worker, envelope));
}

static void
read_bus(struct sl_worker *worker, size_t bus, int64_t now_ms)
{
    struct sl_link *link = &worker->links[bus];
    if (sl_link_watch(link, now_ms) != SL_LINK_SAME) {
        worker->known_offer[bus] = -1;
        worker->offer_sent_ms[bus] = 0;
    }
    struct sl_link_message message;
    for (int i = 0; i < BATCH && sl_link_receive(link, &message); i++) {
        link->heard_ms = now_ms;
        if (sl_str_equal(sl_link_part(&message, 0), SL_STR("C"))) {
            take_command(worker, bus, &message, now_ms);
        } else if (sl_str_equal(sl_link_part(&message, 0), SL_STR("W"))) {
            int64_t version = -1;
            worker->known_offer[bus] =
                sl_str_int(sl_link_part(&message, 1), &version) ? version : -1;
            link->takes_joined = sl_str_equal(sl_link_part(&message, 2), SL_STR(SL_JOINED_WORD));
        }
        sl_link_message_clear(&message);
    }
}

void
worker_send_one(struct sl_worker *worker, const struct outgoing *out)
{
    struct sl_str body = {out->bytes + out->topic_len, out->len};
    if (!out->is_event) {
        const struct sl_str parts[] = {SL_STR("R"), sl_str(out->bus_token), body};
        // A bus that is gone has told its client: the command goes elsewhere.
        sl_link_send(&worker->links[out->bus], parts, SL_COUNT(parts));
        return;
    }
    const struct sl_str parts[] = {SL_STR("E"), {out->bytes, out->topic_len}, body};
    for (size_t i = 0; i < worker->options.peer->bus_count; i++) {
        if (worker->links[i].heard_ms != 0) {
            sl_link_send(&worker->links[i], parts, SL_COUNT(parts));
        }
    }
}

static void
send_all(struct sl_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    struct outgoing *out = SL_TAKE(worker->out_first);
    worker->out_last = NULL;
    pthread_mutex_unlock(&worker->lock);
    while (out != NULL) {
        struct outgoing *next = out->next;
        worker_send_one(worker, out);
        free(out);
        out = next;
    }
}

// Whether every live bus knows that nothing is offered any more.
static bool
is_withdrawn(const struct sl_worker *worker, const struct glance *glance, int64_t now_ms)
{
    for (size_t i = 0; i < worker->options.peer->bus_count; i++) {
        if (sl_link_is_live(&worker->links[i], now_ms) &&
            worker->known_offer[i] != glance->offer_version) {
            return false;
        }
    }
    return true;
}

// Sleeps until a socket or a thread has something. Others may send meanwhile.
static void
wait_round(struct sl_worker *worker)
{
    struct pollfd items[1 + SL_LINK_POLLS * SL_BUSES_MAX];
    size_t count = worker->options.peer->bus_count;
    bool is_unread = false;
    items[0] = (struct pollfd){.fd = worker->wake_fd, .events = POLLIN};
    for (size_t i = 0; i < count; i++) {
        sl_link_poll(&worker->links[i], &items[1 + i * SL_LINK_POLLS]);
        is_unread = is_unread || sl_link_is_unread(&worker->links[i]);
    }
    pthread_mutex_unlock(&worker->io_lock);
    (void)poll(items, 1 + count * SL_LINK_POLLS, is_unread ? 0 : ROUND_MS); // failed: saw nothing
    pthread_mutex_lock(&worker->io_lock);
    for (size_t i = 0; i < count; i++) {
        sl_link_polled(&worker->links[i], &items[1 + i * SL_LINK_POLLS]);
    }
    uint64_t wakes = 0;
    ssize_t got = items[0].revents != 0 ? read(worker->wake_fd, &wakes, sizeof(wakes)) : 0;
    (void)got;
}

// Lets the handler threads end once no bus sends work any more.
static void
stop_threads(struct sl_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->is_stopping = true;
    worker_call_all(worker);
    pthread_mutex_unlock(&worker->lock);
}

// Leaves for the health listener how many buses answer.
static void
note_live(struct sl_worker *worker, int64_t now_ms)
{
    size_t live = 0;
    for (size_t i = 0; i < worker->options.peer->bus_count; i++) {
        live += sl_link_is_live(&worker->links[i], now_ms);
    }
    pthread_mutex_lock(&worker->lock);
    worker->buses_live = live;
    pthread_mutex_unlock(&worker->lock);
}

void *
worker_run_io(void *arg)
{
    struct sl_worker *worker = arg;
    int64_t drain_from_ms = 0;
    struct glance glance = look(worker);
    int64_t now_ms = sl_mono_ms();
    pthread_mutex_lock(&worker->io_lock);
    while (!glance.is_done && (drain_from_ms == 0 || now_ms - drain_from_ms < DRAIN_MS)) {
        wait_round(worker);
        now_ms = sl_mono_ms();
        // Before what came is read: after sending, one look at each socket must follow.
        send_all(worker);
        for (size_t i = 0; i < worker->options.peer->bus_count; i++) {
            read_bus(worker, i, now_ms);
        }
        worker_hurry(worker, now_ms);
        note_live(worker, now_ms);
        glance = look(worker);
        for (size_t i = 0; i < worker->options.peer->bus_count; i++) {
            keep_registered(worker, i, &glance, now_ms);
        }
        if (glance.is_draining) {
            drain_from_ms = drain_from_ms == 0 ? now_ms : drain_from_ms;
            if (is_withdrawn(worker, &glance, now_ms) || now_ms - drain_from_ms > WITHDRAW_MS) {
                stop_threads(worker);
            }
        }
    }
    pthread_mutex_unlock(&worker->io_lock);
    return NULL;
}
