// auth_policy.c - see auth_policy.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/auth_policy.h"

#include <ctype.h>
#include <string.h>

static bool
same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

bool
policy_match(const char *pattern, const char *action)
{
    // Where to go on when a character does not fit: the last star, and the first character that it
    // has not swallowed yet. Only the last star ever needs to take more.
    const char *star = NULL;
    const char *resume = NULL;
    while (*action != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = action;
        } else if (*pattern != '\0' && same_letter(*pattern, *action)) {
            pattern++;
            action++;
        } else if (star != NULL) {
            pattern = star + 1;
            action = ++resume;
        } else {
            return false;
        }
    }
    return pattern[strspn(pattern, "*")] == '\0';
}

static bool
names_action(const json_t *statement, const char *action)
{
    const json_t *actions = json_object_get(statement, "Action");
    for (size_t i = 0; i < json_array_size(actions); i++) {
        const char *pattern = json_string_value(json_array_get(actions, i));
        if (pattern != NULL && policy_match(pattern, action)) {
            return true;
        }
    }
    return false;
}

enum policy_verdict
policy_judge(const json_t *document, const char *action)
{
    const json_t *statements = json_object_get(document, "Statement");
    enum policy_verdict verdict = POLICY_SILENT;
    for (size_t i = 0; i < json_array_size(statements); i++) {
        const json_t *statement = json_array_get(statements, i);
        const char *effect = json_string_value(json_object_get(statement, "Effect"));
        if (effect == NULL || !names_action(statement, action)) {
            continue;
        }
        if (strcmp(effect, "Deny") == 0) {
            return POLICY_DENY;
        }
        // A condition or a resource would narrow it, and narrowing is not understood here.
        if (strcmp(effect, "Allow") == 0 && json_object_size(statement) == 2) {
            verdict = POLICY_ALLOW;
        }
    }
    return verdict;
}
