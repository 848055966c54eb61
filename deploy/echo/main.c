// main.c - the quickstart's backend: answers every request with what arrived, as JSON.
//
//     {"method": …, "path": raw path, "query": raw query, "headers": {name: [value, …]},
//      "body": text} or, for a body that is not UTF-8, {"body_base64": …}
//
// Request headers steer the answer: X-Echo-Status (its status), X-Echo-Size (that many bytes of
// plain text instead of the JSON), X-Echo-Delay-Ms (wait before answering, at most a minute, while
// others are answered).
// The header X-Echo-Port of the answer names the listening port. A tool for demos, tests and
// measurements; it is not part of the gateway.
//
// SPDX-License-Identifier: Apache-2.0
#include "deploy/echo/answer.h"
#include "deploy/echo/delay.h"

#include <microhttpd.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS         2
#define CONNECTIONS     DELAYS_MAX
#define IDLE_TIMEOUT_S  75
#define DELAY_MAX_MS    60000
#define ANSWER_SIZE_MAX (16L << 20)
#define ARGUMENT_COUNT  2
#define STATUS_OK       200
#define STATUS_MIN      200
#define STATUS_MAX      599

// Keeps the target as it stood in the request line: MHD passes only a decoded path on.
static void *
begin_request(void *context, const char *target, struct MHD_Connection *connection)
{
    (void)context;
    (void)connection;
    return answer_new(target);
}

static void
end_request(void *context, struct MHD_Connection *connection, void **state,
            enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    answer_free((struct answer **)state);
}

// A number from a request header; `fallback` when it is absent or outside the bounds.
static long
header_number(struct MHD_Connection *connection, const char *name, long fallback, long min,
              long max)
{
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    if (!text) {
        return fallback;
    }
    char *end;
    long number = strtol(text, &end, 10);
    return *end == '\0' && number >= min && number <= max ? number : fallback;
}

static enum MHD_Result
send_answer(struct MHD_Connection *connection, struct answer *answer, const char *method,
            const char *port)
{
    long delay_ms = header_number(connection, "X-Echo-Delay-Ms", 0, 0, DELAY_MAX_MS);
    if (delay_ms > 0 && !answer_is_delayed(answer)) {
        answer_delay(answer);
        if (delay_connection(connection, delay_ms)) {
            return MHD_YES;
        }
    }
    long fixed_size = header_number(connection, "X-Echo-Size", -1, 0, ANSWER_SIZE_MAX);
    size_t size;
    char *text = fixed_size >= 0 ? answer_filler((size_t)fixed_size, &size)
                                 : answer_json(answer, connection, method, &size);
    if (!text) {
        return MHD_NO;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            fixed_size >= 0 ? "text/plain" : "application/json");
    MHD_add_response_header(response, "X-Echo-Port", port);
    long status = header_number(connection, "X-Echo-Status", STATUS_OK, STATUS_MIN, STATUS_MAX);
    enum MHD_Result queued = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return queued;
}

// long because libmicrohttpd calls it so
static enum MHD_Result
handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
       const char *version, const char *upload, size_t *upload_size, void **state)
{
    (void)url;
    (void)version;
    struct answer *answer = *state;
    if (!answer) {
        return MHD_NO;
    }
    if (!answer_is_open(answer)) {
        answer_open(answer);
        return MHD_YES;
    }
    if (*upload_size > 0) {
        bool kept = answer_add_body(answer, upload, *upload_size);
        *upload_size = 0;
        return kept ? MHD_YES : MHD_NO;
    }
    return send_answer(connection, answer, method, context);
}

// Splits "host:port" of the command line; IPv4 only.
static bool
parse_address(char *text, struct sockaddr_in *ret_address, const char **ret_port)
{
    char *colon = strrchr(text, ':');
    if (!colon) {
        return false;
    }
    char *end = NULL;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || port > UINT16_MAX) {
        return false;
    }
    *colon = '\0';
    *ret_port = colon + 1;
    *ret_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, text, &ret_address->sin_addr) == 1;
}

int
main(int argc, char **argv)
{
    struct sockaddr_in address;
    const char *port;
    if (argc != ARGUMENT_COUNT || !parse_address(argv[1], &address, &port)) {
        fprintf(stderr, "usage: sluice-echo IPV4:PORT\n");
        return 2;
    }
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    if (!delay_start()) {
        fprintf(stderr, "sluice-echo: cannot start a thread\n");
        return 1;
    }
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        handle, (void *)(size_t)port, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
        MHD_OPTION_THREAD_POOL_SIZE, THREADS, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
        MHD_OPTION_URI_LOG_CALLBACK, begin_request, NULL, MHD_OPTION_NOTIFY_COMPLETED, end_request,
        NULL, MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "sluice-echo: cannot listen\n");
        return 1;
    }
    int signal_number;
    sigwait(&stop, &signal_number);
    delay_stop();
    MHD_stop_daemon(daemon);
    return 0;
}
