// image_memo_test.c - what a reader remembers of calls, and for how long.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/runtime/image_kit.h"

#include "common/runtime/image_read.h"

#define HOST "a.example.com"
#define PATH "/orders/all"

static struct sl_image_call
call_of(const char *host, const char *env, const char *path, enum sl_method method)
{
    return (struct sl_image_call){sl_str(host), sl_str(env), sl_str(path), method, 0};
}

static bool
is_known(struct kit *kit, struct sl_image_call call)
{
    struct sl_image_answer answer;
    return sl_image_recall(kit->image, &call, &answer);
}

// Asks for PATH, and has it remembered.
static void
remember(struct kit *kit, struct sl_image_call call)
{
    struct sl_image_answer answer = {0};
    struct sl_route route;
    assert_false(sl_image_recall(kit->image, &call, &answer));
    assert_int_equal(kit_route(kit, SL_METHOD_GET, PATH, &route), 7);
    answer.api = route.api;
    answer.debugging = 1;
    sl_image_remember(kit->image, &call, &answer);
}

static int
open_routed(void **state)
{
    int failed = kit_open(state);
    if (failed == 0) {
        kit_api(*state, GROUP_1, 7, SL_METHOD_GET, SL_MATCH_NORMAL, PATH);
        kit_commit(*state, 1);
    }
    return failed;
}

static void
a_call_is_recalled_when_nothing_of_it_differs(void **state)
{
    struct kit *kit = *state;
    struct sl_image_call call = call_of(HOST, "RELEASE", PATH, SL_METHOD_GET);
    struct sl_image_answer answer;
    remember(kit, call);
    assert_true(sl_image_recall(kit->image, &call, &answer));
    assert_true(sl_str_equal(sl_img_text(&answer.api->name), SL_STR(PATH)));
    assert_int_equal(answer.debugging, 1);
    assert_false(is_known(kit, call_of("b.example.com", "RELEASE", PATH, SL_METHOD_GET)));
    assert_false(is_known(kit, call_of(HOST, "RELEASF", PATH, SL_METHOD_GET)));
    assert_false(is_known(kit, call_of(HOST, "TEST", PATH, SL_METHOD_GET)));
    assert_false(is_known(kit, call_of(HOST, "RELEASE", "/orders/alL", SL_METHOD_GET)));
    assert_false(is_known(kit, call_of(HOST, "RELEASE", PATH, SL_METHOD_POST)));
    assert_false(is_known(kit, call_of(HOST "/", "RELEASE", PATH + 1, SL_METHOD_GET)));
    assert_false(is_known(kit, call_of("", "", "", SL_METHOD_GET)));
    assert_true(is_known(kit, call)); // asking for others takes nothing away
}

// Whatever shares a set with other calls, the answer is the right one or none.
static void
two_calls_of_one_set_stay_and_others_take_turns(void **state)
{
    struct kit *kit = *state;
    const struct sl_image_call calls[] = {call_of(HOST, "RELEASE", PATH, SL_METHOD_GET),
                                          call_of(HOST, "RELEASF", PATH, SL_METHOD_GET),
                                          call_of(HOST, "RELEASG", PATH, SL_METHOD_GET)};
    remember(kit, calls[0]);
    remember(kit, calls[1]);
    assert_true(is_known(kit, calls[0]));
    assert_true(is_known(kit, calls[1]));
    for (size_t turn = 0; turn < 6; turn++) {
        size_t known = 0;
        size_t newcomer = 0;
        while (is_known(kit, calls[newcomer])) {
            newcomer++;
        }
        remember(kit, calls[newcomer]);
        assert_true(is_known(kit, calls[newcomer]));
        for (size_t i = 0; i < SL_COUNT(calls); i++) {
            known += is_known(kit, calls[i]);
        }
        assert_int_equal(known, 2);
    }
}

// As many as a large gateway's calls in turn: nearly all of them find room.
static void
ten_thousand_calls_are_nearly_all_known(void **state)
{
    struct kit *kit = *state;
    struct sl_image_answer answer = {0};
    char path[32];
    size_t known = 0;
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < 10000; i++) {
            snprintf(path, sizeof(path), "/bench/%d/items", i);
            struct sl_image_call call = call_of(HOST, "RELEASE", path, SL_METHOD_GET);
            if (sl_image_recall(kit->image, &call, &answer)) {
                known++;
                continue;
            }
            assert_true(again == 1 || known == 0);
            sl_image_remember(kit->image, &call, &answer);
        }
    }
    assert_in_range(known, 8500, 10000);
}

static void
a_switch_forgets_all(void **state)
{
    struct kit *kit = *state;
    struct sl_image_call call = call_of(HOST, "RELEASE", PATH, SL_METHOD_GET);
    remember(kit, call);
    kit_api(kit, GROUP_2, 8, SL_METHOD_GET, SL_MATCH_NORMAL, "/other");
    kit_commit(kit, 2);
    assert_false(is_known(kit, call));
    remember(kit, call);
    assert_true(is_known(kit, call));
    // An agent that begins anew counts its generations from the start.
    struct sl_error err;
    sl_image_builder_free(&kit->builder);
    kit_files(kit->name, true);
    kit->builder = sl_image_builder_new(kit->name, &err);
    assert_non_null(kit->builder);
    kit_api(kit, GROUP_1, 7, SL_METHOD_GET, SL_MATCH_NORMAL, PATH);
    kit_commit(kit, 1);
    kit->image->looked_s = 0; // as if a second had passed
    sl_image_refresh(kit->image);
    assert_false(is_known(kit, call));
}

static void
what_was_found_while_the_image_moved_is_not_kept(void **state)
{
    struct kit *kit = *state;
    struct sl_image_call call = call_of(HOST, "RELEASE", PATH, SL_METHOD_GET);
    struct sl_image_answer answer = {0};
    assert_false(sl_image_recall(kit->image, &call, &answer));
    kit_api(kit, GROUP_1, 7, SL_METHOD_GET, SL_MATCH_NORMAL, "/moved");
    kit_commit(kit, 2);
    sl_image_remember(kit->image, &call, &answer);
    assert_false(is_known(kit, call));
}

static void
long_calls_are_not_kept(void **state)
{
    struct kit *kit = *state;
    char path[IMAGE_MEMO_TEXT - 1] = {0};
    struct sl_image_answer answer = {0};
    memset(path, 'x', sizeof(path) - 1);
    for (size_t host_len = 1; host_len < 3; host_len++) {
        struct sl_image_call call = call_of("hh", "e", path, SL_METHOD_GET);
        call.host.len = host_len;
        assert_false(sl_image_recall(kit->image, &call, &answer));
        sl_image_remember(kit->image, &call, &answer);
        assert_int_equal(is_known(kit, call), host_len == 1); // the longest that there is room for
    }
}

// HTTP/1.0 may name no host.
static void
a_call_of_empty_texts_is_not_kept(void **state)
{
    struct kit *kit = *state;
    struct sl_image_call calls[3] = {call_of(HOST, "RELEASE", PATH, SL_METHOD_GET),
                                     call_of(HOST, "RELEASE", PATH, SL_METHOD_GET),
                                     call_of(HOST, "RELEASE", PATH, SL_METHOD_GET)};
    struct sl_image_answer answer = {0};
    calls[0].host = calls[1].env_name = calls[2].path = (struct sl_str){NULL, 0};
    for (size_t i = 0; i < SL_COUNT(calls); i++) {
        assert_false(sl_image_recall(kit->image, &calls[i], &answer));
        sl_image_remember(kit->image, &calls[i], &answer);
        assert_false(is_known(kit, calls[i]));
    }
}

static void
a_reader_without_an_image_or_memory_remembers_nothing(void **state)
{
    struct kit *kit = *state;
    struct sl_image_call call = call_of(HOST, "RELEASE", PATH, SL_METHOD_GET);
    struct sl_image_answer answer = {0};
    assert_false(is_known(kit, call));
    kit_api(kit, GROUP_1, 7, SL_METHOD_GET, SL_MATCH_NORMAL, PATH);
    kit_commit(kit, 1);
    struct image_memo *memos = kit->image->memos;
    kit->image->memos = NULL; // as if memory had been out
    assert_false(sl_image_recall(kit->image, &call, &answer));
    sl_image_remember(kit->image, &call, &answer);
    assert_false(is_known(kit, call));
    kit->image->memos = memos;
}

// Ids lie where requests put them too, one after the other in the same place.
static void
a_record_is_found_by_its_id_wherever_that_lies(void **state)
{
    static const char *const groups[] = {GROUP_1, GROUP_2, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"};
    struct kit *kit = *state;
    char id[SL_ID_LEN];
    for (size_t i = 0; i < 2; i++) {
        struct sl_entry entry = {.kind = SL_KIND_GROUP,
                                 .group = {.id = groups[i], .name = groups[i]}};
        kit_put(kit, groups[i], &entry);
    }
    kit_commit(kit, 2);
    for (size_t i = 0; i < 12; i++) {
        memcpy(id, groups[i % 3], SL_ID_LEN);
        const struct sl_img_group *group = sl_image_group(kit->image, id);
        assert_int_equal(group == NULL, i % 3 == 2);
        assert_true(group == NULL || memcmp(group->id, id, SL_ID_LEN) == 0);
        assert_null(sl_image_throttle(kit->image, id));
    }
    memcpy(id, GROUP_1, SL_ID_LEN);
    assert_non_null(sl_image_group(kit->image, id));
    sl_image_builder_remove(kit->builder, SL_KIND_GROUP, GROUP_1);
    kit_commit(kit, 3);
    assert_null(sl_image_group(kit->image, id));
}

#define TEST(name, open) cmocka_unit_test_setup_teardown(name, open, kit_close)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_recalled_when_nothing_of_it_differs, open_routed),
        TEST(two_calls_of_one_set_stay_and_others_take_turns, open_routed),
        TEST(ten_thousand_calls_are_nearly_all_known, open_routed),
        TEST(a_switch_forgets_all, open_routed),
        TEST(what_was_found_while_the_image_moved_is_not_kept, open_routed),
        TEST(long_calls_are_not_kept, open_routed),
        TEST(a_call_of_empty_texts_is_not_kept, open_routed),
        TEST(a_reader_without_an_image_or_memory_remembers_nothing, kit_open),
        TEST(a_record_is_found_by_its_id_wherever_that_lies, kit_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
