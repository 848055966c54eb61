// health.c - three constant paths on a thread of their own.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/health.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "services/front/listen.h"

#define TEXT_MAX        (64 * 1024) // of /metrics, bytes
#define SILENCE_S       10U         // a connection may be silent
#define CONNECTIONS_MAX 64U         // at once

struct health {
    struct front *front;
    struct MHD_Daemon *daemon;
};

const char *
health_reason(struct front *front)
{
    if (atomic_load(&front->draining)) {
        return "draining\n";
    }
    if (sl_bus_client_live(front->bus) == 0) {
        return "no bus answers\n";
    }
    return auth_fresh(front->auth) ? NULL : "the identity entries are not current\n";
}

static void
write_metrics(struct front *front, struct sl_buf *text)
{
    const struct metrics_gauges gauges = {
        .in_flight = atomic_load(&front->in_flight),
        .bus_live = (int64_t)sl_bus_client_live(front->bus),
        .auth_fresh = auth_fresh(front->auth),
        .draining = atomic_load(&front->draining),
    };
    metrics_write(front->metrics, &gauges, text);
}

static unsigned
answer_path(struct front *front, const char *url, struct sl_buf *text)
{
    if (strcmp(url, "/healthz") == 0) {
        sl_buf_adds(text, "ok\n");
        return MHD_HTTP_OK;
    }
    if (strcmp(url, "/readyz") == 0) {
        const char *reason = health_reason(front);
        sl_buf_adds(text, reason != NULL ? reason : "ready\n");
        return reason != NULL ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK;
    }
    if (strcmp(url, "/metrics") == 0) {
        write_metrics(front, text);
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
    struct health *health = arg;
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
        status = answer_path(health->front, url, &text);
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

struct health *
health_new(struct front *front, const char *listen, struct sl_error *err)
{
    bool loopback = false;
    struct health *health = calloc(1, sizeof(*health));
    int fd = health != NULL ? listen_open(listen, &loopback, err) : -1;
    if (fd >= 0) {
        health->front = front;
        health->daemon =
            MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, health,
                             MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_S,
                             MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_END);
    }
    if (health == NULL || health->daemon == NULL) {
        if (fd >= 0) {
            (void)sl_fail(err, SL_E_CONFIG, "the health listener cannot be started");
            close(fd);
        }
        free(health);
        return NULL;
    }
    return health;
}

void
health_free(struct health **health)
{
    if (*health == NULL) {
        return;
    }
    struct health *self = SL_TAKE(*health);
    MHD_stop_daemon(self->daemon);
    free(self);
}
