// memory_test.c - messages in arenas and buffers of every size, and with memory that runs out.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/limits.h"
#include "common/wire/message.h"
#include "tests/lib/scarce.h"
#include "tests/unit/test.h"

#include <string.h>

#define ID "0123456789abcdef0123456789abcdef"

static struct sl_command
some_command(json_t *body)
{
    return (struct sl_command){.id = ID,
                               .service = "registry",
                               .name = "throttle.create",
                               .request_id = "r1",
                               .actor = {"u", "un", "d", "p", "192.0.2.1"},
                               .project = "p1",
                               .instance = "i1",
                               .body = body,
                               .deadline_ms = 1500};
}

static void
a_command_in_an_arena_too_small_is_refused(void **state)
{
    (void)state;
    json_t *body = json_pack("{s:s, s:[i, i]}", "name", "a policy", "limits", 1, 2);
    struct sl_command command = some_command(body);
    struct sl_arena *roomy = sl_arena_new(1 << 20);
    struct sl_error err;
    struct sl_str bytes;
    int encoded = -1;
    int decoded = -1;
    assert_int_equal(sl_command_encode(roomy, &command, &bytes, &err), 0);
    for (size_t size = 0; size < 1 << 17 && (encoded != 0 || decoded != 0); size += 64) {
        struct sl_arena *tight = sl_arena_new(size);
        struct sl_str again;
        struct sl_command got;
        encoded = sl_command_encode(tight, &command, &again, &err);
        assert_true(encoded != 0 || sl_str_equal(again, bytes));
        sl_arena_clear(tight);
        decoded = sl_command_decode(tight, bytes, &got, &err);
        if (decoded == 0) {
            assert_string_equal(got.name, "throttle.create");
            assert_string_equal(got.actor.address, "192.0.2.1");
            assert_true(json_equal(got.body, body));
        }
        sl_arena_free(&tight);
    }
    assert_int_equal(encoded, 0);
    assert_int_equal(decoded, 0);
    sl_arena_free(&roomy);
    json_decref(body);
}

static void
a_reply_in_an_arena_too_small_is_refused(void **state)
{
    (void)state;
    struct sl_reply reply = {.status = 201, .body = SL_STR("{\"id\":\"x\"}")};
    reply.headers = json_pack("{s:s}", "X-Subject-Token", "t");
    struct sl_arena *roomy = sl_arena_new(1 << 20);
    struct sl_error err;
    struct sl_str bytes;
    int decoded = -1;
    assert_int_equal(sl_reply_encode(roomy, &reply, &bytes, &err), 0);
    for (size_t size = 0; size < 1 << 17 && decoded != 0; size += 64) {
        struct sl_arena *tight = sl_arena_new(size);
        struct sl_reply got;
        decoded = sl_reply_decode(tight, bytes, &got, &err);
        if (decoded == 0) {
            assert_int_equal(got.status, 201);
            assert_true(sl_str_equal(got.body, reply.body));
            assert_true(json_equal(got.headers, reply.headers));
        }
        sl_arena_free(&tight);
    }
    assert_int_equal(decoded, 0);
    sl_arena_free(&roomy);
    json_decref(reply.headers);
}

static int
round_trip(void *arg)
{
    struct sl_command command = some_command(arg);
    struct sl_command got;
    struct sl_str bytes;
    struct sl_error err = {.code = SL_E_OK};
    struct sl_arena *arena = sl_arena_new(1 << 20);
    if (arena == NULL) {
        return -1;
    }
    int status = sl_command_encode(arena, &command, &bytes, &err) != 0 ||
                         sl_command_decode(arena, bytes, &got, &err) != 0
                     ? -1
                     : 0;
    assert_true(status == 0 ? json_equal(got.body, arg) : err.code != SL_E_OK);
    sl_arena_free(&arena);
    return status;
}

static void
a_command_without_memory_is_refused(void **state)
{
    (void)state;
    json_t *body = json_pack("{s:s}", "name", "a policy");
    assert_true(scarce_run(round_trip, body, false) >= 2);
    json_decref(body);
}

static int
stamp_and_read(void *arg)
{
    static const struct sl_sender sender = {"front-1", "front", "key", true};
    struct sl_error err = {.code = SL_E_OK};
    struct sl_stamped stamped;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 1 << 16);
    int status = sl_envelope_stamp(&buf, *(struct sl_str *)arg, &sender, &stamped, &err);
    assert_true(status != 0 || sl_str_equal(stamped.name, SL_STR("throttle.create")));
    assert_true(status == 0 || err.code != SL_E_OK);
    return status;
}

static void
an_envelope_is_stamped_whole_or_refused(void **state)
{
    (void)state;
    struct sl_command command = some_command(NULL);
    struct sl_arena *arena = sl_arena_new(1 << 20);
    struct sl_error err;
    struct sl_str bytes;
    assert_int_equal(sl_command_encode(arena, &command, &bytes, &err), 0);
    assert_true(scarce_run(stamp_and_read, &bytes, false) >= 1);
    sl_arena_free(&arena);
}

static void
an_envelope_that_outgrows_its_buffer_is_refused(void **state)
{
    (void)state;
    static const struct sl_sender sender = {"front-1", "front", "key", false};
    struct sl_command command = some_command(NULL);
    struct sl_arena *arena = sl_arena_new(1 << 20);
    struct sl_error err;
    struct sl_str bytes;
    struct sl_stamped stamped;
    int status = -1;
    assert_int_equal(sl_command_encode(arena, &command, &bytes, &err), 0);
    for (size_t size = 0; size < 2048 && status != 0; size++) {
        SL_AUTO_BUF buf;
        sl_buf_init(&buf, size);
        status = sl_envelope_stamp(&buf, bytes, &sender, &stamped, &err);
        assert_true(status != 0 || !buf.failed);
    }
    assert_int_equal(status, 0);
    sl_arena_free(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_in_an_arena_too_small_is_refused),
        cmocka_unit_test(a_reply_in_an_arena_too_small_is_refused),
        cmocka_unit_test(a_command_without_memory_is_refused),
        cmocka_unit_test(an_envelope_is_stamped_whole_or_refused),
        cmocka_unit_test(an_envelope_that_outgrows_its_buffer_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
