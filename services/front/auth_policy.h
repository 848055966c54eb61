// auth_policy.h - may a user do an action? IAM policies, JSON 1.1.
//
// Pure: no locks, no memory.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_AUTH_POLICY_H
#define SL_FRONT_AUTH_POLICY_H

#include <jansson.h>

#include "common/base/str.h"

enum policy_verdict {
    POLICY_SILENT, // says nothing about the action
    POLICY_ALLOW,
    POLICY_DENY, // beats every ALLOW
};

// What one document says about an action. A statement that this build does not understand never
// allows; one that denies still denies.
enum policy_verdict policy_judge(const json_t *document, const char *action);

// Whether `action` matches `pattern`, in which '*' stands for any characters. ASCII letters match
// without case.
bool policy_match(const char *pattern, const char *action);

#endif
