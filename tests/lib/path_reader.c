// path_reader.c - a second reader of request paths, to judge the module's by.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/path_reader.h"

#include <string.h>

#include "services/nginx/ngx_http_sluice_path.h"

#define RAW_MAX      PATH_READER_MAX
#define SEGMENTS_MAX (RAW_MAX + 1)

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

// What is wrong with the form that keeps escapes: decoded it is `path`, the second time it is the
// same. What it refuses besides takes an encoded slash back.
static const char *
raw_fault(struct sl_str raw, bool passed, struct sl_str path)
{
    static char room[RAW_MAX];
    static char again_room[RAW_MAX];
    struct sl_str kept = {NULL, 0};
    struct sl_str again = {NULL, 0};

    if (!ngx_http_sluice_path_raw(raw, room, &kept)) {
        return passed && memmem(raw.ptr, raw.len, "%2", 2) == NULL ? "refused raw" : NULL;
    }
    if (!passed || !ngx_http_sluice_path_canonical(kept, again_room, &again) ||
        !sl_str_equal(again, path)) {
        return "raw means another path";
    }
    return ngx_http_sluice_path_raw(kept, again_room, &again) && sl_str_equal(kept, again)
               ? NULL
               : "not the same raw the second time";
}

const char *
path_reader_fault(struct sl_str raw, bool *ret_passed)
{
    static char room[RAW_MAX];
    static char again_room[RAW_MAX];
    struct sl_str path = {NULL, 0};
    bool passed = ngx_http_sluice_path_canonical(raw, room, &path);
    bool untouched = ngx_http_sluice_path_is_canonical(raw);

    const char *fault = raw_fault(raw, passed, path);

    *ret_passed = passed;
    if (fault != NULL) {
        return fault;
    }
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
