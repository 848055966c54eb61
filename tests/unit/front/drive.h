// drive.h - threads that serve HTTP as those of bus clients do, for tests without a bus.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_UNIT_FRONT_DRIVE_H
#define TESTS_UNIT_FRONT_DRIVE_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/wire/bus_client.h"
#include "tests/unit/test.h"

#define DRIVERS 2

struct driver {
    pthread_t thread;
    int fd; // what is attached
    int wake_fd;
    sl_turn_fn *fn;
    void *arg;
};

static struct driver drivers[DRIVERS];
static size_t driver_count;
static atomic_bool drivers_stop;

static void *
drive(void *arg)
{
    struct driver *driver = arg;
    bool has_more = true;
    while (!atomic_load(&drivers_stop)) {
        struct pollfd items[] = {{.fd = driver->fd, .events = POLLIN},
                                 {.fd = driver->wake_fd, .events = POLLIN}};
        (void)poll(items, SL_COUNT(items), has_more ? 0 : -1);
        uint64_t wakes = 0;
        ssize_t got = items[1].revents != 0 ? read(driver->wake_fd, &wakes, sizeof(wakes)) : 0;
        (void)got;
        has_more = driver->fn(driver->arg);
    }
    return NULL;
}

void
sl_bus_attach(struct sl_bus_client *client, int fd, sl_turn_fn *fn, void *arg)
{
    (void)client;
    assert_true(driver_count < DRIVERS);
    struct driver *driver = &drivers[driver_count++];
    *driver = (struct driver){.fd = fd, .wake_fd = eventfd(0, EFD_NONBLOCK), .fn = fn, .arg = arg};
    assert_int_equal(pthread_create(&driver->thread, NULL, drive, driver), 0);
}

void
sl_bus_wake(struct sl_bus_client *client)
{
    const uint64_t one = 1;
    (void)client;
    for (size_t i = 0; i < driver_count; i++) {
        assert_int_equal(write(drivers[i].wake_fd, &one, sizeof(one)), sizeof(one));
    }
}

// The threads end; then may HTTP.
static void
drive_stop(void)
{
    atomic_store(&drivers_stop, true);
    sl_bus_wake(NULL);
    for (size_t i = 0; i < driver_count; i++) {
        pthread_join(drivers[i].thread, NULL);
        close(drivers[i].wake_fd);
    }
}

#endif
