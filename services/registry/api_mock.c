// api_mock.c - see api_mock.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/api_mock.h"

#include <string.h>
#include <strings.h>

// How an answer travels, and what every answer of the gateway says itself.
static const char *const own[] = {
    "connection", "content-length",    "date",    "keep-alive",   "server", "te",
    "trailer",    "transfer-encoding", "upgrade", "x-request-id",
};

static bool
is_own(const char *name)
{
    for (size_t i = 0; i < SL_COUNT(own); i++) {
        if (strcasecmp(own[i], name) == 0) {
            return true;
        }
    }
    return strncasecmp(name, "x-apig-", strlen("x-apig-")) == 0;
}

int
api_mock_check(const struct change *change, const json_t *mock, const char *where,
               struct sl_error *err)
{
    const json_t *headers = json_object_get(mock, "header");
    for (size_t i = 0; i < json_array_size(headers); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(headers, i), "key"));
        if (is_own(name)) {
            return sl_fail(err, SL_E_PARAM_INVALID,
                           sl_arena_printf(change->m->arena, "%s.header[%zu].key", where, i));
        }
    }
    return 0;
}
