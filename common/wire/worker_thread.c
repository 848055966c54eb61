// worker_thread.c - a handler thread: its context, one command after the other, their replies.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/wire/worker_state.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BACKOFF_MS     50   // before the second try to open a context
#define BACKOFF_MAX_MS 1000 // between two tries

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

// Sends a reply on this thread if nothing waits to go before it and the I/O thread sleeps; so it
// need not wake. Whether it went: to a bus that is gone there is nothing to say, it has told its
// client.
static bool
send_at_once(struct sl_worker *worker, size_t bus, const char *bus_token, struct sl_str bytes)
{
    pthread_mutex_lock(&worker->lock);
    bool is_first = worker->out_first == NULL;
    pthread_mutex_unlock(&worker->lock);
    if (!is_first || pthread_mutex_trylock(&worker->io_lock) != 0) {
        return false;
    }
    const struct sl_str parts[] = {SL_STR("R"), sl_str(bus_token), bytes};
    sl_link_send(&worker->links[bus], parts, SL_COUNT(parts));
    bool is_unread = sl_link_settle(&worker->links[bus]);
    pthread_mutex_unlock(&worker->io_lock);
    if (is_unread) {
        worker_wake(worker);
    }
    return true;
}

// The way out of one reply ends: its credit returns, and a worker that drains looks whether it was
// the last.
static void
end_reply(struct sl_worker *worker, struct outgoing *left)
{
    pthread_mutex_lock(&worker->lock);
    worker->load--;
    worker->replying--;
    if (left != NULL) {
        enqueue_out(worker, left);
    }
    bool is_awaited = left != NULL || worker->is_draining;
    pthread_mutex_unlock(&worker->lock);
    if (is_awaited) {
        worker_wake(worker);
    }
}

void
worker_send_reply(struct sl_worker *worker, size_t bus, const char *bus_token,
                  const struct sl_reply *reply)
{
    SL_AUTO_BUF buf;
    struct sl_error err;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    if (sl_reply_pack(&buf, reply, &err) != 0) {
        struct sl_reply failure = sl_reply_of_error(&err);
        sl_buf_clear(&buf);
        int rc = sl_reply_pack(&buf, &failure, NULL);
        assert(rc == 0);
    }
    struct sl_str bytes = {buf.ptr, buf.len};
    struct outgoing *out = NULL;
    if (!send_at_once(worker, bus, bus_token, bytes)) {
        out = new_outgoing((struct sl_str){NULL, 0}, bytes);
        out->bus = bus;
        memcpy(out->bus_token, bus_token, sizeof(out->bus_token));
    }
    end_reply(worker, out);
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

uint64_t
sl_call_defer(struct sl_call *call)
{
    call->deferred = true;
    return call->token;
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

void
sl_worker_reply(struct sl_worker *worker, uint64_t token, const struct sl_reply *reply)
{
    pthread_mutex_lock(&worker->lock);
    struct deferred **at = &worker->deferred;
    while (*at != NULL && (*at)->token != token) {
        at = &(*at)->next;
    }
    struct deferred *found = *at;
    if (found != NULL) {
        *at = found->next;
    }
    if (found != NULL) {
        worker->tally.by_outcome[outcome_of(reply)]++;
        worker->tally.time_us += (uint64_t)(sl_mono_us() - found->taken_us);
        worker->replying++;
    }
    pthread_mutex_unlock(&worker->lock);
    assert(found != NULL); // once a token
    worker_send_reply(worker, found->bus, found->bus_token, reply);
    free(found);
}

// Notes where the reply goes before the handler runs: a deferred reply may come before the handler
// has returned.
static struct deferred *
note_call(struct sl_worker *worker, const struct job *job)
{
    struct deferred *note = calloc(1, sizeof(*note));
    assert(note != NULL);
    note->bus = job->bus;
    note->taken_us = sl_mono_us();
    memcpy(note->bus_token, job->bus_token, sizeof(note->bus_token));
    pthread_mutex_lock(&worker->lock);
    note->token = ++worker->last_token;
    note->next = worker->deferred;
    worker->deferred = note;
    pthread_mutex_unlock(&worker->lock);
    return note;
}

static int
compare_command(const void *name, const void *row)
{
    return strcmp(name, ((const struct sl_handler *)row)->command);
}

static sl_handler_fn *
find_handler(const struct sl_worker_options *options, const char *name)
{
    const struct sl_handler *row = bsearch(name, options->handlers, options->handler_count,
                                           sizeof(*options->handlers), compare_command);
    if (row == NULL) {
        row = bsearch("*", options->handlers, options->handler_count, sizeof(*options->handlers),
                      compare_command);
    }
    return row != NULL ? row->handle : NULL;
}

static int
run_handler(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    if (call->command->deadline_ms <= 0) {
        return sl_fail(err, SL_E_DEADLINE);
    }
    sl_handler_fn *handle = find_handler(&call->worker->options, call->command->name);
    if (handle == NULL) {
        return sl_fail(err, SL_E_BUS_MESSAGE, call->command->name);
    }
    return handle(call, reply, err);
}

static void
log_failure(const struct sl_command *command, const struct sl_error *err)
{
    // What cannot be had for a while is no fault; a client's fault is its own.
    bool is_ours = sl_error_status(err->code) >= sl_error_status(SL_E_INTERNAL);
    bool is_passing = err->code == SL_E_UNAVAILABLE || err->code == SL_E_DEADLINE;
    enum sl_log_level level = is_passing ? SL_INFO : SL_WARNING;
    sl_log_error(is_ours ? level : SL_DEBUG, "command failed", err,
                 SL_LOG_STR("command", command->name), SL_LOG_STR("id", command->id),
                 SL_LOG_STR("request_id", command->request_id));
}

// One line for each command that a front sent: its request id joins it with the front's line. What
// nodes send comes by itself, many times a second.
static void
log_command(const struct sl_call *call, const struct sl_reply *reply, int64_t took_us)
{
    const struct sl_command *command = call->command;
    bool is_front = command->peer_role != NULL && strcmp(command->peer_role, "front") == 0;
    const char *outcome = call->deferred  ? "deferred"
                          : reply->failed ? sl_error_wire(reply->error.code)
                                          : "done";
    sl_log(is_front ? SL_INFO : SL_DEBUG, "command", SL_LOG_STR("request_id", command->request_id),
           SL_LOG_STR("id", command->id), SL_LOG_STR("command", command->name),
           SL_LOG_STR("outcome", outcome), SL_LOG_INT("us", took_us));
}

static void
run_job(struct sl_worker *worker, const struct job *job, struct sl_arena *arena, void *context)
{
    struct sl_command command = {.name = "", .id = "", .request_id = ""};
    struct sl_error err = {.code = SL_E_INTERNAL};
    struct sl_reply reply = {.status = 0};
    struct deferred *note = note_call(worker, job);
    struct sl_call call = {.arena = arena,
                           .command = &command,
                           .worker = worker,
                           .context = context,
                           .deadline_mono_ms = job->end_ms,
                           .token = note->token};
    int64_t begun_us = sl_mono_us();
    int rc = sl_command_decode(arena, (struct sl_str){job->envelope, job->len}, &command, &err);
    if (rc == 0) {
        command.deadline_ms = job->end_ms - sl_mono_ms();
        rc = run_handler(&call, &reply, &err);
    }
    if (rc != 0) {
        log_failure(&command, &err);
        reply = sl_reply_of_error(&err);
    }
    log_command(&call, &reply, sl_mono_us() - begun_us);
    if (rc == 0 && call.deferred) {
        return; // whoever has the token answers, or has answered
    }
    sl_worker_reply(worker, call.token, &reply);
}

// Opens the thread's context, trying again until it works or the worker ends.
static bool
open_context(struct worker_thread *thread, void **ret_context)
{
    struct sl_worker *worker = thread->worker;
    int64_t backoff_ms = BACKOFF_MS;
    struct sl_error err;
    while (worker->options.thread_open != NULL &&
           worker->options.thread_open(worker->options.arg, ret_context, &err) != 0) {
        sl_log_error(SL_DEBUG, "handler thread cannot work yet", &err);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        int64_t ns = until.tv_nsec + (backoff_ms % 1000) * 1000000;
        until.tv_sec += backoff_ms / 1000 + ns / 1000000000;
        until.tv_nsec = ns % 1000000000;
        pthread_mutex_lock(&worker->lock);
        pthread_cond_timedwait(&thread->called, &worker->lock, &until);
        bool is_over = worker->is_stopping || worker->is_draining;
        pthread_mutex_unlock(&worker->lock);
        if (is_over) {
            return false;
        }
        backoff_ms = backoff_ms * 2 < BACKOFF_MAX_MS ? backoff_ms * 2 : BACKOFF_MAX_MS;
    }
    pthread_mutex_lock(&worker->lock);
    // The first thread that can work changes what is offered.
    worker->offer_version += worker->threads_open == 0;
    worker->threads_open++;
    pthread_mutex_unlock(&worker->lock);
    worker_wake(worker);
    return true;
}

void
worker_call_all(struct sl_worker *worker)
{
    for (size_t i = 0; i < worker->options.threads; i++) {
        pthread_cond_signal(&worker->threads[i].called);
    }
}

// Takes the thread out of the idle ones; one that woke by itself is still among them.
static void
leave_idle(struct worker_thread *thread)
{
    struct worker_thread **at = &thread->worker->idle;
    while (thread->is_idle && *at != thread) {
        at = &(*at)->next_idle;
    }
    if (thread->is_idle) {
        *at = thread->next_idle;
        thread->is_idle = false;
    }
}

// Rests until called. Under `lock`.
static void
rest(struct worker_thread *thread)
{
    thread->next_idle = thread->worker->idle;
    thread->worker->idle = thread;
    thread->is_idle = true;
    pthread_cond_wait(&thread->called, &thread->worker->lock);
    leave_idle(thread);
}

// The next job; NULL when the worker ends and none is left.
static struct job *
take_job(struct worker_thread *thread)
{
    struct sl_worker *worker = thread->worker;
    pthread_mutex_lock(&worker->lock);
    while (worker->jobs_first == NULL && !worker->is_stopping) {
        rest(thread);
    }
    struct job *job = worker->jobs_first;
    if (job != NULL) {
        worker->jobs_first = job->next;
        if (job->next == NULL) {
            worker->jobs_last = NULL;
        }
    }
    pthread_mutex_unlock(&worker->lock);
    return job;
}

static void
run_jobs(struct worker_thread *thread, void *context)
{
    struct sl_arena *arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    assert(arena != NULL);
    for (struct job *job = take_job(thread); job != NULL; job = take_job(thread)) {
        run_job(thread->worker, job, arena, context);
        sl_arena_clear(arena);
        free(job);
    }
    sl_arena_free(&arena);
}

void *
worker_run_thread(void *arg)
{
    struct worker_thread *thread = arg;
    struct sl_worker *worker = thread->worker;
    void *context = NULL;
    if (open_context(thread, &context)) {
        run_jobs(thread, context);
        if (worker->options.thread_close != NULL) {
            worker->options.thread_close(worker->options.arg, context);
        }
    }
    pthread_mutex_lock(&worker->lock);
    worker->threads_running--;
    pthread_mutex_unlock(&worker->lock);
    worker_wake(worker);
    return NULL;
}
