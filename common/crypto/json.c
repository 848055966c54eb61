// json.c - see json.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/json.h"

#include <pthread.h>
#include <stdlib.h>

static _Thread_local bool ran_out;

static void *
noticed_malloc(size_t size)
{
    void *memory = malloc(size);
    ran_out = ran_out || memory == NULL;
    return memory;
}

// The library's memory stays that of malloc, so what was allocated before is freed as ever.
static void
notice(void)
{
    json_set_alloc_funcs(noticed_malloc, free);
}

json_t *
sl_json_read(struct sl_str text, size_t flags)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, notice);
    ran_out = false;
    json_t *value = json_loadb(text.ptr, text.len, flags, NULL);
    if (ran_out) {
        json_decref(value);
        return NULL;
    }
    return value;
}
