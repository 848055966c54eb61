// runtime_entry.c - fuzzes decoding runtime entries: the first byte picks the kind, the rest is the
// body. What decodes must encode and decode again to the same bytes, and be fit for an image.
//
// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <stdlib.h>

#include "common/runtime/entry.h"

#define ARENA_MAX (16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_entry entry;
    struct sl_entry again;
    struct sl_str first;
    struct sl_str second;
    struct sl_error err;
    SL_AUTO(sl_arena) arena = sl_arena_new(ARENA_MAX);
    if (size == 0 || arena == NULL) {
        return 0;
    }
    enum sl_kind kind = data[0] % SL_KIND_COUNT;
    struct sl_str body = {(const char *)data + 1, size - 1};
    if (sl_entry_decode(arena, kind, body, &entry, &err) != 0) {
        return 0;
    }
    if (sl_entry_encode(arena, &entry, &first, &err) != 0) {
        return 0; // the arena is full
    }
    int status = sl_entry_decode(arena, kind, first, &again, &err);
    assert(status == 0 || sl_arena_failed(arena));
    if (status == 0 && sl_entry_encode(arena, &again, &second, &err) == 0) {
        assert(sl_str_equal(first, second));
    }
    struct sl_entry *copy = sl_entry_copy(&entry);
    free(copy);
    return 0;
}
