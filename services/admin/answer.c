// answer.c - printing answers: JSON for programs, lines for people, one field for scripts.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "services/admin/admin.h"

// A value on one line, texts without quotes.
static void
print_value(const json_t *value)
{
    if (json_is_string(value)) {
        fputs(json_string_value(value), stdout);
        return;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    fputs(text != NULL ? text : "", stdout);
    free(text);
}

static void
print_object(json_t *object)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(object, name, value)
    {
        printf("%s: ", name);
        print_value(value);
        putchar('\n');
    }
}

// An item of a list on one line.
static void
print_item(json_t *item)
{
    if (!json_is_object(item)) {
        print_value(item);
        putchar('\n');
        return;
    }
    const char *name = NULL;
    json_t *value = NULL;
    bool first = true;
    json_object_foreach(item, name, value)
    {
        printf("%s%s=", first ? "" : "  ", name);
        print_value(value);
        first = false;
    }
    putchar('\n');
}

// The list that an answer consists of, if it is one: {"users": […]} or {"total": 1, "nodes": […]}.
static json_t *
find_list(json_t *answer)
{
    json_t *list = NULL;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(answer, name, value)
    {
        if (json_is_array(value)) {
            if (list != NULL) {
                return NULL;
            }
            list = value;
        } else if (!json_is_integer(value)) {
            return NULL;
        }
    }
    return list;
}

static void
print_lines(json_t *answer)
{
    json_t *list = find_list(answer);
    size_t i = 0;
    json_t *item = NULL;
    if (list == NULL) {
        print_object(answer);
    }
    json_array_foreach(list, i, item)
    {
        print_item(item);
    }
}

int
answer_print(const struct admin *admin, json_t *answer, struct sl_error *err)
{
    if (admin->field != NULL) {
        const json_t *value = json_object_get(answer, admin->field);
        if (value == NULL) {
            sl_fail(err, SL_E_ADMIN, "done, but the answer does not have the field of --field");
            return sl_error_detail(err, "%s", admin->field);
        }
        print_value(value);
        putchar('\n');
        return 0;
    }
    if (admin->json) {
        json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
        putchar('\n');
        return 0;
    }
    print_lines(answer);
    return 0;
}
