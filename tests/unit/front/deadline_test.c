// deadline_test.c - late sockets are shut down, others are left alone.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/deadline.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test.h"

static bool
is_closed_within(int fd, int wait_ms)
{
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    char byte = 0;
    return poll(&watched, 1, wait_ms) == 1 && recv(fd, &byte, 1, 0) == 0;
}

static void
only_what_is_late_is_closed(void **state)
{
    struct sl_error err;
    struct deadline_list *list = deadline_list_new(&err);
    int late[2];
    int early[2];
    (void)state;
    assert_non_null(list);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, late), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, early), 0);
    struct deadline *first = deadline_new(list, late[0], 10);
    struct deadline *second = deadline_new(list, early[0], 600000);
    assert_true(is_closed_within(late[1], 60000));
    assert_false(is_closed_within(early[1], 0));
    deadline_set(second, 0);
    assert_true(is_closed_within(early[1], 60000));
    deadline_free(&first);
    deadline_free(&second);
    deadline_free(&second);
    deadline_set(second, 1);
    deadline_list_free(&list);
    deadline_list_free(&list);
    for (int i = 0; i < 2; i++) {
        close(late[i]);
        close(early[i]);
    }
}

static void
a_deadline_that_ended_closes_nothing(void **state)
{
    struct sl_error err;
    struct deadline_list *list = deadline_list_new(&err);
    int pair[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct deadline *deadlines[3];
    for (size_t i = 0; i < 3; i++) {
        deadlines[i] = deadline_new(list, pair[0], 600000);
    }
    deadline_set(deadlines[1], -1);
    deadline_free(&deadlines[1]);
    deadline_free(&deadlines[0]);
    deadline_free(&deadlines[2]);
    assert_false(is_closed_within(pair[1], 600));
    deadline_list_free(&list);
    close(pair[0]);
    close(pair[1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_late_is_closed),
        cmocka_unit_test(a_deadline_that_ended_closes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
