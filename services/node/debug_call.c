// debug_call.c - see debug_call.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/debug_call.h"

#include "common/base/buf.h"
#include "common/base/clock.h"

#include <netdb.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define READ_SIZE 16384
#define RAW_MAX   ((size_t)4 * 1024 * 1024) // bytes that are read: chunks have their own heads
#define TRUNCATED "[TRUNCATED]"
#define REPLACED  '?'

// -- the answer as text

// The value of a header in the head, or "" with length 0.
static struct sl_str
header_of(struct sl_str head, const char *name)
{
    struct sl_str rest = head;
    size_t len = strlen(name);
    while (rest.ptr != NULL) {
        struct sl_str line = sl_str_split(&rest, '\n');
        if (line.len > len && line.ptr[len] == ':' && strncasecmp(line.ptr, name, len) == 0) {
            return sl_str_trim((struct sl_str){line.ptr + len + 1, line.len - len - 1});
        }
    }
    return SL_STR("");
}

// Joins the chunks; what is broken off, or malformed, ends the body.
static void
add_chunks(struct sl_buf *body, struct sl_str raw)
{
    size_t at = 0;
    while (at < raw.len && body->len <= DEBUG_CALL_BODY_MAX) {
        size_t size = 0;
        size_t digits = 0;
        for (; at < raw.len && digits < 8; at++, digits++) {
            const char *all = "0123456789abcdef";
            const char *digit = strchr(all, raw.ptr[at] | ('A' <= raw.ptr[at] ? 0x20 : 0));
            if (raw.ptr[at] == '\0' || digit == NULL) {
                break;
            }
            size = size * 16 + (size_t)(digit - all);
        }
        const char *end = memchr(raw.ptr + at, '\n', raw.len - at);
        if (digits == 0 || size == 0 || end == NULL) {
            return;
        }
        at = (size_t)(end - raw.ptr) + 1;
        size = size < raw.len - at ? size : raw.len - at;
        sl_buf_add(body, raw.ptr + at, size);
        at += size + 2; // and its line end
    }
}

// How many bytes of UTF-8 begin here; 0: none that hold.
static size_t
utf8_len(const unsigned char *at, size_t left)
{
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    bool holds = at[0] != 0 && len <= left && !(at[0] >= 0x80 && at[0] < 0xc2) && at[0] < 0xf5;
    for (size_t i = 1; holds && i < len; i++) {
        holds = (at[i] & 0xc0) == 0x80;
    }
    // Forms that are too long, surrogates, and what is beyond the last character.
    if (holds && len > 2) {
        holds = !(at[0] == 0xe0 && at[1] < 0xa0) && !(at[0] == 0xed && at[1] > 0x9f) &&
                !(at[0] == 0xf0 && at[1] < 0x90) && !(at[0] == 0xf4 && at[1] > 0x8f);
    }
    return holds ? len : 0;
}

static void
add_text(struct sl_buf *text, struct sl_str bytes)
{
    for (size_t i = 0; i < bytes.len;) {
        size_t len = utf8_len((const unsigned char *)bytes.ptr + i, bytes.len - i);
        if (len == 0) {
            sl_buf_addc(text, REPLACED);
        } else {
            sl_buf_add(text, bytes.ptr + i, len);
        }
        i += len > 0 ? len : 1;
    }
}

static void
add_body(struct sl_buf *text, struct sl_str head, struct sl_str raw)
{
    SL_AUTO_BUF joined;
    sl_buf_init(&joined, RAW_MAX);
    struct sl_str coding = header_of(head, "Transfer-Encoding");
    if (coding.len == strlen("chunked") && strncasecmp(coding.ptr, "chunked", coding.len) == 0) {
        add_chunks(&joined, raw);
        raw = (struct sl_str){joined.ptr != NULL ? joined.ptr : "", joined.len};
    }
    bool is_long = raw.len > DEBUG_CALL_BODY_MAX;
    raw.len = is_long ? DEBUG_CALL_BODY_MAX : raw.len;
    add_text(text, raw);
    if (is_long) {
        sl_buf_adds(text, TRUNCATED);
    }
}

char *
debug_call_text(struct sl_str raw)
{
    static const char end[] = "\r\n\r\n";
    const char *at = raw.len > 0 ? memmem(raw.ptr, raw.len, end, sizeof(end) - 1) : NULL;
    if (at == NULL) {
        return NULL;
    }
    struct sl_str head = {raw.ptr, (size_t)(at - raw.ptr) + 2};
    struct sl_str body = {at + sizeof(end) - 1, raw.len - head.len - 2};
    SL_AUTO_BUF text;
    SL_AUTO_BUF lines;
    sl_buf_init(&text, 3 * RAW_MAX);
    sl_buf_init(&lines, RAW_MAX);
    for (size_t i = 0; i < head.len; i++) {
        if (head.ptr[i] != '\r') {
            sl_buf_addc(&lines, head.ptr[i]);
        }
    }
    head = (struct sl_str){lines.ptr, lines.len};
    add_text(&text, head);
    sl_buf_addc(&text, '\n');
    add_body(&text, head, body);
    return text.failed || lines.failed ? NULL : strndup(text.ptr, text.len);
}

// -- the call

// A connection, with TLS or without.
struct line {
    int fd;
    SSL_CTX *ssl_ctx;
    SSL *ssl;
    int64_t until_ms; // monotonic
};

static int
connect_to(const char *listen)
{
    char host[128];
    const char *colon = strrchr(listen, ':');
    size_t len = colon != NULL ? (size_t)(colon - listen) : sizeof(host);
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    if (len >= sizeof(host)) {
        return -1;
    }
    bool bracketed = len > 1 && listen[0] == '[';
    memcpy(host, listen + (bracketed ? 1 : 0), len - (bracketed ? 2 : 0));
    host[len - (bracketed ? 2 : 0)] = '\0';
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

// The time that is left for the next step; false when there is none.
static bool
set_time(const struct line *line)
{
    int64_t left_ms = line->until_ms - sl_mono_ms();
    struct timeval time = {left_ms / 1000, left_ms % 1000 * 1000};
    return left_ms > 0 && setsockopt(line->fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0 &&
           setsockopt(line->fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time)) == 0;
}

static bool
begin_tls(struct line *line)
{
    line->ssl_ctx = SSL_CTX_new(TLS_client_method());
    line->ssl = line->ssl_ctx != NULL ? SSL_new(line->ssl_ctx) : NULL;
    return line->ssl != NULL && set_time(line) && SSL_set_fd(line->ssl, line->fd) == 1 &&
           SSL_connect(line->ssl) == 1;
}

// nginx may answer before it has read all: that it takes no more is no failure.
static void
send_all(const struct line *line, struct sl_str bytes)
{
    while (bytes.len > 0 && set_time(line)) {
        int part = bytes.len < READ_SIZE ? (int)bytes.len : READ_SIZE;
        ssize_t sent = line->ssl != NULL ? SSL_write(line->ssl, bytes.ptr, part)
                                         : send(line->fd, bytes.ptr, (size_t)part, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        bytes.ptr += sent;
        bytes.len -= (size_t)sent;
    }
}

static void
read_all(const struct line *line, struct sl_buf *raw)
{
    char bytes[READ_SIZE];
    while (raw->len + sizeof(bytes) < RAW_MAX && set_time(line)) {
        ssize_t got = line->ssl != NULL ? SSL_read(line->ssl, bytes, sizeof(bytes))
                                        : recv(line->fd, bytes, sizeof(bytes), 0);
        if (got <= 0) {
            return;
        }
        sl_buf_add(raw, bytes, (size_t)got);
    }
}

char *
debug_call_make(struct debug_call *call)
{
    struct line line = {.fd = connect_to(call->listen),
                        .until_ms = sl_mono_ms() + call->timeout_ms};
    char *text = NULL;
    if (line.fd < 0) {
        return NULL;
    }
    atomic_store(&call->fd, line.fd);
    if (!call->tls || begin_tls(&line)) {
        SL_AUTO_BUF raw;
        sl_buf_init(&raw, RAW_MAX);
        send_all(&line, call->request);
        read_all(&line, &raw);
        text = debug_call_text((struct sl_str){raw.ptr, raw.len});
    }
    SSL_free(line.ssl);
    SSL_CTX_free(line.ssl_ctx);
    atomic_store(&call->fd, -1);
    close(line.fd);
    return text;
}

void
debug_call_break(struct debug_call *call)
{
    int fd = atomic_load(&call->fd);
    if (fd >= 0) {
        shutdown(fd, SHUT_RDWR);
    }
}
