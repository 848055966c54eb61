// error.c - see error.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/error.h"

#include "common/base/error_row.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
sl_error_set(struct sl_error *err, enum sl_code code, const char *origin, const char *const *args)
{
    if (err == NULL) {
        return -1;
    }
    *err = (struct sl_error){.code = code, .origin = origin};
    for (size_t i = 0; i < SL_ERROR_ARGS && args[i + 1] != NULL; i++) {
        snprintf(err->args[i], sizeof(err->args[i]), "%s", args[i + 1]);
    }
    return -1;
}

int
sl_error_detail(struct sl_error *err, const char *fmt, ...)
{
    if (err != NULL) {
        va_list values;
        va_start(values, fmt);
        vsnprintf(err->detail, sizeof(err->detail), fmt, values);
        va_end(values);
    }
    return -1;
}

int
sl_error_status(enum sl_code code)
{
    assert(code < SL_E_COUNT);
    return sl_error_rows[code].status;
}

const char *
sl_error_wire(enum sl_code code)
{
    assert(code < SL_E_COUNT);
    return sl_error_rows[code].wire;
}

const char *
sl_error_name(enum sl_code code)
{
    assert(code < SL_E_COUNT);
    return sl_error_rows[code].name;
}

enum sl_code
sl_error_find(const char *name)
{
    enum sl_code code = 0;
    while (code < SL_E_COUNT && strcmp(sl_error_rows[code].name, name) != 0) {
        code++;
    }
    return code;
}

size_t
sl_error_message(const struct sl_error *err, char *ret_text, size_t size)
{
    assert(err->code < SL_E_COUNT && size > 0);
    const char *from = sl_error_rows[err->code].message;
    size_t len = 0;
    while (*from != '\0' && len + 1 < size) {
        bool is_arg =
            from[0] == '{' && from[1] >= '0' && from[1] < '0' + SL_ERROR_ARGS && from[2] == '}';
        if (is_arg) {
            int added = snprintf(ret_text + len, size - len, "%s", err->args[from[1] - '0']);
            len += added < (int)(size - len) ? (size_t)added : size - len - 1;
            from += 3;
        } else {
            ret_text[len++] = *from++;
        }
    }
    ret_text[len] = '\0';
    return len;
}
