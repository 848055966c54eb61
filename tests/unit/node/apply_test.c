// apply_test.c - from sealed entries to the live image and the store, and back from the store.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/node/node_kit.h"

#include <glob.h>
#include <poll.h>

#include "common/base/clock.h"
#include "services/node/apply.h"

struct place {
    char path[64], image_name[64];
    char public_key[41], secret_key[41];
    struct sl_seal_key content;
    struct keys keys;
    struct sl_arena *arena;
    struct sl_store *store;
    struct durable *durable;
    struct sl_image_builder *builder;
    struct resolve *resolve;
    struct checker *checker;
    struct apply *apply;
    struct sl_follow_hooks hooks;
    struct sl_image *image;
    int live; // how often an image went live
};

static void
count_live(void *arg)
{
    ((struct place *)arg)->live++;
}

// What a starting agent makes, on what is there.
static void
start(struct place *place)
{
    struct sl_error err;
    assert_int_equal(keys_init(&place->keys, place->secret_key, &err), 0);
    bool discarded;
    place->durable = durable_new(place->path, &place->keys, &discarded);
    place->store = durable_store(place->durable);
    assert_non_null(place->store);
    assert_int_equal(keys_load(&place->keys, place->store, &err), 0);
    place->builder = sl_image_builder_new(place->image_name, &err);
    assert_non_null(place->builder);
    place->resolve = resolve_new(place->builder, &err);
    assert_non_null(place->resolve);
    place->checker = checker_new(place->builder, &err);
    assert_non_null(place->checker);
    struct apply_options options = {.gateway_id = GATEWAY,
                                    .builder = place->builder,
                                    .keys = &place->keys,
                                    .durable = place->durable,
                                    .resolve = place->resolve,
                                    .checker = place->checker,
                                    .on_live = count_live,
                                    .arg = place};
    place->apply = apply_new(&options, &err);
    assert_non_null(place->apply);
    place->hooks = apply_hooks(place->apply);
}

static void
stop(struct place *place)
{
    durable_finish(place->durable);
    apply_free(&place->apply);
    checker_free(&place->checker);
    resolve_free(&place->resolve);
    durable_free(&place->durable);
    sl_image_builder_free(&place->builder);
    keys_clear(&place->keys);
}

static int
open_place(void **state)
{
    static int number;
    struct place *place = calloc(1, sizeof(*place));
    struct sl_error err;
    sl_crypto_init();
    snprintf(place->path, sizeof(place->path), "/tmp/sluice-apply-XXXXXX");
    snprintf(place->image_name, sizeof(place->image_name), "unit-apply-%d-%d", (int)getpid(),
             number++);
    place->arena = sl_arena_new(1 << 20);
    memset(place->content.bytes, 0x5a, sizeof(place->content.bytes));
    *state = place;
    if (mkdtemp(place->path) == NULL ||
        zmq_curve_keypair(place->public_key, place->secret_key) != 0) {
        return -1;
    }
    start(place);
    place->image = sl_image_open(place->image_name, &err);
    return place->image == NULL ? -1 : 0;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    char pattern[128];
    glob_t files;
    stop(place);
    sl_image_free(&place->image);
    snprintf(pattern, sizeof(pattern), "/dev/shm/sluice-%s-*", place->image_name);
    if (glob(pattern, 0, NULL, &files) == 0) {
        for (size_t i = 0; i < files.gl_pathc; i++) {
            unlink(files.gl_pathv[i]);
        }
        globfree(&files);
    }
    sl_arena_free(&place->arena);
    kit_remove_tree(place->path);
    free(place);
    return 0;
}

static void
give_key(struct place *place)
{
    struct sl_str box = kit_box(place->arena, place->public_key, &place->content);
    json_t *reply = json_object();
    json_object_set_new(reply, "content_key", json_stringn_nocheck(box.ptr, box.len));
    place->hooks.extra(place->hooks.arg, reply);
    json_decref(reply);
}

static struct sl_revision
revision(uint64_t number)
{
    return (struct sl_revision){.epoch = "e1", .number = number};
}

static int
give(struct place *place, const struct sl_wire_entry *entries, size_t count, uint64_t to)
{
    struct sl_revision at = revision(to);
    return place->hooks.apply(place->hooks.arg, entries, count, &at);
}

static struct sl_wire_entry
api_entry(struct place *place, const char *id, const char *path)
{
    struct sl_entry entry = kit_api(id, path, "127.0.0.1");
    return kit_seal(place->arena, &place->content, id, &entry, 1);
}

static bool
routes(struct place *place, const char *path)
{
    struct sl_route route;
    sl_image_refresh(place->image);
    return sl_image_route(place->image, GROUP_1, SL_STR("RELEASE"), SL_METHOD_GET, sl_str(path),
                          &route) == SL_ROUTE_FOUND;
}

static void
full_set(struct place *place, const struct sl_wire_entry *entries, size_t count, uint64_t at)
{
    struct sl_revision end = revision(at);
    place->hooks.full_begin(place->hooks.arg);
    assert_int_equal(give(place, entries, count, at), 0);
    assert_int_equal(place->hooks.full_end(place->hooks.arg, &end), 0);
}

static void
a_full_set_goes_live_at_its_end_and_replaces_everything(void **state)
{
    struct place *place = *state;
    give_key(place);
    struct sl_wire_entry first = api_entry(place, API_1, "/one");
    struct sl_wire_entry second = api_entry(place, API_2, "/two");
    full_set(place, &first, 1, 5);
    assert_true(routes(place, "/one"));
    assert_int_equal(apply_revision(place->apply).number, 5);
    place->hooks.full_begin(place->hooks.arg);
    assert_int_equal(give(place, &second, 1, 9), 0);
    assert_true(routes(place, "/one"));
    assert_false(routes(place, "/two"));
    struct sl_revision end = revision(9);
    assert_int_equal(place->hooks.full_end(place->hooks.arg, &end), 0);
    assert_false(routes(place, "/one"));
    assert_true(routes(place, "/two"));
    assert_int_equal(sl_image_revision(place->image), 9);
}

static void
an_abandoned_full_set_leaves_what_was_there_and_steps_go_on(void **state)
{
    struct place *place = *state;
    give_key(place);
    struct sl_wire_entry first = api_entry(place, API_1, "/one");
    struct sl_wire_entry second = api_entry(place, API_2, "/two");
    full_set(place, &first, 1, 5);
    place->hooks.full_begin(place->hooks.arg);
    assert_int_equal(give(place, &second, 1, 9), 0);
    place->hooks.full_abandon(place->hooks.arg);
    struct sl_wire_entry third = api_entry(place, API_2, "/three");
    assert_int_equal(give(place, &third, 1, 6), 0);
    assert_true(routes(place, "/one"));
    assert_true(routes(place, "/three"));
    assert_false(routes(place, "/two"));
}

static void
a_step_changes_and_removes_and_its_backend_is_there_at_once(void **state)
{
    struct place *place = *state;
    give_key(place);
    struct sl_wire_entry first = api_entry(place, API_1, "/one");
    full_set(place, &first, 1, 5);
    sl_image_refresh(place->image);
    const struct sl_img_upstream *upstream = sl_image_upstream(place->image, SL_STR("127.0.0.1"));
    assert_non_null(upstream);
    assert_int_equal(upstream->addresses.count, 1);
    struct sl_wire_entry changes[] = {
        {.kind = "api", .key = API_1, .revision = 6, .min_reader = 1},
        api_entry(place, API_2, "/two"),
    };
    int live = place->live;
    assert_int_equal(give(place, changes, 2, 6), 0);
    assert_int_equal(place->live, live + 1);
    assert_false(routes(place, "/one"));
    assert_true(routes(place, "/two"));
}

static void
a_step_without_its_content_key_is_refused_whole(void **state)
{
    struct place *place = *state;
    give_key(place);
    struct sl_wire_entry first = api_entry(place, API_1, "/one");
    full_set(place, &first, 1, 5);
    memset(place->content.bytes, 0x77, sizeof(place->content.bytes));
    struct sl_wire_entry changes[] = {
        {.kind = "api", .key = API_1, .revision = 6, .min_reader = 1},
        api_entry(place, API_2, "/two"),
    };
    assert_int_equal(give(place, changes, 2, 6), -1);
    assert_true(routes(place, "/one"));
    assert_string_not_equal(apply_reason(place->apply), "");
    give_key(place);
    assert_int_equal(give(place, changes, 2, 6), 0);
    assert_string_equal(apply_reason(place->apply), "");
    assert_true(routes(place, "/two"));
}

static void
an_entry_for_a_newer_reader_is_refused_with_the_reason(void **state)
{
    struct place *place = *state;
    give_key(place);
    struct sl_wire_entry first = api_entry(place, API_1, "/one");
    first.min_reader = SL_READER_VERSION + 1;
    assert_int_equal(give(place, &first, 1, 5), -1);
    assert_non_null(strstr(apply_reason(place->apply), "upgrade needed"));
    assert_int_equal(apply_revision(place->apply).number, 0);
}

static void
an_entry_that_does_not_hold_is_left_out_and_the_rest_goes_live(void **state)
{
    struct place *place = *state;
    give_key(place);
    struct sl_str sealed;
    struct sl_error err;
    assert_int_equal(sl_seal(place->arena, &place->content, SL_STR(GATEWAY "/api/" API_1),
                             SL_STR("not msgpack"), &sealed, &err),
                     0);
    struct sl_wire_entry changes[] = {
        {"api", API_1, 1, 1, sealed},
        {"fancy", "x", 1, 1, sealed}, // a kind of a later build that we may pass over
        api_entry(place, API_2, "/two"),
    };
    full_set(place, changes, 3, 5);
    assert_true(routes(place, "/two"));
}

static void
after_a_restart_the_store_alone_makes_the_image(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    give_key(place);
    struct sl_wire_entry first = api_entry(place, API_1, "/one");
    struct sl_wire_entry second = api_entry(place, API_2, "/two");
    full_set(place, &first, 1, 5);
    assert_int_equal(give(place, &second, 1, 6), 0);
    durable_finish(place->durable);
    struct sl_wire_entry gone = {.kind = "api", .key = API_1, .revision = 7, .min_reader = 1};
    assert_int_equal(give(place, &gone, 1, 7), 0);
    stop(place);
    start(place);
    struct sl_revision have;
    assert_int_equal(apply_store(place->apply, place->store, &have, &err), 0);
    assert_int_equal(have.number, 7);
    assert_string_equal(have.epoch, "e1");
    assert_false(routes(place, "/one"));
    assert_true(routes(place, "/two"));
    assert_non_null(sl_image_upstream(place->image, SL_STR("127.0.0.1")));
}

static void
an_empty_store_leaves_the_image_that_is_there(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    give_key(place);
    struct sl_wire_entry first = api_entry(place, API_1, "/one");
    full_set(place, &first, 1, 5);
    stop(place);
    kit_remove_tree(place->path);
    start(place);
    struct sl_revision have;
    assert_int_equal(apply_store(place->apply, place->store, &have, &err), 0);
    assert_string_equal(have.epoch, "");
    assert_true(routes(place, "/one"));
}

static void
a_head_beyond_steps_without_entries_moves_the_revision(void **state)
{
    struct place *place = *state;
    give_key(place);
    struct sl_wire_entry first = api_entry(place, API_1, "/one");
    full_set(place, &first, 1, 5);
    struct sl_revision head = revision(8);
    place->hooks.confirmed(place->hooks.arg, &head);
    assert_int_equal(apply_revision(place->apply).number, 8);
    sl_image_refresh(place->image);
    assert_int_equal(sl_image_revision(place->image), 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

// Nobody listens on port 1: its probe is refused.
static void
a_member_that_fails_its_probe_is_faulty_in_the_image_at_the_same_revision(void **state)
{
    struct place *place = *state;
    static const char channel_id[] = "ccccccccccccccccccccccccccccccc1";
    const struct sl_member member = {.host = "127.0.0.1", .port = 1, .weight = 1};
    const struct sl_entry entry = {.kind = SL_KIND_CHANNEL,
                                   .channel = {.id = channel_id,
                                               .strategy = SL_STRATEGY_TURN,
                                               .members = &member,
                                               .member_count = 1,
                                               .health = {.protocol = SL_PROBE_TCP,
                                                          .threshold_normal = 1,
                                                          .threshold_abnormal = 1,
                                                          .timeout_s = 5,
                                                          .interval_s = 10}}};
    struct sl_wire_entry wire = kit_seal(place->arena, &place->content, channel_id, &entry, 1);
    size_t count;
    size_t faulty;
    give_key(place);
    assert_int_equal(give(place, &wire, 1, 1), 0);
    sl_image_refresh(place->image);
    assert_non_null(sl_image_upstream(place->image, SL_STR("127.0.0.1")));
    const struct sl_img_channel *channel = sl_image_channel(place->image, SL_STR(channel_id));
    assert_non_null(channel);
    assert_int_equal(channel->tiers[0].count, 1);
    int64_t end_ms = sl_mono_ms() + 30000;
    do {
        struct pollfd poll_fd = {.fd = checker_fd(place->checker), .events = POLLIN};
        assert_true(sl_mono_ms() < end_ms);
        checker_tick(place->checker, sl_mono_ms());
        (void)poll(&poll_fd, 1, 10);
        checker_run(place->checker, sl_mono_ms());
        checker_count(place->checker, &count, &faulty);
        assert_int_equal(count, 1);
    } while (faulty == 0);
    apply_resolved(place->apply);
    sl_image_refresh(place->image);
    channel = sl_image_channel(place->image, SL_STR(channel_id));
    assert_int_equal(channel->tiers[0].count, 0);
    assert_int_equal(sl_image_revision(place->image), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_full_set_goes_live_at_its_end_and_replaces_everything),
        TEST(an_abandoned_full_set_leaves_what_was_there_and_steps_go_on),
        TEST(a_step_changes_and_removes_and_its_backend_is_there_at_once),
        TEST(a_step_without_its_content_key_is_refused_whole),
        TEST(an_entry_for_a_newer_reader_is_refused_with_the_reason),
        TEST(an_entry_that_does_not_hold_is_left_out_and_the_rest_goes_live),
        TEST(a_member_that_fails_its_probe_is_faulty_in_the_image_at_the_same_revision),
        TEST(after_a_restart_the_store_alone_makes_the_image),
        TEST(an_empty_store_leaves_the_image_that_is_there),
        TEST(a_head_beyond_steps_without_entries_moves_the_revision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
