// image_scarce_test.c - a reader that has no descriptor left, or whose files are gone: what it
// cannot read it says, it never passes for what is not there.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/runtime/image_kit.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "common/runtime/image_read.h"

#define POLICY "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb1"
#define OTHER  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb2"
#define HOST   "a.example.com"
#define PATH   "/orders"
#define FD_MAX 256

static void
put_policy(struct kit *kit, const char *id, int64_t limit)
{
    struct sl_entry entry = {.kind = SL_KIND_THROTTLE,
                             .throttle = {id, true, 60, 1, "minute", limit, 0, 0, 0, NULL, 0}};
    kit_put(kit, id, &entry);
}

static void
put_host(struct kit *kit)
{
    struct sl_entry host = {.kind = SL_KIND_HOST, .host = {HOST, GROUP_1, false}};
    struct sl_entry group = {.kind = SL_KIND_GROUP, .group = {GROUP_1, "orders", false, true}};
    kit_put(kit, HOST, &host);
    kit_put(kit, GROUP_1, &group);
}

// Makes what was put live without a look of the reader.
static void
switch_image(struct kit *kit, uint64_t revision)
{
    struct sl_error err;
    assert_int_equal(sl_image_builder_commit(kit->builder, "epoch", revision, &err), 0);
}

// Removes the files of a kind ("s": segments, "d": directories).
static void
lose(const struct kit *kit, const char *kind)
{
    assert_true(kit_files_of(kit->name, kind, true) > 0);
}

// Takes every descriptor that there is; answers how many.
static size_t
take_all(int fds[FD_MAX], struct rlimit *ret_before)
{
    assert_int_equal(getrlimit(RLIMIT_NOFILE, ret_before), 0);
    struct rlimit few = {FD_MAX, ret_before->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    size_t count = 0;
    int fd;
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        assert_true(count < FD_MAX);
        fds[count++] = fd;
    }
    return count;
}

static void
give_back(const int *fds, size_t count, const struct rlimit *before)
{
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, before), 0);
}

static void
a_reader_without_a_descriptor_follows_all_the_same(void **state)
{
    struct kit *kit = *state;
    int fds[FD_MAX];
    struct rlimit before;
    put_policy(kit, POLICY, 5);
    kit_commit(kit, 1);
    assert_int_equal(sl_image_throttle(kit->image, POLICY)->api_limit, 5);
    put_policy(kit, POLICY, 6);
    put_host(kit);
    switch_image(kit, 2);
    size_t count = take_all(fds, &before);
    for (int i = 0; i < 3; i++) { // what was given up for one file is there for the next
        sl_image_refresh(kit->image);
        assert_int_equal(sl_image_revision(kit->image), 2);
        assert_int_equal(sl_image_throttle(kit->image, POLICY)->api_limit, 6);
        assert_non_null(sl_image_host(kit->image, SL_STR(HOST)));
        assert_non_null(sl_image_group(kit->image, GROUP_1));
        assert_false(sl_image_incomplete(kit->image));
    }
    assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), -1);
    give_back(fds, count, &before);
}

static void
a_segment_that_is_gone_is_told_from_one_that_never_was(void **state)
{
    struct kit *kit = *state;
    put_policy(kit, POLICY, 5);
    put_host(kit);
    kit_commit(kit, 1);
    assert_non_null(sl_image_host(kit->image, SL_STR(HOST))); // mapped from here on
    lose(kit, "s");
    assert_non_null(sl_image_host(kit->image, SL_STR(HOST)));
    assert_null(sl_image_user(kit->image, POLICY));
    assert_false(sl_image_incomplete(kit->image));
    for (int i = 0; i < 2; i++) {
        assert_null(sl_image_throttle(kit->image, POLICY));
        assert_true(sl_image_incomplete(kit->image));
        // What was found meanwhile does not take the mark away; another decision begins anew.
        assert_non_null(sl_image_host(kit->image, SL_STR(HOST)));
        assert_true(sl_image_incomplete(kit->image));
        sl_image_refresh(kit->image);
        assert_false(sl_image_incomplete(kit->image));
    }
    put_policy(kit, POLICY, 6);
    kit_commit(kit, 2);
    assert_int_equal(sl_image_throttle(kit->image, POLICY)->api_limit, 6);
    assert_false(sl_image_incomplete(kit->image));
}

static void
what_could_not_be_read_is_not_remembered(void **state)
{
    struct kit *kit = *state;
    kit_api(kit, GROUP_1, 1, SL_METHOD_GET, SL_MATCH_NORMAL, PATH);
    put_host(kit);
    kit_commit(kit, 1);
    struct sl_image_call call = {SL_STR(HOST), SL_STR("RELEASE"), SL_STR(PATH), SL_METHOD_GET, 0};
    struct sl_image_answer answer = {NULL, NULL, 0};
    assert_false(sl_image_recall(kit->image, &call, &answer));
    lose(kit, "s");
    assert_int_equal(kit_route(kit, SL_METHOD_GET, PATH, NULL), -1);
    assert_true(sl_image_incomplete(kit->image));
    sl_image_remember(kit->image, &call, &answer);
    assert_false(sl_image_recall(kit->image, &call, &answer));
}

static void
a_directory_that_is_gone_leaves_the_reader_where_it_is(void **state)
{
    struct kit *kit = *state;
    put_policy(kit, POLICY, 5);
    kit_commit(kit, 1);
    assert_int_equal(sl_image_throttle(kit->image, POLICY)->api_limit, 5);
    put_policy(kit, OTHER, 6);
    switch_image(kit, 2);
    lose(kit, "d");
    sl_image_refresh(kit->image);
    assert_int_equal(sl_image_revision(kit->image), 1);
    assert_int_equal(sl_image_throttle(kit->image, POLICY)->api_limit, 5);
    assert_false(sl_image_incomplete(kit->image));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_open, kit_close)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reader_without_a_descriptor_follows_all_the_same),
        TEST(a_segment_that_is_gone_is_told_from_one_that_never_was),
        TEST(what_could_not_be_read_is_not_remembered),
        TEST(a_directory_that_is_gone_leaves_the_reader_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
