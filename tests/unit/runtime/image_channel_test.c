// image_channel_test.c - channels in the live image, and what becomes of their members.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/runtime/image_kit.h"

#include "common/runtime/image_write.h"

#define CHANNEL "ccccccccccccccccccccccccccccccc1"

static const struct sl_member members[] = {
    {.host = "one.example", .port = 80, .weight = 3},
    {.host = "two.example", .port = 80, .weight = 1},
    {.host = "idle.example", .port = 80, .weight = 0},
    {.host = "spare.example", .port = 81, .weight = 9, .backup = true},
};

static void
put_channel(struct kit *kit, enum sl_strategy strategy, const struct sl_member *list, size_t count)
{
    struct sl_entry entry = {
        .kind = SL_KIND_CHANNEL,
        .channel = {.id = CHANNEL, .strategy = strategy, .members = list, .member_count = count},
    };
    kit_put(kit, CHANNEL, &entry);
}

static const struct sl_img_channel *
get_channel(struct kit *kit)
{
    const struct sl_img_channel *channel = sl_image_channel(kit->image, SL_STR(CHANNEL));
    assert_non_null(channel);
    return channel;
}

static void
a_channel_lies_in_the_image_with_its_members(void **state)
{
    struct kit *kit = *state;
    put_channel(kit, SL_STRATEGY_TURN, members, SL_COUNT(members));
    kit_commit(kit, 1);
    const struct sl_img_channel *channel = get_channel(kit);
    assert_int_equal(channel->strategy, SL_STRATEGY_TURN);
    assert_int_equal(channel->members.count, SL_COUNT(members));
    const struct sl_img_member *in = sl_img_items(&channel->members);
    for (size_t i = 0; i < SL_COUNT(members); i++) {
        assert_true(sl_str_equal(sl_img_text(&in[i].host), sl_str(members[i].host)));
        assert_int_equal(in[i].weight, members[i].weight);
        assert_int_equal(in[i].port, members[i].port);
        assert_int_equal(in[i].backup, members[i].backup);
        assert_false(in[i].faulty);
    }
    assert_int_equal(channel->tiers[0].count, 2);
    assert_true(channel->tiers[0].uneven);
    assert_int_equal(channel->tiers[1].count, 1);
    assert_int_equal(channel->tiers[1].weight, 9);
    assert_false(channel->tiers[1].uneven);
    assert_null(sl_image_channel(kit->image, SL_STR(GROUP_1)));
    sl_image_builder_remove(kit->builder, SL_KIND_CHANNEL, CHANNEL);
    kit_commit(kit, 2);
    assert_null(sl_image_channel(kit->image, SL_STR(CHANNEL)));
}

static void
by_the_path_all_weights_are_one_but_none_stays_none(void **state)
{
    struct kit *kit = *state;
    put_channel(kit, SL_STRATEGY_URI, members, SL_COUNT(members));
    kit_commit(kit, 1);
    const struct sl_img_channel *channel = get_channel(kit);
    const struct sl_img_member *in = sl_img_items(&channel->members);
    assert_int_equal(in[0].weight, 1);
    assert_int_equal(in[2].weight, 0);
    assert_int_equal(channel->tiers[0].count, 2);
    assert_false(channel->tiers[0].uneven);
}

// The number of the newest segment: it grows by one for each that is built.
static uint64_t
built(const struct kit *kit)
{
    char path[IMAGE_PATH_MAX];
    struct image_control control;
    image_path(kit->name, 'c', 0, path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(&control, sizeof(control), 1, file), 1);
    fclose(file);
    return control.next_segment;
}

static void
a_faulty_member_costs_its_channel_s_segment_and_no_other(void **state)
{
    struct kit *kit = *state;
    put_channel(kit, SL_STRATEGY_TURN, members, SL_COUNT(members));
    kit_api(kit, GROUP_1, 1, SL_METHOD_GET, SL_MATCH_NORMAL, "/a");
    kit_commit(kit, 1);
    uint64_t version = get_channel(kit)->version;
    uint64_t before = built(kit);
    assert_true(sl_image_builder_faulty(kit->builder, CHANNEL, "one.example", 80, true));
    assert_false(sl_image_builder_faulty(kit->builder, CHANNEL, "one.example", 80, true));
    assert_false(sl_image_builder_faulty(kit->builder, CHANNEL, "one.example", 81, true));
    assert_false(sl_image_builder_faulty(kit->builder, GROUP_1, "one.example", 80, true));
    kit_commit(kit, 1);
    assert_int_equal(built(kit), before + 1);
    const struct sl_img_channel *channel = get_channel(kit);
    const struct sl_img_member *in = sl_img_items(&channel->members);
    assert_true(in[0].faulty);
    assert_int_equal(channel->tiers[0].count, 1);
    assert_int_equal(channel->tiers[0].weight, 1);
    assert_int_equal(channel->version, version);
    assert_true(sl_image_builder_channel(kit->builder, CHANNEL)->members[0].faulty);
    assert_true(sl_image_builder_faulty(kit->builder, CHANNEL, "one.example", 80, false));
    kit_commit(kit, 1);
    assert_int_equal(get_channel(kit)->tiers[0].count, 2);
}

static void
another_weight_is_another_version_but_the_same_member(void **state)
{
    struct kit *kit = *state;
    struct sl_member heavier = members[0];
    put_channel(kit, SL_STRATEGY_TURN, members, 1);
    kit_commit(kit, 1);
    uint64_t version = get_channel(kit)->version;
    uint64_t key = ((const struct sl_img_member *)sl_img_items(&get_channel(kit)->members))->key;
    heavier.weight++;
    put_channel(kit, SL_STRATEGY_TURN, &heavier, 1);
    kit_commit(kit, 2);
    const struct sl_img_member *in = sl_img_items(&get_channel(kit)->members);
    assert_true(get_channel(kit)->version != version);
    assert_true(in->key == key);
    put_channel(kit, SL_STRATEGY_LEAST, members, 1);
    kit_commit(kit, 3);
    assert_true(get_channel(kit)->version != version);
}

static void
note_host(void *arg, const char *host)
{
    size_t *count = arg;
    *count += host[0] != '\0' ? 1 : 0;
}

static void
hosts_of_members_are_wanted_while_they_are_members(void **state)
{
    struct kit *kit = *state;
    const struct sl_img_address address = {.family = AF_INET, .bytes = {10, 0, 0, 1}};
    struct sl_error err;
    size_t count = 0;
    put_channel(kit, SL_STRATEGY_TURN, members, SL_COUNT(members));
    sl_image_builder_hosts(kit->builder, note_host, &count);
    assert_int_equal(count, SL_COUNT(members));
    assert_null(sl_image_builder_addresses(kit->builder, "one.example", &count));
    assert_int_equal(
        sl_image_builder_upstream(kit->builder, "one.example", &address, 1, false, &err), 0);
    assert_memory_equal(sl_image_builder_addresses(kit->builder, "one.example", &count), &address,
                        sizeof(address));
    assert_int_equal(count, 1);
    kit_commit(kit, 1);
    assert_non_null(sl_image_upstream(kit->image, SL_STR("one.example")));
    put_channel(kit, SL_STRATEGY_TURN, members + 1, 1);
    kit_commit(kit, 2);
    assert_null(sl_image_upstream(kit->image, SL_STR("one.example")));
    count = 0;
    sl_image_builder_hosts(kit->builder, note_host, &count);
    assert_int_equal(count, 1);
}

static void
a_backend_names_its_channel_and_the_host_that_members_are_sent(void **state)
{
    struct kit *kit = *state;
    char id[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb1";
    struct sl_entry entry = {
        .kind = SL_KIND_API,
        .api = {.publish_id = id,
                .api_id = id,
                .group_id = GROUP_1,
                .env_id = "E",
                .env_name = "RELEASE",
                .path = "/p",
                .throttle_id = "",
                .schemes = SL_SCHEME_HTTP,
                .http = {.path = "/", .timeout_ms = 1, .channel = CHANNEL, .proxy_host = "shop"}},
    };
    kit_put(kit, id, &entry);
    kit_commit(kit, 1);
    const struct sl_img_api *api = sl_image_api(kit->image, GROUP_1, SL_STR("RELEASE"), id);
    assert_non_null(api);
    assert_true(sl_str_equal(sl_img_text(&api->target.channel), SL_STR(CHANNEL)));
    assert_true(sl_str_equal(sl_img_text(&api->target.proxy_host), SL_STR("shop")));
    assert_int_equal(sl_img_text(&api->target.authority).len, 0);
}

// Whatever word of a channel's segment is damaged, the check stays inside the block and ends; a
// list or a count that does not hold is refused.
static void
damaged_offsets_of_a_channel_are_found(void **state)
{
    (void)state;
    static const uint32_t values[] = {0x7fffffff, 0x80000000, 0xfffffff0, 64, 3};
    struct sl_channel channel = {.id = CHANNEL,
                                 .strategy = SL_STRATEGY_TURN,
                                 .members = members,
                                 .member_count = SL_COUNT(members)};
    const void *items[] = {&channel};
    struct image_writer writer;
    struct sl_error err;
    assert_int_equal(image_writer_init(&writer, &err), 0);
    assert_int_equal(image_write_part(&writer, IMAGE_CHANNEL * IMAGE_SHARDS, 1, items, 1, &err), 0);
    size_t size = writer.used_bytes;
    char *copy = malloc(size); // its own block: a sanitizer sees a read past the end
    assert_non_null(copy);
    memcpy(copy, writer.base, size);
    assert_true(image_segment_valid(copy, size));
    for (size_t at = 0; at + 4 <= size; at += 4) {
        for (size_t i = 0; i < SL_COUNT(values); i++) {
            memcpy(copy + at, &values[i], 4);
            (void)image_segment_valid(copy, size);
        }
        memcpy(copy + at, writer.base + at, 4);
    }
    const struct image_segment *segment = (const void *)copy;
    const struct image_bucket *bucket = sl_img_items(&segment->table);
    struct sl_img_channel *record = (void *)(uintptr_t)image_follow(&bucket->off);
    record->members.count++;
    record->members.off += 1 << 20;
    assert_false(image_segment_valid(copy, size));
    record->members.off -= 1 << 20;
    record->members.count--;
    assert_true(image_segment_valid(copy, size));
    record->tiers[0].count++;
    assert_false(image_segment_valid(copy, size));
    free(copy);
    image_writer_clear(&writer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_open, kit_close)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_channel_lies_in_the_image_with_its_members),
        TEST(by_the_path_all_weights_are_one_but_none_stays_none),
        TEST(a_faulty_member_costs_its_channel_s_segment_and_no_other),
        TEST(another_weight_is_another_version_but_the_same_member),
        TEST(hosts_of_members_are_wanted_while_they_are_members),
        TEST(a_backend_names_its_channel_and_the_host_that_members_are_sent),
        cmocka_unit_test(damaged_offsets_of_a_channel_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
