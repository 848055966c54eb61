// app_code.c - what is special about AppCodes: the code is a secret, given (3.28.8) or made
// (3.28.9).
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include "services/registry/engine_write.h"
#include "services/registry/secret.h"

// The shortest code that is allowed, 64 characters. Hex digits are the same in a header, in a query
// and in a shell.
static const char *
random_code(struct sl_arena *arena)
{
    const char *first = secret_random(arena);
    const char *second = secret_random(arena);
    return sl_arena_printf(arena, "%s%s", first, second);
}

// 3.28.9 has no body; 3.28.8 requires a code.
static int
seal_code(struct change *change, struct sl_error *err)
{
    struct sl_arena *arena = change->m->arena;
    const char *code = json_string_value(json_object_get(change->body, "app_code"));
    if (code == NULL) {
        code = random_code(arena);
    }
    if (sl_arena_check(arena, err) != 0) {
        return -1;
    }
    return secret_put(change, "app_code", code, err);
}

int
app_code_generate(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run_optimistic(call, reply, engine_create_work, err);
}

const struct resource_hooks app_code_hooks = {
    .before_write = seal_code,
};
