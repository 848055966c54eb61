// compile_json.c - see compile_json.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/compile_json.h"

#include <string.h>

const struct compile_word compile_methods[] = {
    {"ANY", SL_METHOD_ANY},   {"DELETE", SL_METHOD_DELETE},   {"GET", SL_METHOD_GET},
    {"HEAD", SL_METHOD_HEAD}, {"OPTIONS", SL_METHOD_OPTIONS}, {"PATCH", SL_METHOD_PATCH},
    {"POST", SL_METHOD_POST}, {"PUT", SL_METHOD_PUT},         {NULL, 0},
};
const struct compile_word compile_schemes[] = {
    {"BOTH", SL_SCHEME_HTTP | SL_SCHEME_HTTPS},
    {"GRPCS", SL_SCHEME_GRPCS},
    {"HTTP", SL_SCHEME_HTTP},
    {"HTTPS", SL_SCHEME_HTTPS},
    {NULL, 0},
};
const struct compile_word compile_locations[] = {
    {"HEADER", SL_IN_HEADER}, {"PATH", SL_IN_PATH}, {"QUERY", SL_IN_QUERY}, {NULL, 0}};

const char *
compile_text(struct sl_arena *arena, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    const char *copy = text == NULL ? "" : sl_arena_dup(arena, text);
    return copy == NULL ? "" : copy;
}

int
compile_word(const json_t *object, const char *name, const struct compile_word *words,
             struct sl_error *err)
{
    const char *text = json_string_value(json_object_get(object, name));
    for (const struct compile_word *word = words; text != NULL && word->text != NULL; word++) {
        if (strcmp(word->text, text) == 0) {
            return word->value;
        }
    }
    return sl_fail(err, SL_E_ENTRY_BROKEN, "api", name);
}
