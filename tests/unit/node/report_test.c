// report_test.c - what a node tells of itself, how often, and what it hears in return.
//
// The bus client is played: sl_bus_call() keeps the command, the test answers it.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/node/node_kit.h"

#include "common/wire/pack.h"
#include "services/node/report.c"

static struct {
    json_t *body; // of the last report
    int sent;
    sl_reply_fn *fn;
    void *arg;
} bus;

static struct sl_revision heard;
static const char *reason = "";
static bool is_deaf;

void
sl_bus_call(struct sl_bus_client *client, const struct sl_command *command, sl_reply_fn *fn,
            void *arg)
{
    (void)client;
    assert_string_equal(command->service, "publisher");
    assert_string_equal(command->name, "node.report");
    json_decref(bus.body);
    bus.body = json_incref(command->body);
    bus.sent++;
    bus.fn = fn;
    bus.arg = arg;
}

void
sl_bus_forget(struct sl_bus_client *client, const void *arg)
{
    (void)client;
    (void)arg;
}

static void
facts(void *arg, struct report_facts *ret_facts)
{
    (void)arg;
    *ret_facts = (struct report_facts){{.epoch = "e1", .number = 7}, reason, -3, is_deaf};
}

static void
head(void *arg, const struct sl_revision *revision)
{
    (void)arg;
    heard = *revision;
}

struct place {
    char path[64];
    struct settings settings;
    struct report *report;
};

static int
open_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    memset(&bus, 0, sizeof(bus));
    memset(&heard, 0, sizeof(heard));
    reason = "";
    is_deaf = false;
    snprintf(place->path, sizeof(place->path), "/tmp/sluice-report-XXXXXX");
    *state = place;
    if (mkdtemp(place->path) == NULL) {
        return -1;
    }
    place->settings = (struct settings){.node_id = "node-1",
                                        .gateway_id = GATEWAY,
                                        .state_dir = place->path,
                                        .http_listen = "127.0.0.1:80",
                                        .https_listen = "127.0.0.1:443"};
    place->report = report_new(NULL, &place->settings, facts, head, NULL);
    return place->report == NULL ? -1 : 0;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    report_free(&place->report);
    json_decref(bus.body);
    kit_remove_tree(place->path);
    free(place);
    return 0;
}

static void
answer(bool failed)
{
    SL_AUTO_BUF packed;
    sl_buf_init(&packed, 1024);
    sl_pack_map(&packed, 2);
    sl_pack_text(&packed, "epoch");
    sl_pack_text(&packed, "e1");
    sl_pack_text(&packed, "revision");
    sl_pack_int(&packed, 9);
    struct sl_reply reply = {.failed = failed, .body = {packed.ptr, packed.len}};
    bus.fn(bus.arg, &reply);
}

static void
a_report_says_what_the_node_serves_and_why_not_more(void **state)
{
    struct place *place = *state;
    reason = "disk";
    report_tick(place->report);
    assert_int_equal(bus.sent, 1);
    assert_string_equal(json_string_value(json_object_get(bus.body, "node")), "node-1");
    assert_string_equal(json_string_value(json_object_get(bus.body, "epoch")), "e1");
    assert_string_equal(json_string_value(json_object_get(bus.body, "reason")), "disk");
    assert_int_equal(json_integer_value(json_object_get(bus.body, "revision")), 7);
    assert_int_equal(json_integer_value(json_object_get(bus.body, "offset_ms")), -3);
    assert_int_equal(json_array_size(json_object_get(bus.body, "addresses")), 2);
}

static void
one_report_is_on_its_way_at_a_time(void **state)
{
    struct place *place = *state;
    report_tick(place->report);
    report_soon(place->report);
    report_tick(place->report);
    assert_int_equal(bus.sent, 1);
    answer(false);
    report_tick(place->report);
    assert_int_equal(bus.sent, 2);
    answer(false);
    report_tick(place->report); // nothing new, and a second has not passed
    assert_int_equal(bus.sent, 2);
}

static void
the_reply_brings_the_head(void **state)
{
    struct place *place = *state;
    report_tick(place->report);
    answer(true);
    assert_int_equal(heard.number, 0);
    report_soon(place->report);
    report_tick(place->report);
    answer(false);
    assert_int_equal(heard.number, 9);
    assert_string_equal(heard.epoch, "e1");
}

static void
silence_is_said_once_and_after_a_while(void **state)
{
    struct place *place = *state;
    report_tick(place->report);
    answer(true);
    assert_false(place->report->silent);
    place->report->heard_ms -= SILENCE_MS + 1;
    report_soon(place->report);
    report_tick(place->report);
    answer(true);
    assert_true(place->report->silent);
    report_soon(place->report);
    report_tick(place->report);
    answer(false);
    assert_false(place->report->silent);
}

// How long after a report the next one is due.
static int64_t
pause_ms(const struct place *place)
{
    int64_t before_ms = sl_mono_ms();
    report_soon(place->report);
    report_tick(place->report);
    return place->report->due_ms - before_ms;
}

static void
without_events_reports_go_more_often_as_long_as_they_are_answered(void **state)
{
    const struct place *place = *state;
    assert_true(pause_ms(place) >= EVERY_MS);
    answer(false);
    is_deaf = true;
    assert_true(pause_ms(place) < EVERY_MS);
    answer(true); // nobody is there: no need to hurry
    assert_true(pause_ms(place) >= EVERY_MS);
    answer(false);
    assert_true(pause_ms(place) < EVERY_MS);
}

static void
the_status_file_says_the_same(void **state)
{
    struct place *place = *state;
    char path[128];
    report_tick(place->report);
    snprintf(path, sizeof(path), "%s/status.json", place->path);
    json_t *status = json_load_file(path, 0, NULL);
    assert_true(json_equal(status, bus.body));
    json_decref(status);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_report_says_what_the_node_serves_and_why_not_more),
        TEST(one_report_is_on_its_way_at_a_time),
        TEST(the_reply_brings_the_head),
        TEST(silence_is_said_once_and_after_a_while),
        TEST(without_events_reports_go_more_often_as_long_as_they_are_answered),
        TEST(the_status_file_says_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
