// feature_config.c - whether a configuration is what its feature's row says.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/feature.h"

#include "services/registry/engine_write.h"

#include <stdlib.h>
#include <string.h>

#define ENABLE "enable" // the member by which an object is off

static const char *
where(struct sl_arena *arena, const struct feature_part *part)
{
    return part->name == NULL ? "config" : sl_arena_printf(arena, "config.%s", part->name);
}

static bool
is_word(const char *text, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            return true;
        }
    }
    return false;
}

// `text` is what a scalar says; NULL: the value is no scalar.
static int
check_text(const struct feature_part *part, const char *text, const char *at, struct sl_error *err)
{
    static const char *const switch_words[] = {"on", "off", NULL};
    const char *const *words = part->type == FEATURE_SWITCH ? switch_words : part->words;
    int64_t number = 0;
    if (text == NULL) {
        return sl_fail(err, SL_E_PARAM_INVALID, at);
    }
    switch (part->type) {
    case FEATURE_NUMBER:
        if (!sl_str_int(sl_str(text), &number)) {
            return sl_fail(err, SL_E_PARAM_INVALID, at);
        }
        return number < part->min || number > part->max ? sl_fail(err, SL_E_PARAM_RANGE, at) : 0;
    case FEATURE_TEXT:
        number = (int64_t)strlen(text);
        return number < part->min || number > part->max ? sl_fail(err, SL_E_PARAM_INVALID, at) : 0;
    default:
        return is_word(text, words) ? 0 : sl_fail(err, SL_E_PARAM_INVALID, at);
    }
}

static int
check_part(struct sl_arena *arena, const struct feature_part *part, const json_t *value,
           struct sl_error *err)
{
    const char *at = where(arena, part);
    // A number may stand in quotes; what else is a text must be one.
    const char *text =
        part->type == FEATURE_NUMBER ? engine_value(arena, value) : json_string_value(value);
    if (part->type != FEATURE_JSON && check_text(part, text, at, err) != 0) {
        return -1;
    }
    return part->check == NULL ? 0 : part->check(arena, value, at, err);
}

static const struct feature_part *
find_part(const struct feature *feature, const char *name)
{
    const struct feature_part *part = feature->parts;
    while (part->type != FEATURE_END && strcmp(part->name, name) != 0) {
        part++;
    }
    return part->type == FEATURE_END ? NULL : part;
}

static int
check_members(struct sl_arena *arena, const struct feature *feature, json_t *object,
              struct sl_error *err)
{
    const char *enable = json_string_value(json_object_get(object, ENABLE));
    bool is_off = enable != NULL && strcmp(enable, "off") == 0;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(object, name, value)
    {
        const struct feature_part *part = find_part(feature, name);
        if (part == NULL) {
            return sl_fail(err, SL_E_PARAM_INVALID, sl_arena_printf(arena, "config.%s", name));
        }
        if (check_part(arena, part, value, err) != 0) {
            return -1;
        }
    }
    for (const struct feature_part *part = feature->parts; part->type != FEATURE_END; part++) {
        if (part->required && !is_off && json_object_get(object, part->name) == NULL) {
            return sl_fail(err, SL_E_PARAM_MISSING, where(arena, part));
        }
    }
    return feature->check == NULL || is_off ? 0 : feature->check(arena, object, "config", err);
}

static const char *
dump(struct sl_arena *arena, const json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    const char *copy = text == NULL ? NULL : sl_arena_dup(arena, text);
    free(text);
    return copy;
}

// Moves the secret members from `object` to a text of their own.
static int
part_secrets(struct sl_arena *arena, const struct feature *feature, json_t *object,
             struct feature_config *config, struct sl_error *err)
{
    json_t *secrets = json_object();
    if (engine_keep(arena, secrets, err) != 0) {
        return -1;
    }
    for (const struct feature_part *part = feature->parts; part->type != FEATURE_END; part++) {
        json_t *value = part->secret ? json_object_get(object, part->name) : NULL;
        if (value != NULL) {
            json_object_set(secrets, part->name, value);
            json_object_del(object, part->name);
        }
    }
    if (json_object_size(secrets) == 0) {
        return 0;
    }
    config->secret = dump(arena, secrets);
    config->text = dump(arena, object);
    return config->secret == NULL || config->text == NULL ? sl_fail(err, SL_E_INTERNAL) : 0;
}

static int
check_object(struct sl_arena *arena, const struct feature *feature, struct feature_config *config,
             struct sl_error *err)
{
    json_t *object = json_loads(config->text, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(object)) {
        json_decref(object);
        return sl_fail(err, SL_E_PARAM_INVALID, "config");
    }
    if (engine_keep(arena, object, err) != 0 || check_members(arena, feature, object, err) != 0) {
        return -1;
    }
    return part_secrets(arena, feature, object, config, err);
}

static int
check_plain(struct sl_arena *arena, const struct feature *feature, const char *config,
            struct sl_error *err)
{
    json_t *value = json_string(config);
    return engine_keep(arena, value, err) != 0 ? -1 : check_part(arena, feature->parts, value, err);
}

int
feature_check(struct sl_arena *arena, const struct feature *feature, const char *config,
              bool enable, struct feature_config *ret_config, struct sl_error *err)
{
    struct feature_config kept = {.text = config};
    bool is_empty = config == NULL || config[0] == '\0';
    if (feature->parts == NULL && (!is_empty || (!enable && !feature->is_switched))) {
        return sl_fail(err, SL_E_PARAM_INVALID, !is_empty ? "config" : "enable");
    }
    if (feature->is_switched) {
        kept.text = ""; // a setting that is there, as the view of settings shows it
    }
    if (feature->parts != NULL && is_empty && enable) {
        return sl_fail(err, SL_E_PARAM_MISSING, "config");
    }
    if (!is_empty &&
        (feature->parts[0].name == NULL ? check_plain(arena, feature, config, err)
                                        : check_object(arena, feature, &kept, err)) != 0) {
        return -1;
    }
    *ret_config = kept;
    return 0;
}
