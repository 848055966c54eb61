// path_test.c - the canonical path against a second reader, over a million generated paths.
//
// The second reader works on whole segments where the module works on bytes. Of every path it says
// what the path must become, and whether it must be refused, must pass, or may be either (what no
// rule names, but the module need not let through). A third reader is a careless backend: it cuts
// at backslashes and at path parameters too, and must find no dot segment in what the module passes
// on.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "services/nginx/ngx_http_sluice_path.h"
#include "tests/lib/path_reader.h"

#define TARGETS    1000000
#define SEED       0x9e3779b97f4a7c15ULL
#define PIECES_MAX 12
#define LONG_NAME  3000
#define RAW_MAX    (PIECES_MAX * LONG_NAME)

static const char *const pieces[] = {
    "/",        "/",         "/",         "/",
    "/",        "//",        "a",         "b",
    "admin",    "%61dmin",   ".",         ".",
    "..",       "..",        "%2e",       "%2E",
    "%2e%2e",   ".%2e",      "%2F",       "%2f",
    "...",      ".b",        "a.",        ";",
    ";x=1",     "%3B",       "..;",       "..%3b/",
    "\\",       "%5c",       "%5C",       "%252F",
    "%25",      "%25%32%65", "%3F",       "%23",
    "#",        "%00",       "%0A",       "%1f",
    "%7F",      "\x01",      "\x7f",      "\t",
    "%20",      " ",         "+",         "%",
    "%4",       "%zz",       "%E4%B8%AD", "\xe4\xb8\xad",
    "\xc0\xae", "%c0%af",    "~",         "@",
    ":",        "{x}",       "/../",      "/./",
};

// xorshift64*: the same targets in every run.
static uint64_t random_state;

static uint64_t
random_below(uint64_t bound)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (random_state * 0x2545f4914f6cdd1dULL >> 33) % bound;
}

static size_t
generate(char *raw)
{
    size_t len = 0;
    uint64_t count = 1 + random_below(PIECES_MAX - 1);

    if (random_below(200) > 0) {
        raw[len++] = '/';
    }
    for (uint64_t i = 0; i < count; i++) {
        const char *piece = pieces[random_below(SL_COUNT(pieces))];

        if (random_below(20000) == 0) {
            memset(raw + len, 'l', LONG_NAME);
            len += LONG_NAME;
            continue;
        }
        memcpy(raw + len, piece, strlen(piece));
        len += strlen(piece);
    }
    return len;
}

static void
show(struct sl_str raw, const char *fault)
{
    printf("%s: ", fault);
    for (size_t i = 0; i < raw.len; i++) {
        printf(raw.ptr[i] > ' ' && raw.ptr[i] < 127 ? "%c" : "\\x%02x", (unsigned char)raw.ptr[i]);
    }
    printf("\n");
}

static void
a_million_paths_are_read_alike_or_refused(void **state)
{
    (void)state;
    static char raw[RAW_MAX];
    size_t passed_count = 0;
    size_t faults = 0;

    random_state = SEED;
    for (size_t i = 0; i < TARGETS; i++) {
        struct sl_str text = {raw, generate(raw)};
        bool passed;
        const char *fault = path_reader_fault(text, &passed);

        passed_count += passed;
        if (fault != NULL && faults++ < 20) {
            show(text, fault);
        }
    }
    assert_int_equal(faults, 0);
    // The generator is worth nothing when nearly all are refused, or nearly none.
    assert_in_range(passed_count, TARGETS / 10, TARGETS - TARGETS / 10);
}

static void
every_escape_of_one_byte_is_decoded_or_refused(void **state)
{
    (void)state;
    for (unsigned int byte = 0; byte < 256; byte++) {
        char raw[8];
        char room[8];
        struct sl_str path = {NULL, 0};
        bool control = byte < 32 || byte == 127;

        (void)snprintf(raw, sizeof(raw), "/a%%%02xb", byte);
        assert_int_equal(ngx_http_sluice_path_canonical(sl_str(raw), room, &path), !control);
        if (!control) {
            assert_int_equal(path.len, 4);
            assert_int_equal((unsigned char)path.ptr[2], byte);
        }
    }
}

static void
a_text_for_a_path_is_judged_like_a_segment(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool safe;
    } rows[] = {
        {"", true},       {"a", true},       {"a/b", true},   {"...", true},     {".a", true},
        {"a;b", true},    {"a\\b", true},    {".", false},    {"..", false},     {"a/../b", false},
        {"..;x", false},  {"a\\..", false},  {".\\a", false}, {"a/.;/b", false}, {"a\nb", false},
        {"a\x7f", false}, {"..\\..", false}, {"a/..", false}, {"../a", false},   {";..", true},
    };

    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        if (ngx_http_sluice_path_is_safe(sl_str(rows[i].text)) != rows[i].safe) {
            fail_msg("%s", rows[i].text);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_paths_are_read_alike_or_refused),
        cmocka_unit_test(every_escape_of_one_byte_is_decoded_or_refused),
        cmocka_unit_test(a_text_for_a_path_is_judged_like_a_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
