// rotate_test.c - access logs stay bounded and lose no line; nginx is told, and told again.
//
// The test's own process plays nginx: its pid file names it, and USR1 waits to be taken.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/rotate.h"

#include "tests/unit/node/node_kit.h"

#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#define MAX_BYTES 100

struct place {
    char path[64];
    char self[256]; // our own program
    struct settings settings;
    struct rotate *rotate;
    int64_t now_ms;
};

static const char *
at(const struct place *place, const char *name)
{
    static char path[160];
    snprintf(path, sizeof(path), "%s/%s", place->path, name);
    return path;
}

// Writes `count` letters behind what is there, as nginx does.
static void
append(const struct place *place, const char *name, char letter, int count)
{
    FILE *file = fopen(at(place, name), "ae");
    assert_non_null(file);
    for (int i = 0; i < count; i++) {
        fputc(letter, file);
    }
    fclose(file);
}

// The first letter of a file; 0: it is not there.
static char
letter_of(const struct place *place, const char *name)
{
    FILE *file = fopen(at(place, name), "re");
    if (file == NULL) {
        return 0;
    }
    int letter = fgetc(file);
    fclose(file);
    return (char)letter;
}

// Whether nginx was told to open its logs anew since the last question.
static bool
was_told(void)
{
    sigset_t set;
    struct timespec none = {0, 0};
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    return sigtimedwait(&set, NULL, &none) == SIGUSR1;
}

// The next look.
static void
look(struct place *place)
{
    place->now_ms += ROTATE_LOOK_MS;
    rotate_tick(place->rotate, place->now_ms);
}

static int
open_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    struct sl_error err;
    snprintf(place->path, sizeof(place->path), "/tmp/sluice-rotate-XXXXXX");
    *state = place;
    assert_non_null(mkdtemp(place->path));
    assert_true(readlink("/proc/self/exe", place->self, sizeof(place->self) - 1) > 0);
    place->settings = (struct settings){.state_dir = place->path,
                                        .access_log = "",
                                        .access_log_json = "",
                                        .access_log_keep = 2,
                                        .access_log_max_bytes = MAX_BYTES,
                                        .nginx_binary = place->self};
    place->rotate = rotate_new(&place->settings, &err);
    assert_non_null(place->rotate);
    place->now_ms = 1000000;
    FILE *file = fopen(at(place, "nginx.pid"), "we");
    assert_non_null(file);
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
    return 0;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    rotate_free(&place->rotate);
    rotate_free(&place->rotate);
    kit_remove_tree(place->path);
    free(place);
    while (was_told()) {
    }
    return 0;
}

static void
a_log_below_its_size_stays(void **state)
{
    struct place *place = *state;
    append(place, "access.log", 'a', MAX_BYTES - 1);
    look(place);
    assert_int_equal(letter_of(place, "access.log"), 'a');
    assert_false(was_told());
}

static void
a_log_at_its_size_is_renamed_and_nginx_told(void **state)
{
    struct place *place = *state;
    append(place, "access.log", 'a', MAX_BYTES);
    look(place);
    assert_int_equal(letter_of(place, "access.log"), 0);
    assert_int_equal(letter_of(place, "access.log.1"), 'a');
    assert_true(was_told());
    // Opened anew: there is nothing more to say.
    append(place, "access.log", 'b', 1);
    look(place);
    assert_false(was_told());
    assert_int_equal(letter_of(place, "access.log"), 'b');
}

static void
nginx_is_told_until_the_log_is_there_again(void **state)
{
    struct place *place = *state;
    append(place, "access.log", 'a', MAX_BYTES);
    for (int i = 0; i < 3; i++) {
        look(place);
        assert_true(was_told());
    }
    append(place, "access.log", 'b', 1);
    look(place);
    assert_false(was_told());
    assert_int_equal(letter_of(place, "access.log.1"), 'a');
    assert_int_equal(letter_of(place, "access.log.2"), 0);
}

static void
only_so_many_are_kept_whatever_was_kept_before(void **state)
{
    struct place *place = *state;
    static const char *const older[] = {"access.log.3", "access.log.4", "access.log.6"};
    for (size_t i = 0; i < SL_COUNT(older); i++) {
        append(place, older[i], 'o', 1);
    }
    for (char letter = 'a'; letter <= 'd'; letter++) {
        append(place, "access.log", letter, MAX_BYTES);
        look(place);
    }
    assert_int_equal(letter_of(place, "access.log.1"), 'd');
    assert_int_equal(letter_of(place, "access.log.2"), 'c');
    assert_int_equal(letter_of(place, "access.log.3"), 0);
    assert_int_equal(letter_of(place, "access.log.4"), 0);
    assert_int_equal(letter_of(place, "access.log.6"), 'o'); // not of the row: somebody else's
}

static void
both_logs_are_looked_after(void **state)
{
    struct place *place = *state;
    append(place, "access.json.log", 'j', MAX_BYTES);
    append(place, "access.log", 'l', 1);
    look(place);
    assert_int_equal(letter_of(place, "access.json.log.1"), 'j');
    assert_int_equal(letter_of(place, "access.log"), 'l');
    assert_true(was_told());
}

static void
logs_elsewhere_are_found(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    char path[128];
    snprintf(path, sizeof(path), "%s/elsewhere.log", place->path);
    place->settings.access_log = path;
    rotate_free(&place->rotate);
    place->rotate = rotate_new(&place->settings, &err);
    assert_non_null(place->rotate);
    append(place, "elsewhere.log", 'e', MAX_BYTES);
    append(place, "access.log", 'a', MAX_BYTES);
    look(place);
    assert_int_equal(letter_of(place, "elsewhere.log.1"), 'e');
    assert_int_equal(letter_of(place, "access.log"), 'a');
}

static void
looks_are_a_second_apart(void **state)
{
    struct place *place = *state;
    look(place);
    append(place, "access.log", 'a', MAX_BYTES);
    rotate_tick(place->rotate, place->now_ms + ROTATE_LOOK_MS - 1);
    assert_int_equal(letter_of(place, "access.log"), 'a');
    look(place);
    assert_int_equal(letter_of(place, "access.log"), 0);
}

static void
a_bound_of_zero_leaves_it_to_somebody_else(void **state)
{
    struct place *place = *state;
    place->settings.access_log_max_bytes = 0;
    append(place, "access.log", 'a', 10 * MAX_BYTES);
    look(place);
    assert_int_equal(letter_of(place, "access.log"), 'a');
    assert_false(was_told());
}

static void
without_nginx_the_log_is_rotated_all_the_same(void **state)
{
    struct place *place = *state;
    place->settings.nginx_binary = "/bin/sh";
    append(place, "access.log", 'a', MAX_BYTES);
    look(place);
    assert_int_equal(letter_of(place, "access.log.1"), 'a');
    assert_false(was_told());
}

static void
what_cannot_be_renamed_stays_and_is_tried_again(void **state)
{
    struct place *place = *state;
    append(place, "access.log", 'a', MAX_BYTES);
    assert_int_equal(mkdir(at(place, "access.log.1"), 0700), 0);
    assert_int_equal(mkdir(at(place, "access.log.2"), 0700), 0);
    append(place, "access.log.2/full", 'x', 1);
    look(place);
    look(place);
    assert_int_equal(letter_of(place, "access.log"), 'a');
    assert_false(was_told());
    assert_int_equal(unlink(at(place, "access.log.2/full")), 0);
    look(place);
    assert_int_equal(letter_of(place, "access.log.1"), 'a');
    assert_true(was_told());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_log_below_its_size_stays),
        TEST(a_log_at_its_size_is_renamed_and_nginx_told),
        TEST(nginx_is_told_until_the_log_is_there_again),
        TEST(only_so_many_are_kept_whatever_was_kept_before),
        TEST(both_logs_are_looked_after),
        TEST(logs_elsewhere_are_found),
        TEST(looks_are_a_second_apart),
        TEST(a_bound_of_zero_leaves_it_to_somebody_else),
        TEST(without_nginx_the_log_is_rotated_all_the_same),
        TEST(what_cannot_be_renamed_stays_and_is_tried_again),
    };
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
