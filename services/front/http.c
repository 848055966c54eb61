// http.c - libmicrohttpd's callbacks, and nothing that knows what a request means.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/http.h"

#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/trace.h"
#include "common/crypto/crypto.h"
#include "common/wire/listen.h"
#include "services/front/deadline.h"
#include "services/front/reply.h"

#define HEADERS_MS       10000              // for a request's line and headers
#define BODY_MS          30000              // for its body
#define SEND_MS          30000              // for the client to take the answer
#define IDLE_MS          75000              // between requests
#define SWALLOW_MAX      (16 * SL_BODY_MAX) // of an oversize body, before the connection breaks
#define CONNECTIONS_MAX  4096               // at once
// libmicrohttpd's room: beyond it, its own answer. It zeroes all of it after each request.
#define CONNECTION_BYTES (2 * SL_HEADERS_MAX)
#define RUNS             4                    // of the daemon, before the bus has its turn
#define PEM_MAX          (256 * 1024)         // a certificate chain or key file
#define REQUEST_MEMORY   (2 * SL_MESSAGE_MAX) // one request's arena

// The connections of one thread, and who serves them.
struct share {
    struct http *http;
    struct sl_bus_client *bus;
    struct MHD_Daemon *daemon;
    bool is_quiesced;
};

struct http {
    struct front *front;
    struct share shares[FRONT_THREADS_MAX]; // as many as the front has bus clients
    struct deadline_list *deadlines;
    int listener;             // what the shares' were copied from
    atomic_bool is_quiescing; //
    sem_t quiesced;           // posted by every share that accepts no more
    char *certificate;        // PEM; libmicrohttpd borrows it
    char *key;                // PEM
};

static struct deadline *
deadline_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

static void
on_connection(void *arg, struct MHD_Connection *connection, void **socket_context,
              enum MHD_ConnectionNotificationCode code)
{
    struct share *share = arg;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        struct deadline *deadline = *socket_context;
        deadline_free(&deadline);
        *socket_context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != NULL) {
        *socket_context = deadline_new(share->http->deadlines, info->connect_fd, HEADERS_MS);
    }
}

static bool
is_request_id(const char *text)
{
    return text != NULL && strlen(text) == SL_ID_LEN &&
           strspn(text, "0123456789abcdefABCDEF") == SL_ID_LEN;
}

// The target in origin form: an absolute one loses its scheme and authority.
static const char *
origin_form(const char *target)
{
    const char *rest = strncmp(target, "http://", 7) == 0    ? target + 7
                       : strncmp(target, "https://", 8) == 0 ? target + 8
                                                             : NULL;
    return rest == NULL ? target : rest + strcspn(rest, "/?");
}

// The request line was read: what it returns is the request's context from here on.
static void *
on_target(void *arg, const char *target, struct MHD_Connection *connection)
{
    struct share *share = arg;
    deadline_set(deadline_of(connection), HEADERS_MS);
    struct sl_arena *arena = sl_arena_new(REQUEST_MEMORY);
    struct request *request = arena != NULL ? sl_arena_alloc(arena, sizeof(*request)) : NULL;
    if (request == NULL) {
        sl_arena_free(&arena);
        return NULL;
    }
    request->magic = REQUEST_MAGIC;
    request->front = share->http->front;
    request->bus = share->bus;
    request->connection = connection;
    request->arena = arena;
    request->start_us = sl_mono_us();
    request->body_max = SL_BODY_MAX;
    sl_buf_init(&request->body, request->body_max);
    struct sl_str rest = sl_str(sl_arena_dup(arena, origin_form(target)));
    request->raw_path = sl_str_split(&rest, '?');
    request->raw_query = rest;
    atomic_fetch_add(&request->front->in_flight, 1);
    return request;
}

// One line a request; the query may hold what is nobody's business and stays out.
static void
log_request(const struct request *request, int status, int64_t took_us)
{
    char path[256];
    snprintf(path, sizeof(path), "%.*s", SL_STR_FMT(request->raw_path));
    sl_log(SL_INFO, "request", SL_LOG_STR("request_id", request->id),
           SL_LOG_STR("trace_id", request->trace_id),
           SL_LOG_STR("method", request->method != NULL ? request->method : ""),
           SL_LOG_STR("path", path), SL_LOG_INT("status", status), SL_LOG_INT("us", took_us));
}

static void
on_completed(void *arg, struct MHD_Connection *connection, void **context,
             enum MHD_RequestTerminationCode how)
{
    struct share *share = arg;
    struct front *front = share->http->front;
    if (*context == NULL) {
        return;
    }
    struct request *request = SL_CAST(request, REQUEST_MAGIC, *context);
    *context = NULL;
    deadline_set(deadline_of(connection), IDLE_MS);
    int status = how == MHD_REQUEST_TERMINATED_COMPLETED_OK ? request->answer.status : 0;
    int64_t took_us = sl_mono_us() - request->start_us;
    metrics_count(front->metrics, status, took_us);
    log_request(request, status, took_us);
    sl_buf_clear(&request->body);
    struct sl_arena *arena = request->arena;
    sl_arena_free(&arena);
    atomic_fetch_sub(&front->in_flight, 1);
}

// Whether to refuse before the body: it is announced as too long, and the client waits for leave to
// send it or would send more than is worth reading. Others would miss an answer while they send.
static bool
is_refused_unread(const struct request *request)
{
    const char *text = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                                   MHD_HTTP_HEADER_CONTENT_LENGTH);
    int64_t length = 0;
    return text != NULL && sl_str_int(sl_str(text), &length) &&
           (length > (int64_t)SWALLOW_MAX ||
            (length > (int64_t)request->body_max &&
             MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                         MHD_HTTP_HEADER_EXPECT) != NULL));
}

// Takes the caller's trace (W3C Trace Context); without one the request's id names its own.
static void
take_trace(struct request *request)
{
    const char *parent = request_header(request, "traceparent");
    struct sl_str trace_id = sl_str(request->id);
    if (parent != NULL) {
        (void)sl_trace_parse(sl_str(parent), &trace_id);
    }
    for (size_t i = 0; i < SL_ID_LEN; i++) {
        char digit = trace_id.ptr[i];
        request->trace_id[i] = digit >= 'A' && digit <= 'F' ? (char)(digit - 'A' + 'a') : digit;
    }
    request->trace_id[SL_ID_LEN] = '\0';
}

// Finds the operation, and what it takes; one that is not there takes as much as others.
static void
find_operation(struct request *request)
{
    struct sl_error ignored;
    if (route_find(sl_str(request->method), request->raw_path, &request->match, &ignored) == 0 &&
        request->match.row->body_bytes > 0) {
        request->body_max = request->match.row->body_bytes;
        sl_buf_init(&request->body, request->body_max);
    }
}

static enum MHD_Result
begin(struct request *request, const char *method)
{
    const char *id = request_header(request, "X-Request-Id");
    request->method = sl_arena_dup(request->arena, method);
    if (is_request_id(id)) {
        memcpy(request->id, id, SL_ID_SIZE);
    } else {
        sl_random_id(request->id);
    }
    take_trace(request);
    request->state = REQUEST_BODY;
    deadline_set(deadline_of(request->connection), BODY_MS);
    if (request->method == NULL) {
        return MHD_NO;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    request->head_bytes = info != NULL ? info->header_size : 0;
    if (request->head_bytes > SL_HEADERS_MAX) {
        (void)handle_request(request);
        return reply_send(request);
    }
    find_operation(request);
    if (is_refused_unread(request)) {
        request->body_seen = request->body_max + 1;
        (void)handle_request(request);
        return reply_send(request);
    }
    return MHD_YES;
}

static enum MHD_Result
read_body(struct request *request, const char *bytes, size_t *size)
{
    request->body_seen += *size;
    if (request->body_seen <= request->body_max) {
        sl_buf_add(&request->body, bytes, *size);
    }
    *size = 0;
    return request->body_seen > SWALLOW_MAX || request->body.failed ? MHD_NO : MHD_YES;
}

// long because libmicrohttpd's callback has these parameters.
static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
           const char *version, const char *bytes, size_t *size, void **context)
{
    (void)arg;
    (void)url;
    (void)version;
    if (*context == NULL) {
        return MHD_NO;
    }
    struct request *request = SL_CAST(request, REQUEST_MAGIC, *context);
    if (request->state == REQUEST_HEAD) {
        return begin(request, method);
    }
    if (*size > 0) {
        return read_body(request, bytes, size);
    }
    if (request->state == REQUEST_BODY) {
        // A command has its own deadline; the socket waits as long as that may take.
        deadline_set(deadline_of(connection), SL_DEADLINE_MS + SL_WAIT_MAX_MS + SEND_MS);
        if (!handle_request(request)) {
            return MHD_YES;
        }
    }
    deadline_set(deadline_of(connection), SEND_MS);
    return reply_send(request);
}

// Targets stay as they came: signatures and routing decode for themselves.
static size_t
leave_escaped(void *arg, struct MHD_Connection *connection, char *text)
{
    (void)arg;
    (void)connection;
    return strlen(text);
}

static void
log_library(void *arg, const char *format, va_list values)
{
    char text[256];
    (void)arg;
    vsnprintf(text, sizeof(text), format, values);
    text[strcspn(text, "\n")] = '\0';
    sl_log(SL_DEBUG, "libmicrohttpd", SL_LOG_STR("text", text));
}

static char *
read_pem(const char *path, struct sl_error *err)
{
    FILE *file = fopen(path, "re");
    char *text = file != NULL ? calloc(1, PEM_MAX + 1) : NULL;
    size_t len = text != NULL ? fread(text, 1, PEM_MAX, file) : 0;
    if (file != NULL) {
        fclose(file);
    }
    if (len == 0) {
        free(text);
        (void)sl_fail(err, SL_E_CONFIG, "a TLS file cannot be read");
        (void)sl_error_detail(err, "%s", path);
        return NULL;
    }
    return text;
}

static int
open_listener(struct http *http, const struct http_options *options, struct sl_error *err)
{
    bool loopback = false;
    if (options->tls_certificate[0] != '\0') {
        http->certificate = read_pem(options->tls_certificate, err);
        http->key = http->certificate != NULL ? read_pem(options->tls_key, err) : NULL;
        if (http->key == NULL) {
            return -1;
        }
    } else if (!options->plain) {
        return sl_fail(err, SL_E_CONFIG, "tls_certificate is needed, or plain: true on loopback");
    }
    http->listener = sl_listen_open(options->listen, &loopback, err);
    if (http->listener >= 0 && http->certificate == NULL && !loopback) {
        return sl_fail(err, SL_E_CONFIG, "plain HTTP is for loopback only");
    }
    return http->listener >= 0 ? 0 : -1;
}

static int
start_daemon(struct share *share, struct sl_error *err)
{
    struct http *http = share->http;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (http->certificate != NULL ? MHD_USE_TLS : 0U);
    struct MHD_OptionItem rows[4];
    size_t count = 0;
    if (http->certificate != NULL) {
        rows[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, http->certificate};
        rows[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, http->key};
        rows[count++] = (struct MHD_OptionItem){
            MHD_OPTION_HTTPS_PRIORITIES, 0,
            (char *)(uintptr_t) "SECURE192:SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"};
    }
    rows[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    int listener = fcntl(http->listener, F_DUPFD_CLOEXEC, 0); // the daemon's, once it started
    if (listener < 0) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    share->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, share, MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL,
        MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_NOTIFY_CONNECTION, on_connection, share,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, share, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        share, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)(CONNECTIONS_MAX / http->front->bus_count), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_ARRAY, rows, MHD_OPTION_END);
    if (share->daemon == NULL) {
        close(listener);
        return sl_fail(err, SL_E_CONFIG, "the listener cannot be started");
    }
    return 0;
}

static int
start_daemons(struct http *http, struct sl_error *err)
{
    for (size_t i = 0; i < http->front->bus_count; i++) {
        http->shares[i] = (struct share){.http = http, .bus = http->front->buses[i]};
        if (start_daemon(&http->shares[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

// On the thread that accepts: no other may close the socket under it.
static void
quiesce(struct share *share)
{
    if (!share->is_quiesced && atomic_load(&share->http->is_quiescing)) {
        share->is_quiesced = true;
        close(MHD_quiesce_daemon(share->daemon));
        sem_post(&share->http->quiesced);
    }
}

// What has come is served; whether there is more, such as bytes that TLS has read ahead.
static bool
serve_share(void *arg)
{
    struct share *share = arg;
    bool has_more = true;
    quiesce(share);
    for (int i = 0; i < RUNS && has_more; i++) {
        MHD_UNSIGNED_LONG_LONG wait_ms = 1;
        (void)MHD_run(share->daemon);
        has_more = MHD_get_timeout(share->daemon, &wait_ms) == MHD_YES && wait_ms == 0;
    }
    return has_more;
}

static void
attach(struct share *share)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(share->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    sl_bus_attach(share->bus, info->epoll_fd, serve_share, share);
}

struct http *
http_new(struct front *front, const struct http_options *options, struct sl_error *err)
{
    struct http *http = calloc(1, sizeof(*http));
    if (http == NULL) {
        (void)sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    http->front = front;
    http->listener = -1;
    sem_init(&http->quiesced, 0, 0);
    if (open_listener(http, options, err) != 0 ||
        (http->deadlines = deadline_list_new(err)) == NULL || start_daemons(http, err) != 0) {
        http_free(&http);
        return NULL;
    }
    close(http->listener);
    http->listener = -1;
    for (size_t i = 0; i < front->bus_count; i++) {
        attach(&http->shares[i]);
    }
    return http;
}

void
http_quiesce(struct http *http)
{
    atomic_store(&http->is_quiescing, true);
    for (size_t i = 0; i < http->front->bus_count; i++) {
        sl_bus_wake(http->shares[i].bus);
    }
    for (size_t i = 0; i < http->front->bus_count; i++) {
        while (sem_wait(&http->quiesced) != 0) {
        }
    }
}

void
http_free(struct http **http)
{
    if (*http == NULL) {
        return;
    }
    struct http *self = SL_TAKE(*http);
    for (size_t i = 0; i < self->front->bus_count && self->shares[i].daemon != NULL; i++) {
        MHD_stop_daemon(self->shares[i].daemon);
    }
    if (self->listener >= 0) {
        close(self->listener);
    }
    sem_destroy(&self->quiesced);
    deadline_list_free(&self->deadlines);
    free(self->certificate);
    free(self->key);
    free(self);
}
