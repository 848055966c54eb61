// memory_test.c - the base room when memory runs out: refused or said, never half-done.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/scarce.h"
#include "tests/unit/test.h"

static void
count_release(void *counter)
{
    ++*(int *)counter;
}

static int
fill_an_arena(void *arg)
{
    (void)arg;
    int released = 0;
    int deferred = 0;
    struct sl_arena *arena = sl_arena_new(1 << 20);
    if (arena == NULL) {
        return -1;
    }
    for (int i = 0; i < 50; i++) {
        char *text = sl_arena_printf(arena, "%d %s", i, "some text of some length");
        void *block = sl_arena_array(arena, 100, (size_t)i + 1);
        (void)!sl_arena_defer(arena, count_release, &released);
        deferred++;
        assert_true(text == NULL || strstr(text, "some text") != NULL);
        assert_true(block != NULL || sl_arena_failed(arena));
    }
    struct sl_error err;
    int status = sl_arena_check(arena, &err);
    sl_arena_free(&arena);
    // What was given to an arena is released whether there was room to remember it or not.
    assert_int_equal(released, deferred);
    return status;
}

static void
an_arena_says_that_memory_ran_out_and_releases_all(void **state)
{
    (void)state;
    assert_true(scarce_run(fill_an_arena, NULL, false) > 2);
}

static int
fill_a_buffer(void *arg)
{
    (void)arg;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 1 << 20);
    for (int i = 0; i < 2000; i++) {
        sl_buf_addf(&buf, "%04d", i);
        sl_buf_add_json(&buf, SL_STR("\"\n"));
    }
    // What stands there is a beginning of what was added.
    assert_true(buf.len == 0 || strncmp(buf.ptr, "0000\\\"\\u000a0001", buf.len) == 0 ||
                buf.len > strlen("0000\\\"\\u000a0001"));
    assert_true(buf.failed || buf.len == 2000 * (4 + 2 + 6));
    return buf.failed ? -1 : 0;
}

static void
a_buffer_says_that_memory_ran_out(void **state)
{
    (void)state;
    assert_true(scarce_run(fill_a_buffer, NULL, false) > 5);
}

struct settings {
    const char *name;
    int64_t size;
};

static const struct sl_setting rows[] = {
    {"name", SL_SETTING_TEXT, offsetof(struct settings, name), "anonymous", 0, 0, "a name"},
    {"size", SL_SETTING_INT, offsetof(struct settings, size), "4", 1, 64, "a size"},
};

static int
load_a_config(void *arg)
{
    struct settings settings = {0};
    struct sl_error err = {.code = SL_E_OK};
    scarce_pause();
    struct sl_arena *arena = sl_arena_new(1 << 16);
    scarce_resume();
    int status = sl_config_load_file(rows, SL_COUNT(rows), arg, arena, &settings, &err);
    if (status == 0) {
        assert_string_equal(settings.name, "a name that is read from the file");
        assert_int_equal(settings.size, 7);
    } else {
        assert_true(err.code != SL_E_OK);
    }
    sl_arena_free(&arena);
    return status;
}

static void
a_configuration_is_read_whole_or_refused(void **state)
{
    (void)state;
    char path[] = "/tmp/sluice-memory-XXXXXX";
    int fd = mkstemp(path);
    const char text[] = "name: a name that is read from the file\nsize: 7\n";
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    close(fd);
    scarce_run(load_a_config, path, false);
    unlink(path);
}

// The same with arenas of every size: the maximum is another way to run out.
static void
a_configuration_in_an_arena_too_small_is_refused(void **state)
{
    (void)state;
    char path[] = "/tmp/sluice-memory-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "name: abcdefgh\n", 15), 15);
    close(fd);
    bool loaded = false;
    for (size_t size = 0; size < 4096 && !loaded; size++) {
        struct settings settings = {0};
        struct sl_error err = {.code = SL_E_OK};
        struct sl_arena *arena = sl_arena_new(size);
        loaded = sl_config_load_file(rows, SL_COUNT(rows), path, arena, &settings, &err) == 0;
        assert_true(!loaded || strcmp(settings.name, "abcdefgh") == 0);
        assert_true(loaded || err.code != SL_E_OK);
        sl_arena_free(&arena);
    }
    assert_true(loaded);
    unlink(path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arena_says_that_memory_ran_out_and_releases_all),
        cmocka_unit_test(a_buffer_says_that_memory_ran_out),
        cmocka_unit_test(a_configuration_is_read_whole_or_refused),
        cmocka_unit_test(a_configuration_in_an_arena_too_small_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
