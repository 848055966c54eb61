// listen.c - listening sockets, of TCP and of this machine.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG     511
#define UNIX_PREFIX "unix:"

static bool
is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        return (ntohl(v4->sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

// Splits "host:port" or "[v6]:port".
static bool
split_address(const char *address, char host[64], char port[8])
{
    const char *colon = strrchr(address, ':');
    size_t len = colon != NULL ? (size_t)(colon - address) : 0;
    const char *start = address;
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        start++;
        len -= 2;
    }
    if (colon == NULL || len == 0 || len >= 64 || strlen(colon + 1) == 0 ||
        strlen(colon + 1) >= 8) {
        return false;
    }
    memcpy(host, start, len);
    host[len] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return true;
}

static int
bind_socket(const struct addrinfo *found)
{
    int yes = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static int
open_unix(const char *path, struct sl_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path)) {
        return sl_fail(err, SL_E_CONFIG, "a unix path must have 1 to 107 characters");
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(path);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, BACKLOG) != 0) {
        int saved = errno;
        if (fd >= 0) {
            close(fd);
        }
        (void)sl_fail(err, SL_E_CONFIG, "a listen address cannot be bound");
        return sl_error_detail(err, "%s: errno %d", path, saved);
    }
    return fd;
}

int
sl_listen_open(const char *address, bool *ret_loopback, struct sl_error *err)
{
    if (strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        *ret_loopback = true;
        return open_unix(address + strlen(UNIX_PREFIX), err);
    }
    char host[64];
    char port[8];
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (!split_address(address, host, port) || getaddrinfo(host, port, &hints, &found) != 0) {
        (void)sl_fail(err, SL_E_CONFIG, "a listen address must be address:port");
        return sl_error_detail(err, "%s", address);
    }
    int fd = bind_socket(found);
    int saved = errno;
    *ret_loopback = is_loopback(found->ai_addr);
    freeaddrinfo(found);
    if (fd < 0) {
        (void)sl_fail(err, SL_E_CONFIG, "a listen address cannot be bound");
        return sl_error_detail(err, "%s: errno %d", address, saved);
    }
    return fd;
}
