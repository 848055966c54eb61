// steady.c - an open-loop load of HTTP/1.1: so many requests a second by the clock, whatever the
// answers do.
//
//     steady PORT CONNECTIONS RATE SECONDS REQUESTS
//
// Sends to 127.0.0.1 the requests of a file in turn (each behind its length, four bytes, the
// highest first) over connections that are kept; ends after SECONDS or at SIGTERM. A request's time
// counts from the moment that it was due, so a server that stalls cannot hide behind a client that
// waits. Prints one line: requests sent, errors, reconnects, requests a second, then p50, p99 and
// the longest time in ms, then the errors by kind (answers of 429, of other statuses than 2xx, cut
// off, not answered in time), then requests that were due before the end and never sent, because
// all connections were busy.
//
// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 10000
#define ANSWER_MAX      32768   // head and body
#define REQUESTS_MAX    65536   // in the file
#define STEP_NS         10000   // of the times that are told apart
#define STEPS           1000000 // ten seconds; what takes longer counts as that
#define GRACE_NS        2000000000LL
#define SECOND_NS       1000000000LL
#define EVENTS          256

struct text {
    const char *ptr;
    size_t len;
};

struct connection {
    int fd;
    bool busy;               // an answer is due
    int64_t due_ns;          // when its request was to be sent
    size_t got;              // bytes of the answer so far
    struct connection *next; // idle
    char answer[ANSWER_MAX];
};

static struct {
    struct sockaddr_in to;
    struct connection *connections;
    struct connection *idle; // those that have no request
    struct text *requests;
    size_t request_count;
    int epoll;
    uint32_t *times;     // counts by STEP_NS
    uint64_t sent;       //
    uint64_t answered;   // whatever their status
    uint64_t limited;    // of them, those with a 429
    uint64_t refused;    // of them, those without a 2xx
    uint64_t lost;       // cut off
    uint64_t reconnects; //
    uint64_t unsent;     // due before the end
} load;

static volatile sig_atomic_t stopped;

static void
on_stop(int number)
{
    (void)number;
    stopped = 1;
}

static int64_t
now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * SECOND_NS + at.tv_nsec;
}

static void
die(const char *what)
{
    fprintf(stderr, "steady: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void
rest(struct connection *connection)
{
    connection->busy = false;
    connection->got = 0;
    connection->next = load.idle;
    load.idle = connection;
}

static void
join(struct connection *connection)
{
    int on = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (struct sockaddr *)&load.to, sizeof(load.to)) != 0) {
        die("connect");
    }
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0) {
        die("epoll_ctl");
    }
}

// The peer ended it. A busy one lost its answer.
static void
join_again(struct connection *connection)
{
    bool was_busy = connection->busy;
    load.lost += was_busy ? 1 : 0;
    load.reconnects++;
    close(connection->fd);
    join(connection);
    if (was_busy) {
        rest(connection);
    }
}

static void
send_one(int64_t due_ns)
{
    const struct text *request = &load.requests[load.sent % load.request_count];
    struct connection *connection = load.idle;
    load.idle = connection->next;
    connection->busy = true;
    connection->due_ns = due_ns;
    load.sent++;
    // A few hundred bytes into an empty buffer go at once or not at all.
    if (send(connection->fd, request->ptr, request->len, MSG_NOSIGNAL) != (ssize_t)request->len) {
        join_again(connection);
    }
}

// The length of a whole answer, or 0: more is to come.
static size_t
answer_size(struct connection *connection)
{
    static const char field[] = "\r\nContent-Length:";
    connection->answer[connection->got] = '\0';
    const char *end = strstr(connection->answer, "\r\n\r\n");
    const char *length = end != NULL ? strcasestr(connection->answer, field) : NULL;
    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end + 4 - connection->answer);
    size_t body =
        length != NULL && length < end ? strtoul(length + sizeof(field) - 1, NULL, 10) : 0;
    return connection->got >= head + body ? head + body : 0;
}

static void
hear(struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->answer + connection->got,
                       ANSWER_MAX - 1 - connection->got, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0 || !connection->busy) {
        join_again(connection);
        return;
    }
    connection->got += (size_t)got;
    if (answer_size(connection) == 0) {
        return;
    }
    int64_t step = (now_ns() - connection->due_ns) / STEP_NS;
    load.times[step < STEPS ? step : STEPS - 1]++;
    load.answered++;
    load.limited += strncmp(connection->answer, "HTTP/1.1 429", 12) == 0 ? 1 : 0;
    load.refused += strncmp(connection->answer, "HTTP/1.1 2", 10) != 0 ? 1 : 0;
    rest(connection);
}

// Sends by the clock until `end_ns`, then waits for what is still out.
static void
run(int64_t begin_ns, int64_t end_ns, double gap_ns)
{
    struct epoll_event events[EVENTS];
    uint64_t due = 0;
    for (;;) {
        int64_t now = now_ns();
        int64_t last = stopped ? now : end_ns;
        end_ns = last < end_ns ? last : end_ns;
        int64_t next = begin_ns + (int64_t)((double)due * gap_ns);
        while (now <= end_ns && next <= now && next < end_ns && load.idle != NULL) {
            send_one(next);
            next = begin_ns + (int64_t)((double)++due * gap_ns);
        }
        bool over = next >= end_ns || now >= end_ns;
        if (over && (load.answered + load.lost >= load.sent || now > end_ns + GRACE_NS)) {
            uint64_t wanted = (uint64_t)((double)(end_ns - begin_ns) / gap_ns);
            load.unsent = wanted > due ? wanted - due : 0;
            return;
        }
        int64_t wait = over || load.idle == NULL ? SECOND_NS / 100 : next - now;
        struct timespec until = {.tv_nsec = wait > 0 ? wait % SECOND_NS : 0};
        int count = epoll_pwait2(load.epoll, events, EVENTS, &until, NULL);
        for (int i = 0; i < count; i++) {
            hear(events[i].data.ptr);
        }
    }
}

static void
read_requests(const char *path)
{
    FILE *file = fopen(path, "re");
    uint8_t size[4];
    load.requests = calloc(REQUESTS_MAX, sizeof(*load.requests));
    if (file == NULL || load.requests == NULL) {
        die(path);
    }
    while (load.request_count < REQUESTS_MAX &&
           fread(size, 1, sizeof(size), file) == sizeof(size)) {
        size_t len = (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];
        char *text = malloc(len);
        if (text == NULL || fread(text, 1, len, file) != len) {
            die(path);
        }
        load.requests[load.request_count++] = (struct text){text, len};
    }
    fclose(file);
    if (load.request_count == 0) {
        die("no requests");
    }
}

// The time in ms below which a share of the answers came.
static double
within_ms(double share)
{
    uint64_t want = (uint64_t)(share * (double)load.answered);
    uint64_t seen = 0;
    size_t step = 0;
    while (step < STEPS - 1 && (seen += load.times[step]) <= want) {
        step++;
    }
    return (double)(step + 1) * STEP_NS / 1e6;
}

static double
longest_ms(void)
{
    size_t step = STEPS - 1;
    while (step > 0 && load.times[step] == 0) {
        step--;
    }
    return (double)(step + 1) * STEP_NS / 1e6;
}

static void
prepare(const char *port, size_t count, const char *requests)
{
    struct sigaction stop = {.sa_handler = on_stop};
    sigaction(SIGTERM, &stop, NULL);
    load.to = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    read_requests(requests);
    load.connections = calloc(count, sizeof(*load.connections));
    load.times = calloc(STEPS, sizeof(*load.times));
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load.connections == NULL || load.times == NULL || load.epoll < 0) {
        die("start");
    }
    for (size_t i = 0; i < count; i++) {
        join(&load.connections[i]);
        rest(&load.connections[i]);
    }
}

int
main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: steady PORT CONNECTIONS RATE SECONDS REQUESTS\n");
        return 2;
    }
    size_t count = strtoul(argv[2], NULL, 10);
    double rate = strtod(argv[3], NULL);
    double seconds = strtod(argv[4], NULL);
    if (count == 0 || count > CONNECTIONS_MAX || rate <= 0 || seconds <= 0) {
        fprintf(stderr, "steady: CONNECTIONS, RATE and SECONDS are positive numbers\n");
        return 2;
    }
    prepare(argv[1], count, argv[5]);
    printf("ready\n");
    fflush(stdout);
    int64_t begin_ns = now_ns();
    run(begin_ns, begin_ns + (int64_t)(seconds * (double)SECOND_NS), (double)SECOND_NS / rate);
    // What is neither answered nor cut off was not answered in time.
    printf("%lu %lu %lu %.0f %.2f %.2f %.2f %lu %lu %lu %lu %lu\n", (unsigned long)load.sent,
           (unsigned long)(load.sent - load.answered + load.refused),
           (unsigned long)load.reconnects,
           (double)load.sent * (double)SECOND_NS / (double)(now_ns() - begin_ns), within_ms(0.5),
           within_ms(0.99), longest_ms(), (unsigned long)load.limited,
           (unsigned long)(load.refused - load.limited), (unsigned long)load.lost,
           (unsigned long)(load.sent - load.answered - load.lost), (unsigned long)load.unsent);
    return 0;
}
