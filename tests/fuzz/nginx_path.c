// nginx_path.c - fuzz target: the canonical path of the module, and what it promises.
//
// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "services/nginx/ngx_http_sluice_path.h"
#include "tests/lib/path_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

// Every segment is a name, none empty but the last, none a dot segment; no control character.
static void
check_shape(struct sl_str path)
{
    struct sl_str rest = {path.ptr + 1, path.len - 1};

    assert(path.len > 0 && path.ptr[0] == '/');
    for (size_t i = 0; i < path.len; i++) {
        assert((unsigned char)path.ptr[i] >= ' ' && path.ptr[i] != 0x7f);
    }
    while (rest.ptr != NULL) {
        struct sl_str segment = sl_str_split(&rest, '/');
        assert(segment.len > 0 || rest.ptr == NULL);
        assert(!sl_str_equal(segment, SL_STR(".")) && !sl_str_equal(segment, SL_STR("..")));
    }
}

// What is canonical stays as it is when it comes again, with every byte but the slashes escaped.
static void
check_again(struct sl_str path)
{
    char *raw = malloc(3 * path.len);
    char *room = malloc(3 * path.len);
    size_t len = 0;
    struct sl_str again = {NULL, 0};

    assert(raw != NULL && room != NULL);
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '/') {
            raw[len++] = '/';
        } else {
            static const char digits[] = "0123456789abcdef";
            raw[len++] = '%';
            raw[len++] = digits[(unsigned char)path.ptr[i] >> 4];
            raw[len++] = digits[(unsigned char)path.ptr[i] & 15];
        }
    }
    assert(ngx_http_sluice_path_canonical((struct sl_str){raw, len}, room, &again));
    assert(sl_str_equal(again, path));
    free(raw);
    free(room);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct sl_str raw = {(const char *)bytes, len};
    struct sl_str path = {NULL, 0};
    char *room = malloc(len > 0 ? len : 1);
    bool passed;

    assert(room != NULL);
    assert(len > PATH_READER_MAX || path_reader_fault(raw, &passed) == NULL);
    if (ngx_http_sluice_path_canonical(raw, room, &path)) {
        check_shape(path);
        check_again(path);
        assert(!ngx_http_sluice_path_is_canonical(raw) || sl_str_equal(raw, path));
    } else {
        assert(!ngx_http_sluice_path_is_canonical(raw));
    }
    free(room);
    return 0;
}
