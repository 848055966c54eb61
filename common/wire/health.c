// health.c - three constant paths on a thread of their own.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/health.h"

#include "common/wire/listen.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX        (64 * 1024) // of /metrics, bytes
#define SILENCE_S       10U         // a connection may be silent
#define CONNECTIONS_MAX 64U         // at once

struct sl_health {
    struct sl_health_answers answers;
    struct MHD_Daemon *daemon;
};

static unsigned
answer_path(const struct sl_health_answers *answers, const char *url, struct sl_buf *text)
{
    if (strcmp(url, "/healthz") == 0) {
        sl_buf_adds(text, "ok\n");
        return MHD_HTTP_OK;
    }
    if (strcmp(url, "/readyz") == 0) {
        const char *reason = answers->reason(answers->arg);
        sl_buf_adds(text, reason != NULL ? reason : "ready\n");
        return reason != NULL ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK;
    }
    if (strcmp(url, "/metrics") == 0) {
        answers->metrics(answers->arg, text);
        return MHD_HTTP_OK;
    }
    sl_buf_adds(text, "not found\n");
    return MHD_HTTP_NOT_FOUND;
}

// long because libmicrohttpd's callback has these parameters.
static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
           const char *version, const char *bytes, size_t *size, void **context)
{
    static int seen;
    const struct sl_health *health = arg;
    SL_AUTO_BUF text;
    (void)version;
    (void)bytes;
    sl_buf_init(&text, TEXT_MAX);
    if (*context == NULL) {
        *context = &seen;
        return MHD_YES;
    }
    if (*size > 0) {
        *size = 0;
        return MHD_YES;
    }
    unsigned status = MHD_HTTP_METHOD_NOT_ALLOWED;
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
        status = answer_path(&health->answers, url, &text);
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(
        text.len, text.ptr != NULL ? text.ptr : (char[]){""}, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            "text/plain; version=0.0.4; charset=utf-8");
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

struct sl_health *
sl_health_new(const char *listen, const struct sl_health_answers *answers, struct sl_error *err)
{
    bool loopback = false;
    struct sl_health *health = calloc(1, sizeof(*health));
    if (health == NULL) {
        (void)sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    health->answers = *answers;
    int fd = sl_listen_open(listen, &loopback, err);
    if (fd >= 0) {
        health->daemon =
            MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, health,
                             MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_S,
                             MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_END);
        if (health->daemon == NULL) {
            (void)sl_fail(err, SL_E_CONFIG, "the health listener cannot be started");
            close(fd);
        }
    }
    if (health->daemon == NULL) {
        sl_health_free(&health);
    }
    return health;
}

void
sl_health_free(struct sl_health **health)
{
    struct sl_health *self = SL_TAKE(*health);
    if (self != NULL && self->daemon != NULL) {
        MHD_stop_daemon(self->daemon);
    }
    free(self);
}
