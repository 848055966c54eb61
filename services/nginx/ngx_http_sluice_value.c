// ngx_http_sluice_value.c - see ngx_http_sluice_value.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_value.h"

#include "common/runtime/range.h"

bool
ngx_http_sluice_value_is_listed(struct sl_str list, struct sl_str value)
{
    while (list.len > 0) {
        struct sl_str item = sl_str_split(&list, ',');
        if (sl_str_equal(item, value)) {
            return true;
        }
    }
    return false;
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Reads digits from *at on; their number, at most INT64_MAX. False without a digit.
static bool
read_digits(struct sl_str text, size_t *at, int64_t *ret_number)
{
    int64_t number = 0;
    size_t begin = *at;
    for (; *at < text.len && is_digit(text.ptr[*at]); (*at)++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, text.ptr[*at] - '0', &number)) {
            number = INT64_MAX;
        }
    }
    *ret_number = number;
    return *at > begin;
}

// Reads ".digits", if there. False when it is malformed; *ret_any: one of them is not zero.
static bool
read_fraction(struct sl_str text, size_t *at, bool *ret_any)
{
    *ret_any = false;
    if (*at == text.len || text.ptr[*at] != '.') {
        return true;
    }
    size_t begin = ++*at;
    for (; *at < text.len && is_digit(text.ptr[*at]); (*at)++) {
        *ret_any = *ret_any || text.ptr[*at] != '0';
    }
    return *at > begin;
}

bool
ngx_http_sluice_value_number(struct sl_str value, int64_t *ret_floor, int64_t *ret_ceiling)
{
    size_t at = value.len > 0 && (value.ptr[0] == '-' || value.ptr[0] == '+') ? 1 : 0;
    bool negative = at == 1 && value.ptr[0] == '-';
    int64_t whole = 0;
    bool fraction = false;
    if (!read_digits(value, &at, &whole) || !read_fraction(value, &at, &fraction) ||
        at != value.len) {
        return false;
    }
    int64_t further = whole + (fraction && whole < INT64_MAX ? 1 : 0);
    *ret_floor = negative ? -further : whole;
    *ret_ceiling = negative ? -whole : further;
    return true;
}

static int64_t
count_characters(struct sl_str value)
{
    int64_t count = 0;
    while (value.len > 0) {
        size_t size = sl_utf8_char(value);
        size = size > 0 ? size : 1; // a byte that is no character counts as one
        value.ptr += size;
        value.len -= size;
        count++;
    }
    return count;
}

const char *
ngx_http_sluice_value_fault(const struct sl_img_req_param *param, struct sl_str value)
{
    struct sl_str list = sl_img_text(&param->enumerations);
    int64_t floor = 0;
    int64_t ceiling = 0;
    if (!param->checked) {
        return NULL;
    }
    if (list.len > 0 && !ngx_http_sluice_value_is_listed(list, value)) {
        return "not in enumerations";
    }
    if (!param->is_number) {
        floor = ceiling = count_characters(value);
    } else if (!ngx_http_sluice_value_number(value, &floor, &ceiling)) {
        return "not a number";
    }
    bool fits =
        (!param->has_min || floor >= param->min) && (!param->has_max || ceiling <= param->max);
    return fits ? NULL : "out of range";
}

bool
ngx_http_sluice_value_is_from(struct sl_str list, struct sl_str address)
{
    struct sl_range from;
    struct sl_range range;
    if (!sl_range_parse(address, &from)) {
        return false;
    }
    while (list.len > 0) {
        if (sl_range_parse(sl_str_trim(sl_str_split(&list, ',')), &range) &&
            sl_range_holds(&range, &from)) {
            return true;
        }
    }
    return false;
}

bool
ngx_http_sluice_value_cookie(struct sl_str header, struct sl_str name, struct sl_str *ret_text)
{
    while (header.ptr != NULL) {
        struct sl_str value = sl_str_trim(sl_str_split(&header, ';'));

        if (sl_str_equal(sl_str_split(&value, '='), name) && value.ptr != NULL) {
            *ret_text = value;
            return true;
        }
    }
    return false;
}
