// nginx_value.c - fuzzes what conditions and parameters look at: cookies, lists, addresses,
// numbers, users' patterns.
//
// An input is two lines: what an operator wrote and what a caller sent. A cookie's value lies in
// its header and follows its name; an item of a list is in the list; a number lies between its
// neighbours.
//
// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <string.h>

#include "services/nginx/ngx_http_sluice_pattern.h"
#include "services/nginx/ngx_http_sluice_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
find_cookie(struct sl_str name, struct sl_str header)
{
    struct sl_str value;
    if (ngx_http_sluice_value_cookie(header, name, &value)) {
        assert(value.ptr > header.ptr + name.len);
        assert(value.ptr + value.len <= header.ptr + header.len);
        assert(value.ptr[-1] == '=' && memcmp(value.ptr - 1 - name.len, name.ptr, name.len) == 0);
        assert(memchr(value.ptr, ';', value.len) == NULL);
    }
}

static void
find_in_list(struct sl_str list, struct sl_str value)
{
    if (ngx_http_sluice_value_is_listed(list, value)) {
        assert(value.len <= list.len && memchr(value.ptr, ',', value.len) == NULL);
    }
    struct sl_str rest = list;
    while (rest.len > 0) {
        assert(ngx_http_sluice_value_is_listed(list, sl_str_split(&rest, ',')));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct sl_str sent = {(const char *)bytes, len};
    struct sl_str written = sl_str_split(&sent, '\n');
    int64_t floor = 0;
    int64_t ceiling = 0;
    sent = sent.ptr != NULL ? sent : SL_STR("");
    find_cookie(written, sent);
    find_in_list(written, sent);
    (void)ngx_http_sluice_value_is_from(written, sent);
    assert(!ngx_http_sluice_value_is_from(SL_STR(""), sent));
    if (ngx_http_sluice_value_number(sent, &floor, &ceiling)) {
        assert(floor <= ceiling && (ceiling == floor || ceiling - 1 == floor));
    }
    if (ngx_http_sluice_pattern_found(written, sent)) {
        assert(ngx_http_sluice_pattern_found(written, sent)); // what was compiled is the same
    }
    return 0;
}
