// probe.c - see probe.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 2048 // bytes of a request: a path of 1,024, a host of 253
#define LINE_MIN    12   // bytes of "HTTP/1.1 200"
#define PORT_HTTP   80
#define PORT_HTTPS  443

enum stage {
    STAGE_CONNECT,
    STAGE_TLS,
    STAGE_SEND,
    STAGE_READ
};

struct probe {
    enum stage stage;
    enum sl_probe_kind kind;
    int fd;
    SSL *ssl; // HTTPS
    int64_t deadline_ms;
    char *codes;
    char request[REQUEST_MAX];
    size_t request_len, sent;
    char line[LINE_MIN]; // of the answer
    size_t line_len;
};

bool
probe_code_listed(const char *codes, int code)
{
    struct sl_str rest = sl_str(codes[0] == '\0' ? "200" : codes);
    while (rest.len > 0) {
        struct sl_str range = sl_str_split(&rest, ',');
        struct sl_str from = sl_str_split(&range, '-');
        int64_t first;
        int64_t last;
        if (!sl_str_int(from, &first)) {
            continue;
        }
        if (!sl_str_int(range, &last)) { // a code alone
            last = first;
        }
        if (code >= first && code <= last) {
            return true;
        }
    }
    return false;
}

// -- beginning

// What a failed system call says of the member: that of a lack of ours is nothing.
static enum probe_verdict
refusal(int failure)
{
    static const int lacks[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, EAGAIN, ENOSPC};
    for (size_t i = 0; i < SL_COUNT(lacks); i++) {
        if (failure == lacks[i]) {
            return PROBE_UNKNOWN;
        }
    }
    return PROBE_BAD;
}

static enum probe_verdict
begin_connect(struct probe *probe, const struct probe_plan *plan)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } to;
    socklen_t len = sizeof(to.in4);
    memset(&to, 0, sizeof(to));
    to.any.sa_family = plan->address->family;
    if (plan->address->family == AF_INET) {
        to.in4.sin_port = htons(plan->port);
        memcpy(&to.in4.sin_addr, plan->address->bytes, sizeof(to.in4.sin_addr));
    } else {
        len = sizeof(to.in6);
        to.in6.sin6_port = htons(plan->port);
        memcpy(&to.in6.sin6_addr, plan->address->bytes, sizeof(to.in6.sin6_addr));
    }
    probe->fd =
        socket(plan->address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (probe->fd < 0) {
        return refusal(errno);
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                                .data = {.ptr = plan->epoll_data}};
    if ((connect(probe->fd, &to.any, len) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(plan->epoll_fd, EPOLL_CTL_ADD, probe->fd, &event) != 0) {
        return refusal(errno);
    }
    return PROBE_RUNS;
}

static int
begin_tls(struct probe *probe, const struct probe_plan *plan)
{
    probe->ssl = plan->ssl_ctx == NULL ? NULL : SSL_new(plan->ssl_ctx);
    if (probe->ssl == NULL || SSL_set_fd(probe->ssl, probe->fd) != 1) {
        return -1;
    }
    // An address is no name; who has one asks for it all the same.
    return SSL_set_tlsext_host_name(probe->ssl, plan->host) == 1 ? 0 : -1;
}

static int
write_request(struct probe *probe, const struct probe_plan *plan)
{
    bool is_tls = plan->health->protocol == SL_PROBE_HTTPS;
    bool is_ipv6 = strchr(plan->host, ':') != NULL;
    char port[8] = "";
    if (plan->port != (is_tls ? PORT_HTTPS : PORT_HTTP)) {
        snprintf(port, sizeof(port), ":%u", plan->port);
    }
    int len = snprintf(probe->request, sizeof(probe->request),
                       "%s %s HTTP/1.1\r\nHost: %s%s%s%s\r\nUser-Agent: sluice-health\r\n"
                       "Accept: */*\r\nConnection: close\r\n\r\n",
                       plan->health->method == SL_METHOD_HEAD ? "HEAD" : "GET", plan->health->path,
                       is_ipv6 ? "[" : "", plan->host, is_ipv6 ? "]" : "", port);
    probe->request_len = (size_t)len;
    return len > 0 && (size_t)len < sizeof(probe->request) ? 0 : -1;
}

enum probe_verdict
probe_begin(const struct probe_plan *plan, struct probe **ret_probe)
{
    struct probe *probe = calloc(1, sizeof(*probe));
    *ret_probe = NULL;
    if (probe == NULL) {
        return PROBE_UNKNOWN;
    }
    probe->kind = plan->health->protocol;
    probe->deadline_ms = plan->deadline_ms;
    probe->fd = -1;
    probe->codes = strdup(plan->health->codes);
    enum probe_verdict verdict = PROBE_UNKNOWN;
    if (probe->codes != NULL && (probe->kind == SL_PROBE_TCP || write_request(probe, plan) == 0)) {
        verdict = begin_connect(probe, plan);
    }
    if (verdict == PROBE_RUNS && probe->kind == SL_PROBE_HTTPS && begin_tls(probe, plan) != 0) {
        verdict = PROBE_UNKNOWN;
    }
    if (verdict != PROBE_RUNS) {
        probe_free(&probe);
    }
    *ret_probe = probe;
    return verdict;
}

void
probe_free(struct probe **probe)
{
    if (probe == NULL || *probe == NULL) {
        return;
    }
    SSL_free((*probe)->ssl);
    if ((*probe)->fd >= 0) {
        close((*probe)->fd);
    }
    free((*probe)->codes);
    free(*probe);
    *probe = NULL;
    ERR_clear_error();
}

// -- going on. Each answers PROBE_GOOD when its stage is done.

static enum probe_verdict
step_connect(struct probe *probe)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    int failure = 0;
    socklen_t size = sizeof(failure);
    if (getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0 || failure != 0) {
        return PROBE_BAD;
    }
    if (getpeername(probe->fd, (struct sockaddr *)&peer, &len) != 0) {
        return errno == ENOTCONN ? PROBE_RUNS : PROBE_BAD;
    }
    return PROBE_GOOD;
}

// What OpenSSL says of a call that did nothing.
static enum probe_verdict
tls_verdict(struct probe *probe, int rc)
{
    int why = SSL_get_error(probe->ssl, rc);
    ERR_clear_error();
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? PROBE_RUNS : PROBE_BAD;
}

static enum probe_verdict
plain_verdict(ssize_t count)
{
    return count < 0 && (errno == EAGAIN || errno == EINTR) ? PROBE_RUNS : PROBE_BAD;
}

static enum probe_verdict
step_tls(struct probe *probe)
{
    int rc = SSL_connect(probe->ssl);
    return rc == 1 ? PROBE_GOOD : tls_verdict(probe, rc);
}

static enum probe_verdict
step_send(struct probe *probe)
{
    while (probe->sent < probe->request_len) {
        const char *from = probe->request + probe->sent;
        size_t len = probe->request_len - probe->sent;
        ssize_t count = probe->ssl != NULL ? SSL_write(probe->ssl, from, (int)len)
                                           : send(probe->fd, from, len, MSG_NOSIGNAL);
        if (count <= 0) {
            return probe->ssl != NULL ? tls_verdict(probe, (int)count) : plain_verdict(count);
        }
        probe->sent += (size_t)count;
    }
    return PROBE_GOOD;
}

static enum probe_verdict
step_read(struct probe *probe)
{
    while (probe->line_len < LINE_MIN) {
        char *to = probe->line + probe->line_len;
        size_t len = LINE_MIN - probe->line_len;
        ssize_t count =
            probe->ssl != NULL ? SSL_read(probe->ssl, to, (int)len) : recv(probe->fd, to, len, 0);
        if (count <= 0) {
            return probe->ssl != NULL ? tls_verdict(probe, (int)count) : plain_verdict(count);
        }
        probe->line_len += (size_t)count;
    }
    struct sl_str line = {probe->line, LINE_MIN};
    struct sl_str digits = {probe->line + LINE_MIN - 3, 3};
    int64_t code;
    bool is_answer = sl_str_starts(line, SL_STR("HTTP/1.")) && sl_str_int(digits, &code);
    return is_answer && probe_code_listed(probe->codes, (int)code) ? PROBE_GOOD : PROBE_BAD;
}

// The stage after one that is done; false: it was the last.
static bool
advance(struct probe *probe)
{
    if (probe->kind == SL_PROBE_TCP || probe->stage == STAGE_READ) {
        return false;
    }
    bool passes_tls = probe->stage == STAGE_CONNECT && probe->kind == SL_PROBE_HTTP;
    probe->stage += passes_tls ? 2 : 1;
    return true;
}

enum probe_verdict
probe_step(struct probe *probe, int64_t now_ms)
{
    static enum probe_verdict (*const stages[])(struct probe *) = {
        [STAGE_CONNECT] = step_connect,
        [STAGE_TLS] = step_tls,
        [STAGE_SEND] = step_send,
        [STAGE_READ] = step_read,
    };
    enum probe_verdict verdict;
    do {
        verdict = stages[probe->stage](probe);
    } while (verdict == PROBE_GOOD && advance(probe));
    return verdict == PROBE_RUNS && now_ms >= probe->deadline_ms ? PROBE_BAD : verdict;
}
