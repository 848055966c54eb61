// log.h - one JSON line an event, to standard error.
//
// The message is a constant; what varies is a field. Lines are written whole (one write(2)), so
// threads and processes may share the descriptor. A line has at most 8 KB, a value 1 KB: what does
// not fit is left out, the line stays JSON. Secrets never go in. common/ logs at debug only.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BASE_LOG_H
#define SL_BASE_LOG_H

#include "common/base/error.h"

enum sl_log_level {
    SL_DEBUG,
    SL_INFO,
    SL_WARNING,
    SL_ALERT, // someone must act; tests fail on it unless they expect it
};

struct sl_log_field {
    const char *name; // constant; NULL ends a list
    const char *text; // NULL: use number
    int64_t number;
};

#define SL_LOG_STR(field_name, value) ((struct sl_log_field){.name = (field_name), .text = (value)})
#define SL_LOG_INT(field_name, value)                                                              \
    ((struct sl_log_field){.name = (field_name), .number = (int64_t)(value)})

// Names the process in every line ("registry-1") and sets the lowest level written. `process` is
// borrowed for ever. Call once, before threads.
void sl_log_init(const char *process, enum sl_log_level lowest);

// "debug", "info", "warning", "alert" → level; false for any other word.
bool sl_log_level_parse(const char *word, enum sl_log_level *ret_level);

// sl_log(SL_INFO, "worker registered", SL_LOG_STR("service", name), SL_LOG_INT("ms", 3));
#define sl_log(level, message, ...)                                                                \
    sl_log_write((level), "" message "",                                                           \
                 (const struct sl_log_field[]){{.name = ""}, ##__VA_ARGS__, {.name = NULL}})

// sl_log with the error's name, origin, detail and message as fields.
#define sl_log_error(level, message, err, ...)                                                     \
    sl_log_write_error((level), "" message "", (err),                                              \
                       (const struct sl_log_field[]){{.name = ""}, ##__VA_ARGS__, {.name = NULL}})

// The functions behind the macros; `fields` begins with a filler and ends in a
// field without a name.
void sl_log_write(enum sl_log_level level, const char *message, const struct sl_log_field *fields);
void sl_log_write_error(enum sl_log_level level, const char *message, const struct sl_error *err,
                        const struct sl_log_field *fields);

#endif
