// free_port.h - a port of loopback that nobody has, so that two runs side by side do not meet.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_UNIT_FREE_PORT_H
#define SL_TESTS_UNIT_FREE_PORT_H

#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

// Asks the kernel, which gives a port out again only after it went through the others.
static inline int
free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

// Such a port, and its address as settings say it.
static inline int
free_listen(char ret_listen[32])
{
    int port = free_port();
    snprintf(ret_listen, 32, "127.0.0.1:%d", port);
    return port;
}

#endif
