// commands.c - what this service answers, one row each.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/identity/identity.h"

#define READ(text, function)                                                                       \
    {                                                                                              \
        .name = (text), .run = (function), .kind = COMMAND_READ                                    \
    }
#define ADMIN(text, function, what)                                                                \
    {                                                                                              \
        .name = (text), .run = (function), .kind = (what), .admin = true                           \
    }
#define ADMIN_SLOW(text, function)                                                                 \
    {                                                                                              \
        .name = (text), .run = (function), .kind = COMMAND_WRITE, .admin = true, .slow = true      \
    }

const struct command_row command_rows[] = {
    ADMIN("access_key.create", access_key_create, COMMAND_WRITE),
    ADMIN("access_key.delete", access_key_delete, COMMAND_WRITE),
    ADMIN("access_key.list", access_key_list, COMMAND_READ),
    READ("auth_domain.list", auth_domain_list),
    READ("auth_project.list", auth_project_list),
    ADMIN("domain.create", domain_create, COMMAND_WRITE),
    ADMIN("domain.list", domain_list, COMMAND_READ),
    ADMIN("policy.attach", policy_attach, COMMAND_WRITE),
    ADMIN("policy.create", policy_create, COMMAND_WRITE),
    ADMIN("policy.delete", policy_delete, COMMAND_WRITE),
    ADMIN("policy.detach", policy_detach, COMMAND_WRITE),
    ADMIN("policy.list", policy_list, COMMAND_READ),
    ADMIN("project.all", project_all, COMMAND_READ),
    ADMIN("project.create", project_create, COMMAND_WRITE),
    READ("project.list", project_list),
    {.name = "token.create", .run = token_create, .kind = COMMAND_OWN, .slow = true},
    READ("token.show", token_show),
    ADMIN_SLOW("user.create", user_create),
    ADMIN("user.delete", user_delete, COMMAND_WRITE),
    ADMIN("user.list", user_list, COMMAND_READ),
    ADMIN_SLOW("user.update", user_update),
};
const size_t command_row_count = SL_COUNT(command_rows);
