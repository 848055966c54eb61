// report.c - telling the publisher what this node serves.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/report.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define REPORT_MAGIC     0x534c5250U
#define EVERY_MS         1000
#define DEAF_EVERY_MS    250 // without events, as long as somebody answers
#define DEADLINE_MS      3000
#define SILENCE_MS       10000 // without an answer before it is worth a warning
#define ANSWER_ARENA_MAX ((size_t)64 * 1024 * 1024) // a reply may bring calls with their bodies
#define STATUS_FILE      "status.json"

struct report {
    SL_MAGIC;
    struct sl_bus_client *client;
    const struct settings *settings;
    report_facts_fn *facts;
    report_head_fn *head;
    report_debug_fn *debug; // NULL: nobody makes calls
    void *arg;
    bool on_its_way;  // a report has no answer yet
    bool soon;        // something changed since the last one
    bool is_answered; // the last one was
    bool silent;      // nobody answers, and that was said
    int64_t heard_ms; // of the last answer, or the start
    int64_t due_ms;   // of the next one
    char *status;     // what status.json says
};

struct report *
report_new(struct sl_bus_client *client, const struct settings *settings, report_facts_fn *facts,
           report_head_fn *head, void *arg)
{
    struct report *report = calloc(1, sizeof(*report));
    if (report != NULL) {
        report->magic = REPORT_MAGIC;
        report->client = client;
        report->settings = settings;
        report->facts = facts;
        report->head = head;
        report->arg = arg;
        report->heard_ms = sl_mono_ms();
    }
    return report;
}

void
report_free(struct report **report)
{
    if (report != NULL && *report != NULL) {
        sl_bus_forget((*report)->client, *report);
        free((*report)->status);
        free(*report);
        *report = NULL;
    }
}

void
report_debugs(struct report *report, report_debug_fn *debug)
{
    report->debug = debug;
}

void
report_soon(struct report *report)
{
    report->soon = true;
}

// Hands on the head, and calls to make, that stand in a reply.
static void
tell_head(const struct report *report, struct sl_str body)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(ANSWER_ARENA_MAX);
    struct sl_error err;
    json_t *answer = NULL;
    struct sl_revision head = {.epoch = ""};
    if (arena == NULL || sl_json_unpack(arena, body, &answer, &err) != 0) {
        return;
    }
    if (report->debug != NULL) {
        report->debug(report->arg, json_object_get(answer, "debug"));
    }
    const char *epoch = json_string_value(json_object_get(answer, "epoch"));
    json_int_t number = json_integer_value(json_object_get(answer, "revision"));
    if (epoch != NULL && epoch[0] != '\0' && strlen(epoch) < sizeof(head.epoch) && number >= 0) {
        memcpy(head.epoch, epoch, strlen(epoch) + 1);
        head.number = (uint64_t)number;
        report->head(report->arg, &head);
    }
}

static void
on_answer(void *arg, const struct sl_reply *reply)
{
    struct report *report = SL_CAST(report, REPORT_MAGIC, arg);
    report->on_its_way = false;
    report->is_answered = !reply->failed;
    int64_t now_ms = sl_mono_ms();
    if (!reply->failed) {
        report->heard_ms = now_ms;
        if (report->silent) {
            sl_log(SL_INFO, "reports are answered again");
        }
        report->silent = false;
        tell_head(report, reply->body);
    } else if (!report->silent && now_ms - report->heard_ms > SILENCE_MS) {
        report->silent = true;
        sl_log_error(SL_WARNING, "reports are not answered", &reply->error);
    }
}

// The facts as JSON, a new reference.
static json_t *
body_of(const struct report *report, const struct report_facts *facts)
{
    const struct settings *settings = report->settings;
    json_t *body =
        json_pack("{s:s, s:s, s:s, s:I, s:s, s:[s, s], s:s, s:I}", "node", settings->node_id,
                  "gateway", settings->gateway_id, "epoch", facts->revision.epoch, "revision",
                  (json_int_t)facts->revision.number, "version", SL_VERSION, "addresses",
                  settings->http_listen, settings->https_listen, "reason", facts->reason,
                  "offset_ms", (json_int_t)facts->offset_ms);
    assert(body != NULL);
    json_object_set_new(body, "debugs", json_boolean(report->debug != NULL));
    return body;
}

// Writes status.json by rename when it would say something new. A full disk is no alarm here: the
// store raises it.
static void
write_status(struct report *report, json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL || (report->status != NULL && strcmp(text, report->status) == 0)) {
        free(text);
        return;
    }
    char path[PATH_MAX];
    char fresh[PATH_MAX];
    snprintf(path, sizeof(path), "%s/" STATUS_FILE, report->settings->state_dir);
    snprintf(fresh, sizeof(fresh), "%s/" STATUS_FILE ".new", report->settings->state_dir);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0) {
        bool written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
        close(fd);
        if (written && rename(fresh, path) == 0) {
            free(report->status);
            report->status = SL_TAKE(text);
        }
    }
    free(text);
}

void
report_tick(struct report *report)
{
    int64_t now_ms = sl_mono_ms();
    if (report->on_its_way || (!report->soon && now_ms < report->due_ms)) {
        return;
    }
    struct report_facts facts = {.reason = ""};
    report->facts(report->arg, &facts);
    report->soon = false;
    report->due_ms = now_ms + (facts.is_deaf && report->is_answered ? DEAF_EVERY_MS : EVERY_MS);
    report->on_its_way = true;
    json_t *body = body_of(report, &facts);
    write_status(report, body);
    struct sl_command command = {
        .service = "publisher", .name = "node.report", .body = body, .deadline_ms = DEADLINE_MS};
    sl_bus_call(report->client, &command, on_answer, report);
    json_decref(body);
}
