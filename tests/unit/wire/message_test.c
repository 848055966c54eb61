// message_test.c - envelopes and replies survive the wire, and lies do not.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/message.h"

#include "common/base/limits.h"
#include "common/wire/pack.h"
#include "tests/unit/test.h"

#include <string.h>

#define ID "0123456789abcdef0123456789abcdef"

static int
open_arena(void **state)
{
    *state = sl_arena_new(SL_COMMAND_ARENA_MAX);
    return *state != NULL ? 0 : -1;
}

static int
close_arena(void **state)
{
    struct sl_arena *arena = *state;
    sl_arena_free(&arena);
    return 0;
}

static struct sl_command
some_command(void)
{
    return (struct sl_command){.id = ID,
                               .service = "registry",
                               .name = "throttle.create",
                               .request_id = "r1",
                               .actor = {"u", "un", "d", "p", "192.0.2.1"},
                               .project = "p1",
                               .instance = "i1",
                               .deadline_ms = 1500};
}

static void
a_command_survives_the_wire(void **state)
{
    struct sl_arena *arena = *state;
    struct sl_command sent = some_command();
    sent.body = json_pack("{s:i, s:f, s:b, s:n, s:[s, I]}", "n", -7, "f", 1.5, "t", 1, "z", "l",
                          "x\xc3\xa9", (json_int_t)INT64_MAX);
    struct sl_str bytes;
    struct sl_error err;
    assert_int_equal(sl_command_encode(arena, &sent, &bytes, &err), 0);
    struct sl_command got;
    assert_int_equal(sl_command_decode(arena, bytes, &got, &err), 0);
    assert_string_equal(got.id, ID);
    assert_string_equal(got.service, "registry");
    assert_string_equal(got.name, "throttle.create");
    assert_string_equal(got.actor.domain_id, "d");
    assert_string_equal(got.actor.project_id, "p");
    assert_string_equal(got.actor.address, "192.0.2.1");
    assert_string_equal(got.project, "p1");
    assert_int_equal(got.deadline_ms, 1500);
    assert_true(json_equal(got.body, sent.body));
    assert_null(got.path);
    assert_string_equal(got.peer, "");
    json_decref(sent.body);
}

static void
every_cut_of_an_envelope_is_refused(void **state)
{
    struct sl_arena *arena = *state;
    struct sl_command sent = some_command();
    sent.path = json_pack("{s:s}", "project_id", "p1");
    struct sl_str bytes;
    struct sl_error err;
    assert_int_equal(sl_command_encode(arena, &sent, &bytes, &err), 0);
    for (size_t len = 0; len < bytes.len; len++) {
        struct sl_command got;
        assert_int_equal(sl_command_decode(arena, (struct sl_str){bytes.ptr, len}, &got, &err), -1);
        assert_int_equal(err.code, SL_E_BUS_MESSAGE);
    }
    json_decref(sent.path);
}

static void
a_json_value_survives_the_wire(void **state)
{
    struct sl_arena *arena = *state;
    static const char *const texts[] = {
        "[]", "{}", "[null,true,false]",
        "[0,127,128,255,256,65535,65536,4294967296,-1,-32,-33,"
        "-128,-129,-32768,-32769,-2147483649,9223372036854775807,-9223372036854775808]",
        "[\"\",{\"a\":{\"b\":[[[1.25]]]}}]"};
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        json_t *value = json_loads(texts[i], 0, NULL);
        assert_non_null(value);
        struct sl_str bytes;
        struct sl_error err;
        json_t *got = NULL;
        assert_int_equal(sl_json_pack(arena, value, &bytes, &err), 0);
        assert_int_equal(sl_json_unpack(arena, bytes, &got, &err), 0);
        assert_true(json_equal(value, got));
        json_decref(value);
    }
}

static void
long_texts_and_lists_survive_the_wire(void **state)
{
    struct sl_arena *arena = *state;
    static const size_t sizes[] = {15, 16, 31, 32, 255, 256, 65535, 65536};
    for (size_t i = 0; i < SL_COUNT(sizes); i++) {
        char *text = sl_arena_alloc(arena, sizes[i] + 1);
        memset(text, 'x', sizes[i]);
        json_t *value = json_array();
        for (size_t n = 0; n < sizes[i]; n++) {
            json_array_append_new(value, json_integer(1));
        }
        json_array_append_new(value, json_string(text));
        struct sl_str bytes;
        struct sl_error err;
        json_t *got = NULL;
        assert_int_equal(sl_json_pack(arena, value, &bytes, &err), 0);
        assert_int_equal(sl_json_unpack(arena, bytes, &got, &err), 0);
        assert_true(json_equal(value, got));
        json_decref(value);
    }
}

static void
json_that_nests_too_deep_is_refused(void **state)
{
    struct sl_arena *arena = *state;
    json_t *value = json_array();
    for (int i = 0; i <= SL_JSON_DEPTH_MAX; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, value);
        value = outer;
    }
    struct sl_str bytes;
    struct sl_error err;
    assert_int_equal(sl_json_pack(arena, value, &bytes, &err), -1);
    json_decref(value);

    char nested[200];
    memset(nested, '\x91', sizeof(nested));
    json_t *got = NULL;
    assert_int_equal(sl_json_unpack(arena, (struct sl_str){nested, sizeof(nested)}, &got, &err),
                     -1);
}

static void
a_count_beyond_the_bytes_is_refused(void **state)
{
    struct sl_arena *arena = *state;
    static const char *const lies[] = {"\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff",
                                       "\xdb\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff", "\xcf\xff"};
    for (size_t i = 0; i < SL_COUNT(lies); i++) {
        json_t *got = NULL;
        struct sl_error err;
        assert_int_equal(sl_json_unpack(arena, sl_str(lies[i]), &got, &err), -1);
    }
}

static void
a_reply_survives_the_wire(void **state)
{
    struct sl_arena *arena = *state;
    struct sl_reply sent = {.status = 201, .body = SL_STR("{\"a\":1}")};
    sent.headers = json_pack("{s:s}", "X-Subject-Token", "t");
    struct sl_str bytes;
    struct sl_error err;
    struct sl_reply got;
    assert_int_equal(sl_reply_encode(arena, &sent, &bytes, &err), 0);
    assert_int_equal(sl_reply_decode(arena, bytes, &got, &err), 0);
    assert_false(got.failed);
    assert_int_equal(got.status, 201);
    assert_true(sl_str_equal(got.body, sent.body));
    assert_true(json_equal(got.headers, sent.headers));
    json_decref(sent.headers);
}

static void
an_error_reply_keeps_row_and_arguments_and_drops_the_detail(void **state)
{
    struct sl_arena *arena = *state;
    struct sl_error failure;
    sl_fail(&failure, SL_E_PARAM_INVALID, "time_interval");
    sl_error_detail(&failure, "only for our log");
    struct sl_reply sent = sl_reply_of_error(&failure);
    struct sl_str bytes;
    struct sl_error err;
    struct sl_reply got;
    assert_int_equal(sl_reply_encode(arena, &sent, &bytes, &err), 0);
    assert_int_equal(sl_reply_decode(arena, bytes, &got, &err), 0);
    assert_true(got.failed);
    assert_int_equal(got.error.code, SL_E_PARAM_INVALID);
    assert_string_equal(got.error.args[0], "time_interval");
    assert_string_equal(got.error.detail, "");
}

static void
an_unknown_error_row_is_an_internal_error(void **state)
{
    struct sl_arena *arena = *state;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    sl_pack_map(&buf, 1);
    sl_pack_text(&buf, "code");
    sl_pack_text(&buf, "OF_A_NEWER_BUILD");
    struct sl_reply got;
    struct sl_error err;
    assert_int_equal(sl_reply_decode(arena, (struct sl_str){buf.ptr, buf.len}, &got, &err), 0);
    assert_true(got.failed);
    assert_int_equal(got.error.code, SL_E_INTERNAL);
}

static const struct sl_sender a_node = {"node-1", "node:n1", "KEY", false};
static const struct sl_sender a_front = {"front-1", "front", "KEY", true};

static int
stamp(struct sl_arena *arena, struct sl_str bytes, const struct sl_sender *sender,
      struct sl_command *ret_command)
{
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    struct sl_stamped stamped;
    struct sl_error err;
    if (sl_envelope_stamp(&buf, bytes, sender, &stamped, &err) != 0) {
        return -1;
    }
    return sl_command_decode(arena, (struct sl_str){buf.ptr, buf.len}, ret_command, &err);
}

static void
the_bus_overwrites_peer_and_role(void **state)
{
    struct sl_arena *arena = *state;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    static const char *const lies[][2] = {
        {"id", ID},        {"service", "publisher"}, {"name", "x.y"},  {"peer", "admin"},
        {"role", "admin"}, {"peer_key", "other"},    {"project", "p1"}};
    sl_pack_map(&buf, SL_COUNT(lies) + 1);
    sl_pack_text(&buf, "v");
    sl_pack_int(&buf, 1);
    for (size_t i = 0; i < SL_COUNT(lies); i++) {
        sl_pack_text(&buf, lies[i][0]);
        sl_pack_text(&buf, lies[i][1]);
    }
    struct sl_command got;
    assert_int_equal(stamp(arena, (struct sl_str){buf.ptr, buf.len}, &a_node, &got), 0);
    assert_string_equal(got.peer, "node-1");
    assert_string_equal(got.peer_role, "node:n1");
    assert_string_equal(got.peer_key, "KEY");
    assert_string_equal(got.project, "p1");
    assert_string_equal(got.name, "x.y");
}

static void
only_those_who_may_act_keep_their_actor(void **state)
{
    struct sl_arena *arena = *state;
    struct sl_command sent = some_command();
    struct sl_str bytes;
    struct sl_error err;
    struct sl_command got;
    assert_int_equal(sl_command_encode(arena, &sent, &bytes, &err), 0);
    assert_int_equal(stamp(arena, bytes, &a_front, &got), 0);
    assert_string_equal(got.actor.user_id, "u");
    assert_int_equal(stamp(arena, bytes, &a_node, &got), 0);
    assert_string_equal(got.actor.user_id, "");
}

static void
an_envelope_that_names_a_field_twice_is_refused(void **state)
{
    struct sl_arena *arena = *state;
    static const char *const twice[] = {"id", "service", "name", "body", "actor", "peer"};
    for (size_t i = 0; i < SL_COUNT(twice) - 2; i++) {
        SL_AUTO_BUF buf;
        sl_buf_init(&buf, SL_MESSAGE_MAX);
        sl_pack_map(&buf, 5);
        for (size_t n = 0; n < 3; n++) {
            sl_pack_text(&buf, twice[n]);
            sl_pack_text(&buf, "a");
        }
        for (size_t n = 0; n < 2; n++) {
            sl_pack_text(&buf, twice[i]);
            sl_pack_text(&buf, "b");
        }
        struct sl_command got;
        assert_int_equal(stamp(arena, (struct sl_str){buf.ptr, buf.len}, &a_front, &got), -1);
    }
}

static void
a_name_is_read_without_the_rest(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    struct sl_command sent = {.id = "00000000000000000000000000000001",
                              .service = "registry",
                              .name = "api.read",
                              .body = json_pack("{s:s}", "name", "no command"),
                              .deadline_ms = 1000};
    struct sl_str bytes, name;
    struct sl_error err;
    assert_int_equal(sl_command_encode(arena, &sent, &bytes, &err), 0);
    assert_true(sl_command_name(bytes, &name));
    assert_true(sl_str_equal(name, SL_STR("api.read")));
    // What is cut before it has none, and nobody reads beyond the bytes.
    size_t from = (size_t)(name.ptr - bytes.ptr);
    for (size_t len = 0; len < from + name.len; len++) {
        assert_false(sl_command_name((struct sl_str){bytes.ptr, len}, &name));
    }
    assert_false(sl_command_name(SL_STR("\x81\xa4nome\xa1x"), &name));
    json_decref(sent.body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_survives_the_wire),
        cmocka_unit_test(every_cut_of_an_envelope_is_refused),
        cmocka_unit_test(a_name_is_read_without_the_rest),
        cmocka_unit_test(a_json_value_survives_the_wire),
        cmocka_unit_test(long_texts_and_lists_survive_the_wire),
        cmocka_unit_test(json_that_nests_too_deep_is_refused),
        cmocka_unit_test(a_count_beyond_the_bytes_is_refused),
        cmocka_unit_test(a_reply_survives_the_wire),
        cmocka_unit_test(an_error_reply_keeps_row_and_arguments_and_drops_the_detail),
        cmocka_unit_test(an_unknown_error_row_is_an_internal_error),
        cmocka_unit_test(the_bus_overwrites_peer_and_role),
        cmocka_unit_test(only_those_who_may_act_keep_their_actor),
        cmocka_unit_test(an_envelope_that_names_a_field_twice_is_refused),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
