// config_test.c - defaults, file, environment, and what is refused.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include "common/base/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    const char *peer_file;
    int64_t threads;
    bool verbose;
};

static const struct sl_setting rows[] = {
    {"peer_file", SL_SETTING_TEXT, offsetof(struct settings, peer_file), NULL, 0, 0, "who we are"},
    {"threads", SL_SETTING_INT, offsetof(struct settings, threads), "4", 1, 64, "handler threads"},
    {"verbose", SL_SETTING_BOOL, offsetof(struct settings, verbose), "false", 0, 0, "say more"},
};

struct fixture {
    struct sl_arena *arena;
    char path[64];
    struct settings settings;
    struct sl_error err;
};

static int
load(struct fixture *f, const char *text)
{
    FILE *file = fopen(f->path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return sl_config_load(rows, SL_COUNT(rows), f->path, f->arena, &f->settings, &f->err);
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = sl_arena_new(100000);
    snprintf(f->path, sizeof(f->path), "/tmp/sluice-config-XXXXXX");
    close(mkstemp(f->path));
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    sl_arena_free(&f->arena);
    free(f);
    return 0;
}

static void
the_file_wins_over_defaults_and_the_environment_over_the_file(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "peer_file: /a\nthreads: 8\n"), 0);
    assert_string_equal(f->settings.peer_file, "/a");
    assert_int_equal(f->settings.threads, 8);
    assert_false(f->settings.verbose);
    setenv("SLUICE_THREADS", "9", 1);
    assert_int_equal(load(f, "peer_file: /a\nthreads: 8\nverbose: true\n"), 0);
    unsetenv("SLUICE_THREADS");
    assert_int_equal(f->settings.threads, 9);
    assert_true(f->settings.verbose);
}

static void
an_unknown_key_is_refused_with_the_nearest_one(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "peer_flie: /a\n"), -1);
    assert_int_equal(f->err.code, SL_E_CONFIG);
    assert_non_null(strstr(f->err.args[0], "unknown key 'peer_flie', did you mean 'peer_file'?"));
}

static void
a_value_out_of_bounds_or_of_another_type_is_refused_and_named(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "peer_file: /a\nthreads: 65\n"), -1);
    assert_non_null(strstr(f->err.args[0], "threads: wants an integer from 1 to 64"));
    assert_int_equal(load(f, "peer_file: /a\nverbose: yes\n"), -1);
    assert_non_null(strstr(f->err.args[0], "verbose: wants true or false"));
    assert_int_equal(load(f, "peer_file: [a]\n"), -1);
    assert_int_equal(load(f, "- a\n"), -1);
    assert_int_equal(load(f, "a: 'b\n"), -1);
    assert_non_null(strstr(f->err.args[0], "line"));
}

static void
a_required_key_must_be_there(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "threads: 2\n"), -1);
    assert_non_null(strstr(f->err.args[0], "peer_file: wants a value"));
}

static void
a_file_that_is_not_there_is_named(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        sl_config_load(rows, SL_COUNT(rows), "/nonexistent", f->arena, &f->settings, &f->err), -1);
    assert_non_null(strstr(f->err.args[0], "/nonexistent"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            the_file_wins_over_defaults_and_the_environment_over_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_key_is_refused_with_the_nearest_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_value_out_of_bounds_or_of_another_type_is_refused_and_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_required_key_must_be_there, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
