// worker_reply.c - the way out: replies, deferred ones too, and events.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.h"
#include "common/wire/worker_state.h"

#include <stdlib.h>
#include <string.h>

static void
enqueue_out(struct sl_worker *worker, struct outgoing *out)
{
    if (worker->out_last != NULL) {
        worker->out_last->next = out;
    } else {
        worker->out_first = out;
    }
    worker->out_last = out;
}

static struct outgoing *
new_outgoing(struct sl_str topic, struct sl_str bytes)
{
    struct outgoing *out = calloc(1, sizeof(*out) + topic.len + bytes.len);
    assert(out != NULL);
    out->topic_len = topic.len;
    out->len = bytes.len;
    if (topic.len > 0) {
        memcpy(out->bytes, topic.ptr, topic.len);
    }
    if (bytes.len > 0) {
        memcpy(out->bytes + topic.len, bytes.ptr, bytes.len);
    }
    return out;
}

// Sends replies on this thread if nothing waits to go before them and the I/O thread sleeps; so it
// need not wake. Whether they went: to a bus that is gone there is nothing to say, it has told its
// client.
static bool
send_at_once(struct sl_worker *worker, const struct outgoing *replies)
{
    pthread_mutex_lock(&worker->lock);
    bool is_first = worker->out_first == NULL;
    pthread_mutex_unlock(&worker->lock);
    if (!is_first || pthread_mutex_trylock(&worker->io_lock) != 0) {
        return false;
    }
    for (const struct outgoing *out = replies; out != NULL; out = out->next) {
        worker_send_one(worker, out);
    }
    bool is_unread = false;
    for (size_t i = 0; i < worker->options.peer->bus_count; i++) {
        is_unread = sl_link_settle(&worker->links[i]) || is_unread;
    }
    pthread_mutex_unlock(&worker->io_lock);
    if (is_unread) {
        worker_wake(worker);
    }
    return true;
}

void
sl_worker_publish(struct sl_worker *worker, const char *topic, struct sl_str body)
{
    struct outgoing *out = new_outgoing(sl_str(topic), body);
    out->is_event = true;
    pthread_mutex_lock(&worker->lock);
    enqueue_out(worker, out);
    pthread_mutex_unlock(&worker->lock);
    worker_wake(worker);
}

// The way out of replies ends: their credits return, and a worker that drains looks whether they
// were the last. What could not be sent is left for the I/O thread.
static void
end_replies(struct sl_worker *worker, size_t count, struct outgoing *left)
{
    pthread_mutex_lock(&worker->lock);
    worker->load -= count;
    worker->replying -= count;
    bool is_awaited = left != NULL || worker->is_draining;
    while (left != NULL) {
        struct outgoing *next = left->next;
        left->next = NULL;
        enqueue_out(worker, left);
        left = next;
    }
    pthread_mutex_unlock(&worker->lock);
    if (is_awaited) {
        worker_wake(worker);
    }
}

static void
free_outgoing(struct outgoing *out)
{
    while (out != NULL) {
        struct outgoing *next = out->next;
        free(out);
        out = next;
    }
}

static enum worker_outcome
outcome_of(const struct sl_reply *reply)
{
    if (!reply->failed) {
        return WORKER_DONE;
    }
    return sl_error_status(reply->error.code) >= sl_error_status(SL_E_INTERNAL) ? WORKER_FAILED
                                                                                : WORKER_REFUSED;
}

// Takes the note of where a reply goes.
static struct deferred *
take_note(struct sl_worker *worker, const struct answer *answer)
{
    pthread_mutex_lock(&worker->lock);
    struct deferred **at = &worker->deferred;
    while (*at != NULL && (*at)->token != answer->token) {
        at = &(*at)->next;
    }
    struct deferred *found = *at;
    if (found != NULL) {
        *at = found->next;
        worker->tally.by_outcome[outcome_of(answer->reply)]++;
        worker->tally.time_us += (uint64_t)(sl_mono_us() - found->taken_us);
        worker->replying++;
    }
    pthread_mutex_unlock(&worker->lock);
    assert(found != NULL); // once a token
    return found;
}

static struct outgoing *
pack_answer(struct sl_worker *worker, const struct answer *answer)
{
    SL_AUTO_BUF buf;
    struct sl_error err;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    if (sl_reply_pack(&buf, answer->reply, &err) != 0) {
        struct sl_reply failure = sl_reply_of_error(&err);
        sl_buf_clear(&buf);
        int rc = sl_reply_pack(&buf, &failure, NULL);
        assert(rc == 0);
    }
    struct outgoing *out =
        new_outgoing((struct sl_str){NULL, 0}, (struct sl_str){buf.ptr, buf.len});
    struct deferred *note = take_note(worker, answer);
    out->bus = note->bus;
    memcpy(out->bus_token, note->bus_token, sizeof(out->bus_token));
    free(note);
    return out;
}

void
worker_send_replies(struct sl_worker *worker, const struct answer *answers, size_t count)
{
    struct outgoing *first = NULL;
    struct outgoing **end = &first;
    for (size_t i = 0; i < count; i++) {
        *end = pack_answer(worker, &answers[i]);
        end = &(*end)->next;
    }
    bool sent = send_at_once(worker, first);
    end_replies(worker, count, sent ? NULL : first);
    if (sent) {
        free_outgoing(first);
    }
}

void
sl_worker_reply(struct sl_worker *worker, uint64_t token, const struct sl_reply *reply)
{
    worker_send_replies(worker, &(struct answer){token, reply}, 1);
}

uint64_t
sl_call_defer(struct sl_call *call)
{
    call->deferred = true;
    return call->token;
}

uint64_t
worker_note_call(struct sl_worker *worker, const struct job *job)
{
    struct deferred *note = calloc(1, sizeof(*note));
    assert(note != NULL);
    note->bus = job->bus;
    note->taken_us = sl_mono_us();
    memcpy(note->bus_token, job->bus_token, sizeof(note->bus_token));
    pthread_mutex_lock(&worker->lock);
    uint64_t token = note->token = ++worker->last_token;
    note->next = worker->deferred;
    worker->deferred = note;
    pthread_mutex_unlock(&worker->lock);
    return token;
}
