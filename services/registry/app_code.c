// app_code.c - what is special about AppCodes: the code is a secret.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/secret.h"

static int
seal_code(struct change *change, struct sl_error *err)
{
    const char *code = json_string_value(json_object_get(change->body, "app_code"));
    return secret_put(change, "app_code", code, err);
}

const struct resource_hooks app_code_hooks = {
    .before_write = seal_code,
};
