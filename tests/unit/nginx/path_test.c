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

#define TARGETS      1000000
#define SEED         0x9e3779b97f4a7c15ULL
#define PIECES_MAX   12
#define LONG_NAME    3000
#define RAW_MAX      (PIECES_MAX * LONG_NAME)
#define SEGMENTS_MAX (RAW_MAX / 2)

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

// -- the second reader ----------------------------------------------------------------------------

enum judgement {
    MUST_PASS,
    MAY_BE_EITHER,
    MUST_REFUSE,
};

struct segment {
    size_t start;
    size_t len;
    bool encoded_before; // the slash before it was an escape
    bool encoded_after;  // the one after it
};

// One path as the second reader takes it apart.
struct reading {
    char text[RAW_MAX]; // decoded
    size_t len;
    struct segment segments[SEGMENTS_MAX];
    size_t count;
    char path[RAW_MAX + 1]; // what it must become
    size_t path_len;
    enum judgement judgement;
};

static struct reading reading;

static void
judge(enum judgement judgement)
{
    if (judgement > reading.judgement) {
        reading.judgement = judgement;
    }
}

static int
digit(char c)
{
    const char *found = c == '\0' ? NULL : strchr("00112233445566778899aAbBcCdDeEfF", c);

    return found == NULL ? -1 : (int)(found - "00112233445566778899aAbBcCdDeEfF") / 2;
}

static void
end_segment(size_t start, bool before, bool after)
{
    reading.segments[reading.count++] = (struct segment){start, reading.len - start, before, after};
}

// Decodes once and cuts at slashes, raw or escaped.
static void
take_apart(struct sl_str raw)
{
    size_t start = 0;
    bool before = false;

    for (size_t i = 1; i < raw.len; i++) {
        bool escaped = raw.ptr[i] == '%';
        int byte = (unsigned char)raw.ptr[i];

        if (escaped) {
            bool whole =
                i + 2 < raw.len && digit(raw.ptr[i + 1]) >= 0 && digit(raw.ptr[i + 2]) >= 0;
            if (!whole) {
                judge(MUST_REFUSE);
                return;
            }
            byte = digit(raw.ptr[i + 1]) * 16 + digit(raw.ptr[i + 2]);
            i += 2;
        }
        if (byte < 32 || byte == 127 || (byte == '#' && !escaped)) {
            judge(MUST_REFUSE);
        }
        if (byte == '/') {
            end_segment(start, before, escaped);
            before = escaped;
            start = reading.len;
            continue;
        }
        reading.text[reading.len++] = (char)byte;
    }
    end_segment(start, before, false);
}

static bool
is_segment(const struct segment *segment, const char *text)
{
    return segment->len == strlen(text) &&
           memcmp(reading.text + segment->start, text, segment->len) == 0;
}

// Whether a careless reader finds dots: one that cuts at backslashes and drops path parameters.
static bool
careless_dots(const char *text, size_t len)
{
    size_t piece = 0;

    for (size_t i = 0; i <= len; i++) {
        if (i < len && text[i] != '\\' && text[i] != '/') {
            continue;
        }
        size_t end = piece;
        while (end < i && text[end] != ';') {
            end++;
        }
        if ((end - piece == 1 && text[piece] == '.') ||
            (end - piece == 2 && text[piece] == '.' && text[piece + 1] == '.')) {
            return true;
        }
        piece = i + 1;
    }
    return false;
}

static void
judge_segment(const struct segment *segment)
{
    const char *text = reading.text + segment->start;
    bool dots = is_segment(segment, ".") || is_segment(segment, "..");

    if (dots && (segment->encoded_before || segment->encoded_after)) {
        judge(MUST_REFUSE);
    } else if (!dots && careless_dots(text, segment->len)) {
        judge(MUST_REFUSE);
    } else if (segment->encoded_before || segment->encoded_after ||
               memchr(text, '\\', segment->len) != NULL ||
               memchr(text, ';', segment->len) != NULL) {
        judge(MAY_BE_EITHER);
    }
}

// Drops empty and "." segments, lets ".." take one back, from the front.
static void
put_together(void)
{
    size_t kept[SEGMENTS_MAX];
    size_t depth = 0;
    const struct segment *last = &reading.segments[reading.count - 1];

    for (size_t i = 0; i < reading.count; i++) {
        const struct segment *segment = &reading.segments[i];

        judge_segment(segment);
        if (is_segment(segment, "..")) {
            if (depth == 0) {
                judge(MUST_REFUSE);
                return;
            }
            depth--;
        } else if (segment->len > 0 && !is_segment(segment, ".")) {
            kept[depth++] = i;
        }
    }
    reading.path_len = 0;
    for (size_t i = 0; i < depth; i++) {
        const struct segment *segment = &reading.segments[kept[i]];

        reading.path[reading.path_len++] = '/';
        memcpy(reading.path + reading.path_len, reading.text + segment->start, segment->len);
        reading.path_len += segment->len;
    }
    if (depth == 0 || last->len == 0 || is_segment(last, ".") || is_segment(last, "..")) {
        reading.path[reading.path_len++] = '/';
    }
}

static void
read_again(struct sl_str raw)
{
    reading.len = 0;
    reading.count = 0;
    reading.judgement = MUST_PASS;
    if (raw.len == 0 || raw.ptr[0] != '/') {
        judge(MUST_REFUSE);
        return;
    }
    take_apart(raw);
    if (reading.judgement != MUST_REFUSE) {
        put_together();
    }
}

// -- the property ---------------------------------------------------------------------------------

static void
show(struct sl_str raw, const char *fault)
{
    printf("%s: ", fault);
    for (size_t i = 0; i < raw.len; i++) {
        printf(raw.ptr[i] > ' ' && raw.ptr[i] < 127 ? "%c" : "\\x%02x", (unsigned char)raw.ptr[i]);
    }
    printf("\n");
}

// NULL where the module and the second reader agree.
static const char *
fault_of(struct sl_str raw, bool *ret_passed)
{
    static char room[RAW_MAX];
    static char again_room[RAW_MAX];
    struct sl_str path = {NULL, 0};
    bool passed = ngx_http_sluice_path_canonical(raw, room, &path);
    bool untouched = ngx_http_sluice_path_is_canonical(raw);

    *ret_passed = passed;
    read_again(raw);
    if (untouched && (!passed || !sl_str_equal(raw, path))) {
        return "taken for canonical";
    }
    if (!passed) {
        return reading.judgement == MUST_PASS ? "refused" : NULL;
    }
    if (reading.judgement == MUST_REFUSE) {
        return "passed";
    }
    if (!sl_str_equal(path, (struct sl_str){reading.path, reading.path_len})) {
        return "another path";
    }
    if (careless_dots(path.ptr, path.len) || !ngx_http_sluice_path_is_safe(path)) {
        return "dots for a careless reader";
    }
    if (memchr(path.ptr, '%', path.len) == NULL) { // else an escape of what was escaped twice
        struct sl_str again = {NULL, 0};

        if (!ngx_http_sluice_path_canonical(path, again_room, &again) ||
            !sl_str_equal(again, path)) {
            // A raw '#' may only come escaped.
            return memchr(path.ptr, '#', path.len) != NULL ? NULL : "not the same the second time";
        }
    }
    return NULL;
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
        const char *fault = fault_of(text, &passed);

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
