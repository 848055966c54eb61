// first_bus_test.c - which bus a client begins with.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/client_state.h"

#include "tests/unit/test.h"

#include <stdio.h>

#define TCP   "tcp://127.0.0.1:7001"
#define LOCAL "ipc:///run/sluice/bus"
#define NAMES 32 // peers that are asked

// How many of the peers begin with each of these buses.
static void
count_first(const char *const *commands, size_t buses, size_t ret_counts[SL_BUSES_MAX])
{
    struct sl_peer peer = {.bus_count = buses};
    for (size_t i = 0; i < buses; i++) {
        peer.buses[i].commands = commands[i];
        ret_counts[i] = 0;
    }
    for (int i = 0; i < NAMES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "front-%d", i);
        peer.name = name;
        size_t first = client_first_bus(&peer);
        assert_true(first < buses);
        ret_counts[first]++;
        assert_int_equal(client_first_bus(&peer), first); // the same each time
    }
}

static void
the_only_bus_is_the_first(void **state)
{
    (void)state;
    size_t counts[SL_BUSES_MAX];
    const char *const tcp[] = {TCP};
    count_first(tcp, 1, counts);
    assert_int_equal(counts[0], NAMES);
}

static void
peers_begin_with_different_buses(void **state)
{
    (void)state;
    size_t counts[SL_BUSES_MAX];
    const char *const far[] = {TCP, TCP};
    const char *const near[] = {LOCAL "-1", LOCAL "-2"};
    count_first(far, 2, counts);
    assert_true(counts[0] > 0 && counts[1] > 0);
    count_first(near, 2, counts);
    assert_true(counts[0] > 0 && counts[1] > 0);
}

static void
a_bus_of_this_host_goes_first(void **state)
{
    (void)state;
    size_t counts[SL_BUSES_MAX];
    const char *const last[] = {TCP, LOCAL};
    const char *const first[] = {LOCAL, TCP};
    count_first(last, 2, counts);
    assert_int_equal(counts[1], NAMES);
    count_first(first, 2, counts);
    assert_int_equal(counts[0], NAMES);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_only_bus_is_the_first),
        cmocka_unit_test(peers_begin_with_different_buses),
        cmocka_unit_test(a_bus_of_this_host_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
