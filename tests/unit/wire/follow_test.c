// follow_test.c - a follower against a scripted bus: gaps, duplicates, disorder, full sets.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/follow.c"

#include "tests/unit/test.h"

#define GATEWAY "g1"
#define EPOCH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define EPOCH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

#define QUIET_MS    300   // without a question: longer than one is held back
#define PATIENCE_MS 60000 // with one that must come

// The scripted client: it notes the last question and lets the test answer it.
static struct {
    sl_event_fn *hear;
    void *hear_arg;
    sl_reply_fn *answer;
    void *answer_arg;
    int asked;
    char epoch[SL_ID_SIZE];
    int64_t revision;
    char after[256];
} script;

// What the hooks saw.
static struct {
    char log[4096];
    bool refuse;
    int confirmed;
} seen;

static struct sl_follow *follow;

int
sl_bus_subscribe(struct sl_bus_client *client, const char *prefix, sl_event_fn *fn, void *arg,
                 struct sl_error *err)
{
    (void)client;
    (void)err;
    assert_true(strcmp(prefix, "rt/" GATEWAY) == 0 || strcmp(prefix, "head/" GATEWAY) == 0);
    script.hear = fn;
    script.hear_arg = arg;
    return 0;
}

void
sl_bus_call(struct sl_bus_client *client, const struct sl_command *command, sl_reply_fn *fn,
            void *arg)
{
    (void)client;
    assert_string_equal(command->service, "publisher");
    assert_string_equal(command->name, "runtime.since");
    assert_null(script.answer); // one question at a time
    script.asked++;
    script.answer = fn;
    script.answer_arg = arg;
    snprintf(script.epoch, sizeof(script.epoch), "%s",
             json_string_value(json_object_get(command->body, "epoch")));
    script.revision = json_integer_value(json_object_get(command->body, "revision"));
    json_t *after = json_object_get(command->body, "after");
    script.after[0] = '\0';
    if (after != NULL) {
        snprintf(script.after, sizeof(script.after), "%s/%s",
                 json_string_value(json_array_get(after, 0)),
                 json_string_value(json_array_get(after, 1)));
    }
}

void
sl_bus_forget(struct sl_bus_client *client, const void *arg)
{
    (void)client;
    (void)arg;
}

void
sl_bus_every(struct sl_bus_client *client, sl_timer_fn *fn, void *arg)
{
    (void)client;
    (void)fn;
    (void)arg;
}

bool
sl_bus_owns_dispatch(const struct sl_bus_client *client)
{
    (void)client;
    return true;
}

static void note(const char *fmt, ...) SL_PRINTF(1, 2);

static void
note(const char *fmt, ...)
{
    size_t len = strlen(seen.log);
    va_list values;
    va_start(values, fmt);
    vsnprintf(seen.log + len, sizeof(seen.log) - len, fmt, values);
    va_end(values);
}

static void
full_begin(void *arg)
{
    (void)arg;
    note("begin ");
}

static int
take(void *arg, const struct sl_wire_entry *entries, size_t count, const struct sl_revision *to)
{
    (void)arg;
    if (seen.refuse) {
        note("refused ");
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        note("%s%s/%s", entries[i].body.ptr == NULL ? "-" : "", entries[i].kind, entries[i].key);
        note(i + 1 < count ? "," : "@%d ", (int)to->number);
    }
    return 0;
}

static int
full_end(void *arg, const struct sl_revision *at)
{
    (void)arg;
    note("end@%d ", (int)at->number);
    return 0;
}

static void
extra(void *arg, json_t *reply)
{
    (void)arg;
    const char *key = json_string_value(json_object_get(reply, "content_key"));
    if (key != NULL && key[0] != '\0') {
        note("key=%s ", key);
    }
}

static void
confirmed(void *arg, const struct sl_revision *head)
{
    (void)arg;
    (void)head;
    seen.confirmed++;
}

static int
set_up(void **state)
{
    (void)state;
    static const struct sl_follow_hooks hooks = {full_begin, take,      full_end, NULL,
                                                 extra,      confirmed, NULL};
    memset(&script, 0, sizeof(script));
    memset(&seen, 0, sizeof(seen));
    struct sl_revision have = {.epoch = EPOCH_A, .number = 5};
    struct sl_error err;
    follow = sl_follow_new(NULL, GATEWAY, &have, &hooks, &err);
    return follow != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    sl_follow_free(&follow);
    return 0;
}

static void
send_event(const char *epoch, uint64_t prev, uint64_t to, const char *key)
{
    struct sl_wire_entry entry = {"api", key, to, 1, SL_STR("sealed")};
    struct sl_stream event = {.prev = prev, .to = to, .entries = &entry, .count = 1};
    memcpy(event.epoch, epoch, SL_ID_SIZE);
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 65536);
    sl_stream_pack(&buf, &event);
    script.hear(script.hear_arg, SL_STR("rt/" GATEWAY), (struct sl_str){buf.ptr, buf.len});
}

static void
send_head(const char *epoch, uint64_t number)
{
    struct sl_revision head = {.number = number};
    memcpy(head.epoch, epoch, SL_ID_SIZE);
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 65536);
    sl_head_pack(&buf, &head);
    script.hear(script.hear_arg, SL_STR("head/" GATEWAY), (struct sl_str){buf.ptr, buf.len});
}

static void
reconnect(void)
{
    script.hear(script.hear_arg, (struct sl_str){"", 0}, (struct sl_str){"", 0});
}

// Ticks until a question is out; false when none is in time.
static bool
asks_within(int64_t wait_ms)
{
    int64_t end_ms = sl_mono_ms() + wait_ms;
    while (script.answer == NULL && sl_mono_ms() < end_ms) {
        sl_follow_tick(follow);
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
    return script.answer != NULL;
}

static void
answer(struct sl_stream stream, const char *epoch, const char *key)
{
    struct sl_wire_entry entry = {"api", key, stream.to, 1, {NULL, 0}};
    memcpy(stream.epoch, epoch, SL_ID_SIZE);
    stream.is_answer = true;
    stream.content_key = stream.full ? SL_STR("k") : SL_STR("");
    stream.entries = &entry;
    stream.count = key != NULL;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 65536);
    sl_stream_pack(&buf, &stream);
    struct sl_reply reply = {.status = 200, .body = {buf.ptr, buf.len}};
    sl_reply_fn *fn = SL_TAKE(script.answer);
    assert_non_null(fn);
    fn(script.answer_arg, &reply);
}

static uint64_t
have(void)
{
    return sl_follow_revision(follow).number;
}

static void
an_event_that_follows_is_applied(void **state)
{
    (void)state;
    send_event(EPOCH_A, 5, 6, "a");
    send_event(EPOCH_A, 6, 9, "b");
    assert_string_equal(seen.log, "api/a@6 api/b@9 ");
    assert_int_equal(have(), 9);
    assert_false(asks_within(QUIET_MS));
}

static void
a_duplicate_is_dropped(void **state)
{
    (void)state;
    send_event(EPOCH_A, 5, 6, "a");
    send_event(EPOCH_A, 5, 6, "a");
    send_event(EPOCH_A, 3, 4, "z");
    assert_string_equal(seen.log, "api/a@6 ");
    assert_false(asks_within(QUIET_MS));
}

static void
an_event_that_comes_too_early_is_held_and_applied_in_order(void **state)
{
    (void)state;
    send_event(EPOCH_A, 7, 8, "c");
    send_event(EPOCH_A, 6, 7, "b");
    send_event(EPOCH_A, 6, 7, "b");
    assert_string_equal(seen.log, "");
    send_event(EPOCH_A, 5, 6, "a");
    assert_string_equal(seen.log, "api/a@6 api/b@7 api/c@8 ");
    assert_false(asks_within(QUIET_MS));
}

static void
a_gap_is_asked_for_after_a_while(void **state)
{
    (void)state;
    int64_t from_ms = sl_mono_ms();
    send_event(EPOCH_A, 6, 7, "b");
    assert_true(asks_within(PATIENCE_MS));
    assert_true(sl_mono_ms() - from_ms >= HOLD_MS);
    assert_string_equal(script.epoch, EPOCH_A);
    assert_int_equal(script.revision, 5);
    answer((struct sl_stream){.prev = 5, .to = 7}, EPOCH_A, "a");
    assert_string_equal(seen.log, "-api/a@7 ");
    assert_int_equal(have(), 7);
    assert_int_equal(seen.confirmed, 1);
}

static void
a_head_beyond_ours_is_asked_for(void **state)
{
    (void)state;
    send_head(EPOCH_A, 5);
    assert_int_equal(seen.confirmed, 1);
    assert_false(asks_within(QUIET_MS));
    send_head(EPOCH_A, 6);
    assert_int_equal(seen.confirmed, 1);
    assert_true(asks_within(PATIENCE_MS));
}

static void
a_head_whose_event_arrives_is_not_asked_for(void **state)
{
    (void)state;
    send_head(EPOCH_A, 6);
    send_event(EPOCH_A, 5, 6, "a");
    assert_false(asks_within(QUIET_MS));
}

static void
a_reconnect_is_asked_for_though_nothing_seems_to_lack(void **state)
{
    (void)state;
    reconnect();
    reconnect();
    assert_true(asks_within(PATIENCE_MS));
    answer((struct sl_stream){.prev = 5, .to = 5}, EPOCH_A, NULL);
    assert_string_equal(seen.log, "");
    assert_false(asks_within(QUIET_MS));
    assert_int_equal(script.asked, 1);
}

static void
an_answer_in_parts_is_asked_for_to_its_end(void **state)
{
    (void)state;
    reconnect();
    assert_true(asks_within(PATIENCE_MS));
    answer((struct sl_stream){.prev = 5, .to = 6, .more = true}, EPOCH_A, "a");
    assert_true(asks_within(PATIENCE_MS));
    assert_int_equal(script.revision, 6);
    answer((struct sl_stream){.prev = 6, .to = 8}, EPOCH_A, "b");
    assert_int_equal(have(), 8);
}

static void
a_new_epoch_brings_a_full_set_page_by_page(void **state)
{
    (void)state;
    send_event(EPOCH_B, 1, 2, "x");
    assert_true(asks_within(PATIENCE_MS));
    answer((struct sl_stream){.to = 2, .at = 2, .full = true, .more = true}, EPOCH_B, "a");
    send_event(EPOCH_B, 2, 3, "late"); // the closing question brings it
    assert_true(asks_within(PATIENCE_MS));
    assert_string_equal(script.after, "api/a");
    assert_string_equal(script.epoch, EPOCH_B);
    answer((struct sl_stream){.to = 2, .at = 2, .full = true}, EPOCH_B, "b");
    assert_int_equal(have(), 5);
    assert_true(asks_within(PATIENCE_MS));
    assert_string_equal(script.after, "");
    assert_int_equal(script.revision, 2);
    answer((struct sl_stream){.prev = 2, .to = 3}, EPOCH_B, "late");
    assert_string_equal(seen.log, "key=k begin -api/a@2 key=k -api/b@2 -api/late@3 end@3 ");
    assert_int_equal(have(), 3);
    assert_string_equal(sl_follow_revision(follow).epoch, EPOCH_B);
    send_event(EPOCH_B, 3, 4, "d");
    assert_int_equal(have(), 4);
}

static void
an_epoch_that_changes_amid_a_full_set_starts_it_again(void **state)
{
    (void)state;
    reconnect();
    assert_true(asks_within(PATIENCE_MS));
    answer((struct sl_stream){.to = 9, .at = 9, .full = true, .more = true}, EPOCH_A, "a");
    assert_true(asks_within(PATIENCE_MS));
    answer((struct sl_stream){.to = 1, .at = 1, .full = true}, EPOCH_B, "b");
    assert_true(asks_within(PATIENCE_MS));
    assert_string_equal(script.after, "");
    assert_int_equal(script.revision, 5);
    answer((struct sl_stream){.to = 1, .at = 1, .full = true}, EPOCH_B, "b");
    assert_true(asks_within(PATIENCE_MS));
    answer((struct sl_stream){.prev = 1, .to = 1}, EPOCH_B, NULL);
    assert_string_equal(sl_follow_revision(follow).epoch, EPOCH_B);
    assert_int_equal(have(), 1);
}

static void
what_the_owner_cannot_apply_is_asked_for_again(void **state)
{
    (void)state;
    seen.refuse = true;
    send_event(EPOCH_A, 5, 6, "a");
    assert_int_equal(have(), 5);
    assert_false(asks_within(QUIET_MS)); // not at once
    seen.refuse = false;
    follow->ask_ms = sl_mono_ms();
    assert_true(asks_within(PATIENCE_MS));
    answer((struct sl_stream){.prev = 5, .to = 6}, EPOCH_A, "a");
    assert_int_equal(have(), 6);
}

static void
a_failed_question_is_repeated(void **state)
{
    (void)state;
    reconnect();
    assert_true(asks_within(PATIENCE_MS));
    struct sl_error err;
    sl_fail(&err, SL_E_UNAVAILABLE);
    struct sl_reply failure = sl_reply_of_error(&err);
    sl_reply_fn *fn = SL_TAKE(script.answer);
    fn(script.answer_arg, &failure);
    assert_null(script.answer);
    assert_true(asks_within(PATIENCE_MS));
}

static void
a_copy_that_came_another_way_goes_on_from_there(void **state)
{
    (void)state;
    struct sl_revision other = {.epoch = EPOCH_B, .number = 40};
    assert_false(sl_follow_is_reading(follow));
    assert_true(sl_follow_take(follow, &other));
    assert_int_equal(have(), 40);
    assert_true(asks_within(PATIENCE_MS));
    assert_string_equal(script.epoch, EPOCH_B);
    assert_int_equal(script.revision, 40);
    answer((struct sl_stream){.prev = 40, .to = 41}, EPOCH_B, "a");
    assert_int_equal(have(), 41);
}

static void
a_full_set_on_its_way_is_not_overtaken(void **state)
{
    (void)state;
    struct sl_revision other = {.epoch = EPOCH_B, .number = 40};
    reconnect();
    assert_true(asks_within(PATIENCE_MS));
    answer((struct sl_stream){.to = 9, .at = 9, .full = true, .more = true}, EPOCH_A, "a");
    assert_true(sl_follow_is_reading(follow));
    assert_false(sl_follow_take(follow, &other));
    assert_int_equal(have(), 5);
}

static void
without_events_nothing_is_waited_for(void **state)
{
    (void)state;
    struct sl_revision head = {.epoch = EPOCH_A, .number = 6};
    send_head(EPOCH_A, 5);
    assert_false(sl_follow_is_deaf(follow));
    follow->event_ms -= DEAF_MS + 1;
    reconnect(); // is no event
    assert_true(asks_within(PATIENCE_MS));
    answer((struct sl_stream){.prev = 5, .to = 5}, EPOCH_A, NULL);
    assert_true(sl_follow_is_deaf(follow));
    sl_follow_heard(follow, &head);
    assert_true(follow->ask_ms <= sl_mono_ms() + JITTER_MS);
    assert_true(asks_within(PATIENCE_MS));
    answer((struct sl_stream){.prev = 5, .to = 6}, EPOCH_A, "a");
    send_event(EPOCH_A, 6, 7, "b");
    assert_false(sl_follow_is_deaf(follow));
}

static void
every_cut_of_an_event_is_refused(void **state)
{
    (void)state;
    struct sl_wire_entry entry = {"api", "a", 6, 1, SL_STR("sealed")};
    struct sl_stream event = {.epoch = EPOCH_A, .prev = 5, .to = 6, .entries = &entry, .count = 1};
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 65536);
    sl_stream_pack(&buf, &event);
    for (size_t len = 0; len < buf.len; len++) {
        script.hear(script.hear_arg, SL_STR("rt/" GATEWAY), (struct sl_str){buf.ptr, len});
    }
    assert_string_equal(seen.log, "");
    assert_int_equal(have(), 5);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_that_follows_is_applied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_duplicate_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_copy_that_came_another_way_goes_on_from_there, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_set_on_its_way_is_not_overtaken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_event_that_comes_too_early_is_held_and_applied_in_order,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_gap_is_asked_for_after_a_while, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_head_beyond_ours_is_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_head_whose_event_arrives_is_not_asked_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_reconnect_is_asked_for_though_nothing_seems_to_lack,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_in_parts_is_asked_for_to_its_end, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_new_epoch_brings_a_full_set_page_by_page, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_epoch_that_changes_amid_a_full_set_starts_it_again,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_owner_cannot_apply_is_asked_for_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_failed_question_is_repeated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_events_nothing_is_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_cut_of_an_event_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
