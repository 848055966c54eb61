// nginx_answer.c - fuzzes what a function answers.
//
// An input is the answer. What is accepted has a status of HTTP, headers that fit on a wire and are
// not the gateway's, and says the same the second time.
//
// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <string.h>

#include "services/nginx/ngx_http_sluice_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
check_headers(const struct ngx_http_sluice_said *said)
{
    for (size_t i = 0; i < said->header_count; i++) {
        struct sl_str name = said->headers[i].name;
        struct sl_str value = said->headers[i].value;
        assert(name.len > 0 && !sl_str_equal_nocase(name, SL_STR("content-length")) &&
               !sl_str_equal_nocase(name, SL_STR("transfer-encoding")));
        for (size_t at = 0; at < name.len; at++) {
            assert(name.ptr[at] > ' ' && name.ptr[at] < 0x7f && name.ptr[at] != ':');
        }
        assert(memchr(value.ptr, '\r', value.len) == NULL);
        assert(memchr(value.ptr, '\n', value.len) == NULL);
        assert(memchr(value.ptr, '\0', value.len) == NULL);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct sl_str text = {(const char *)bytes, len};
    struct ngx_http_sluice_said said;
    struct ngx_http_sluice_said again;
    if (ngx_http_sluice_said_read(text, &said) != 0) {
        return 0;
    }
    int rc = ngx_http_sluice_said_read(text, &again);
    assert(rc == 0 && said.status == again.status && sl_str_equal(said.body, again.body));
    assert(said.status >= 200 && said.status <= 599 && said.body.len <= len);
    assert(said.header_count == again.header_count);
    check_headers(&said);
    ngx_http_sluice_said_clear(&again);
    ngx_http_sluice_said_clear(&said);
    return 0;
}
