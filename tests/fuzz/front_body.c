// front_body.c - fuzzes what a stranger sends to the management API: target, query, JSON body.
//
// An input is `METHOD TARGET\n` and the body. What is accepted must be sound: an object, no deeper
// than the limit, and accepted again when it is checked a second time.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "common/base/limits.h"
#include "services/front/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const char *
header(void *arg, const char *name)
{
    (void)name;
    return arg;
}

// Checks the body that came out of a check: it may not be refused.
static void
check_again(const struct validator *validator, const struct validate_input *input,
            const json_t *body, struct sl_arena *arena)
{
    struct validate_output output = {.path = NULL};
    struct sl_error err = {.code = SL_E_OK};
    struct validate_input again = *input;
    char *text = json_dumps(body, JSON_COMPACT);
    assert(text != NULL);
    again.body = sl_str(text);
    int result = validate_request(validator, &again, NULL, arena, &output, &err);
    assert(result == 0 || sl_arena_failed(arena));
    free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct validator *validator;
    struct sl_error err = {.code = SL_E_OK};
    struct route_match match = {.row = NULL};
    struct validate_output output = {.path = NULL};
    struct sl_str body = {(const char *)bytes, len};
    struct sl_str line = sl_str_split(&body, '\n');
    struct sl_str target = line;
    struct sl_str method = sl_str_split(&target, ' ');
    struct sl_str path = sl_str_split(&target, '?');
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    if (validator == NULL) {
        validator = validate_new(&err);
    }
    assert(validator != NULL && arena != NULL);
    if (route_find(method, path, &match, &err) != 0) {
        return 0;
    }
    const struct validate_input input = {.match = &match,
                                         .raw_query = target,
                                         .body = body,
                                         .header = header,
                                         .header_arg = (void *)(uintptr_t) "value"};
    if (validate_request(validator, &input, NULL, arena, &output, &err) == 0 &&
        output.body != NULL && body.len > 0) {
        check_again(validator, &input, output.body, arena);
    }
    return 0;
}
