// health_test.c - the listener for probes, over TCP and a unix socket.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/free_port.h"
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/wire/health.h"
#include "common/wire/listen.h"

struct place {
    char path[64];
    char listen[80];
    const char *reason;
    struct sl_health *health;
};

static const char *
reason(void *arg)
{
    return ((struct place *)arg)->reason;
}

static void
metrics(void *arg, struct sl_buf *text)
{
    (void)arg;
    sl_buf_adds(text, "x 1\n");
}

static int
open_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    struct sl_error err;
    const struct sl_health_answers answers = {reason, metrics, place};
    snprintf(place->path, sizeof(place->path), "/tmp/sluice-health-%d", (int)getpid());
    snprintf(place->listen, sizeof(place->listen), "unix:%s", place->path);
    place->health = sl_health_new(place->listen, &answers, &err);
    *state = place;
    return place->health != NULL ? 0 : -1;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    sl_health_free(&place->health);
    unlink(place->path);
    free(place);
    return 0;
}

// Sends a request over a socket and reads the whole answer.
static const char *
talk(int fd, const char *request)
{
    static char reply[4096];
    size_t len = 0;
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    for (ssize_t got = 1; got > 0 && len < sizeof(reply) - 1; len += (size_t)got) {
        got = recv(fd, reply + len, sizeof(reply) - 1 - len, 0);
        assert_true(got >= 0);
    }
    reply[len] = '\0';
    close(fd);
    return reply;
}

static const char *
ask(const struct place *place, const char *method, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char request[256];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", place->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             method, path);
    return talk(fd, request);
}

static void
assert_answer(const char *reply, int status, const char *body)
{
    char line[64];
    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    assert_int_equal(strncmp(reply, line, strlen(line)), 0);
    assert_string_equal(strstr(reply, "\r\n\r\n") + 4, body);
}

static void
alive_is_not_ready(void **state)
{
    struct place *place = *state;
    assert_answer(ask(place, "GET", "/healthz"), 200, "ok\n");
    assert_answer(ask(place, "GET", "/readyz"), 200, "ready\n");
    place->reason = "no bus answers\n";
    assert_answer(ask(place, "GET", "/readyz"), 503, "no bus answers\n");
    assert_answer(ask(place, "GET", "/healthz"), 200, "ok\n");
    assert_answer(ask(place, "GET", "/metrics"), 200, "x 1\n");
}

static void
other_paths_and_methods_are_refused(void **state)
{
    struct place *place = *state;
    assert_answer(ask(place, "GET", "/"), 404, "not found\n");
    assert_answer(ask(place, "GET", "/metrics/"), 404, "not found\n");
    assert_answer(ask(place, "DELETE", "/healthz"), 405, "");
    assert_answer(ask(place, "HEAD", "/healthz"), 200, "");
}

static void
a_socket_that_was_left_behind_is_replaced(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    const struct sl_health_answers answers = {reason, metrics, place};
    sl_health_free(&place->health);
    assert_int_equal(access(place->path, F_OK), 0);
    place->health = sl_health_new(place->listen, &answers, &err);
    assert_non_null(place->health);
    assert_answer(ask(place, "GET", "/healthz"), 200, "ok\n");
}

static void
tcp_is_listened_to_as_well(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    const struct sl_health_answers answers = {reason, metrics, place};
    char listen[32];
    int port = free_listen(listen);
    SL_AUTO(sl_health) health = sl_health_new(listen, &answers, &err);
    assert_non_null(health);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_answer(talk(fd, "GET /healthz HTTP/1.0\r\n\r\n"), 200, "ok\n");
}

static void
an_address_that_is_none_is_refused_with_its_name(void **state)
{
    (void)state;
    static const char *const addresses[] = {"",
                                            "127.0.0.1",
                                            "127.0.0.1:",
                                            ":80",
                                            "name:80",
                                            "unix:",
                                            "127.0.0.1:x",
                                            "[::1:80",
                                            "unix:/nowhere/at/all/x"};
    for (size_t i = 0; i < SL_COUNT(addresses); i++) {
        bool loopback = false;
        struct sl_error err = {.code = SL_E_INTERNAL};
        assert_int_equal(sl_listen_open(addresses[i], &loopback, &err), -1);
        assert_int_equal(err.code, SL_E_CONFIG);
    }
    char too_long[200] = "unix:";
    bool loopback = false;
    struct sl_error err;
    memset(too_long + 5, 'x', 150);
    assert_int_equal(sl_listen_open(too_long, &loopback, &err), -1);
}

static void
only_addresses_of_this_machine_are_loopback(void **state)
{
    struct place *place = *state;
    static const struct {
        const char *address;
        bool loopback;
    } rows[] = {{"127.0.0.1:0", true}, {"0.0.0.0:0", false}};
    struct sl_error err;
    bool loopback = false;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        int fd = sl_listen_open(rows[i].address, &loopback, &err);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(loopback, rows[i].loopback);
    }
    sl_health_free(&place->health);
    int fd = sl_listen_open(place->listen, &loopback, &err);
    assert_true(fd >= 0 && loopback);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(alive_is_not_ready),
        TEST(other_paths_and_methods_are_refused),
        TEST(a_socket_that_was_left_behind_is_replaced),
        TEST(tcp_is_listened_to_as_well),
        TEST(an_address_that_is_none_is_refused_with_its_name),
        TEST(only_addresses_of_this_machine_are_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
