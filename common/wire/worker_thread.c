// worker_thread.c - a handler thread: its context, one turn of commands after the other.
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

// A command on its way through a thread. Its place, and the arena, serve one after the other.
struct taken {
    struct job *job;           //
    struct sl_arena *arena;    //
    struct sl_command command; //
    struct sl_call call;       //
    struct sl_reply reply;     //
    struct sl_error err;       //
    int64_t begun_us;          // when a thread took it (sl_mono_us)
    int rc;                    // -1: *err is the reply
};

static int
compare_command(const void *name, const void *row)
{
    return strcmp(name, ((const struct sl_handler *)row)->command);
}

static const struct sl_handler *
find_row(const struct sl_worker_options *options, const char *name)
{
    return bsearch(name, options->handlers, options->handler_count, sizeof(*options->handlers),
                   compare_command);
}

static sl_handler_fn *
find_handler(const struct sl_worker_options *options, const char *name)
{
    const struct sl_handler *row = find_row(options, name);
    if (row == NULL) {
        row = find_row(options, "*");
    }
    return row != NULL ? row->handle : NULL;
}

bool
worker_goes_together(const struct sl_worker *worker, struct sl_str envelope)
{
    const struct sl_worker_options *options = &worker->options;
    struct sl_str name;
    char text[SL_SERVICE_SIZE] = "";
    if (options->together == NULL || !sl_command_name(envelope, &name) ||
        name.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, name.ptr, name.len);
    return find_row(options, text) == NULL && options->together->takes(text);
}

static int
run_handler(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
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

// Reads a command, which may be too late by now.
static void
begin_taken(struct taken *taken, struct sl_worker *worker, void *context)
{
    const struct job *job = taken->job;
    taken->command = (struct sl_command){.name = "", .id = "", .request_id = ""};
    taken->reply = (struct sl_reply){.status = 0};
    taken->err = (struct sl_error){.code = SL_E_INTERNAL};
    taken->call = (struct sl_call){.arena = taken->arena,
                                   .command = &taken->command,
                                   .worker = worker,
                                   .context = context,
                                   .deadline_mono_ms = job->end_ms,
                                   .token = worker_note_call(worker, job)};
    taken->begun_us = sl_mono_us();
    taken->rc = sl_command_decode(taken->arena, (struct sl_str){job->envelope, job->len},
                                  &taken->command, &taken->err);
    taken->command.deadline_ms = job->end_ms - sl_mono_ms();
    if (taken->rc == 0 && taken->command.deadline_ms <= 0) {
        taken->rc = sl_fail(&taken->err, SL_E_DEADLINE);
    }
}

static void
handle_taken(struct taken *taken)
{
    if (taken->rc == 0) {
        taken->rc = run_handler(&taken->call, &taken->reply, &taken->err);
    }
    if (taken->rc != 0) {
        log_failure(&taken->command, &taken->err);
        taken->reply = sl_reply_of_error(&taken->err);
    }
    log_command(&taken->call, &taken->reply, sl_mono_us() - taken->begun_us);
}

// What was deferred is answered by whoever has the token, or has been.
static void
answer_taken(struct sl_worker *worker, struct taken *list, size_t count)
{
    struct answer answers[SL_TOGETHER];
    size_t ready = 0;
    for (size_t i = 0; i < count; i++) {
        if (list[i].rc != 0 || !list[i].call.deferred) {
            answers[ready++] = (struct answer){list[i].call.token, &list[i].reply};
        }
    }
    if (ready > 0) {
        worker_send_replies(worker, answers, ready);
    }
}

static void
run_taken(struct worker_thread *thread, struct taken *list, size_t count, void *context)
{
    struct sl_worker *worker = thread->worker;
    const struct sl_together *together = thread->is_together ? worker->options.together : NULL;
    for (size_t i = 0; i < count; i++) {
        begin_taken(&list[i], worker, context);
        if (together != NULL && list[i].rc == 0) {
            list[i].rc = together->ask(&list[i].call, &list[i].err);
        }
    }
    for (size_t i = 0; i < count; i++) {
        handle_taken(&list[i]);
    }
    if (together != NULL) {
        together->end(context);
    }
    answer_taken(worker, list, count);
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

static void
run_jobs(struct worker_thread *thread, void *context)
{
    struct job *jobs[SL_TOGETHER];
    struct taken list[SL_TOGETHER];
    for (size_t i = 0; i < SL_TOGETHER; i++) {
        list[i].arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
        assert(list[i].arena != NULL);
    }
    size_t count = 0;
    while ((count = worker_take_jobs(thread, jobs)) > 0) {
        for (size_t i = 0; i < count; i++) {
            list[i].job = jobs[i];
        }
        run_taken(thread, list, count, context);
        for (size_t i = 0; i < count; i++) {
            sl_arena_clear(list[i].arena);
            free(jobs[i]);
        }
    }
    for (size_t i = 0; i < SL_TOGETHER; i++) {
        sl_arena_free(&list[i].arena);
    }
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
