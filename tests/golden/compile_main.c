// compile_main.c - compiles one definition from standard input and prints the entry as it travels.
//
// Input: {publish_id, env_id, env_name, version_id, throttle_id, variables, functions, definition}.
// Output: the entry's fields, or {error, args} when it is refused.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/compile.h"

#include <stdio.h>
#include <stdlib.h>

static const char *
text(const json_t *given, const char *name)
{
    const char *value = json_string_value(json_object_get(given, name));
    return value == NULL ? "" : value;
}

static void
read_variables(struct sl_arena *arena, const json_t *given, struct variables *ret_variables)
{
    size_t count = json_object_size(given);
    struct variable *list = sl_arena_array(arena, count + 1, sizeof(*list));
    void *at = json_object_iter((json_t *)(uintptr_t)given);
    for (size_t i = 0; list != NULL && at != NULL; i++) {
        list[i] = (struct variable){json_object_iter_key(at),
                                    json_string_value(json_object_iter_value(at))};
        at = json_object_iter_next((json_t *)(uintptr_t)given, at);
    }
    *ret_variables = (struct variables){.list = list, .count = count};
}

static int
compile(struct sl_arena *arena, const json_t *given, json_t **ret_entry, struct sl_error *err)
{
    struct sl_str bytes;
    struct sl_entry entry = {.kind = SL_KIND_API};
    struct variables variables;
    read_variables(arena, json_object_get(given, "variables"), &variables);
    variables.functions = json_string_value(json_object_get(given, "functions"));
    entry.api = (struct sl_api){.publish_id = text(given, "publish_id"),
                                .env_id = text(given, "env_id"),
                                .env_name = text(given, "env_name"),
                                .version_id = text(given, "version_id"),
                                .throttle_id = text(given, "throttle_id")};
    if (compile_definition(arena, json_object_get(given, "definition"), &variables, &entry.api,
                           err) != 0 ||
        sl_entry_encode(arena, &entry, &bytes, err) != 0 ||
        sl_entry_decode(arena, SL_KIND_API, bytes, &entry, err) != 0) {
        return -1;
    }
    return sl_json_unpack(arena, bytes, ret_entry, err);
}

int
main(void)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    json_t *given = json_loadf(stdin, 0, NULL);
    json_t *entry = NULL;
    struct sl_error err;
    if (arena == NULL || given == NULL) {
        return EXIT_FAILURE;
    }
    if (compile(arena, given, &entry, &err) == 0) {
        json_dumpf(entry, stdout, 0);
    } else {
        printf("{\"error\": \"%s\", \"args\": [\"%s\", \"%s\"]}", sl_error_name(err.code),
               err.args[0], err.args[1]);
    }
    json_decref(given);
    return EXIT_SUCCESS;
}
