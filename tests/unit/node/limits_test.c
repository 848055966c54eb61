// limits_test.c - limits on the bus: what comes as the agent ends reaches nobody.
//
// The bus client is played: what it still hands out at its end goes to whoever did not ask to be
// forgotten.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/node/node_kit.h"

#include "services/node/limits.c"

static struct {
    sl_event_fn *fn; // of the subscription; NULL: none, or forgotten
    void *arg;
} bus;

int
sl_bus_subscribe(struct sl_bus_client *client, const char *prefix, sl_event_fn *fn, void *arg,
                 struct sl_error *err)
{
    (void)client;
    (void)err;
    assert_string_equal(prefix, "node/node-1");
    bus.fn = fn;
    bus.arg = arg;
    return 0;
}

void
sl_bus_forget(struct sl_bus_client *client, const void *arg)
{
    (void)client;
    bus.fn = arg == bus.arg ? NULL : bus.fn;
}

void
sl_bus_call(struct sl_bus_client *client, const struct sl_command *command, sl_reply_fn *fn,
            void *arg)
{
    (void)client;
    (void)command;
    (void)fn;
    (void)arg;
}

int
sl_bus_client_fd(const struct sl_bus_client *client)
{
    (void)client;
    return -1;
}

void
sl_bus_client_dispatch(struct sl_bus_client *client)
{
    (void)client;
}

// What the client does with an event that came.
static bool
hand_out(struct sl_str bytes)
{
    if (bus.fn != NULL) {
        bus.fn(bus.arg, sl_str("node/node-1"), bytes);
    }
    return bus.fn != NULL;
}

static void
an_event_that_is_handed_out_at_the_end_reaches_nobody(void **state)
{
    (void)state;
    char place[] = "/tmp/sluice-limits-XXXXXX";
    char name[64];
    char path[256];
    struct sl_error err;
    const struct sl_str empty_map = {"\x80", 1};
    assert_non_null(mkdtemp(place));
    snprintf(name, sizeof(name), "limits-test-%d", (int)getpid());
    struct limits *limits = limits_new(
        &(struct limits_options){
            .shm_name = name, .keys = 64, .node_id = "node-1", .state_dir = place},
        &err);
    assert_non_null(limits);
    assert_true(hand_out(empty_map));
    limits_free(&limits);
    assert_false(hand_out(empty_map));
    sl_counters_path(name, 64, path, sizeof(path));
    unlink(path);
    kit_remove_tree(place);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_that_is_handed_out_at_the_end_reaches_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
