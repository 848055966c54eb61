// log.c - see log.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/log.h"

#include "common/base/buf.h"
#include "common/base/clock.h"

#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192 // one line; fields that do not fit are left out
#define TEXT_MAX_BYTES 1024 // of one value; the rest of a longer one is left out
#define END_OF_LINE    "}\n"
#define MS             1000                                    // in a second
#define MS_DIGITS      3                                       // of a time's text
#define MS_END         (sizeof("2026-01-31T08:44:02.205") - 1) // where they end

static const char *const level_names[] = {
    [SL_DEBUG] = "debug",
    [SL_INFO] = "info",
    [SL_WARNING] = "warning",
    [SL_ALERT] = "alert",
};

// Set once, before threads.
static const char *process_name = "sluice";
static enum sl_log_level lowest_level = SL_INFO;

void
sl_log_init(const char *process, enum sl_log_level lowest)
{
    process_name = process;
    lowest_level = lowest;
}

bool
sl_log_level_parse(const char *word, enum sl_log_level *ret_level)
{
    for (size_t i = 0; i < SL_COUNT(level_names); i++) {
        if (strcmp(word, level_names[i]) == 0) {
            *ret_level = (enum sl_log_level)i;
            return true;
        }
    }
    return false;
}

// Adds a field whole or not at all, so that a line is JSON whatever its values are.
static void
add_field(struct sl_buf *line, const struct sl_log_field *field)
{
    size_t before = line->len;
    if (field->text != NULL) {
        sl_buf_adds(line, ",\"");
        sl_buf_adds(line, field->name);
        sl_buf_adds(line, "\":\"");
        sl_buf_add_json(line, (struct sl_str){field->text, strnlen(field->text, TEXT_MAX_BYTES)});
        sl_buf_addc(line, '"');
    } else {
        sl_buf_addf(line, ",\"%s\":%lld", field->name, (long long)field->number);
    }
    if (line->failed && line->ptr != NULL) {
        line->len = before;
        line->failed = false;
    }
}

static void
add_text(struct sl_buf *line, const char *name, const char *text)
{
    add_field(line, &SL_LOG_STR(name, text));
}

// Adds the time. A thread writes many lines a second: it formats the second once and puts the
// milliseconds in.
static void
add_time(struct sl_buf *line)
{
    static _Thread_local int64_t known_s = -1;
    static _Thread_local char text[SL_TIME_TEXT];
    int64_t now_ms = sl_wall_ms();
    int64_t within_ms = now_ms % MS;
    if (now_ms / MS != known_s) {
        sl_time_format(now_ms - within_ms, text);
        known_s = now_ms / MS;
    }
    for (size_t i = MS_END; i > MS_END - MS_DIGITS; i--, within_ms /= 10) {
        text[i - 1] = (char)('0' + within_ms % 10);
    }
    sl_buf_adds(line, text);
}

static void
begin_line(struct sl_buf *line, enum sl_log_level level, const char *message)
{
    sl_buf_adds(line, "{\"time\":\"");
    add_time(line);
    sl_buf_adds(line, "\",\"level\":\"");
    sl_buf_adds(line, level_names[level]);
    sl_buf_addc(line, '"');
    add_text(line, "process", process_name);
    add_text(line, "message", message);
}

static void
end_line(struct sl_buf *line, const struct sl_log_field *fields)
{
    for (const struct sl_log_field *field = fields + 1; field->name != NULL; field++) {
        add_field(line, field);
    }
    line->max_bytes += sizeof(END_OF_LINE);
    sl_buf_adds(line, END_OF_LINE);
    if (line->ptr != NULL && !line->failed) {
        // A log that cannot be written has nobody to tell.
        (void)!write(STDERR_FILENO, line->ptr, line->len);
    }
}

void
sl_log_write(enum sl_log_level level, const char *message, const struct sl_log_field *fields)
{
    if (level < lowest_level) {
        return;
    }
    SL_AUTO_BUF line;
    sl_buf_init(&line, LINE_MAX_BYTES - sizeof(END_OF_LINE));
    begin_line(&line, level, message);
    end_line(&line, fields);
}

void
sl_log_write_error(enum sl_log_level level, const char *message, const struct sl_error *err,
                   const struct sl_log_field *fields)
{
    if (level < lowest_level) {
        return;
    }
    char text[512];
    sl_error_message(err, text, sizeof(text));
    SL_AUTO_BUF line;
    sl_buf_init(&line, LINE_MAX_BYTES - sizeof(END_OF_LINE));
    begin_line(&line, level, message);
    add_text(&line, "error", sl_error_name(err->code));
    add_text(&line, "error_msg", text);
    add_text(&line, "detail", err->detail);
    add_text(&line, "origin", err->origin == NULL ? "" : err->origin);
    end_line(&line, fields);
}
