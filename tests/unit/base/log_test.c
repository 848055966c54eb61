// log_test.c - a line is one whole JSON object, whatever its values hold.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.h"
#include "common/base/log.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/test.h"

// Standard error goes to a file between begin_capture and end_capture.
struct capture {
    FILE *file; // what was written
    int saved;  // the descriptor that standard error was
};

static int
begin_capture(void **state)
{
    struct capture *capture = calloc(1, sizeof(*capture));
    capture->file = tmpfile();
    capture->saved = dup(STDERR_FILENO);
    dup2(fileno(capture->file), STDERR_FILENO);
    sl_log_init("tester", SL_DEBUG);
    *state = capture;
    return 0;
}

static int
end_capture(void **state)
{
    struct capture *capture = *state;
    dup2(capture->saved, STDERR_FILENO);
    close(capture->saved);
    fclose(capture->file);
    free(capture);
    return 0;
}

// The only line that was written, parsed; the file is empty again. NULL: there was none.
static json_t *
take_line(struct capture *capture)
{
    char line[20000];
    rewind(capture->file);
    size_t len = fread(line, 1, sizeof(line), capture->file);
    rewind(capture->file);
    assert_int_equal(ftruncate(fileno(capture->file), 0), 0);
    if (len == 0) {
        return NULL;
    }
    assert_int_equal(line[len - 1], '\n');
    assert_ptr_equal(memchr(line, '\n', len), line + len - 1);
    assert_true(len <= 8192);
    json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    return object;
}

static const char *
text_of(const json_t *line, const char *name)
{
    return json_string_value(json_object_get(line, name));
}

static void
a_line_has_time_level_process_message_and_its_fields(void **state)
{
    sl_log(SL_WARNING, "worker gone", SL_LOG_STR("service", "registry"), SL_LOG_INT("ms", -3));
    json_t *line = take_line(*state);
    assert_string_equal(text_of(line, "level"), "warning");
    assert_string_equal(text_of(line, "process"), "tester");
    assert_string_equal(text_of(line, "message"), "worker gone");
    assert_string_equal(text_of(line, "service"), "registry");
    assert_int_equal(json_integer_value(json_object_get(line, "ms")), -3);
    assert_int_equal(strlen(text_of(line, "time")), strlen("2026-01-31T08:44:02.205Z"));
    json_decref(line);
}

// The second is formatted once, the milliseconds each time.
static void
lines_carry_the_time_at_which_they_were_written(void **state)
{
    char before[SL_TIME_TEXT];
    char after[SL_TIME_TEXT];
    int64_t begun_ms = sl_wall_ms();
    while (sl_wall_ms() - begun_ms < 1100) { // over the end of a second
        sl_time_format(sl_wall_ms(), before);
        sl_log(SL_INFO, "tick");
        sl_time_format(sl_wall_ms(), after);
        json_t *line = take_line(*state);
        assert_true(strcmp(before, text_of(line, "time")) <= 0);
        assert_true(strcmp(text_of(line, "time"), after) <= 0);
        json_decref(line);
    }
}

static void
below_the_lowest_level_nothing_is_written(void **state)
{
    struct sl_error err = {.code = SL_E_INTERNAL};
    sl_log_init("tester", SL_WARNING);
    sl_log(SL_INFO, "unheard");
    sl_log_error(SL_INFO, "unheard", &err);
    assert_null(take_line(*state));
    sl_log(SL_ALERT, "heard");
    json_t *line = take_line(*state);
    assert_string_equal(text_of(line, "level"), "alert");
    json_decref(line);
}

static void
an_error_shows_name_message_detail_and_origin(void **state)
{
    struct sl_error err = {.code = SL_E_OK};
    (void)!sl_fail(&err, SL_E_CONFIG, "a.yaml: what is wrong");
    sl_log_error(SL_ALERT, "cannot start", &err, SL_LOG_STR("file", "a.yaml"));
    json_t *line = take_line(*state);
    assert_string_equal(text_of(line, "error"), sl_error_name(SL_E_CONFIG));
    assert_non_null(strstr(text_of(line, "error_msg"), "what is wrong"));
    assert_non_null(strstr(text_of(line, "origin"), "log_test.c:"));
    assert_string_equal(text_of(line, "detail"), "");
    assert_string_equal(text_of(line, "file"), "a.yaml");
    json_decref(line);
}

static void
quotes_control_bytes_and_broken_utf_8_stay_one_json_line(void **state)
{
    sl_log(SL_INFO, "request", SL_LOG_STR("path", "/a\"\\\n\r\x01\xff\xe2\x82\xac"));
    json_t *line = take_line(*state);
    assert_string_equal(text_of(line, "path"), "/a\"\\\n\r\x01?\xe2\x82\xac");
    json_decref(line);
}

static void
a_long_value_is_cut_and_the_line_is_written(void **state)
{
    char value[5000];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    sl_log(SL_INFO, "request", SL_LOG_STR("path", value), SL_LOG_INT("status", 200));
    json_t *line = take_line(*state);
    assert_int_equal(strlen(text_of(line, "path")), 1024);
    assert_int_equal(json_integer_value(json_object_get(line, "status")), 200);
    json_decref(line);
}

static void
a_character_cut_at_the_end_of_a_value_is_no_broken_json(void **state)
{
    char value[2000];
    for (size_t i = 0; i + 3 < sizeof(value); i += 3) {
        memcpy(value + i, "\xe2\x82\xac", 4);
    }
    sl_log(SL_INFO, "request", SL_LOG_STR("path", value));
    json_t *line = take_line(*state);
    assert_int_equal(strlen(text_of(line, "path")), 1024);
    assert_string_equal(text_of(line, "path") + 1023, "?");
    json_decref(line);
}

static void
fields_that_do_not_fit_are_left_out_whole(void **state)
{
    char value[1025];
    memset(value, 0x01, sizeof(value) - 1); // six bytes each when escaped
    value[sizeof(value) - 1] = '\0';
    sl_log(SL_INFO, "many", SL_LOG_STR("first", value), SL_LOG_STR("second", value),
           SL_LOG_INT("last", 7));
    json_t *line = take_line(*state);
    assert_int_equal(strlen(text_of(line, "first")), 1024);
    assert_null(text_of(line, "second"));
    assert_int_equal(json_integer_value(json_object_get(line, "last")), 7);
    json_decref(line);
}

static void
levels_are_known_by_their_words_only(void **state)
{
    (void)state;
    enum sl_log_level level = SL_DEBUG;
    assert_true(sl_log_level_parse("alert", &level));
    assert_int_equal(level, SL_ALERT);
    assert_true(sl_log_level_parse("info", &level));
    assert_int_equal(level, SL_INFO);
    assert_false(sl_log_level_parse("INFO", &level));
    assert_false(sl_log_level_parse("", &level));
    assert_int_equal(level, SL_INFO);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_time_level_process_message_and_its_fields,
                                        begin_capture, end_capture),
        cmocka_unit_test_setup_teardown(lines_carry_the_time_at_which_they_were_written,
                                        begin_capture, end_capture),
        cmocka_unit_test_setup_teardown(below_the_lowest_level_nothing_is_written, begin_capture,
                                        end_capture),
        cmocka_unit_test_setup_teardown(an_error_shows_name_message_detail_and_origin,
                                        begin_capture, end_capture),
        cmocka_unit_test_setup_teardown(quotes_control_bytes_and_broken_utf_8_stay_one_json_line,
                                        begin_capture, end_capture),
        cmocka_unit_test_setup_teardown(a_long_value_is_cut_and_the_line_is_written, begin_capture,
                                        end_capture),
        cmocka_unit_test_setup_teardown(a_character_cut_at_the_end_of_a_value_is_no_broken_json,
                                        begin_capture, end_capture),
        cmocka_unit_test_setup_teardown(fields_that_do_not_fit_are_left_out_whole, begin_capture,
                                        end_capture),
        cmocka_unit_test(levels_are_known_by_their_words_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
