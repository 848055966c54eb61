// ngx_http_sluice_value.h - what a value must be: numbers, lengths, lists, addresses.
//
// Needs no nginx, allocates nothing. Parameter checks (runtime.md 8.1) and the conditions of
// backend policies (9) use it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_VALUE_H
#define NGX_HTTP_SLUICE_VALUE_H

#include "common/runtime/image.h"

// Whether `value` is one of a comma list, byte for byte. An empty list has no members.
bool ngx_http_sluice_value_is_listed(struct sl_str list, struct sl_str value);

// Whether `value` is a decimal number ("-1", "+2.50"), and the integers next to it, below and above
// or itself. What is beyond 64 bits counts as the last integer.
bool ngx_http_sluice_value_number(struct sl_str value, int64_t *ret_floor, int64_t *ret_ceiling);

// What is wrong with a value of this parameter: "not in enumerations", "not a number", "out of
// range"; NULL when it holds or is not checked. Lengths are counted in characters.
const char *ngx_http_sluice_value_fault(const struct sl_img_req_param *param, struct sl_str value);

// Whether the address stands in a comma list of addresses, networks and ranges; what is none of
// them matches nothing.
bool ngx_http_sluice_value_is_from(struct sl_str list, struct sl_str address);

// The value of the first cookie called `name` in a Cookie header; false when there is none.
bool ngx_http_sluice_value_cookie(struct sl_str header, struct sl_str name,
                                  struct sl_str *ret_text);

#endif
